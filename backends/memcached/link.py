"""A connection of our own to one memcached, by its text protocol: send, and take the reply.

A reply is taken whole or not at all: whatever is not exactly a reply to what was sent ends
the connection and is a failure. So no reply is left for the next command to take for its
own. A line that says no is a reply too, whatever it says.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Final, TypeVar

from backends.memcached.errors import (
    CLOSED_AT_ONCE,
    MOST_CLIENTS,
    NO_LOGINS,
    OTHER_SERVER,
    READ_FAILURE,
    TEXT_LOGIN,
    CommandFailed,
)
from backends.memcached.greeting import greet
from backends.memcached.opening import PLAIN, Opening, failed, open_socket

T = TypeVar("T")

# More than a key of 250 bytes and three numbers, or any reply to a store.
LONGEST_LINE: Final = 512
READ_SIZE: Final = 64 * 1024
# What was idle so long is tried before it carries a command: on the way a firewall may have
# forgotten it, and said nothing.
IDLE_SECONDS: Final = 0.5
# So long nobody asks a server again to show what it did not know, or what did not do.
UNPROVEN_SECONDS: Final = 60.0


class NotProven(Exception):
    """The server has not shown that it knows what was to be sent; nothing was."""


class Link:
    """A connection of one thread to one server. It is opened by the first command.

    :param server: ``host:port``, or the path of a Unix socket.
    :param timeout: bound on looking up, connecting and the greeting together, and on each wait
        for the server, in seconds.
    :param on_silence: called when a connection that was idle turned out to be dead: others that
        were idle as long are likely dead as well.
    :param opening: how it is connected to.
    """

    def __init__(
        self,
        server: str,
        timeout: float,
        on_silence: Callable[[], None] | None = None,
        opening: Opening = PLAIN,
    ) -> None:
        self._server = server
        self._opening = opening
        self._timeout = timeout
        self._on_silence = on_silence
        self._socket: socket.socket | None = None
        self._state = select.poll()
        self._used_at = 0.0
        # A proxy may close at a command that it does not know, and "version" may be one.
        self._greets = True
        # The connection on which the server has shown what it was to show; and until when it is
        # not asked to.
        self._proven: socket.socket | None = None
        self._unproven_until = 0.0

    def exchange(
        self,
        command: bytes,
        take: Callable[[socket.socket, bytes], T],
        *,
        changes: bool = False,
        proof: Callable[[socket.socket], None] | None = None,
    ) -> T:
        """Send a command and return what ``take`` makes of its reply.

        :param take: reads the reply to its end, given what has come of it already; raises
            :class:`ValueError` for what is none, and :class:`CommandFailed` for one after which
            the connection shall be used no more.
        :param changes: the command may have made its change though no reply came.
        :param proof: has the server show that it knows the command, once a connection; raises
            :class:`ValueError` if it does not.
        :raises CommandFailed: the server said no, or no whole reply came; the connection is
            closed.
        :raises NotProven: it does not know the command.
        """
        connection = self._ready()
        if proof is not None and self._proven is not connection:
            self._prove(connection, proof)
        try:
            connection.sendall(command)
            result = take(connection, receive(connection))
        except (OSError, ValueError) as error:
            self.close()
            raise self._broken(error, sent=changes) from error
        except BaseException:
            # A reply may be under way that the next command would take for its own.
            self.close()
            raise
        self._used_at = time.monotonic()
        return result

    def prove(self) -> None:
        """Have the server answer, if the connection is new or was idle.

        :raises CommandFailed: it does not.
        """
        self._ready()

    def doubt(self) -> None:
        """Take nothing for proven for a while."""
        self._proven = None
        self._unproven_until = time.monotonic() + UNPROVEN_SECONDS

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ready(self) -> socket.socket:
        """Return a connection on which the server answers."""
        connection = self._socket
        if connection is None or self._is_stale():
            return self._connect()
        if time.monotonic() - self._used_at < IDLE_SECONDS or not self._greets:
            return connection
        # Half of the limit is left for a fresh one, so that the whole of it holds.
        try:
            self._greet(connection, self._timeout / 2, greet)
        except CommandFailed:
            if self._on_silence is not None:
                self._on_silence()
            return self._connect(self._timeout / 2)
        return connection

    def _prove(self, connection: socket.socket, proof: Callable[[socket.socket], None]) -> None:
        # Over TLS memcached does not see a short command that came in one record with the end of a
        # large value, until another record comes.
        if isinstance(connection, ssl.SSLSocket) or time.monotonic() < self._unproven_until:
            raise NotProven
        try:
            proof(connection)
        except (ValueError, OSError) as error:
            self.close()
            self.doubt()
            if isinstance(error, ValueError | ConnectionError):
                # It says that it does not know it, or closes the connection, as proxies do.
                raise NotProven from error
            raise self._broken(error, sent=False) from error
        self._proven = connection

    def _is_stale(self) -> bool:
        """Return whether the server closed the connection, or sent what nobody asked for."""
        return bool(self._state.poll(0))

    def _connect(self, timeout: float | None = None) -> socket.socket:
        deadline = time.monotonic() + (timeout or self._timeout)
        connection = self._open(deadline)
        if self._greets:
            try:
                self._greet(connection, deadline - time.monotonic(), self._opening.begin)
            except CommandFailed as error:
                if error.code != CLOSED_AT_ONCE:
                    raise
                connection = self._open(deadline)
                self._greets = False
        return connection

    def _open(self, deadline: float) -> socket.socket:
        self.close()
        connection = self._opening.connect(self._server, deadline - time.monotonic())
        self._limit(connection, self._timeout)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._state = select.poll()
        self._state.register(connection, select.POLLIN)
        self._socket = connection
        self._used_at = time.monotonic()
        return connection

    def _greet(
        self,
        connection: socket.socket,
        timeout: float,
        words: Callable[[socket.socket, float], None],
    ) -> None:
        try:
            self._limit(connection, max(0.001, timeout))
            words(connection, timeout)
            self._limit(connection, self._timeout)
        except (OSError, CommandFailed) as error:
            self.close()
            raise failed(error, READ_FAILURE) from error
        self._used_at = time.monotonic()

    @staticmethod
    def _limit(connection: socket.socket, seconds: float) -> None:
        if isinstance(connection, ssl.SSLSocket):
            # Python waits for TLS.
            connection.settimeout(seconds)
            return
        # The system's own time limits cost no further call for each wait, as Python's do.
        limit = struct.pack("ll", int(seconds), round(seconds % 1 * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def _broken(self, error: Exception, *, sent: bool) -> CommandFailed:
        broken = failed(error, READ_FAILURE, sent=sent)
        if not self._greets:
            # It closed at the greeting before, and now did not take the command either.
            self._greets = True
            broken.code = CLOSED_AT_ONCE
        return broken


def why_no_login(server: str, timeout: float) -> CommandFailed | None:
    """Return why a server cannot be logged into by the binary protocol, if it says so by text.

    :param server: ``host:port``.
    :param timeout: as long as a reply may take, in seconds; a part of it must do.
    """
    try:
        with open_socket(server, timeout / 4) as connection:
            connection.settimeout(timeout / 4)
            greet(connection, timeout / 4)
    except CommandFailed as said:
        return said if said.code in (TEXT_LOGIN, OTHER_SERVER, MOST_CLIENTS) else None
    except OSError:
        return None
    # It speaks without a login.
    return CommandFailed(NO_LOGINS)


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


def take_lines(
    connection: socket.socket, data: bytes, count: int, mean: Callable[[bytes], T]
) -> tuple[list[T], bytes]:
    """Take so many lines; return what each means, and what has come behind them.

    :param data: what has come of them already.
    :param mean: raises for a line that is no reply, whatever may follow it.
    :raises ValueError: one never ends.
    :raises OSError: they did not come, or not in time.
    """
    while True:
        *lines, rest = data.split(b"\r\n", count)
        meanings = list(map(mean, lines))
        if len(meanings) == count:
            return meanings, rest
        if len(rest) > LONGEST_LINE:
            raise ValueError("a line that never ends")
        data += receive(connection)


def take_line(connection: socket.socket, data: bytes) -> bytes:
    """Take a reply of one line; return it without its end.

    :param data: what has come of it already.
    :raises ValueError: it is more than a line, or one that never ends.
    :raises OSError: it did not come, or not in time.
    """
    while not data.endswith(b"\r\n"):
        if len(data) > LONGEST_LINE:
            raise ValueError("a line that never ends")
        data += receive(connection)
    if data.find(b"\n") != len(data) - 1:
        raise ValueError("more than was asked for")
    return data[:-2]
