"""What a backend may be able to do beside reading and writing: each ability stands behind a flag.

A method whose flag is off raises :class:`~backends.errors.Unsupported`; nothing is emulated in a
way that is not atomic. The flag is named in the method's first line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final, NamedTuple

from backends.capabilities import Capability
from backends.errors import BehindProxy, Unsupported
from backends.keyed import Keyed
from backends.operations import MISSING, Missing
from backends.portions import Portion
from backends.statistics import ServerStatistics


class Found(NamedTuple):
    """A value, and the token that :meth:`Abilities.compare_and_set` takes back."""

    value: bytes
    token: Any


# What :class:`Described` says of what this service, or another program, stored as bytes.
VALUE: Final = "value"


class Described(NamedTuple):
    """What is known of an entry without reading it.

    :ivar ttl: seconds that it has left, about; ``None``: for ever; :data:`MISSING`: the backend
        does not tell.
    :ivar size: of the value, in bytes; ``None``: the backend does not tell.
    :ivar kind: :data:`VALUE`, or in the server's own word what it is instead, such as ``hash``.
    """

    ttl: float | Missing | None
    size: int | None = None
    kind: str = VALUE


class Abilities(Keyed):
    """What a backend with the flag does; a part of :class:`~backends.base.Backend`."""

    stats_sections: ClassVar[tuple[str, ...]] = ()
    lost_behind_proxy: ClassVar[frozenset[Capability]] = frozenset()
    in_front: str = ""
    capabilities: frozenset[Capability] = frozenset()

    def get_with_token(self, key: str) -> Found | Missing:
        """Return the value and its token. ``COMPARE_AND_SET``."""
        raise self._unsupported(Capability.COMPARE_AND_SET)

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        """Store if nothing was stored since ``token`` was read. ``COMPARE_AND_SET``."""
        raise self._unsupported(Capability.COMPARE_AND_SET)

    def compare_and_delete(self, key: str, token: Any) -> bool:
        """Delete if nothing was stored since ``token`` was read. ``COMPARE_AND_SET``."""
        raise self._unsupported(Capability.COMPARE_AND_SET)

    def get_and_delete(self, key: str) -> bytes | Missing:
        """Return the value and delete it; of several callers one gets it. ``GET_AND_DELETE``."""
        raise self._unsupported(Capability.GET_AND_DELETE)

    def touch(self, key: str, ttl: float | None) -> bool:
        """Give a new lifetime and leave the value; return whether the key is there. ``TOUCH``."""
        raise self._unsupported(Capability.TOUCH)

    def remaining_ttl(self, key: str) -> float | Missing | None:
        """Return how many seconds a value has left, about; ``None``: no end. ``REMAINING_TTL``."""
        raise self._unsupported(Capability.REMAINING_TTL)

    def remaining_ttl_many(self, keys: Iterable[str]) -> dict[str, float | None]:
        """Return what :meth:`remaining_ttl` says of those keys that are there."""
        found: dict[str, float | None] = {}
        for key in keys:
            left = self.remaining_ttl(key)
            if left is not MISSING:
                found[key] = left
        return found

    def increment(self, key: str, delta: int) -> int | Missing:
        """Add ``delta`` (negative too) to a stored number and leave its lifetime. ``INCREMENT``.

        Counting down stops at ``limits.min_count``.

        :raises NotAnInteger: the value is no integer within ``limits``, or the count would
            pass ``limits.max_count``; nothing changed.
        """
        raise self._unsupported(Capability.INCREMENT)

    def list_keys(
        self, prefix: str, limit: int, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """Return up to ``limit`` keys that start with ``prefix``, and the next page's cursor.

        A key that is there from the first page to the last is listed once. ``LIST_KEYS``.

        :raises InvalidCursor: the cursor did not come from this method, with this prefix.
        """
        raise self._unsupported(Capability.LIST_KEYS)

    def describe_many(self, keys: Iterable[str]) -> dict[str, Described]:
        """Return what is known of those keys that are there, in one trip where it can be.

        No value is read. What the backend cannot tell is left open; where it can tell
        nothing, every key is taken to be there. Redis and memcached count a look at a lifetime
        among their reads all the same.
        """
        if Capability.REMAINING_TTL not in self.capabilities:
            return {key: Described(MISSING) for key in keys}
        return {key: Described(left) for key, left in self.remaining_ttl_many(keys).items()}

    def stats(self, section: str | None = None) -> list[ServerStatistics]:
        """Return what each server says of itself. ``STATS``.

        A server that cannot be asked is one with an ``error``, and holds up nobody for longer
        than its time limit.

        :param section: one of :meth:`sections`, which the raw figures are of; ``None`` for the
            general ones.
        """
        raise self._unsupported(Capability.STATS)

    def analyze(self, most: int) -> Iterator[Portion]:
        """Yield what fills this backend, in portions of some milliseconds each. ``ANALYZE``.

        Where more than ``most`` entries are held, a random sample of about so many is looked
        at. The last portion says whether all were.

        :raises Unsupported: also where its servers, asked for it, refuse.
        """
        raise self._unsupported(Capability.ANALYZE)

    def sections(self) -> tuple[str, ...]:
        """Return the sections that :meth:`stats` takes, where the servers' own list counts.

        :raises BackendError: they were asked and did not tell.
        """
        return self.stats_sections

    def _found_behind(self, error: BehindProxy) -> BehindProxy:
        """Note that a proxy is in front, and turn the flags off that it leaves nothing of."""
        self.in_front = str(error)
        self.capabilities -= self.lost_behind_proxy
        return error

    def _found_open(self) -> None:
        """Note that the servers answer what a proxy would not pass on."""
        if self.in_front:
            self.in_front = ""
            self.capabilities |= self.lost_behind_proxy

    def _unsupported(self, capability: Capability) -> Unsupported:
        return Unsupported(self.label, capability)
