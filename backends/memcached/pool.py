"""The servers of a memcached backend, and which of them is asked for a key.

Every server has connections of its own, so it is known which one failed. Its keys then
belong to the next servers on the ring, until it is back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from backends.base import MISSING, Found, Missing, with_flags
from backends.errors import Failed, NotRead
from backends.memcached.errors import (
    AUTHENTICATION,
    BEHIND_PROXY,
    CLIENT_ERROR,
    NOT_FOUND,
    TIMEOUT,
    CommandFailed,
    failure,
)
from backends.memcached.member import Connect, Member
from backends.memcached.outcomes import Outcomes
from backends.memcached.reader import Read, size_of
from backends.memcached.ring import Ring
from backends.memcached.stores import Batch, Change

if TYPE_CHECKING:
    from backends.memcached.client import Client

T = TypeVar("T")


class Token(NamedTuple):
    """What a value is known by: its unique number, on the server that it was read from."""

    member: Member
    cas: int


class Members:
    """One server, or a pool.

    :param addresses: ``host:port`` each.
    :param ring: for a pool, where its keys are.
    :param connect: makes a client of an address.
    :param timeout: bound on connecting and on each reply, in seconds.
    :param known: the pool before it, whose connections it takes over.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        ring: Ring | None,
        connect: Connect,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        known: Members | None = None,
    ) -> None:
        self.addresses = list(addresses)
        there = {} if known is None else known.by_address()
        self._members = [
            there.pop(address) if address in there else Member(address, connect, timeout, clock)
            for address in addresses
        ]
        for gone in there.values():
            gone.close()
        self._ring = ring

    def by_address(self) -> dict[str, Member]:
        """Return its servers."""
        return dict(zip(self.addresses, self._members, strict=True))

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

    def read_many(self, keys: Sequence[bytes], most: float = math.inf) -> Read:
        """Return what the servers have; a key is absent only if its server said so.

        :param most: as of :meth:`Client.read_many`, of all servers together.
        :raises Failed: a key's server gave no answer, and no other could take its place.
        """
        found: Read = {}
        failed: Failed | None = None
        while keys:
            unread: list[bytes] = []
            for member, names in self._by_member(keys, failed).items():
                left = most - size_of(found) if most < math.inf and found else most
                if left < 0:
                    found.update((key, NotRead("The value was not read.")) for key in names)
                    continue
                try:
                    found.update(member.run(_reading(names, left), repeatable=True))
                except CommandFailed as error:
                    if error.answered:
                        raise failure(error, member.place, sent=False) from error
                    failed = self._lost(member, error, sent=False)
                    unread += names
            keys = unread
        return found

    def read(self, key: bytes) -> Found | Missing:
        """Return what a key's server has, with its token; absent only if that said so.

        :raises Failed: the server gave no answer, and no other could take its place.
        """

        def read_from(member: Member) -> Found | Missing:
            stored = member.run(lambda client: client.read(key), repeatable=True)
            if stored is None:
                return MISSING
            return Found(with_flags(stored.value, stored.flags), Token(member, stored.cas))

        failed: Failed | None = None
        while True:
            member = self._member(key, failed)
            try:
                return read_from(member)
            except CommandFailed as error:
                if error.answered:
                    raise failure(error, member.place, sent=False) from error
                failed = self._lost(member, error, sent=False)

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
        for again in (True, False):
            batch = Batch([changes[index] for index in indexes])
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

    def take_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes | Failed | None]:
        """Return what the servers had, and have no more; or why it is not known.

        What was not sent to a server goes to the next ones, as with :meth:`run`.

        :return: ``None`` where a server does not know the command, and did nothing.
        """
        found: dict[bytes, bytes | Failed | None] = {}
        failed: Failed | None = None
        while keys:
            untaken: list[bytes] = []
            try:
                groups = self._by_member(keys, failed)
            except Failed as error:
                found.update(dict.fromkeys(keys, error))
                break
            for member, names in groups.items():
                try:
                    found.update(member.run(_taking(names), repeatable=False))
                except CommandFailed as error:
                    if error.answered:
                        known = error.code != CLIENT_ERROR
                        refused = failure(error, member.place, sent=False) if known else None
                        found.update(dict.fromkeys(names, refused))
                        continue
                    try:
                        failed = self._lost(member, error, sent=error.sent)
                        untaken += names
                    except Failed as lost:
                        found.update(dict.fromkeys(names, lost))
            keys = untaken
        return found

    def run_on_each(self, command: Callable[[Any], object]) -> list[Failed]:
        """Run a command, which may be run twice, on every server, also on those left out.

        :return: why it may not have been done on some.
        """
        failures = []
        for member in self._members:
            try:
                member.run(command, repeatable=True)
            except CommandFailed as error:
                failures.append(failure(error, member.place, sent=False))
                failures[-1].__cause__ = error
                left_in = error.answered or error.code in AUTHENTICATION
                if self._ring is not None and not left_in:
                    member.leave_out()
        return failures

    def home(self, key: bytes) -> int:
        """Return which of the servers has a key while all are well."""
        return 0 if self._ring is None else self._ring.home(key)

    def close(self) -> None:
        """Close the connections that are idle."""
        for member in self._members:
            member.close()

    def _member(self, key: bytes, failed: Failed | None) -> Member:
        """Return the server to ask; with all of them left out, the key's own is tried once.

        :param failed: what was raised by the one that was asked before.
        """
        if self._ring is None:
            own = self._members[0]
        else:
            own = self._members[self._ring.home(key)]
            if own.serves():
                return own
            for server in self._ring.servers(key):
                if self._members[server].serves():
                    return self._members[server]
        if failed is not None:
            raise failed
        return own

    def _by_member(
        self, keys: Sequence[bytes], failed: Failed | None
    ) -> dict[Member, Sequence[bytes]]:
        if self._ring is None:
            return {self._members[0]: keys}
        groups: dict[Member, list[bytes]] = {}
        for key in keys:
            groups.setdefault(self._member(key, failed), []).append(key)
        return dict(groups)

    def _changes_by_member(
        self, changes: Sequence[Change], indexes: Sequence[int], failed: Failed | None
    ) -> dict[Member, Sequence[int]]:
        if self._ring is None:
            return {self._members[0]: indexes}
        # Equal keys go together: a server that one of them is to try takes them all.
        members: dict[bytes, Member] = {}
        groups: dict[Member, list[int]] = {}
        for index in indexes:
            key = changes[index][0]
            if key not in members:
                members[key] = self._member(key, failed)
            groups.setdefault(members[key], []).append(index)
        return dict(groups)

    def _lost(self, member: Member, error: CommandFailed, *, sent: bool) -> Failed:
        """Leave a server out that gave no answer; return what to raise if no other takes over.

        :param sent: a change may have been made.
        :raises Failed: at once, where another server must not or cannot.
        """
        failed = failure(error, member.place, sent=sent)
        failed.__cause__ = error
        if self._ring is None or error.code in AUTHENTICATION:
            raise failed
        # A connection that broke may have been the connection's fault: the next probe tells.
        if error.harmless or error.code == TIMEOUT:
            member.leave_out()
        if not error.harmless:
            raise failed
        return failed


def _changing(batch: Batch) -> Callable[[Any], None]:
    return lambda client: client.change_many(batch)


def _taking(keys: Sequence[bytes]) -> Callable[[Any], dict[bytes, bytes]]:
    return lambda client: client.take_many(keys)


def _reading(keys: Sequence[bytes], most: float) -> Callable[[Client], Read]:
    return lambda client: client.read_many(keys, most)
