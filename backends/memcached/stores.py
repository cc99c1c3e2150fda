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

from backends.base import Item, flags_of
from backends.errors import BackendError
from backends.memcached.errors import CommandFailed, failure, refusal
from backends.memcached.expiry import expiry
from backends.memcached.link import LONGEST_LINE, Link, receive
from backends.operations import not_tried

# The replies to this many stores fit into the buffers of both sides, so the server takes in
# all that is sent before one of them is read.
STORES_AT_ONCE: Final = 256
# Bounds the copy that is made of what is sent.
BYTES_AT_ONCE: Final = 1024 * 1024

_STORED: Final = b"STORED\r\n"

# A key, and the command that stores its value as it is sent.
Store = tuple[bytes, bytes]


def pack(prefix: str, items: Sequence[Item]) -> list[Store]:
    """Return stores that overwrite.

    :param prefix: text before every key.
    """
    # Mostly all have the same.
    expiries = {ttl: expiry(ttl) for ttl in {item.ttl for item in items}}
    return [
        (
            stored := (prefix + key).encode(),
            b"set %b %d %d %d\r\n%b\r\n"
            % (stored, flags_of(value), expiries[ttl], len(value), value),
        )
        for key, value, ttl in items
    ]


class Batch:
    """Stores on one server, in order. To run it again goes on where it was broken off.

    :param commands: as they are sent.
    :ivar refusals: of each reply that has come, what it refuses; ``None``: it is stored.
    :ivar sent: how many of the stores may have been done.
    """

    def __init__(self, commands: Sequence[bytes]) -> None:
        self._commands = commands
        self.refusals: list[CommandFailed | None] = []
        self.sent = 0

    def run(self, link: Link) -> None:
        """Send what has no reply yet, and take the replies.

        :raises CommandFailed: not all came; the connection is closed.
        """
        while len(self.refusals) < len(self._commands):
            start = len(self.refusals)
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
            self.refusals += [None] * count
            return
        refusals: list[CommandFailed | None] = []
        try:
            while True:
                *lines, data = data.split(b"\r\n")
                refusals += map(_refusal, lines)
                if len(refusals) > count or (len(refusals) == count and data):
                    raise ValueError("more than was asked for")
                if len(refusals) == count:
                    break
                if len(data) > LONGEST_LINE:
                    raise ValueError("a line that never ends")
                data += receive(connection)
        except OSError:
            self.refusals += refusals
            raise
        self.refusals += refusals


def _refusal(line: bytes) -> CommandFailed | None:
    if line == b"STORED":
        return None
    refused = refusal(line)
    if refused is not None and not refused.answered:
        raise refused
    # At a command that is not understood, its value is taken for the next one.
    if refused is None or line.startswith((b"ERROR", b"CLIENT_ERROR")):
        raise ValueError("no reply to a store")
    return refused


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
        for index, refused in zip(indexes, batch.refusals, strict=False):
            self._known[index] = True if refused is None else failure(refused, place, sent=False)
        if error is not None:
            self._sent.update(indexes[len(batch.refusals) : batch.sent])
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
            failed = failure(error, place, sent=sent)
            failed.__cause__ = error
            self._known[index] = failed

    def known(self) -> list[Literal[True] | BackendError]:
        """Return the outcomes, when none is waiting."""
        return [outcome for outcome in self._known if outcome is not None]
