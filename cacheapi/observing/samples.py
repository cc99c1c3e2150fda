"""The statistics of the last hour: read every half minute, kept where all processes see them.

Of the processes that share a data directory one takes the samples: who holds the lock there.
When it dies another takes over. A server that hangs holds up the samples of its own services
only.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from backends import owned
from backends.base import Backend
from backends.capabilities import Capability
from backends.statistics import Figures
from cacheapi.caching.service import CacheService
from cacheapi.observing.sample_files import Sample, SampleFiles
from cacheapi.observing.statistics import LATEST_SECONDS, Latest, figures_of

log = logging.getLogger(__name__)

EXTENSION: Final = "cacheapi-samples"
# Of more, the first ones only: each costs a file, and a thread while it is read.
MOST_SERVICES: Final = 100
# How soon another process notices that the one which took the samples is gone.
LOOK_SECONDS: Final = 5.0


class Sampler:
    """The samples of the services that have statistics; its methods are for all threads.

    :param services: returns those that there are, by name.
    :param counted: returns the figures of services that this program counts itself, by name:
        of a service that has statistics they are the reads, in place of those of its servers.
    :param directory: where the samples are kept.
    :param seconds: from one sample to the next; 0: none are taken.
    """

    def __init__(
        self,
        services: Callable[[], Mapping[str, CacheService]],
        directory: Path,
        seconds: float,
        counted: Callable[[], Mapping[str, Figures]] = dict,
    ) -> None:
        self._services = services
        self._counted = counted
        self._files = SampleFiles(directory)
        self._seconds = seconds
        self._latest = Latest()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        # The file of the lock, once it is open.
        self._lock: int | None = None
        self._leads = False
        self._due = 0.0
        self._is_lost = False
        self._reading: dict[int, threading.Thread] = {}

    @property
    def seconds(self) -> float:
        """From one sample to the next; 0: none are taken."""
        return self._seconds

    def history(self, name: str) -> list[Sample]:
        """Return the samples of a service in the last hour, the oldest first."""
        return self._files.read(name)

    def latest(self, service: CacheService, seconds: float = LATEST_SECONDS) -> Figures | None:
        """Return the figures of a service, read in this process at most once in some seconds.

        :return: ``None``: it has no statistics.
        """
        return self._latest.figures(service, seconds)

    def watch(self) -> None:
        """See to it from now on that samples are taken, in this process or in another one."""
        if self._seconds <= 0:
            return
        self._release()
        self._reading = {}
        self._due = time.time() + self._seconds
        self._thread = threading.Thread(
            target=_follow, args=(weakref.ref(self), self._stop), name="samples", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Take no more samples in this process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LOOK_SECONDS)
        for thread in self._reading.values():
            thread.join(LOOK_SECONDS)
        self._release()

    # The thread

    def look(self) -> float:
        """Take samples, if they are due and it is on this process; return when to look again."""
        try:
            if not self._lead():
                return min(LOOK_SECONDS, self._seconds)
            # A clock that was set back makes nobody wait for it.
            self._due = min(self._due, time.time() + self._seconds)
            if time.time() >= self._due:
                self._due = time.time() + self._seconds
                self._files.tidy()
                self._take()
        except OSError as error:
            self._lose(error)
            return self._seconds
        self._is_lost = False
        return max(0.0, min(self._due - time.time(), self._seconds))

    def _lead(self) -> bool:
        """Return whether this process takes the samples."""
        if self._leads:
            return True
        if self._lock is None:
            owned.folder(self._files.directory)
            self._lock = owned.opened(self._files.directory / "lock", os.O_RDWR)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._leads = True
        # Go on where the one before has ended.
        newest = self._files.newest()
        self._due = self._due if newest is None else newest + self._seconds
        return True

    def _release(self) -> None:
        """Let go of the lock; in a forked child, of the parent's, who keeps it."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None
        self._leads = False

    def _take(self) -> None:
        """Begin to read each service, but for those that are still being read."""
        self._reading = {key: thread for key, thread in self._reading.items() if thread.is_alive()}
        backends: dict[Backend, list[str]] = {}
        counted = dict(self._counted())
        for name, service in list(self._services().items())[:MOST_SERVICES]:
            if Capability.STATS in service.backend.capabilities:
                backends.setdefault(service.backend, []).append(name)
        for backend, names in backends.items():
            if id(backend) not in self._reading:
                reads = {name: counted.get(name) for name in names}
                thread = threading.Thread(
                    target=self._sample, args=(backend, reads), name="sample", daemon=True
                )
                self._reading[id(backend)] = thread
                thread.start()
        sampled = {name for names in backends.values() for name in names}
        alone = [(name, figures) for name, figures in counted.items() if name not in sampled]
        for name, figures in alone[:MOST_SERVICES]:
            self._files.add(name, Sample(time.time(), figures))

    def _sample(self, backend: Backend, reads: Mapping[str, Figures | None]) -> None:
        """Read a backend, and keep a sample of each of its services, with what it read itself."""
        moment, figures = time.time(), figures_of(backend)
        try:
            for name, own in reads.items():
                mixed = figures
                if own is not None:
                    mixed = figures._replace(get_hits=own.get_hits, get_misses=own.get_misses)
                self._files.add(name, Sample(moment, mixed))
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        if not self._is_lost:
            log.warning("The samples of statistics cannot be kept: %s", error)
        self._is_lost = True


def _follow(reference: weakref.ref[Sampler], stop: threading.Event) -> None:
    seconds = 0.0
    while not stop.wait(seconds):
        sampler = reference()
        if sampler is None:
            return
        seconds = sampler.look()
        del sampler
