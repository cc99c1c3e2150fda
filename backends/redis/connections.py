"""One Redis server's connections, and the one way to talk to it: send commands, read replies.

redis-py's clients send a command again when they think that it failed; INCR then counts
twice. So its connections are used here without its clients. They bring TLS, the login and
the names of the errors; what may be sent again is decided in :mod:`backends.redis.routes`,
which knows what was answered and what was not.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis
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
from backends.redis.errors import NOT_NOW, Broken, code_of
from backends.redis.options import Address, Target
from backends.redis.wire import Reply, Wire, pack

# A connection that nobody used for so long, in seconds, is asked whether it still is one before
# a command goes over it: what drops it says nothing, and a count must not be sent twice.
IDLE_SECONDS: Final = 1.0
# How often a connection whose server may be replaced is asked whether it leads to a master.
ROLE_SECONDS: Final = 1.0
# What closes the connection at that question, so often in a row, is a proxy that knows none.
CLOSED_AT_MOST: Final = 3
_PING: Final = pack("PING")
_ROLE: Final = pack("ROLE")


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
    :param follows_master: behind its name or balancer may be another server at any time: each
        connection is asked now and then whether it still leads to a master.
    """

    def __init__(
        self,
        target: Target,
        address: Address | None,
        *,
        sentinel: bool = False,
        follows_master: bool = False,
    ) -> None:
        self.address = address
        kind, arguments = _arguments(target, address, sentinel)
        self._pool: Pool[Wire] = Pool(
            lambda: Wire(kind(**arguments), target.timeout), lambda wire: wire.close()
        )
        self._follows_master = follows_master
        self._closed_at_role = 0
        # What was opened before is closed before it is used again.
        self._renewed_at = 0.0

    def exchange(self, commands: Sequence[bytes], most: float = math.inf) -> list[Reply]:
        """Send all commands in one go; return one reply each, as :class:`Wire` does."""
        wire = self._pool.acquire()
        try:
            if wire.is_open and self._is_in_doubt(wire):
                return self._exchange_after_asking(wire, commands, most)
            return wire.exchange(commands, most)
        except BaseException:
            # A reply may be under way that the next borrower would take for its own.
            wire.close()
            raise
        finally:
            self._pool.release(wire)

    def renew(self) -> None:
        """Have each thread connect anew, by a name that is looked up again."""
        self._renewed_at = time.monotonic()

    def close(self) -> None:
        """Close the connections that are not lent."""
        self._pool.clear()

    def _is_in_doubt(self, wire: Wire) -> bool:
        now = time.monotonic()
        return (
            wire.opened_at <= self._renewed_at
            or now - wire.answered_at > IDLE_SECONDS
            or (self._follows_master and now - wire.asked_at > ROLE_SECONDS)
        )

    def _exchange_after_asking(
        self, wire: Wire, commands: Sequence[bytes], most: float
    ) -> list[Reply]:
        """Use a connection if it is alive and leads to where it should; else a fresh one.

        Both together have the time limit. What is asked changes nothing, so that a command is
        never sent to where nobody may answer.
        """
        wire.wait(0.5)
        try:
            if wire.opened_at <= self._renewed_at or not self._serves(wire):
                wire.close()
            return wire.exchange(commands, most)
        finally:
            wire.wait(1)

    def _serves(self, wire: Wire) -> bool:
        asks_role = self._follows_master
        (reply,) = wire.exchange([_ROLE if asks_role else _PING])
        wire.asked_at = time.monotonic()
        if isinstance(reply, Broken):
            if isinstance(reply.cause, redis.TimeoutError):
                # The others have been idle for longer.
                self._pool.clear()
            elif asks_role and reply.sent:
                self._closed_at_role += 1
                self._follows_master = self._closed_at_role < CLOSED_AT_MOST
            return False
        self._closed_at_role = 0
        if not asks_role:
            return True
        if isinstance(reply, Exception):
            # A user without that right is not asked again.
            self._follows_master = code_of(reply) in NOT_NOW
            return True
        is_replica = isinstance(reply, list) and reply[:1] == [b"slave"]
        if is_replica:
            self.renew()
        return not is_replica


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
        arguments |= {"username": target.sentinel_username, "password": target.sentinel_password}
    else:
        arguments |= {
            "username": target.username,
            "password": target.password,
            "db": target.database,
        }
    if address is None:
        return UnixDomainSocketConnection, {**arguments, "path": target.path}
    arguments |= {"host": address.host, "port": address.port, "socket_keepalive": True}
    if not (target.sentinel_tls if sentinel else target.tls):
        return _Plain, arguments
    return _Tls, {
        **arguments,
        "ssl_ca_certs": target.tls_ca,
        "ssl_certfile": target.tls_cert,
        "ssl_keyfile": target.tls_key,
        "ssl_cert_reqs": "required" if target.tls_verify else "none",
        "ssl_check_hostname": target.tls_verify,
    }
