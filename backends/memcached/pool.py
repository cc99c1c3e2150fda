"""What is done by the servers of a memcached backend: one key, or many, each at its own server.

What a server gave no answer to goes to the next ones on the ring, where that can do no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from backends.base import MISSING
from backends.errors import Failed, NotRead
from backends.memcached.asked import Asked
from backends.memcached.changes import Change
from backends.memcached.counting import Counted
from backends.memcached.errors import (
    BEHIND_PROXY,
    CLIENT_ERROR,
    NOT_FOUND,
    NOT_LOOKED_UP,
    TIMEOUT,
    CommandFailed,
    failure,
)
from backends.memcached.member import Member
from backends.memcached.outcomes import Outcomes
from backends.memcached.packing import kinds_of, some_of
from backends.memcached.reader import Read, Taken, size_of
from backends.memcached.stores import Batch
from backends.operations import not_tried

if TYPE_CHECKING:
    from backends.memcached.text import TextClient

T = TypeVar("T")


# The outcomes of a read and of what goes behind it, where there was too much.
_NOT_READ: Final = (NotRead(), NotRead())


class Members(Asked):
    """One server, or a pool."""

    def run(
        self,
        key: bytes,
        command: Callable[[Any], T],
        repeatable: bool = False,
        only: Member | None = None,
    ) -> T:
        """Run a command where the key is.

        :param repeatable: to run it twice means the same as to run it once.
        :param only: the server that it makes sense on; elsewhere the key is not found.
        :raises CommandFailed: the server answered that it has no such key, or that the command
            is wrong.
        :raises Failed: it refused for another reason, or none answered.
        """
        failed: Failed | None = None
        while True:
            member = self._member(key, failed)
            if only not in (None, member):
                raise CommandFailed(NOT_FOUND)
            try:
                return member.run(command, repeatable)
            except CommandFailed as error:
                if error.code in (NOT_FOUND, CLIENT_ERROR, BEHIND_PROXY):
                    raise
                if error.answered:
                    raise failure(error, member.place, sent=False) from error
                failed = self._lost(member, error, sent=error.sent)

    def change_many(self, changes: Sequence[Change]) -> list[Any]:
        """Do changes in order, each where its key is; return an outcome each.

        What a server did not answer goes to the next ones, as with :meth:`run`. Where none is
        left, what was not sent to any of them was not tried.
        """
        outcomes = Outcomes(changes)
        failed: Failed | None = None
        while waiting := outcomes.waiting():
            try:
                groups = self._changes_by_member(changes, waiting, failed)
            except Failed:
                outcomes.give_up(waiting)
                break
            for member, indexes in groups.items():
                error = self._change(member, changes, indexes, outcomes)
                if error is not None:
                    try:
                        failed = self._lost(member, error, sent=error.sent)
                    except Failed:
                        outcomes.give_up(indexes)
        return outcomes.known()

    def _change(
        self,
        member: Member,
        changes: Sequence[Change],
        indexes: Sequence[int],
        outcomes: Outcomes,
    ) -> CommandFailed | None:
        """Do changes on one server; return why some have no reply.

        Where some may not be sent twice, the others are sent again without them.
        """
        if any(kind.encoded for kind in kinds_of(changes)):
            # Those come last, so that there are two parts of a batch and no more.
            indexes = sorted(indexes, key=lambda index: changes[index][2].encoded)
        for again in (True, False):
            is_all = indexes == range(len(changes))
            batch = Batch(changes if is_all else some_of(changes, indexes))
            try:
                member.run(_changing(batch), repeatable=batch.repeatable)
            except CommandFailed as error:
                outcomes.take(indexes, batch, member.place, error)
                indexes = outcomes.waiting(indexes)
                silent = error.code == TIMEOUT
                if silent or batch.repeatable or not error.sent or not (again and indexes):
                    return error
            else:
                outcomes.take(indexes, batch, member.place)
                break
        return None

    def get_and_touch_many(self, touches: Sequence[Change], most: float) -> list[Any] | None:
        """Read and touch plain keys, each where it is; return both outcomes of each.

        :return: ``None``: not all is known, and may be asked for again.
        :raises Failed: a server did not answer in time, and no other could take its place.
        """
        done: list[Any] = [_NOT_READ] * len(touches)
        size = 0
        groups = self._changes_by_member(touches, range(len(touches)), None)
        for member, indexes in groups.items():
            if size > most:
                continue
            some = [touches[index] for index in indexes]
            try:
                touched, read = member.run(_touching(some, most - size), repeatable=True)
            except CommandFailed as error:
                if error.code in (TIMEOUT, NOT_LOOKED_UP):
                    self._lost(member, error, sent=False)
                return None
            size += size_of(read)
            for index, (key, _, _), was_there in zip(indexes, some, touched, strict=True):
                found = read.get(key, MISSING)
                done[index] = _NOT_READ if type(found) is NotRead else (found, was_there)
        return done

    def count_and_read_many(
        self, counts: Sequence[Change], keys: Sequence[bytes], most: float
    ) -> tuple[list[Any], Read | None] | None:
        """Count, and read plain keys behind that, where all is at one server.

        :return: the outcomes of the counts, which are not sent again, and what was read: ``None``
            where that is to be asked for again. ``None`` for both: nothing was counted.
        """
        names = [*[key for key, _, _ in counts], *keys]
        groups = self._by_member(names, None)
        if len(groups) > 1:
            return None
        (member,) = groups
        try:
            replies, read = member.run(_counting(counts, keys, most), repeatable=False)
        except CommandFailed as error:
            if error.answered:
                failed = failure(error, member.place, sent=True)
            elif not error.sent:
                return None
            else:
                try:
                    failed = self._lost(member, error, sent=True)
                except Failed as lost:
                    failed = lost
            return [failed] * len(counts), None
        outcomes, batch = Outcomes(counts), Batch(counts)
        batch.replies = replies
        outcomes.take(range(len(counts)), batch, member.place)
        return outcomes.known(), read

    def take_many(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """Return what the servers had, and have no more; or why it is not known.

        What was not sent to a server goes to the next ones, as with :meth:`run`. What was taken
        before one broke off is told.

        :return: a value, nothing, or an error, by key; ``None`` where a server does not know the
            command, and did nothing.
        """
        found: dict[bytes, Any] = {}
        failed: Failed | None = None
        while keys:
            untaken: list[bytes] = []
            try:
                groups = self._by_member(keys, failed)
            except Failed as error:
                found.update(dict.fromkeys(keys, error))
                break
            for member, names in groups.items():
                taken = Taken()
                try:
                    member.run(_taking(names, taken), repeatable=False)
                except CommandFailed as error:
                    left = taken.left(names)
                    if error.answered:
                        known = error.code != CLIENT_ERROR
                        refused = failure(error, member.place, sent=False) if known else None
                        found.update(dict.fromkeys(left, refused))
                    else:
                        try:
                            failed = self._lost(member, error, sent=error.sent)
                            untaken += left
                        except Failed as lost:
                            sent = taken.asked if error.sent else left
                            found.update(
                                (key, lost if key in sent else not_tried()) for key in left
                            )
                found.update(taken.known)
            keys = untaken
        return found


def _changing(batch: Batch) -> Callable[[Any], None]:
    return lambda client: client.change_many(batch)


def _touching(
    touches: Sequence[Change], most: float
) -> Callable[[TextClient], tuple[list[bool], Read]]:
    return lambda client: client.get_and_touch_many(touches, most)


def _counting(
    counts: Sequence[Change], keys: Sequence[bytes], most: float
) -> Callable[[TextClient], Counted]:
    return lambda client: client.count_and_read_many(counts, keys, most)


def _taking(keys: Sequence[bytes], taken: Taken) -> Callable[[Any], None]:
    return lambda client: client.take_many(keys, taken)
