"""One Redis server's connections, and the one way to talk to it: send commands, read replies.

redis-py's clients send a command again when they think that it failed; INCR then counts
twice. So its connections are used here without its clients. They bring TLS, the login, the
protocol and the names of the errors; what may be sent again is decided in
:mod:`backends.redis_routes`, which knows what was answered and what was not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.retry import Retry

from backends.pool import Pool
from backends.redis_errors import Broken, is_refusal
from backends.redis_options import Address, Target

# What a command is answered with: bytes, a number, a list, None, or an exception.
Reply = Any


class Server:
    """The connections to one server, each lent to one thread at a time.

    :param address: where it listens; ``None`` for the Unix socket of the target.
    :param login: whether to log in and choose the database; a sentinel has its own password.
    """

    def __init__(self, target: Target, address: Address | None, *, sentinel: bool = False) -> None:
        kind, arguments = _arguments(target, address, sentinel)
        self._pool: Pool[AbstractConnection] = Pool(
            lambda: kind(**arguments), lambda connection: connection.disconnect()
        )

    def exchange(self, commands: Sequence[Sequence[bytes | str | int]]) -> list[Reply]:
        """Send all commands in one go; return one reply each.

        A reply is an exception where the server refused (redis-py's ``ResponseError`` and
        others) or where no whole reply came (:class:`~backends.redis_errors.Broken`).
        """
        connection = self._pool.acquire()
        try:
            return _exchange(connection, commands)
        except BaseException:
            # A reply may be under way that the next borrower would take for its own.
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)

    def close(self) -> None:
        """Close the connections that are not lent."""
        self._pool.clear()


def _exchange(
    connection: AbstractConnection, commands: Sequence[Sequence[bytes | str | int]]
) -> list[Reply]:
    try:
        _connect(connection)
    except (redis.RedisError, OSError) as error:
        connection.disconnect()
        return [Broken(error, sent=False)] * len(commands)
    replies: list[Reply] = []
    try:
        connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        for _ in commands:
            replies.append(_read(connection))  # noqa: PERF401 (those before a failure count)
    except (redis.RedisError, OSError) as error:
        connection.disconnect()
        replies += [Broken(error, sent=True)] * (len(commands) - len(replies))
    return replies


def _connect(connection: AbstractConnection) -> None:
    connection.connect()
    try:
        # A server that closed an idle connection, or sent what nobody asked for.
        stale = connection.can_read()
    except (redis.RedisError, OSError):
        stale = True
    if stale:
        connection.disconnect()
        connection.connect()


def _read(connection: AbstractConnection) -> Reply:
    try:
        return connection.read_response(disconnect_on_error=False)
    except redis.RedisError as error:
        if not is_refusal(error):
            raise
        return error


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
        return Connection, arguments
    return SSLConnection, {
        **arguments,
        "ssl_ca_certs": target.tls_ca,
        "ssl_certfile": target.tls_cert,
        "ssl_keyfile": target.tls_key,
        "ssl_cert_reqs": "required" if target.tls_verify else "none",
        "ssl_check_hostname": target.tls_verify,
    }
