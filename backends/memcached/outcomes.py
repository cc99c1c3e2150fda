"""What became of each of several changes, on whichever servers they were tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from backends.base import Missing
from backends.errors import Failed, NotAnInteger
from backends.memcached.changes import Change
from backends.memcached.errors import CLIENT_ERROR, CommandFailed, failure
from backends.memcached.stores import Batch
from backends.operations import not_tried

NOT_A_NUMBER: Final = "The stored value is not a whole number from 0 to 2^63-1."

# Types of replies that are outcomes.
_AS_THEY_ARE: Final = frozenset({bool, int, Missing})


class Outcomes:
    """The outcomes of changes.

    :param changes: all of them.
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._known: list[Any] = [None] * len(changes)
        # Whether nothing was taken yet.
        self._is_new = True
        # Those that may have been done without a reply, at any server.
        self._sent: set[int] = set()
        self._last: tuple[CommandFailed, str] | None = None

    def take(
        self, indexes: Sequence[int], batch: Batch, place: str, error: CommandFailed | None = None
    ) -> None:
        """Note what a server replied.

        :param indexes: which of the changes the batch has.
        :param place: the server, as a message names it.
        :param error: why some have no reply. Of those, it is unknown what became of each that was
            sent and may not be sent again.
        """
        replies, self._is_new = batch.replies, False
        are_known = _AS_THEY_ARE.issuperset(map(type, replies))
        if are_known and indexes == range(len(self._known)) == range(len(replies)):
            # Nearly always: one server was sent all of them, and has answered.
            self._known = replies
            return
        if not are_known:
            replies = [
                self._outcome(index, reply, place)
                for index, reply in zip(indexes, replies, strict=False)
            ]
        for index, reply in zip(indexes, replies, strict=False):
            self._known[index] = reply
        if error is None:
            return
        self._last = error, place
        for index in indexes[len(batch.replies) : batch.sent]:
            self._sent.add(index)
            if not self._changes[index][2].repeatable:
                self._known[index] = _failed(error, place, sent=True)

    def waiting(self, indexes: Sequence[int] | None = None) -> Sequence[int]:
        """Return which changes, of some or of all, have no outcome."""
        if None not in self._known:
            return ()
        if indexes is None and self._is_new:
            return range(len(self._known))
        some = range(len(self._known)) if indexes is None else indexes
        return [index for index in some if self._known[index] is None]

    def give_up(self, indexes: Sequence[int]) -> None:
        """Let those of some changes that have no outcome fail as the last server did."""
        assert self._last is not None
        error, place = self._last
        tried = any(isinstance(self._known[index], Failed) for index in indexes)
        for index in self.waiting(indexes):
            sent = index in self._sent
            if tried and not sent:
                self._known[index] = not_tried()
                continue
            tried = True
            self._known[index] = _failed(error, place, sent=sent)

    def known(self) -> list[Any]:
        """Return the outcomes, when none is waiting."""
        return self._known

    def _outcome(self, index: int, reply: Any, place: str) -> Any:
        if not isinstance(reply, CommandFailed):
            return reply
        if reply.code == CLIENT_ERROR and self._changes[index][2].counts:
            return NotAnInteger(NOT_A_NUMBER)
        return failure(reply, place, sent=False)


def _failed(error: CommandFailed, place: str, *, sent: bool) -> Failed:
    failed = failure(error, place, sent=sent)
    failed.__cause__ = error
    return failed
