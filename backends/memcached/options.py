"""The settings of the memcached backend, the list of servers above all."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from backends.options import BOOLEAN, HOST_AND_PORT, TEXT, Kind, Option, choice, integer

_SERVER = re.compile(HOST_AND_PORT + r"(?::(?P<weight>\d{1,3}))?")
# The longest that Linux takes (unix(7)).
_PATH = re.compile(r"(?:unix://)?(?P<path>/[^\0,:]{1,106})")
# Only proportions count, and the points on the ring are as many as the weights.
LARGEST_WEIGHT: Final = 100
# Of more servers that a name or an endpoint tells, the first ones.
LARGEST_POOL: Final = 100


class Server(NamedTuple):
    """One server. ``port`` is ``None`` where the list does not give one.

    ``host`` is the path of a Unix socket where it begins with a slash.
    """

    host: str
    port: int | None
    weight: int

    @property
    def is_path(self) -> bool:
        """Whether it is a Unix socket."""
        return self.host.startswith("/")

    def address(self, default_port: int) -> str:
        """Return ``host:port``, or the path of a Unix socket."""
        if self.is_path:
            return self.host
        return f"{self.host}:{self.port or default_port}"

    def name(self, default_port: int) -> str:
        """Return the name that decides its points on a ring, as libmemcached has it."""
        if self.is_path:
            return self.host
        host = self.host.strip("[]")
        port = self.port or default_port
        return host if port == 11211 else f"{host}:{port}"


def parse_servers(text: str) -> tuple[Server, ...]:
    """Parse ``host[:port[:weight]],…``; an IPv6 address stands in brackets.

    A Unix socket is its path, also as ``unix:///path``.

    The servers are sorted, so that the order of the list moves no key.

    :raises ValueError: the list is malformed or names a server twice.
    """
    servers = []
    for part in text.split(","):
        if path := _PATH.fullmatch(part.strip()):
            servers.append(Server(path["path"], None, 1))
            continue
        match = _SERVER.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part!r} is no server")
        port = None if match["port"] is None else int(match["port"])
        weight = 1 if match["weight"] is None else int(match["weight"])
        if port is not None and not 1 <= port <= 65535:
            raise ValueError(f"{port} is no port")
        if not 1 <= weight <= LARGEST_WEIGHT:
            raise ValueError(f"a weight is a whole number from 1 to {LARGEST_WEIGHT}")
        servers.append(Server(match["host"], port, weight))
    if len({(server.host, server.port) for server in servers}) < len(servers):
        raise ValueError("a server is listed twice")
    return tuple(sorted(servers, key=lambda server: (server.host, server.port or 0)))


SERVERS = Kind(
    "host, host:port, the path of a Unix socket or a list host:port:weight,host:port:weight,…",
    parse_servers,
)


SERVICE_TYPE: Final = "cache_memcached"
OPTIONS: Final = (
    Option(
        variable="MEMCACHED_HOST",
        kind=SERVERS,
        default="localhost",
        help="Name the server, its Unix socket `/path`, or a weighted pool `host:port:weight, …`.",
        name="servers",
        public_name="host",
        public_default="127.0.0.1",
    ),
    Option(
        variable="MEMCACHED_PORT",
        kind=integer(1, 65535),
        default="11211",
        help="Servers that are listed without a port have this one.",
        name="port",
    ),
    Option(
        variable="MEMCACHED_KETAMA_COMPATIBLE",
        kind=BOOLEAN,
        default="false",
        help="Place keys on a pool as libmemcached's `KETAMA_WEIGHTED` (and PHP's) does.",
        name="ketama_compatible",
    ),
    Option(
        variable="MEMCACHED_DISCOVERY",
        kind=choice("off", "dns", "config"),
        default="off",
        help="Find the pool anew every minute by `dns`, all addresses of the host's name, or "
        "`config`, what a managed cluster's configuration endpoint lists.",
        name="discovery",
    ),
    Option(
        variable="MEMCACHED_USERNAME",
        kind=TEXT,
        default=None,
        help="Log in by this name; for SASL `user@realm` where the realm is not the server's host.",
        name="username",
    ),
    Option(
        variable="MEMCACHED_PASSWORD",
        kind=TEXT,
        default=None,
        help="Log in with this password.",
        name="password",
        secret=True,
    ),
    Option(
        variable="MEMCACHED_AUTH",
        kind=choice("sasl", "text"),
        default="sasl",
        help="Send the login as `sasl` (memcached's `-S`; needs pylibmc) or `text` (its `-Y`).",
        name="auth",
        title="Login",
    ),
    Option(
        variable="MEMCACHED_TLS",
        kind=BOOLEAN,
        default="false",
        help="Speak TLS (memcached's `-Z`); not with SASL.",
        name="tls",
        title="TLS",
    ),
    Option(
        variable="MEMCACHED_TLS_CA",
        kind=TEXT,
        default=None,
        help="Trust the authorities of this file instead of the system's.",
        name="tls_ca",
        title="TLS authorities",
    ),
    Option(
        variable="MEMCACHED_TLS_CERT",
        kind=TEXT,
        default=None,
        help="This file has the client's certificate.",
        name="tls_cert",
        title="TLS certificate",
    ),
    Option(
        variable="MEMCACHED_TLS_KEY",
        kind=TEXT,
        default=None,
        help="This file has the key of the client's certificate.",
        name="tls_key",
        title="TLS key",
    ),
    Option(
        variable="MEMCACHED_TLS_VERIFY",
        kind=BOOLEAN,
        default="true",
        help="Check the server's certificate and its host name.",
        name="tls_verify",
        title="Verify TLS",
    ),
    Option(
        variable="MEMCACHED_PERSISTENT_ID",
        kind=TEXT,
        default=None,
        help="Services with the same id share one connection pool in a process.",
        name="persistent_id",
    ),
    Option(
        variable="MEMCACHED_PREFIX",
        kind=TEXT,
        default="",
        help="Put this text before every key, so that several applications can share a server.",
        name="prefix",
    ),
    Option(
        variable="MEMCACHED_TIMEOUT_MS",
        kind=integer(1, 60_000, "milliseconds"),
        default="250",
        help="Wait no longer for a connection and for each reply, in milliseconds.",
        name="timeout_ms",
        title="Timeout",
    ),
)
