"""What services leave when they go: connections, and files of their own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from cacheapi.registry.snapshot import Snapshot

# What is in flight on a backend that goes has ended by then.
SECONDS: Final = 5.0


class Retired:
    """The leavings of services that went, to be cleared away when nothing is in flight.

    :param data_dir: where services keep files.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._later: list[tuple[float, Callable[[], object]]] = []

    def note(self, before: Snapshot, after: Snapshot) -> None:
        """Close the idle connections of the backends that went; note the rest for later."""
        when = time.monotonic() + SECONDS
        kept = {id(service.backend) for service in after.services.values()}
        for service in before.services.values():
            if id(service.backend) not in kept:
                service.backend.close()
                self._later.append((when, service.backend.close))
        numbers = {definition.number for definition in after.definitions.values()}
        for definition in before.definitions.values():
            if definition.number not in numbers:
                directory = definition.directory(self._data_dir)
                self._later.append((when, partial(shutil.rmtree, directory, ignore_errors=True)))

    def clear(self, *, at_once: bool = False) -> None:
        """Clear away what is due; or everything."""
        now = time.monotonic()
        for item in list(self._later):
            when, work = item
            if at_once or when <= now:
                self._later.remove(item)
                work()
