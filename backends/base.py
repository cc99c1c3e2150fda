"""The interface of a cache backend.

A backend stores bytes under text keys. Three words run through all of it:

* :data:`MISSING` is absence, so that every value, the empty one too, can be stored;
* ``ttl`` is a lifetime in seconds from now, ``None`` for ever; one that is not positive
  stores something that is gone at once;
* ``timeout`` is waiting, bounded in every method by the backend's own setting.

Every method raises :class:`~backends.errors.Failed` when the backend cannot do its work.
Absence is said only when the backend itself said so: a broken connection is never a miss.
A key under which another program stored something that is no value of a cache is no absence
either: :class:`~backends.errors.WrongType`, and nothing is changed. Only :meth:`Backend.set`
overwrites it and :meth:`Backend.delete` deletes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

from backends.capabilities import Capability, Traits
from backends.endpoints import Endpoint
from backends.errors import BackendError, BehindProxy, Unsupported
from backends.flags import Flagged as Flagged
from backends.flags import count_from as count_from
from backends.flags import flags_of as flags_of
from backends.flags import with_flags as with_flags
from backends.keyed import Keyed
from backends.operations import MISSING as MISSING
from backends.operations import Item as Item
from backends.operations import Missing as Missing
from backends.operations import Operation, Touch, each, perform_each
from backends.options import Option
from backends.portions import Portion
from backends.statistics import ServerStatistics
from backends.within import get_within

if TYPE_CHECKING:
    from backends.probe import Probe


class Found(NamedTuple):
    """A value, and the token that :meth:`Backend.compare_and_set` takes back."""

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


class Backend(Keyed, ABC):
    """A cache of bytes. See ``docs/writing-a-backend.md`` for how to write one.

    One object serves all threads of a process. It is made before a server forks, so it
    opens connections on first use, never in the constructor.

    :cvar driver: its name in ``CACHE_DRIVER``.
    :cvar label: its name in a sentence.
    :cvar service_name: the name that its system cache answers to, beside ``cache``.
    :cvar service_type: the type of a service on it, in the list of services.
    :cvar options: the settings that the constructor takes, by their ``name``.
    :cvar traits: what people choose it by.
    :cvar stats_sections: the sections that :meth:`stats` takes of every server of its kind.
    :cvar lost_behind_proxy: the flags that go off where a proxy passes on what has a key alone.
    :cvar keeps_flags: whether a number is kept beside each value, see :class:`Flagged`.
    :ivar sets_many_at_once: whether :meth:`set_many` is one round trip or one transaction,
        however many the items.
    :ivar performs_at_once: the same of :meth:`perform`, about: a few round trips a server.
    :ivar lists_at_once: whether a page of :meth:`list_keys` and :meth:`describe_many` of it take
        milliseconds at most, however many keys there are, so that an event loop may wait for them.
    :ivar capabilities: the flags that are on. A method whose flag is off raises
        :class:`~backends.errors.Unsupported`.
    :ivar limits: the numbers; checked by :meth:`check_key` before the backend is asked.
        The class has those flags and numbers that hold for an object of default settings.
    :ivar in_front: that a proxy is between, in a sentence; empty: none was met.
    :ivar prefix: text before every key of this object, so that several can share a store.
    """

    driver: ClassVar[str]
    label: ClassVar[str]
    service_name: ClassVar[str]
    service_type: ClassVar[str]
    options: ClassVar[tuple[Option, ...]] = ()
    traits: ClassVar[Traits] = Traits()
    stats_sections: ClassVar[tuple[str, ...]] = ()
    lost_behind_proxy: ClassVar[frozenset[Capability]] = frozenset()
    keeps_flags: ClassVar[bool] = False
    in_front: str = ""
    sets_many_at_once: bool = False
    performs_at_once: bool = False
    lists_at_once: bool = False
    capabilities: frozenset[Capability] = frozenset()

    # Reading and writing: every backend

    @abstractmethod
    def get(self, key: str) -> bytes | Missing:
        """Return the value, or :data:`MISSING`."""

    def has_mark(self, key: str) -> bool:
        """Return whether a key of the product's own is there, stored without a lifetime.

        Backends whose statistics count reads look in a way that is none, where there is one:
        people judge a cache by how often what they ask for is there.
        """
        return self.get(key) is not MISSING

    @abstractmethod
    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those keys that are there."""

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> Mapping[str, bytes | BackendError]:
        """Return what :meth:`get_many` does, with an error in place of a value.

        It is about that key alone: the others' values are what they are. Where a backend
        cannot tell them apart, the error of one is raised for all.

        :param most: once the values have more bytes than this together, no further one is
            read: in its place is :class:`~backends.errors.NotRead`. One is always read. A
            backend that learns of a size with the value only may return some more: here keys
            are asked for some at a time.
        """
        return self.get_many(keys) if most is None else get_within(self.get_many, keys, most)

    def known(self, values: Mapping[str, bytes | None]) -> Any:
        """Return what :meth:`get_changed` is to compare some keys with.

        :param values: what was read of them; ``None`` is absence.
        :return: ``None``: to compare is no cheaper here than to read.
        """
        return None

    def get_changed(self, known: Sequence[Any]) -> Mapping[str, bytes | BackendError] | None:
        """Return what :meth:`get_each` does of keys; ``None``: all of it is as was known.

        As sure as reading them, and cheaper where nothing has changed.

        :param known: of :meth:`known`, none of them ``None``; they may have keys in common.
        """
        raise NotImplementedError

    @abstractmethod
    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        """Store, overwriting; also what is of another type."""

    @abstractmethod
    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        """Store if the key is absent, in one atomic step; return whether it was."""

    @abstractmethod
    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        """Store if the key is there, in one atomic step; return whether it was."""

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Delete; return whether the key was there."""

    @abstractmethod
    def flush(self) -> None:
        """Delete every key of this object.

        Needs ``FLUSH_PREFIX`` where a prefix is set.
        """

    def flush_refusal(self) -> Unsupported | None:
        """Return what :meth:`flush` would raise, where that is known without a flush."""
        if self.prefix and Capability.FLUSH_PREFIX not in self.capabilities:
            return self._unsupported(Capability.FLUSH_PREFIX)
        return None

    def set_many(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        """Store in order, so that the last of two equal keys wins.

        :return: one outcome an item: ``True``, or why it is not known to be stored.
        """

        def store(item: Item) -> Literal[True]:
            self.set(*item)
            return True

        return each(store, items)

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        """Delete in order; one outcome a key, as :meth:`delete` gives or raises it."""
        return each(self.delete, keys)

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        """Do operations, those of one key in order; return an outcome each.

        :mod:`backends.operations` says what there is and what it gives. An error is an outcome
        too: nothing is raised. Where a backend can, all are one round trip a server, or one
        transaction.
        """
        return perform_each(self, operations)

    def get_and_touch_many(self, touches: Sequence[Touch], most: int) -> list[Any]:
        """Read values and give each its new lifetime, in one trip where it can be.

        :param touches: lifetimes that do not end at once; some may be of the same key.
        :param most: as of :meth:`get_each`. What is not read may have its new lifetime.
        :return: of each the outcomes of :class:`~backends.operations.Get` and of
            :class:`~backends.operations.Touch` behind it; ``None``: that is not known, and it is
            to be asked for by the other methods.
        """
        return [None] * len(touches)

    # Abilities behind a flag

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

        :raises InvalidCursor: the cursor did not come from this method.
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

    def apart(self) -> Backend:
        """Return where counts of the product's own are kept, shared as this backend is.

        That is out of the callers' data where it can be had; here it is this backend itself.
        """
        return self

    def uncounted(self) -> Backend:
        """Return this backend for a person's looks at it, which are no application's reads.

        Statistics leave its reads out where that can be had; here it is this backend itself.
        """
        return self

    def probe(self, key: str) -> Probe:
        """Return a look at whether this backend does its work, by a key that nobody else uses.

        Backends whose statistics count reads return a subclass, whose steps do not count.
        """
        # It knows what absence is, so it cannot be known before.
        from backends.probe import Probe

        return Probe(self, key)

    def places(self) -> frozenset[str]:
        """Return names of where its keys are, as the settings say it; asks nobody.

        Objects that have one in common share a store, but for their prefixes. None: nobody
        else has its store, or it is not known.
        """
        return frozenset()

    def learn_capabilities(self) -> None:
        """Ask the servers for what takes flags away, where their own settings do.

        It waits no longer than the time limit, and fails never: who does not answer is asked
        again another time.
        """

    def endpoints(self) -> list[Endpoint]:
        """Return where its servers listen; where one has to be asked for that, it may be.

        None of them: it has no server, or none that may be looked into.
        """
        return []

    def close(self) -> None:
        """Close all connections of this process. The object stays usable."""

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
