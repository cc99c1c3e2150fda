"""The servers of a memcached backend: which of them is asked for a key, and which is left out.

Every server has connections of its own, so it is known which one failed. Its keys then
belong to the next servers on the ring, until it is back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from backends.errors import Failed
from backends.memcached.changes import Change
from backends.memcached.errors import AUTHENTICATION, TIMEOUT, CommandFailed, failure
from backends.memcached.member import Connect, Member
from backends.memcached.packing import keys_of
from backends.memcached.ring import Ring


class Placed:
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
        known: Placed | None = None,
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
        keys = keys_of(changes)
        for index in indexes:
            key = keys[index]
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
