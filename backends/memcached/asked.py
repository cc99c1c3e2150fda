"""What is read of the servers of a memcached backend: each key at its own server.

What a server gave no answer to is asked of the next ones on the ring. A read does no harm there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from backends.base import MISSING, Found, Missing, with_flags
from backends.errors import BackendError, Failed, NotRead
from backends.memcached.comparing import Known
from backends.memcached.errors import TIMEOUT, CommandFailed, failure
from backends.memcached.member import Member
from backends.memcached.placing import Placed
from backends.memcached.reader import Read, size_of

if TYPE_CHECKING:
    from backends.memcached.client import Client
    from backends.memcached.text import TextClient

# What was read, by key: a value, or an error that is of that key alone.
ReadApart = dict[bytes, bytes | BackendError]


class Token(NamedTuple):
    """What a value is known by: its unique number, on the server that it was read from."""

    member: Member
    cas: int


class Asked(Placed):
    """One server, or a pool, as it is read."""

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
                    found.update((key, NotRead()) for key in names)
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

    def read_each(self, keys: Sequence[bytes], most: float = math.inf) -> ReadApart:
        """Return what :meth:`read_many` does, with an error in place of what failed alone.

        A proxy refuses all that it was asked for together where one of its servers is down, so
        then each key is asked for by itself.

        :raises Failed: it concerns more than single keys.
        """
        found: ReadApart = {}
        try:
            found.update(self.read_many(keys, most))
            return found
        except Failed as error:
            if not error.apart:
                raise
            if len(keys) == 1:
                return {keys[0]: error}
        for key in keys:
            if most < 0:
                found[key] = NotRead()
                continue
            read = self.read_each([key], most)
            most -= size_of(read)
            found.update(read)
        return found

    def compare_many(self, known: Known) -> ReadApart | None:
        """Return what :meth:`read_each` does of some keys; ``None``: all of it is as is known.

        :raises Failed: as of that.
        """
        keys = list(known)
        groups = self._by_member(keys, None)
        for member, names in groups.items():
            some = known if len(groups) == 1 else {name: known[name] for name in names}
            try:
                read = member.run(_comparing(some), repeatable=True)
            except CommandFailed as error:
                if not error.answered:
                    self._lost(member, error, sent=False)
                return self.read_each(keys)
            if read is not None:
                return {**read} if len(groups) == 1 else self.read_each(keys)
        return None

    def remaining_ttl_many(self, keys: Sequence[bytes]) -> dict[bytes, int | Missing | None]:
        """Return the seconds that plain keys have left; ``None`` for ever.

        :return: by key; those whose server did not tell are left out, to be asked for alone.
        :raises Failed: a server did not answer in time, and no other could take its place.
        """
        found: dict[bytes, int | Missing | None] = {}
        for member, names in self._by_member(keys, None).items():
            try:
                found |= member.run(_looking(names), repeatable=True)
            except CommandFailed as error:
                if error.code == TIMEOUT:
                    self._lost(member, error, sent=False)
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


def _comparing(known: Known) -> Callable[[TextClient], Read | None]:
    return lambda client: client.compare_many(known)


def _looking(
    keys: Sequence[bytes],
) -> Callable[[TextClient], dict[bytes, int | Missing | None]]:
    return lambda client: client.remaining_ttl_many(keys)


def _reading(keys: Sequence[bytes], most: float) -> Callable[[Client], Read]:
    return lambda client: client.read_many(keys, most)
