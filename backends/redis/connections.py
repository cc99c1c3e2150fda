"""One Redis server's connections, and the one way to talk to it: send commands, read replies.

redis-py's clients send a command again when they think that it failed; INCR then counts
twice. So its connections are used here without its clients. They bring TLS, the login and
the names of the errors; what may be sent again is decided in :mod:`backends.redis.routes`,
which knows what was answered and what was not.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.retry import Retry

from backends import names
from backends.pool import Pool
from backends.redis.options import Address, Target
from backends.redis.wire import Reply, Wire


class _Plain(Connection):
    """A connection whose look-up and connecting have one bound, as :mod:`backends.names` has it."""

    def _connect(self) -> socket.socket:
        assert self.socket_connect_timeout is not None
        made = names.connect(self.host, int(self.port), self.socket_connect_timeout)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.socket_keepalive:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.settimeout(self.socket_timeout)
        return made


class _Tls(SSLConnection, _Plain):
    """The same, with TLS on it."""


class Server:
    """The connections to one server, each lent to one thread at a time.

    :param address: where it listens; ``None`` for the Unix socket of the target.
    :param login: whether to log in and choose the database; a sentinel has its own password.
    """

    def __init__(self, target: Target, address: Address | None, *, sentinel: bool = False) -> None:
        kind, arguments = _arguments(target, address, sentinel)
        self._pool: Pool[Wire] = Pool(
            lambda: Wire(kind(**arguments), target.timeout), lambda wire: wire.close()
        )

    def exchange(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send all commands in one go; return one reply each, as :class:`Wire` does."""
        wire = self._pool.acquire()
        try:
            return wire.exchange(commands)
        except BaseException:
            # A reply may be under way that the next borrower would take for its own.
            wire.close()
            raise
        finally:
            self._pool.release(wire)

    def close(self) -> None:
        """Close the connections that are not lent."""
        self._pool.clear()


def _arguments(
    target: Target, address: Address | None, sentinel: bool
) -> tuple[Callable[..., AbstractConnection], dict[str, Any]]:
    arguments: dict[str, Any] = {
        "socket_timeout": target.timeout,
        "socket_connect_timeout": target.timeout,
        # The second protocol needs no greeting, and all servers speak it.
        "protocol": 2,
        # Nor is the name of the library worth two commands that a user may lack.
        "driver_info": None,
        "retry": Retry(NoBackoff(), 0),
    }
    if sentinel:
        arguments |= {"password": target.sentinel_password}
    else:
        arguments |= {
            "username": target.username,
            "password": target.password,
            "db": target.database,
        }
    if address is None:
        return UnixDomainSocketConnection, {**arguments, "path": target.path}
    arguments |= {"host": address.host, "port": address.port, "socket_keepalive": True}
    if not target.tls:
        return _Plain, arguments
    return _Tls, {
        **arguments,
        "ssl_ca_certs": target.tls_ca,
        "ssl_certfile": target.tls_cert,
        "ssl_keyfile": target.tls_key,
        "ssl_cert_reqs": "required" if target.tls_verify else "none",
        "ssl_check_hostname": target.tls_verify,
    }
