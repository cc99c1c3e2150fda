"""The state of services, as cards show it: on or off, up or down, and why."""

from __future__ import annotations

import dataclasses

from backends.errors import BackendError, Unsupported
from backends.probe import NotDone
from backends.statistics import Figures
from cacheapi.caching.service import CacheService
from cacheapi.observing import statistics
from cacheapi.observing.statistics import Statistics
from cacheapi.registry import forms
from cacheapi.registry.definition import Definition, Source
from cacheapi.registry.snapshot import Snapshot


@dataclasses.dataclass(frozen=True)
class Card:
    """A service on the first page.

    :ivar aliases: the other names that it answers to.
    :ivar kind: its type, as people call it.
    """

    definition: Definition
    aliases: tuple[str, ...]
    kind: str

    @property
    def label(self) -> str:
        """What to call it."""
        return self.definition.label or self.definition.name

    @property
    def is_running(self) -> bool:
        """Whether there is a backend to ask."""
        return self.definition.is_active and self.definition.fault is None


@dataclasses.dataclass(frozen=True)
class State:
    """Whether a backend answers, and what its servers say of themselves, where they do.

    :ivar why: what it said instead.
    """

    is_up: bool
    why: str | None = None
    statistics: Statistics | None = None

    @property
    def figures(self) -> Figures | None:
        """The sum over the servers, if there is anything in it."""
        total = None if self.statistics is None else self.statistics.total
        return None if total == Figures() else total


def cards(snapshot: Snapshot) -> list[Card]:
    """Return all services, the system cache once and first, the others by name."""
    made = []
    names = sorted(snapshot.definitions, key=lambda name: (_is_system(snapshot, name), name))
    seen: dict[int, str] = {}
    for name in names:
        service = snapshot.services.get(name)
        if service is not None and _is_system(snapshot, name) == 0:
            if id(service.backend) in seen:
                continue
            seen[id(service.backend)] = name
        made.append(card(snapshot, snapshot.definitions[name]))
    return made


def card(snapshot: Snapshot, definition: Definition) -> Card:
    """Return the card of a service."""
    own = snapshot.services.get(definition.name)
    aliases = tuple(
        name
        for name, service in sorted(snapshot.services.items())
        if own is not None
        and name != definition.name
        and definition.source is Source.ENVIRONMENT
        and service.backend is own.backend
    )
    return Card(definition, aliases, kind_of(definition.type))


def kind_of(service_type: str) -> str:
    """Return what people call a type of service."""
    backend = forms.types().get(service_type)
    return service_type if backend is None else backend.traits.title or backend.driver


def read(service: CacheService) -> State:
    """Ask the backend of a service, for as long as its own time limit is."""
    try:
        service.probe()
    except BackendError as error:
        return State(False, str(error))
    except NotDone:
        return State(False, "Something else than a cache answers there.")
    try:
        return State(True, statistics=statistics.read(service))
    except Unsupported:
        return State(True)
    except BackendError as error:
        return State(True, f"It does not tell its figures: {error}")


def _is_system(snapshot: Snapshot, name: str) -> int:
    return 0 if snapshot.definitions[name].source is Source.ENVIRONMENT else 1
