"""The metrics of the application: its tallies, and the text that Prometheus reads."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import platform
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from cacheapi.observing.metrics import families
from cacheapi.observing.metrics.files import ProcessFiles, locked
from cacheapi.observing.metrics.tally import Tally

log = logging.getLogger(__name__)

# The name of an application's Meter in its "extensions".
METER: Final = "cacheapi.meter"
# The variable with the directory that processes share; the name is prometheus_client's.
DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
# How late the numbers of one process may be for another one that is asked.
HAND_OVER_SECONDS: Final = 0.2


class Meter:
    """What is counted in this process, and in those that share the directory of the environment.

    :ivar fast: of the fast lane; for its thread alone.
    :param more: what is found out only when somebody asks.
    :param version: of this program.
    """

    def __init__(self, more: Collector, version: str) -> None:
        self.fast = Tally("fast")
        self._flask = Tally("flask")
        self._lock = threading.Lock()
        self._serving = _Held(self._flask, self._lock)
        # None: there is one process.
        self._directory: Path | None = None
        self._files: ProcessFiles | None = None
        self._writing = threading.Lock()
        self._is_lost = False
        self._stop = threading.Event()
        self._more = more
        self._version = version

    def flask(self) -> AbstractContextManager[Tally]:
        """Give the tally of what Flask serves, to one thread at a time."""
        return self._serving

    # In each process

    def watch(self) -> None:
        """Hand the numbers of this process over to the others from now on."""
        # Only now: the application may be made before gunicorn's master sets it.
        directory = os.environ.get(DIRECTORY)
        if directory is None:
            return
        self._directory = Path(directory)
        self._files = ProcessFiles(self._directory)
        threading.Thread(
            target=_hand_over, args=(weakref.ref(self), self._stop), name="metrics", daemon=True
        ).start()
        atexit.register(_at_exit, weakref.ref(self))

    def close(self) -> None:
        """Hand over for the last time."""
        self._stop.set()
        self.hand_over()

    def hand_over(self) -> None:
        """Let the others see the present numbers."""
        if self._files is None:
            return
        with self._writing:
            try:
                self._files.write([*self.fast.samples(), *self._flask.samples()])
            except OSError as error:
                if not self._is_lost:
                    log.warning("The metrics of this process cannot be kept: %s", error)
                self._is_lost = True
            else:
                self._is_lost = False

    # For Prometheus

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in a format that the header ``Accept`` asks for, and its type."""
        registry = CollectorRegistry()
        registry.register(_Build(self._version))
        registry.register(self._more)
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # The version that it asks for is none.
            encode, content_type = choose_encoder("")
        with self._summed() as directory:
            MultiProcessCollector(registry, str(directory))
            return encode(registry), content_type

    def counted(self) -> list[Sample]:
        """Return the sums of what is counted here and in the processes beside."""
        with self._summed() as directory:
            metrics = MultiProcessCollector(None, str(directory)).collect()
            return [sample for metric in metrics for sample in metric.samples]

    @contextlib.contextmanager
    def _summed(self) -> Iterator[Path]:
        """Give a directory with the numbers of all processes, which stay meanwhile."""
        with contextlib.ExitStack() as stack:
            directory = self._directory
            if directory is None:
                # One process: handed over to itself, by the same rules.
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                ProcessFiles(directory).write([*self.fast.samples(), *self._flask.samples()])
            else:
                self.hand_over()
            stack.enter_context(locked(directory, shared=True))
            yield directory


class _Held:
    """A tally, while a lock is held."""

    def __init__(self, tally: Tally, lock: threading.Lock) -> None:
        self._tally = tally
        self._lock = lock

    def __enter__(self) -> Tally:
        self._lock.acquire()
        return self._tally

    def __exit__(self, *_error: object) -> None:
        self._lock.release()


class _Build(Collector):
    """Which program this is."""

    def __init__(self, version: str) -> None:
        self._labels = {"version": version, "python": platform.python_version()}

    def collect(self) -> Iterable[Metric]:
        metric = Metric(families.BUILD.name, families.BUILD.help, "gauge")
        metric.add_sample(families.BUILD.name, self._labels, 1)
        yield metric


def _hand_over(reference: weakref.ref[Meter], stop: threading.Event) -> None:
    while not stop.wait(HAND_OVER_SECONDS):
        meter = reference()
        if meter is None:
            return
        meter.hand_over()
        del meter


def _at_exit(reference: weakref.ref[Meter]) -> None:
    meter = reference()
    if meter is not None:
        meter.hand_over()
