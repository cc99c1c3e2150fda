"""Commands to one Redis and their replies, over a socket that redis-py has opened.

redis-py connects, speaks TLS and logs in. After that its layers cost more than the rest of a
round trip, so what is sent is packed here, and replies are taken from the socket by hiredis,
its parser. A reply is taken whole or not at all: anything else ends the connection, so that
no reply is left for the next command to take for its own.
"""

from __future__ import annotations

import functools
import math
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import hiredis
import redis
from redis.connection import AbstractConnection, DefaultParser, SSLConnection

from backends.base import Item
from backends.columns import columns_of
from backends.errors import NotRead
from backends.redis.errors import CLOSED, CLOSED_AT_ONCE, Broken, is_refusal

# A key, and a command on it as it is sent.
Command = tuple[bytes, bytes]
# What a command is answered with: bytes, a number, a list, None, or an exception.
Reply = Any

_READ_SIZE: Final = 64 * 1024
_OK: Final = b"+OK\r\n"
_PART: Final = object()


# What stands before the key of commands that have nothing behind it.
GET: Final = b"*2\r\n$3\r\nGET\r\n"
GETDEL: Final = b"*2\r\n$6\r\nGETDEL\r\n"
EXISTS: Final = b"*2\r\n$6\r\nEXISTS\r\n"
UNLINK: Final = b"*2\r\n$6\r\nUNLINK\r\n"


def pack(*arguments: bytes | str | int) -> bytes:
    """Return a command as it is sent."""
    # hiredis's declaration knows of one argument only.
    packed: bytes = hiredis.pack_command(arguments)  # type: ignore[arg-type]
    return packed


def pack_reads(keys: Sequence[bytes]) -> list[Command]:
    """Return commands that read one key each, in half of the time of :func:`pack`."""
    return [(key, b"%b$%d\r\n%b\r\n" % (GET, len(key), key)) for key in keys]


def pack_read(keys: Sequence[bytes]) -> Command:
    """Return one command that reads all keys."""
    return keys[0], pack("MGET", *keys)


def pack_key(head: bytes, key: bytes) -> bytes:
    """Return a command of one key.

    :param head: what stands before it, such as :data:`GET`.
    """
    return b"%b$%d\r\n%b\r\n" % (head, len(key), key)


def pack_two(head: bytes, key: bytes, first: bytes, second: bytes) -> bytes:
    """Return a command with two arguments behind its key, as :func:`pack_key`."""
    return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        *(head, len(key), key),
        *(len(first), first, len(second), second),
    )


def pack_get_and_touch(key: bytes, milliseconds: int | None) -> bytes:
    """Return the command that reads one key and gives it a new lifetime; ``None`` for ever."""
    if milliseconds is None:
        return b"*3\r\n$5\r\nGETEX\r\n$%d\r\n%b\r\n$7\r\nPERSIST\r\n" % (len(key), key)
    number = b"%d" % milliseconds
    return b"*4\r\n$5\r\nGETEX\r\n$%d\r\n%b\r\n$2\r\nPX\r\n$%d\r\n%b\r\n" % (
        len(key),
        key,
        len(number),
        number,
    )


def pack_store(key: bytes, value: bytes, milliseconds: int | None, *, adds: bool = False) -> bytes:
    """Return the command that stores one value, overwriting; as :func:`pack_stores`.

    :param adds: only where the key is absent, for a lifetime that is positive.
    """
    frame = _frame(milliseconds, adds)
    if frame is None:
        return pack_key(UNLINK, key)
    head, tail = frame
    return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n%b" % (head, len(key), key, len(value), value, tail)


def pack_stores(
    prefix: str, items: Sequence[Item], lifetimes: Mapping[float | None, int | None]
) -> list[Command]:
    """Return commands that store, overwriting, in a third of the time of :func:`pack`.

    :param prefix: text before every key.
    :param lifetimes: of each ``ttl``, in milliseconds; ``None`` for ever, and one that is not
        positive deletes.
    """
    frames = {ttl: _frame(milliseconds) for ttl, milliseconds in lifetimes.items()}
    return [
        (
            stored := (prefix + key).encode(),
            b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n%b"
            % (frame[0], len(stored), stored, len(value), value, frame[1])
            if (frame := frames[ttl])
            else pack("UNLINK", stored),
        )
        for key, value, ttl in zip(*columns_of(items), strict=True)
    ]


@functools.lru_cache(maxsize=256)
def _frame(milliseconds: int | None, adds: bool = False) -> tuple[bytes, bytes] | None:
    """Return what stands before and after key and value; ``None`` where nothing is stored."""
    number, tail = 3, b""
    if milliseconds is not None:
        if milliseconds <= 0:
            return None
        left = b"%d" % milliseconds
        number, tail = 5, b"$2\r\nPX\r\n$%d\r\n%b\r\n" % (len(left), left)
    if adds:
        number, tail = number + 1, b"$2\r\nNX\r\n" + tail
    return b"*%d\r\n$3\r\nSET\r\n" % number, tail


class Wire:
    """A connection of one thread to one server. It is opened by the first command.

    :param connection: opens it; no command goes over it after that.
    :param timeout: bound on each wait for the server, in seconds.
    """

    def __init__(self, connection: AbstractConnection, timeout: float) -> None:
        self._connection = connection
        self._by_python = isinstance(connection, SSLConnection)
        self._timeout = timeout
        self._socket: socket.socket | None = None
        # When it was opened, last answered, and was last asked what it leads to.
        self.opened_at = 0.0
        self.answered_at = 0.0
        self.asked_at = 0.0
        self._part = 1.0
        self._state = select.poll()
        self._reader = hiredis.Reader()

    def exchange(self, commands: Sequence[bytes], most: float = math.inf) -> list[Reply]:
        """Send all commands in one go; return one reply each.

        A reply is an exception where the server refused (redis-py's ``ResponseError`` and
        others) or where no whole reply came (:class:`~backends.redis.errors.Broken`).

        :param most: once more bytes than this have come, what is still on its way is left: those
            replies are :class:`~backends.errors.NotRead`, and the connection is closed.
        """
        try:
            if self._socket is None or self._is_stale():
                self._connect()
        except (redis.RedisError, OSError) as error:
            self.close()
            return [Broken(error, sent=False)] * len(commands)
        replies: list[Reply] = []
        try:
            self._send(commands[0] if len(commands) == 1 else b"".join(commands))
            self._take(replies, len(commands), most)
            self.answered_at = time.monotonic()
        except redis.RedisError as error:
            self.close()
            replies += [Broken(error, sent=True)] * (len(commands) - len(replies))
        return replies

    @property
    def is_open(self) -> bool:
        """Whether it has a connection, which may be dead."""
        return self._socket is not None

    def wait(self, part: float) -> None:
        """Wait from now on for a part of the time limit only."""
        self._part = part
        if self._socket is None:
            return
        seconds = max(self._timeout * part, 0.001)
        if self._by_python:
            self._socket.settimeout(seconds)
            return
        limit = struct.pack("ll", int(seconds), round(seconds % 1 * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def close(self) -> None:
        """Close the connection; the next command opens another."""
        self._socket = None
        self._connection.disconnect()

    def _is_stale(self) -> bool:
        """Return whether the server closed the connection, or sent what nobody asked for."""
        return bool(self._state.poll(0)) or self._reader.has_data()

    def _connect(self) -> None:
        self.close()
        self._connection.connect()
        # redis-py has no public name for it.
        connected: Any = self._connection._sock  # noqa: SLF001
        if not self._by_python:
            # Python waits for TLS; the system's own time limits cost no further call each time.
            connected.settimeout(None)
        self._state = select.poll()
        self._state.register(connected, select.POLLIN)
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse,
            replyError=DefaultParser.parse_error,
            notEnoughData=_PART,
            errors="replace",
        )
        self._socket = connected
        self.opened_at = self.answered_at = self.asked_at = time.monotonic()
        self.wait(self._part)

    def _send(self, data: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(data)
        except (BlockingIOError, TimeoutError) as error:
            raise redis.TimeoutError("the server does not take what is sent") from error
        except OSError as error:
            raise self._ended(str(error)) from error

    def _receive(self) -> bytes:
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ_SIZE)
        except (BlockingIOError, TimeoutError) as error:
            # The one is the system's word for it, the other Python's.
            raise redis.TimeoutError("the server does not answer") from error
        except OSError as error:
            raise self._ended(str(error)) from error
        if not data:
            raise self._ended(CLOSED)
        return data

    def _ended(self, how: str) -> redis.ConnectionError:
        first = self.answered_at == self.opened_at
        return redis.ConnectionError(CLOSED_AT_ONCE if first else how)

    def _rest(self, replies: list[Reply], data: bytes, done: bytes) -> bytes:
        """Return what came and the rest of it, or as much as is like ``done``; as :meth:`_take`."""
        try:
            while len(data) < len(done) and done.startswith(data):
                data += self._receive()
        except redis.RedisError:
            replies += [b"OK"] * (len(data) // len(_OK))
            raise
        return data

    def _take(self, replies: list[Reply], count: int, most: float) -> None:
        """Add so many replies to those given.

        :param most: as of :meth:`exchange`.
        :raises redis.RedisError: no whole reply came; those before it have been added.
        """
        data = self._receive()
        done = _OK * count
        if done.startswith(data):
            data = self._rest(replies, data, done)
        if data == done:
            replies += [b"OK"] * count
            return
        reader = self._reader
        reader.feed(data)
        size = len(data)
        while len(replies) < count:
            reply = reader.gets()
            if reply is _PART:
                if size > most:
                    self.close()
                    replies += [NotRead()] * (count - len(replies))
                    return
                data = self._receive()
                size += len(data)
                reader.feed(data)
            elif isinstance(reply, redis.RedisError) and not is_refusal(reply):
                raise reply
            else:
                replies.append(reply)
