"""What services leave when they go: connections, and files of their own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from backends.base import Backend
from cacheapi.registry.definition import Definition

# What is in flight on a backend that goes has ended by then.
SECONDS: Final = 5.0


class Retired:
    """The leavings of services that went, to be cleared away when nothing is in flight.

    :param data_dir: where services keep files.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._later: list[tuple[float, Callable[[], object]]] = []

    def note(self, backends: Iterable[Backend], gone: Iterable[Definition]) -> None:
        """Close the idle connections of backends that went; note the rest for later.

        :param gone: the services that are no more, whose files go with them.
        """
        when = time.monotonic() + SECONDS
        for backend in backends:
            backend.close()
            self._later.append((when, backend.close))
        for definition in gone:
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
