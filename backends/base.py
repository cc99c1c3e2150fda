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

What not every backend can do stands in :mod:`backends.abilities`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from backends.abilities import VALUE as VALUE
from backends.abilities import Abilities
from backends.abilities import Described as Described
from backends.abilities import Found as Found
from backends.capabilities import Capability, Traits
from backends.endpoints import Endpoint
from backends.errors import BackendError, Unsupported
from backends.flags import Flagged as Flagged
from backends.flags import count_from as count_from
from backends.flags import flags_of as flags_of
from backends.flags import with_flags as with_flags
from backends.naming import in_names
from backends.operations import MISSING as MISSING
from backends.operations import Increment, Operation, Touch, each, perform_each
from backends.operations import Item as Item
from backends.operations import Missing as Missing
from backends.options import Option
from backends.within import get_within

if TYPE_CHECKING:
    from backends.probe import Probe


class Backend(Abilities, ABC):
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
    :ivar called: what its settings are called where it was described, by their variables; empty:
        as those, in the environment. Set by whoever makes it.
    """

    driver: ClassVar[str]
    label: ClassVar[str]
    service_name: ClassVar[str]
    service_type: ClassVar[str]
    options: ClassVar[tuple[Option, ...]] = ()
    traits: ClassVar[Traits] = Traits()
    keeps_flags: ClassVar[bool] = False
    sets_many_at_once: bool = False
    performs_at_once: bool = False
    lists_at_once: bool = False
    called: Mapping[str, str] = MappingProxyType({})

    # Reading and writing

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

    def count_and_get_each(
        self, counts: Sequence[Increment], keys: Sequence[str], most: int
    ) -> tuple[list[Any], Mapping[str, bytes | BackendError] | None]:
        """Count, and read other keys behind that, in one trip where it can be.

        :param counts: of different keys, with :attr:`~backends.operations.Increment.own`.
        :param most: as of :meth:`get_each`.
        :return: the outcomes of the counts, as of :meth:`perform`; and what :meth:`get_each`
            gives, or ``None``: that is yet to be asked.
        """
        return self.perform(counts), None

    # Its settings, its store and its servers

    def told(self, text: str) -> str:
        """Return a message of this object's, calling its settings as its operator knows them."""
        return in_names(self.called, text)

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
