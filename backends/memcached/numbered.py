"""What memcached does by the number that it gives each value it stores: its CAS.

Two commands that it lacks are made of ``gets`` and ``cas``, which is as atomic: a conditional
delete stores, with ``cas``, an entry that is already expired; reading and deleting is the same
after a ``gets``. A server that runs with ``-C`` numbers nothing, and that takes flags away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from backends.base import MISSING, Backend, Found, Missing
from backends.capabilities import Capability
from backends.errors import Unavailable, Unsupported
from backends.memcached.encoded import ODD, not_carried, refuse_too_long
from backends.memcached.errors import NOT_FOUND, CommandFailed, failure
from backends.memcached.expiry import EXPIRED, expiry
from backends.memcached.member import Member
from backends.memcached.pool import Members
from backends.memcached.target import Target

# How often a change is tried against others' changes of the same key.
ATTEMPTS: Final = 32
WITHOUT_CAS: Final = "a server of it runs without CAS (its option -C)"


class Numbered(Backend):
    """The part of the backend that needs those numbers, and what every command goes through.

    :param where: the servers, and how they are spoken to.
    :param persistent_id: as of :class:`~backends.memcached.backend.MemcachedBackend`.
    """

    def __init__(self, where: Target, prefix: str, persistent_id: str | None) -> None:
        super().__init__(prefix=prefix)
        self._target = where
        self._binary = where.sasl is not None
        if self._binary:
            self.capabilities -= {Capability.REMAINING_TTL, Capability.ANALYZE}
        self._learn_at = 0.0
        by_numbers = {Capability.TOUCH} if self._binary else set()
        self._with_cas = by_numbers | {Capability.COMPARE_AND_SET, Capability.GET_AND_DELETE}
        # With a login each store is a round trip of pylibmc's.
        self.sets_many_at_once = not self._binary
        self.performs_at_once = not self._binary
        self._pool = where.pool(persistent_id)

    @property
    def _members(self) -> Members:
        try:
            return self._pool.members()
        except CommandFailed as error:
            raise failure(error, self.label, sent=False) from error

    # Keys

    def check_key(self, key: str) -> None:
        super().check_key(key)
        if self._binary or not ODD.search(key):
            return
        if self.in_front:
            raise not_carried()
        refuse_too_long(key, self.prefix)

    def _are_checked_at_once(self, joined: str) -> bool:
        return not ODD.search(joined)

    # By its number

    def get_with_token(self, key: str) -> Found | Missing:
        found = self._members.read(self._stored(key))
        if found is not MISSING and not found.token.cas:
            # With -C the server numbers nothing. Of a pool, one such server is enough.
            self._learn(with_cas=False)
        self.require(Capability.COMPARE_AND_SET)
        return found

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        return self._compare(key, value, token, expiry(ttl))

    def compare_and_delete(self, key: str, token: Any) -> bool:
        return self._compare(key, b"", token, EXPIRED)

    def get_and_delete(self, key: str) -> bytes | Missing:
        return self._change(
            key,
            lambda found: self.compare_and_delete(key, found.token),
            Capability.GET_AND_DELETE,
        )

    def _compare(self, key: str, value: bytes, token: Any, exptime: int) -> bool:
        self.require(Capability.COMPARE_AND_SET)
        stored = self._stored(key)
        return self._command(
            key,
            lambda client: client.cas(stored, value, token.cas, exptime),
            only=token.member,
        )

    # Commands

    def _command(
        self,
        key: str,
        command: Callable[[Any], bool],
        repeatable: bool = False,
        only: Member | None = None,
    ) -> bool:
        """Run a command that says yes or no."""
        try:
            return self._members.run(self._stored(key), command, repeatable, only)
        except CommandFailed as error:
            if error.code == NOT_FOUND:
                return False
            raise failure(error, self.label, sent=False) from error

    def _change(
        self, key: str, change: Callable[[Found], bool], capability: Capability
    ) -> bytes | Missing:
        """Do a change that depends on what is stored; return what was stored before it.

        :param capability: which one this is.
        """
        try:
            for _ in range(ATTEMPTS):
                found = self.get_with_token(key)
                if found is MISSING:
                    return MISSING
                if change(found):
                    return found.value
        except Unsupported as error:
            raise Unsupported(self.label, capability, WITHOUT_CAS) from error
        raise Unavailable("The value kept changing meanwhile; nothing was done.")

    # Whether there are numbers

    def _learn(self, *, with_cas: bool) -> None:
        """Note whether the servers number what they store: a server's -C takes flags away."""
        if with_cas:
            self.capabilities |= self._with_cas
        else:
            self.capabilities -= self._with_cas

    def require(self, capability: Capability) -> None:
        """Raise, where the servers number nothing, for what needs their numbers."""
        if capability not in self.capabilities:
            raise Unsupported(self.label, capability, WITHOUT_CAS)

    def learn_once(self) -> None:
        """Learn what the servers' settings take away, unless this process has."""
        if not self._learn_at:
            self.learn_capabilities()
