"""What a store's bytes say of a URL: which of its stored responses count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from cacheapi.responses import entries
from cacheapi.responses.deciding import Decision, decide
from cacheapi.responses.entries import Generation, Record, Variant, read_generation
from cacheapi.responses.generations import under
from cacheapi.responses.messages import Request, Stored


class Looked(NamedTuple):
    """What is stored of a URL.

    :ivar variants: those that count; one that was purged softly is stale.
    """

    record: Record | None
    service: Generation | None
    variants: tuple[Variant, ...]

    def is_alone(self, now: float) -> bool:
        """Return whether fetches are not worth waiting for: the answer was one client's only."""
        return self.record is not None and self.record.alone_until > now

    def decide(self, request: Request, now: float) -> Decision:
        """Return what is to be done about a request."""
        return decide(request, (one.stored for one in self.variants), now)


class Looking:
    """Reads what a store has of the URLs of one service; asks nobody.

    :param name: the service's.
    :param counts: whether its settings let something that is stored be served.
    """

    def __init__(self, name: str, counts: Callable[[Stored], bool] = lambda _: True) -> None:
        self._name = name
        self._counts = counts
        self._service_key = entries.service_key(name)

    def keys_of(self, target: str, tags: Iterable[str] = ()) -> list[str]:
        """Return the keys of what says what counts of a URL: record, service, and each tag."""
        keys = [entries.record_key(self._name, target), self._service_key]
        return keys + [entries.tag_key(self._name, tag) for tag in tags]

    def record(self, target: str, found: Mapping[str, bytes]) -> Record | None:
        """Return the record of a URL.

        :param found: what is there of :meth:`keys_of`.
        """
        raw = found.get(entries.record_key(self._name, target))
        return None if raw is None else entries.read_record(raw, target)

    def looked(self, record: Record | None, found: Mapping[str, bytes]) -> Looked:
        """Return what counts of a record.

        :param found: what is there of :meth:`keys_of`, with those of its tags.
        """
        service = read_generation(found.get(self._service_key))
        if record is None or service is None or not record.variants:
            return Looked(record, service, ())
        generations = {
            tag: read_generation(found.get(entries.tag_key(self._name, tag)))
            for tag in tags_in(record)
        }
        counting = []
        for variant in record.variants:
            if not self._counts(variant.stored):
                continue
            groups = (service, record.generation, *(generations[tag] for tag in variant.tags))
            kept = under(variant, groups)
            if kept is not None:
                counting.append(kept)
        return Looked(record, service, tuple(counting))


def tags_in(record: Record | None) -> tuple[str, ...]:
    """Return the tags of all variants of a record, each once."""
    if record is None:
        return ()
    return tuple(dict.fromkeys(tag for variant in record.variants for tag in variant.tags))


def variant_of(looked: Looked, stored: Stored) -> Variant | None:
    """Return the variant that has a stored answer."""
    return next((one for one in looked.variants if one.stored is stored), None)
