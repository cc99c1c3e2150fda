"""Changes on one memcached over a connection of our own, many in one round trip.

There is one line of reply for each change, in their order. So it is known of every one what
became of it. Plain stores may have one line together, which says that all were done: see
:mod:`backends.memcached.quiet`.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from backends.errors import BackendError, InvalidKey
from backends.memcached import quiet
from backends.memcached.changes import Change, Kind
from backends.memcached.encoded import exchange
from backends.memcached.errors import CLIENT_ERROR, CommandFailed, refusal
from backends.memcached.link import LONGEST_LINE, Link, receive
from backends.memcached.packing import Stores, kinds_of

# The replies to this many changes fit into the buffers of both sides, so the server takes in
# all that is sent before one of them is read.
STORES_AT_ONCE: Final = 256
# Bounds the copy that is made of what is sent.
BYTES_AT_ONCE: Final = 1024 * 1024

_STORED: Final = b"STORED\r\n"


class Batch:
    """Changes on one server, in order. To run it again goes on where it was broken off.

    :param changes: those whose keys are encoded come last.
    :ivar replies: of each reply that has come, what it means, or what it refuses.
    :ivar sent: how many of the changes may have been done.
    :ivar repeatable: to send any of them twice means the same as to send it once.
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._kinds = kinds_of(changes)
        self.replies: list[Any] = []
        self.sent = 0
        self.repeatable = all(kind.repeatable for kind in self._kinds)

    def run(self, link: Link, judge: Callable[[CommandFailed], BackendError | None]) -> None:
        """Send what has no reply yet, and take the replies.

        :param judge: says what to reply where a proxy ended the connection at an encoded key.
        :raises CommandFailed: not all came; the connection is closed.
        """
        while len(self.replies) < len(self._changes):
            start = len(self.replies)
            if isinstance(self._changes, Stores) and self._run_quietly(link, self._changes, start):
                continue
            some = self._changes[start : start + STORES_AT_ONCE]
            encoded = some[0][2].encoded
            part = [data for _, data, kind in some if kind.encoded is encoded]
            if sum(map(len, part)) > BYTES_AT_ONCE:
                sizes = itertools.accumulate(map(len, part))
                part = part[: max(1, bisect.bisect_right(list(sizes), BYTES_AT_ONCE))]
            try:
                if encoded:
                    self._run_encoded(link, judge, part)
                else:
                    link.exchange(
                        b"".join(part), functools.partial(self._take, count=len(part)), changes=True
                    )
            except CommandFailed as error:
                if error.sent:
                    self.sent = max(self.sent, start + len(part))
                raise

    def _run_quietly(self, link: Link, stores: Stores, start: int) -> bool:
        """Send stores that have one answer together; return whether that is that all were done."""
        if len(stores) - start < quiet.LEAST:
            return False
        data, count = stores.quietly(start, STORES_AT_ONCE, BYTES_AT_ONCE)
        try:
            done = quiet.store(link, data)
        except CommandFailed as error:
            if error.sent:
                self.sent = max(self.sent, start + count)
            raise
        if done:
            self.replies += [True] * count
        return done

    def _run_encoded(
        self,
        link: Link,
        judge: Callable[[CommandFailed], BackendError | None],
        part: Sequence[bytes],
    ) -> None:
        """Send a part whose keys are encoded; where the server takes none, that is the reply."""

        def take(connection: socket.socket) -> None:
            self._take(connection, b"", count=len(part))

        try:
            exchange(link, b"".join(part), take)
        except InvalidKey as error:
            self.replies += [error] * len(part)
        except CommandFailed as error:
            refused = None if error.sent else judge(error)
            if refused is None:
                raise
            self.replies += [refused] * len(part)

    def _take(self, connection: socket.socket, data: bytes, count: int) -> None:
        """Take the replies to so many changes.

        :param data: what has come of them already.
        :raises ValueError: something else came. Then none of them is taken for certain.
        :raises OSError: they did not come, or not in time. Those that did are.
        """
        if data == _STORED * count and all(kind.stores for kind in self._kinds):
            self.replies += [True] * count
            return
        start = len(self.replies)
        kinds = [kind for _, _, kind in self._changes[start : start + count]]
        replies: list[Any] = []
        try:
            while True:
                *lines, data = data.split(b"\r\n")
                if len(replies) + len(lines) > count:
                    raise ValueError("more than was asked for")
                replies += map(meaning, lines, kinds[len(replies) :])
                if len(replies) == count and data:
                    raise ValueError("more than was asked for")
                if len(replies) == count:
                    break
                if len(data) > LONGEST_LINE:
                    raise ValueError("a line that never ends")
                data += receive(connection)
        except OSError:
            self.replies += replies
            raise
        self.replies += replies


def meaning(line: bytes, kind: Kind) -> Any:
    """Return what a line means for a change, or what it refuses."""
    if line in kind.says:
        return kind.says[line]
    if kind.counts and line.isdigit():
        return int(line)
    refused = refusal(line)
    if refused is not None and not refused.answered:
        raise refused
    # At a command that is not understood, its value is taken for the next one.
    unread = kind.stores and line.startswith((b"ERROR", b"CLIENT_ERROR"))
    if refused is None or unread or (refused.code == CLIENT_ERROR and not kind.counts):
        raise ValueError("no reply to this change")
    return refused
