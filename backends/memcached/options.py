"""The settings of the memcached backend, the list of servers above all."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from backends.options import BOOLEAN, HOST_AND_PORT, TEXT, Kind, Option, integer

_SERVER = re.compile(HOST_AND_PORT + r"(?::(?P<weight>\d{1,3}))?")
# Only proportions count, and the points on the ring are as many as the weights.
LARGEST_WEIGHT: Final = 100


class Server(NamedTuple):
    """One server. ``port`` is ``None`` where the list does not give one."""

    host: str
    port: int | None
    weight: int

    def address(self, default_port: int) -> str:
        """Return ``host:port``."""
        return f"{self.host}:{self.port or default_port}"

    def name(self, default_port: int) -> str:
        """Return the name that decides its points on a ring, as libmemcached has it."""
        host = self.host.strip("[]")
        port = self.port or default_port
        return host if port == 11211 else f"{host}:{port}"


def parse_servers(text: str) -> tuple[Server, ...]:
    """Parse ``host[:port[:weight]],…``; an IPv6 address stands in brackets.

    The servers are sorted, so that the order of the list moves no key.

    :raises ValueError: the list is malformed or names a server twice.
    """
    servers = []
    for part in text.split(","):
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


SERVERS = Kind("host, host:port or a list host:port:weight,host:port:weight,…", parse_servers)

OPTIONS: Final = (
    Option(
        variable="MEMCACHED_HOST",
        kind=SERVERS,
        default="localhost",
        help="memcached server, or a weighted pool `host:port:weight,…`.",
        name="servers",
        public_name="host",
        public_default="127.0.0.1",
    ),
    Option(
        variable="MEMCACHED_PORT",
        kind=integer(1, 65535),
        default="11211",
        help="Port of servers listed without one.",
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
        variable="MEMCACHED_USERNAME",
        kind=TEXT,
        default=None,
        help="SASL user name (`user@realm` if the realm is not the server's host name).",
        name="username",
    ),
    Option(
        variable="MEMCACHED_PASSWORD",
        kind=TEXT,
        default=None,
        help="SASL password.",
        name="password",
        secret=True,
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
        help="Text before every key, so that several applications can share a server.",
        name="prefix",
    ),
    Option(
        variable="MEMCACHED_TIMEOUT_MS",
        kind=integer(1, 60_000),
        default="250",
        help="Longest wait for a connection and for each reply, in milliseconds.",
        name="timeout_ms",
        title="Timeout (ms)",
    ),
)
