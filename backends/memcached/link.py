"""A connection of our own to one memcached, by its text protocol: send, and take the reply.

A reply is taken whole or not at all: whatever is not exactly a reply to what was sent ends
the connection and is a failure. So no reply is left for the next command to take for its
own. A server at its connection limit greets with an error, which is no reply either.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from typing import Final, TypeVar

from backends.memcached.errors import CONNECTION_FAILURE, READ_FAILURE, TIMEOUT, CommandFailed

T = TypeVar("T")

# More than a key of 250 bytes and three numbers, or any reply to a store.
LONGEST_LINE: Final = 512
READ_SIZE: Final = 64 * 1024
_FULL: Final = b"ERROR Too many open connections"


class _NotTaken(ConnectionError):
    """The server took in nothing of what was sent."""


class Link:
    """A connection of one thread to one server. It is opened by the first command.

    :param server: ``host:port``.
    :param timeout: bound on connecting and on each wait for the server, in seconds.
    """

    def __init__(self, server: str, timeout: float) -> None:
        host, _, port = server.rpartition(":")
        self._address = host.strip("[]"), int(port)
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._state = select.poll()

    def exchange(
        self, command: bytes, take: Callable[[socket.socket, bytes], T], *, changes: bool = False
    ) -> T:
        """Send a command and return what ``take`` makes of its reply.

        :param take: reads the reply to its end, given what has come of it already; raises
            :class:`ValueError` for what is none.
        :param changes: the command may have made its change though no reply came.
        :raises CommandFailed: no whole reply came; the connection is closed.
        """
        try:
            connection = self._socket
            if connection is None or self._is_stale():
                connection = self._connect()
        except OSError as error:
            raise _failed(error, CONNECTION_FAILURE, sent=False) from error
        try:
            connection.sendall(command)
            first = receive(connection)
            if first.startswith(_FULL):
                raise _NotTaken("the server has its most clients already")
            return take(connection, first)
        except (OSError, ValueError) as error:
            self.close()
            taken = not isinstance(error, _NotTaken)
            raise _failed(error, READ_FAILURE, sent=changes and taken) from error
        except BaseException:
            # A reply may be under way that the next command would take for its own.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _is_stale(self) -> bool:
        """Return whether the server closed the connection, or sent what nobody asked for."""
        return bool(self._state.poll(0))

    def _connect(self) -> socket.socket:
        self.close()
        connection = socket.create_connection(self._address, self._timeout)
        # The system's own time limits cost no further call for each wait, as Python's do.
        connection.settimeout(None)
        limit = struct.pack("ll", int(self._timeout), round(self._timeout % 1 * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._state = select.poll()
        self._state.register(connection, select.POLLIN)
        self._socket = connection
        return connection


def receive(connection: socket.socket, least: int = 1) -> bytes:
    """Wait for ``least`` bytes; return them and what came with them.

    :raises OSError: they did not come, or not in time.
    """
    parts: list[bytes] = []
    while least > 0:
        part = connection.recv(READ_SIZE)
        if not part:
            raise ConnectionError("closed by the server")
        parts.append(part)
        least -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _failed(error: Exception, code: int, *, sent: bool) -> CommandFailed:
    # A wait that was too long ends as BlockingIOError, connecting as TimeoutError.
    late = isinstance(error, TimeoutError | BlockingIOError)
    return CommandFailed(TIMEOUT if late else code, sent=sent)
