"""Values stored on one memcached over a connection of our own, many in one round trip.

What is sent and answered is said in memcached's protocol.txt, "Storage commands": one line
of reply for each ``set``, in their order. So it is known of every value what became of it.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import socket
from collections.abc import Sequence
from typing import Final, Literal

from backends.base import Item, not_tried
from backends.errors import BackendError
from backends.memcached.errors import (
    OUT_OF_MEMORY_STORING,
    SUCCESS,
    TOO_BIG,
    CommandFailed,
    failure,
)
from backends.memcached.expiry import expiry
from backends.memcached.link import LONGEST_LINE, Link, receive

# The replies to this many stores fit into the buffers of both sides, so the server takes in
# all that is sent before one of them is read.
STORES_AT_ONCE: Final = 256
# Bounds the copy that is made of what is sent.
BYTES_AT_ONCE: Final = 1024 * 1024

_STORED: Final = b"STORED\r\n"
_CODES: Final = {
    b"STORED": SUCCESS,
    b"SERVER_ERROR object too large for cache": TOO_BIG,
    b"SERVER_ERROR out of memory storing object": OUT_OF_MEMORY_STORING,
    # Of a value that the server keeps in several pieces.
    b"SERVER_ERROR Out of memory during read": OUT_OF_MEMORY_STORING,
}


# A key, and the command that stores its value as it is sent.
Store = tuple[bytes, bytes]


def pack(prefix: str, items: Sequence[Item]) -> list[Store]:
    """Return stores, without flags, that overwrite.

    :param prefix: text before every key.
    """
    # Mostly all have the same.
    expiries = {ttl: expiry(ttl) for ttl in {item.ttl for item in items}}
    return [
        (
            stored := (prefix + key).encode(),
            b"set %b 0 %d %d\r\n%b\r\n" % (stored, expiries[ttl], len(value), value),
        )
        for key, value, ttl in items
    ]


class Batch:
    """Stores on one server, in order. To run it again goes on where it was broken off.

    :param commands: as they are sent.
    :ivar codes: libmemcached's codes of the replies, as many as have come.
    :ivar sent: how many of the stores may have been done.
    """

    def __init__(self, commands: Sequence[bytes]) -> None:
        self._commands = commands
        self.codes: list[int] = []
        self.sent = 0

    def run(self, link: Link) -> None:
        """Send what has no reply yet, and take the replies.

        :raises CommandFailed: not all came; the connection is closed.
        """
        while len(self.codes) < len(self._commands):
            start = len(self.codes)
            part = self._commands[start : start + STORES_AT_ONCE]
            sizes = itertools.accumulate(map(len, part))
            part = part[: max(1, bisect.bisect_right(list(sizes), BYTES_AT_ONCE))]
            try:
                link.exchange(
                    b"".join(part), functools.partial(self._take, count=len(part)), changes=True
                )
            except CommandFailed as error:
                if error.sent:
                    self.sent = max(self.sent, start + len(part))
                raise

    def _take(self, connection: socket.socket, data: bytes, count: int) -> None:
        """Take the replies to so many stores.

        :param data: what has come of them already.
        :raises ValueError: something else came. Then none of them is taken for certain.
        :raises OSError: they did not come, or not in time. Those that did are.
        """
        if data == _STORED * count:
            self.codes += [SUCCESS] * count
            return
        codes: list[int] = []
        try:
            while True:
                *lines, data = data.split(b"\r\n")
                for line in lines:
                    if line not in _CODES:
                        raise ValueError("no reply to a store")
                    codes.append(_CODES[line])
                if len(codes) > count or (len(codes) == count and data):
                    raise ValueError("more than was asked for")
                if len(codes) == count:
                    break
                if len(data) > LONGEST_LINE:
                    raise ValueError("a line that never ends")
                data += receive(connection)
        except OSError:
            self.codes += codes
            raise
        self.codes += codes


class Outcomes:
    """What became of each of several stores, wherever they were tried."""

    def __init__(self, count: int) -> None:
        self._known: list[Literal[True] | BackendError | None] = [None] * count
        # Those that may have been done without a reply, at any server.
        self._sent: set[int] = set()
        self._last: tuple[CommandFailed, str] | None = None

    def take(
        self, indexes: Sequence[int], batch: Batch, place: str, error: CommandFailed | None = None
    ) -> None:
        """Note what a server replied.

        :param indexes: which of the stores the batch has.
        :param place: the server, as a message names it.
        :param error: why some have no reply.
        """
        for index, code in zip(indexes, batch.codes, strict=False):
            self._known[index] = True if code == SUCCESS else failure(code, place, sent=False)
        if error is not None:
            self._sent.update(indexes[len(batch.codes) : batch.sent])
            self._last = error, place

    def waiting(self) -> list[int]:
        """Return which stores have no outcome."""
        return [index for index, outcome in enumerate(self._known) if outcome is None]

    def give_up(self, indexes: Sequence[int]) -> None:
        """Let those of some stores that have no outcome fail as the last server did."""
        assert self._last is not None
        error, place = self._last
        tried = False
        for index in indexes:
            if self._known[index] is not None:
                continue
            sent = index in self._sent
            if tried and not sent:
                self._known[index] = not_tried()
                continue
            tried = True
            failed = failure(error.code, place, sent=sent)
            failed.__cause__ = error
            self._known[index] = failed

    def known(self) -> list[Literal[True] | BackendError]:
        """Return the outcomes, when none is waiting."""
        return [outcome for outcome in self._known if outcome is not None]
