"""Values read from one memcached over a connection of our own, by its text protocol.

What is asked and answered is said in memcached's protocol.txt, "Retrieval command". A reply
is taken whole or not at all: whatever is not exactly a reply to what was asked ends the
connection and is a failure. So a key is absent only if the server said so, and bytes are
what is stored, whatever their flags say. A server at its connection limit answers with an
error, which is none of the replies either.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from backends.memcached_errors import CONNECTION_FAILURE, READ_FAILURE, TIMEOUT, CommandFailed

T = TypeVar("T")

# More than a key of 250 bytes and three numbers.
_LONGEST_LINE: Final = 512
_READ_SIZE: Final = 64 * 1024


class Stored(NamedTuple):
    """A value as the server has it.

    :ivar flags: what the program that stored it noted about its type.
    :ivar cas: the unique number of its last store.
    """

    value: bytes
    flags: int
    cas: int


class Reader:
    """A connection of one thread to one server. It is opened by the first read.

    :param server: ``host:port``.
    :param timeout: bound on connecting and on each wait for the server, in seconds.
    """

    def __init__(self, server: str, timeout: float) -> None:
        host, _, port = server.rpartition(":")
        self._address = host.strip("[]"), int(port)
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def read_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values of those different keys that the server has.

        :raises CommandFailed: the reply was not whole; the connection is closed.
        """
        return {header[1]: value for header, value in self._ask(b"get", keys)}

    def read(self, key: bytes) -> Stored | None:
        """Return what the server has under a key.

        :raises CommandFailed: the reply was not whole; the connection is closed.
        """
        for header, value in self._ask(b"gets", [key]):
            return Stored(value, int(header[2]), int(header[4]))
        return None

    def close(self) -> None:
        """Close the connection; the next read opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, command: bytes, keys: Sequence[bytes]) -> list[tuple[list[bytes], bytes]]:
        """Return the header, in its parts, and the value of each key that is there."""

        def exchange(connection: socket.socket) -> list[tuple[list[bytes], bytes]]:
            connection.sendall(b"%s %s\r\n" % (command, b" ".join(keys)))
            return _reply(connection, set(keys), 5 if command == b"gets" else 4)

        return self.ask(exchange)

    def ask(self, exchange: Callable[[socket.socket], T]) -> T:
        """Return what an exchange over the connection returns.

        :param exchange: it raises ``ValueError`` for what is no reply to what it asked.
        :raises CommandFailed: the reply was not whole, and the connection is closed; or what
            the exchange makes of it.
        """
        try:
            connection = self._socket or self._connect()
        except OSError as error:
            raise _failed(error, CONNECTION_FAILURE) from error
        try:
            return exchange(connection)
        except CommandFailed:
            raise
        except (OSError, ValueError) as error:
            self.close()
            raise _failed(error, READ_FAILURE) from error
        except BaseException:
            # A reply may be under way that the next read would take for its own.
            self.close()
            raise

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address, self._timeout)
        # The system's own time limits cost no further call for each wait, as Python's do.
        connection.settimeout(None)
        limit = struct.pack("ll", int(self._timeout), round(self._timeout % 1 * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        return connection


def _reply(
    connection: socket.socket, wanted: set[bytes], parts: int
) -> list[tuple[list[bytes], bytes]]:
    """Take one reply from the connection.

    :param parts: how many a header has.
    :raises ValueError: it is not a reply to these keys.
    :raises OSError: it did not come, or not in time.
    """
    found: list[tuple[list[bytes], bytes]] = []
    data, at = _receive(connection, 1), 0
    while True:
        start = data.find(b"\r\n", at) + 2
        if start < 2:
            if len(data) - at > _LONGEST_LINE:
                raise ValueError("a line that never ends")
            data, at = data[at:] + _receive(connection, 1), 0
            continue
        header = data[at : start - 2].split(b" ")
        if len(header) != parts:
            if header == [b"END"] and start == len(data):
                return found
            raise ValueError("no reply to a read")
        if header[0] != b"VALUE" or header[1] not in wanted:
            raise ValueError("no value that was asked for")
        if not (header[2].isdigit() and header[3].isdigit() and header[-1].isdigit()):
            raise ValueError("no numbers where they belong")
        wanted.remove(header[1])
        at = start + int(header[3]) + 2
        if at > len(data):
            data, at = data[start:] + _receive(connection, at - len(data)), at - start
            start = 0
        if data[at - 2 : at] != b"\r\n":
            raise ValueError("no end of a value where it was announced")
        found.append((header, data[start : at - 2]))


def _receive(connection: socket.socket, least: int) -> bytes:
    """Wait for ``least`` bytes; return them and what came with them."""
    parts = []
    while least > 0:
        part = connection.recv(_READ_SIZE)
        if not part:
            raise ConnectionError("closed by the server")
        parts.append(part)
        least -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _failed(error: Exception, code: int) -> CommandFailed:
    # A wait that was too long ends as BlockingIOError, connecting as TimeoutError.
    late = isinstance(error, TimeoutError | BlockingIOError)
    return CommandFailed(TIMEOUT if late else code, reading=True)
