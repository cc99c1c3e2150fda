"""Stored responses in a backend, and the purges that hold for all of them.

A purge writes one *generation*, however many entries it is about, see
:mod:`~cacheapi.responses.generations`. So it is in force at once, in every worker and on
every machine that shares the backend. A fetch takes the generations before it begins, so
what was under way during a purge is not stored.

All methods block as the backend does, and raise its
:class:`~backends.errors.BackendError`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from backends.base import MISSING, Backend, Found
from backends.capabilities import Capability
from backends.errors import BackendError
from cacheapi.responses import entries
from cacheapi.responses.bodies import Bodies
from cacheapi.responses.entries import Generation, Record, Variant
from cacheapi.responses.freshness import seconds_to_keep
from cacheapi.responses.generations import ATTEMPTS, Generations
from cacheapi.responses.looking import Looked, Looking, tags_in
from cacheapi.responses.messages import Stored
from cacheapi.responses.vary import MOST_VARIANTS, add_variant

RECORD_BYTES: Final = 900_000
# A purge is remembered for longer than any fetch takes.
REMEMBERED_SECONDS: Final = 3600.0
MOST_TAGS: Final = 128

Change = Callable[[Record], Record | None]


class Ticket(NamedTuple):
    """What a fetch takes before it begins, and what it fetches is stored by."""

    target: str
    service: Generation
    url: Generation
    tags: bytes


class Store:
    """The stored responses of one service.

    :param name: the service's.
    :param backend: of the service that stores.
    :param counts: whether the service's settings let something that is stored be served.
    :param clock: Unix time; for tests.
    :ivar looking: what its bytes say.
    :ivar bodies: those that it has.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        counts: Callable[[Stored], bool] = lambda _: True,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.backend = backend
        self._name = name
        self._clock = clock
        self._service_key = entries.service_key(name)
        self._tags_key = entries.tags_key(name)
        most = backend.limits.max_value_bytes
        self._record_bytes = RECORD_BYTES if most is None else min(RECORD_BYTES, most)
        self.looking = Looking(name, counts)
        self.bodies = Bodies(backend, self._record_bytes // 4)
        self._generations = Generations(backend, clock)
        self._can_compare = Capability.COMPARE_AND_SET in backend.capabilities

    # Reading

    def look(self, target: str) -> Looked:
        """Return what is stored of a URL: one round trip, or two if something has tags."""
        looking = self.looking
        keys = looking.keys_of(target)
        found = self.backend.get_many(keys)
        record = looking.record(target, found)
        tags = tags_in(record)
        if tags and keys[1] in found:
            found = {**found, **self.backend.get_many(looking.keys_of(target, tags)[2:])}
        return looking.looked(record, found)

    def body(self, variant: Variant) -> bytes | None:
        """Return the body of a variant; ``None`` if not all of it is there."""
        return self.bodies.read(variant)

    # Fetching

    def begin(self, target: str, looked: Looked) -> Ticket:
        """Return what the answer to a fetch that begins now is stored by."""
        service = looked.service or self._generations.ensured(self._service_key)
        tags = self._generations.ensured(self._tags_key)
        record = looked.record
        if record is None:
            record = Record(entries.FORM, target, entries.new_generation())
            key = entries.record_key(self._name, target)
            if not self.backend.add(key, entries.encode(record), REMEMBERED_SECONDS):
                raw = self.backend.get(key)
                there = None if raw is MISSING else entries.read_record(raw, target)
                if there is None:
                    # Not one of ours, or gone again.
                    self.backend.set(key, entries.encode(record), REMEMBERED_SECONDS)
                record = there or record
        return Ticket(target, service, record.generation, tags.hard)

    def save(
        self, ticket: Ticket, stored: Stored, body: bytes, tags: Sequence[str], seconds: float
    ) -> bool:
        """Store an answer; return whether it is, and was not purged meanwhile.

        :param tags: the first :data:`MOST_TAGS` count.
        :param seconds: how long there is any use for it.
        """
        tags = tuple(dict.fromkeys(tags))
        if len(tags) > MOST_TAGS:
            # One whose purge would leave it may not be there.
            return False
        groups = [ticket.service, ticket.url]
        if tags:
            groups += [self._generations.ensured(entries.tag_key(self._name, tag)) for tag in tags]
            # Read after the tags' own, and written before: see purge_tags.
            if self._generations.ensured(self._tags_key).hard != ticket.tags:
                return False
        place = self.bodies.put(body, seconds)
        variant = Variant(stored, place, tags, tuple((one.hard, one.soft) for one in groups))
        try:
            is_stored = self._add(ticket, variant, seconds)
        except BackendError:
            self.bodies.drop([variant])
            raise
        if not is_stored:
            self.bodies.drop([variant])
        return is_stored

    def renew(self, ticket: Ticket, old: Variant, stored: Stored, seconds: float) -> bool:
        """Store what a 304 has made of a variant; return whether it is.

        :param old: as it was read.
        """
        place = old.place
        if not self.bodies.renew(place, seconds):
            return False
        groups = (ticket.service, ticket.url)
        variant = Variant(
            stored,
            place,
            old.tags,
            (*((one.hard, one.soft) for one in groups), *old.generations[2:]),
        )
        if old.tags and self._generations.ensured(self._tags_key).hard != ticket.tags:
            return False
        if old.tags:
            fresh = [
                self._generations.ensured(entries.tag_key(self._name, tag)) for tag in old.tags
            ]
            known = [hard for hard, _ in old.generations[2:]]
            if [one.hard for one in fresh] != known:
                return False
            variant = msgspec.structs.replace(
                variant,
                generations=(*variant.generations[:2], *((one.hard, one.soft) for one in fresh)),
            )
        return self._add(ticket, variant, seconds)

    def remove(self, ticket: Ticket, old: Variant) -> None:
        """Forget one variant of a URL."""
        which = (old.stored.vary, old.stored.selecting)

        def leave_out(record: Record) -> Record | None:
            if record.generation.hard != ticket.url.hard:
                return None
            kept = tuple(
                one for one in record.variants if (one.stored.vary, one.stored.selecting) != which
            )
            return msgspec.structs.replace(record, variants=kept)

        if self._change(ticket.target, leave_out, REMEMBERED_SECONDS):
            self.bodies.drop([old])

    def leave_alone(self, ticket: Ticket, seconds: float) -> None:
        """Note that fetches of a URL are not worth waiting for, for so long."""
        until = self._clock() + seconds

        def note(record: Record) -> Record | None:
            if record.generation.hard != ticket.url.hard:
                return None
            return msgspec.structs.replace(record, alone_until=until)

        self._change(ticket.target, note, seconds)

    # Purging

    def purge_url(self, target: str, *, soft: bool = False) -> None:
        """Make all variants of a URL gone, or stale."""
        key = entries.record_key(self._name, target)
        if soft and self._can_compare:
            now = self._clock()

            def renew(record: Record) -> Record:
                renewed = record.generation.renewed(soft=True, now=now)
                return msgspec.structs.replace(record, generation=renewed)

            self._change(target, renew, REMEMBERED_SECONDS)
            return
        record = Record(entries.FORM, target, entries.new_generation())
        self.backend.set(key, entries.encode(record), REMEMBERED_SECONDS)

    def purge_tags(self, tags: Iterable[str], *, soft: bool = False) -> None:
        """Make gone, or stale, everything that carries one of some tags."""
        # Before the tags' own: a fetch that began before sees this one, or theirs.
        self.backend.set(self._tags_key, entries.encode(entries.new_generation()), None)
        for tag in tags:
            self._generations.renew(entries.tag_key(self._name, tag), soft=soft)

    def purge_all(self, *, soft: bool = False) -> None:
        """Make gone, or stale, everything of the service."""
        self._generations.renew(self._service_key, soft=soft)

    # Records

    def _add(self, ticket: Ticket, variant: Variant, seconds: float) -> bool:
        dropped: list[Variant] = []

        def add(record: Record) -> Record | None:
            dropped.clear()
            if record.generation.hard != ticket.url.hard:
                return None
            places = {id(one.stored): one for one in (*record.variants, variant)}
            heads = add_variant([one.stored for one in record.variants], variant.stored)
            kept = [places[id(head)] for head in heads[:MOST_VARIANTS]]
            made = msgspec.structs.replace(record, variants=tuple(kept), alone_until=0.0)
            while len(kept) > 1 and len(entries.encode(made)) > self._record_bytes:
                kept.pop()
                made = msgspec.structs.replace(made, variants=tuple(kept))
            names = {one.place.name for one in kept}
            dropped.extend(one for one in record.variants if one.place.name not in names)
            return made

        is_stored = self._change(ticket.target, add, max(seconds, REMEMBERED_SECONDS))
        if is_stored:
            self.bodies.drop(dropped)
        return is_stored

    def _change(self, target: str, change: Change, seconds: float) -> bool:
        """Change a record in one step; return whether there is one, and the change was made.

        :param change: gives the next record; ``None`` leaves it.
        """
        key = entries.record_key(self._name, target)
        for _ in range(ATTEMPTS):
            if self._can_compare:
                found = self.backend.get_with_token(key)
            else:
                raw = self.backend.get(key)
                found = MISSING if raw is MISSING else Found(raw, None)
            old = None if found is MISSING else entries.read_record(found.value, target)
            made = None if old is None else change(old)
            if found is MISSING or old is None or made is None:
                return False
            value = entries.encode(made)
            # Others of the record may be of use for longer.
            now = self._clock()
            ttl = max(seconds, *(seconds_to_keep(one.stored, now) for one in made.variants), 0.0)
            if not self._can_compare:
                self.backend.set(key, value, ttl)
                return True
            if self.backend.compare_and_set(key, value, found.token, ttl):
                return True
        return False
