"""The settings of the Redis backend: where the servers are, and who may talk to them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from backends.endpoints import place_of
from backends.errors import InvalidOption
from backends.options import BOOLEAN, HOST_AND_PORT, TEXT, Kind, NotAllowed, Option, integer

# With TLS or without.
_SCHEMES: Final = {
    "redis": False,
    "rediss": True,
    "unix": False,
    # As Valkey's own clients write it.
    "valkey": False,
    "valkeys": True,
}


# What a query of other clients says, and what says it here.
_INSTEAD: Final = {
    "timeout": "Set REDIS_TIMEOUT_MS, in milliseconds",
    "socket_timeout": "Set REDIS_TIMEOUT_MS, in milliseconds",
    "socket_connect_timeout": "Set REDIS_TIMEOUT_MS, in milliseconds",
    "ssl_cert_reqs": "Set REDIS_TLS_VERIFY=false for what 'none' means there",
    "ssl_check_hostname": "Set REDIS_TLS_VERIFY=false for what 'false' means there",
    "ssl_ca_certs": "Set REDIS_TLS_CA",
    "ssl_certfile": "Set REDIS_TLS_CERT",
    "ssl_keyfile": "Set REDIS_TLS_KEY",
    "password": "Write it before the host, redis://:PASSWORD@host, or set REDIS_PASSWORD",
    "username": "Write it before the host, redis://USER:PASSWORD@host, or set REDIS_USERNAME",
    "prefix": "Set REDIS_PREFIX",
}
_ESCAPED: Final = "/?#[]@%"


class Address(NamedTuple):
    """Where a server listens. ``port`` is ``None`` where a list does not give one."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Parse ``host[:port],…``; an IPv6 address stands in brackets.

    :raises ValueError: the list is malformed or names a server twice.
    """
    addresses = []
    for part in text.split(","):
        match = re.fullmatch(HOST_AND_PORT, part.strip())
        if match is None:
            raise ValueError(f"{part!r} is no server")
        port = None if match["port"] is None else int(match["port"])
        if port is not None and not 1 <= port <= 65535:
            raise ValueError(f"{port} is no port")
        addresses.append(Address(match["host"].strip("[]"), port))
    if len(set(addresses)) < len(addresses):
        raise ValueError("a server is listed twice")
    return tuple(addresses)


class Url(NamedTuple):
    """What a ``REDIS_URL`` says; ``None`` for what it leaves to the other settings."""

    address: Address | None
    path: str | None
    tls: bool
    username: str | None
    password: str | None
    database: int | None


def parse_url(text: str) -> Url:
    """Parse ``redis://``, ``rediss://`` (TLS) or ``unix://``, with ``user:password@``.

    ``valkey://`` and ``valkeys://`` are the same.

    The database is the path, ``redis://host/2``, or ``?db=2``.

    :raises ValueError: it is no such URL; the message does not repeat it.
    """
    scheme, _, rest = text.partition("://")
    if scheme not in _SCHEMES:
        raise ValueError
    if scheme != "unix":
        _refuse_unescaped(rest)
    parts = urlsplit(text)
    query = parse_qs(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True)
    others = sorted(query.keys() - {"db"})
    if others:
        name = others[0] if re.fullmatch(r"\w{1,40}", others[0]) else ""
        instead = _INSTEAD.get(name, "Of a query only ?db=NUMBER is taken")
        raise NotAllowed(f"its query has {name or 'a part'!r}, which is not taken. {instead}")
    number = query["db"][-1] if query else ""
    address = path = None
    if parts.scheme == "unix":
        path = unquote(parts.path)
        if len(path) < 2:
            raise ValueError
    else:
        number = number or parts.path.strip("/")
        address = Address(parts.hostname, parts.port) if parts.hostname else None
    return Url(
        address,
        path,
        tls=_SCHEMES[parts.scheme],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=integer(0, 2**31 - 1).parse(number) if number else None,
    )


def _refuse_unescaped(rest: str) -> None:
    """Raise where a sign in the user name or password ends them too early.

    :param rest: of the URL, behind its scheme.

    :raises NotAllowed: says which sign, and how to write it.
    """
    login, at, _ = rest.rpartition("@")
    if at:
        for sign in _ESCAPED:
            if sign in re.sub(r"%[0-9A-Fa-f]{2}", "", login):
                raise NotAllowed(
                    f"its user name or password has a {sign!r} as it is: write it as "
                    f"%{ord(sign):02X}, or set REDIS_PASSWORD"
                )
    elif "#" in rest:
        raise NotAllowed("it has a '#': in a password write it as %23, or set REDIS_PASSWORD")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which Redis, in one of three shapes: a server, Sentinel's master, or a cluster.

    :ivar hosts: the server, or start nodes of the cluster.
    :ivar path: a Unix socket instead of ``hosts``.
    :ivar timeout: bound on connecting and on each reply, in seconds.
    """

    hosts: tuple[Address, ...]
    path: str | None
    sentinels: tuple[Address, ...]
    sentinel_master: str
    sentinel_username: str | None
    sentinel_password: str | None
    sentinel_tls: bool
    cluster: bool
    username: str | None
    password: str | None
    database: int
    tls: bool
    tls_ca: str | None
    tls_cert: str | None
    tls_key: str | None
    tls_verify: bool
    timeout: float

    @property
    def places(self) -> frozenset[str]:
        """Where its keys are, as :meth:`backends.base.Backend.places` says it."""
        if self.path is not None:
            return frozenset({f"redis {self.path} {self.database}"})
        which = self.sentinel_master if self.sentinels else ""
        return frozenset(
            f"redis {place_of(each.host, each.port)} {which} {self.database}"
            for each in self.sentinels or self.hosts
        )

    def __repr__(self) -> str:
        return f"<Target: {self.place}>"

    @property
    def place(self) -> str:
        """The servers, as a message names them."""
        if self.path is not None:
            return "Redis at its Unix socket"
        if self.sentinels:
            return f"Redis, the master {self.sentinel_master!r} of the sentinels"
        kind = "Redis Cluster" if self.cluster else "Redis"
        return f"{kind} at {', '.join(map(str, self.hosts))}"


def target(
    *,
    hosts: tuple[Address, ...],
    port: int,
    url: Url | None,
    sentinels: tuple[Address, ...] | None,
    sentinel_port: int,
    sentinel_tls: bool | None,
    timeout_ms: int,
    **rest: Any,
) -> Target:
    """Bring the settings together; what ``REDIS_URL`` says wins over the others.

    :raises InvalidOption: they contradict one another.
    """
    path = None
    if url is not None:
        hosts = (url.address,) if url.address else hosts
        path = url.path
        rest["tls"] = url.tls or rest["tls"]
        for name in ("username", "password", "database"):
            given = getattr(url, name)
            rest[name] = rest[name] if given is None else given
    made = Target(
        hosts=tuple(Address(host, own or port) for host, own in hosts),
        path=path,
        sentinels=tuple(Address(host, own or sentinel_port) for host, own in sentinels or ()),
        sentinel_tls=rest["tls"] if sentinel_tls is None else sentinel_tls,
        timeout=timeout_ms / 1000,
        **rest,
    )
    _check(made)
    return made


def _check(made: Target) -> None:
    if made.cluster and (made.sentinels or made.path):
        raise InvalidOption("REDIS_CLUSTER: a cluster has neither sentinels nor a Unix socket.")
    if len(made.hosts) > 1 and not made.cluster:
        raise InvalidOption("REDIS_HOST: several servers are for REDIS_CLUSTER=true only.")
    if made.path and made.sentinels:
        raise InvalidOption("REDIS_URL: with sentinels it cannot be a Unix socket.")
    if made.username is not None and made.password is None:
        raise InvalidOption("REDIS_USERNAME needs REDIS_PASSWORD.")
    if made.sentinel_username is not None and made.sentinel_password is None:
        raise InvalidOption("REDIS_SENTINEL_USERNAME needs REDIS_SENTINEL_PASSWORD.")
    if (made.tls_cert is None) != (made.tls_key is None):
        raise InvalidOption("REDIS_TLS_CERT and REDIS_TLS_KEY: set both of them, or neither.")


ADDRESSES: Final = Kind("a list host:port,host:port,…", parse_addresses)
PORT: Final = integer(1, 65535)

SERVICE_TYPE: Final = "cache_redis"
OPTIONS: Final = (
    Option(
        variable="REDIS_HOST",
        kind=Kind("host, host:port or, for a cluster, a list of them", parse_addresses),
        default="localhost",
        help="Name the Redis or Valkey server, or some nodes of a cluster, `host:port,…`.",
        name="hosts",
        public_name="host",
        public_default="127.0.0.1",
    ),
    Option(
        variable="REDIS_PORT",
        kind=PORT,
        default="6379",
        help="Servers that are listed without a port have this one.",
        name="port",
    ),
    Option(
        variable="REDIS_USERNAME",
        kind=TEXT,
        default=None,
        help="Log in by this name of Redis's ACL.",
        name="username",
    ),
    Option(
        variable="REDIS_PASSWORD",
        kind=TEXT,
        default=None,
        help="Log in with this password.",
        name="password",
        secret=True,
    ),
    Option(
        variable="REDIS_DATABASE",
        kind=integer(0, 2**31 - 1),
        default="0",
        help="Use the database of this number; a cluster has others than 0 only on Valkey.",
        name="database",
    ),
    Option(
        variable="REDIS_PREFIX",
        kind=TEXT,
        default="cacheapi:",
        help="Put this text before every key; a flush deletes only what has it. It may be empty.",
        name="prefix",
        may_be_empty=True,
    ),
    Option(
        variable="REDIS_URL",
        kind=Kind(
            "redis://, rediss:// (or valkey://, valkeys://) or unix:// with a host or a path",
            parse_url,
        ),
        default=None,
        help="A URL, `redis://`, `rediss://` (TLS), `valkey://`, `valkeys://` or `unix://`, wins "
        "over host, user and database.",
        name="url",
        title="URL",
        secret=True,
    ),
    Option(
        variable="REDIS_TLS",
        kind=BOOLEAN,
        default="false",
        help="Speak TLS; `rediss://` does too.",
        name="tls",
        title="TLS",
    ),
    Option(
        variable="REDIS_TLS_CA",
        kind=TEXT,
        default=None,
        help="Trust the authorities of this file instead of the system's.",
        name="tls_ca",
        title="TLS authorities",
    ),
    Option(
        variable="REDIS_TLS_CERT",
        kind=TEXT,
        default=None,
        help="This file has the client's certificate.",
        name="tls_cert",
        title="TLS certificate",
    ),
    Option(
        variable="REDIS_TLS_KEY",
        kind=TEXT,
        default=None,
        help="This file has the key of the client's certificate.",
        name="tls_key",
        title="TLS key",
    ),
    Option(
        variable="REDIS_TLS_VERIFY",
        kind=BOOLEAN,
        default="true",
        help="Check the server's certificate and its host name.",
        name="tls_verify",
        title="Verify TLS",
    ),
    Option(
        variable="REDIS_SENTINEL_HOST",
        kind=ADDRESSES,
        default=None,
        help="Ask these sentinels, `host:port,…`, who the master is; they win over the host.",
        name="sentinels",
        public_name="sentinel_host",
    ),
    Option(
        variable="REDIS_SENTINEL_PORT",
        kind=PORT,
        default="26379",
        help="Sentinels that are listed without a port have this one.",
        name="sentinel_port",
    ),
    Option(
        variable="REDIS_SENTINEL_MASTER",
        kind=TEXT,
        default="mymaster",
        help="The sentinels call the master so.",
        name="sentinel_master",
    ),
    Option(
        variable="REDIS_SENTINEL_USERNAME",
        kind=TEXT,
        default=None,
        help="Log in by this name of the sentinels' own ACL.",
        name="sentinel_username",
    ),
    Option(
        variable="REDIS_SENTINEL_PASSWORD",
        kind=TEXT,
        default=None,
        help="Log in to the sentinels with this password.",
        name="sentinel_password",
        secret=True,
    ),
    Option(
        variable="REDIS_SENTINEL_TLS",
        kind=BOOLEAN,
        default=None,
        help="Speak TLS to the sentinels; by default as `REDIS_TLS` says.",
        name="sentinel_tls",
        title="Sentinel TLS",
    ),
    Option(
        variable="REDIS_CLUSTER",
        kind=BOOLEAN,
        default="false",
        help="The servers are a Redis Cluster.",
        name="cluster",
    ),
    Option(
        variable="REDIS_TIMEOUT_MS",
        kind=integer(1, 60_000, "milliseconds"),
        default="500",
        help="Wait no longer for a connection and for each reply, in milliseconds.",
        name="timeout_ms",
        title="Timeout",
    ),
    Option(
        variable="REDIS_ALLOW_FLUSHDB",
        kind=BOOLEAN,
        default="false",
        help="With an empty prefix, flush the whole database at once instead of key by key.",
        name="allow_flushdb",
        title="Allow FLUSHDB",
    ),
)
