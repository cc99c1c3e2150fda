"""The state of services, as cards show it: on or off, up or down, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from flask import current_app

from backends.errors import BackendError, Unsupported
from backends.probe import NotDone
from backends.statistics import Figures
from cacheapi.caching.service import CacheService
from cacheapi.observing import statistics, traffic
from cacheapi.observing.metrics.meter import METER, Meter
from cacheapi.observing.statistics import Statistics
from cacheapi.registry import forms
from cacheapi.registry.definition import Definition

# How long a page waits for an HTTP API, whose own time limit may be longer.
PATIENCE_SECONDS: Final = 3.0


@dataclasses.dataclass(frozen=True)
class Card:
    """A service on the first page.

    :ivar kind: its type, as people call it.
    """

    definition: Definition
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


def cards(definitions: Iterable[Definition]) -> list[Card]:
    """Return the cards of services."""
    return [card(definition) for definition in definitions]


def card(definition: Definition) -> Card:
    """Return the card of a service."""
    return Card(definition, kind_of(definition.type))


def kind_of(service_type: str) -> str:
    """Return what people call a type of service."""
    backend = forms.types().get(service_type)
    return service_type if backend is None else backend.traits.title or backend.driver


def read(service: CacheService) -> State:
    """Ask the backend of a service, for as long as its own time limit is."""
    try:
        service.probe()
    except BackendError as error:
        return State(False, service.backend.told(str(error)))
    except NotDone:
        return State(False, "Something else than a cache answers there.")
    try:
        return State(True, statistics=statistics.read(service))
    except Unsupported:
        return State(True)
    except BackendError as error:
        return State(True, service.backend.told(f"It does not tell its figures: {error}"))


def reads_of(service: CacheService) -> Figures | None:
    """Return what clients read of a service on this machine since it started.

    :return: ``None``: its servers' own figures have no looks of the console in them, or nothing
        is counted here.
    """
    meter: Meter | None = current_app.extensions[METER]
    if meter is None or not statistics.counts_looks(service.backend):
        return None
    return traffic.reads(meter).get(service.name, Figures(get_hits=0, get_misses=0))
