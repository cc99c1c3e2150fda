"""The requests of the last hour that took longest, in a bound of memory, for each process."""

from __future__ import annotations

import contextlib
import heapq
import os
import secrets
import time
from pathlib import Path
from typing import Final

import msgspec

from backends import owned
from cacheapi.observing.tail.files import Seen, encoder

HOUR: Final = 3600.0
# What is quicker is no news, in seconds; nothing is noted of it.
LEAST_SECONDS: Final = 0.005
# What is listed of them at most.
MOST_SLOW: Final = 100
# So many of each window of the hour.
KEPT: Final = 20
WINDOW_SECONDS: Final = 300.0
_SUFFIX: Final = ".slow"
_decoder: Final = msgspec.json.Decoder(list[Seen])


class Slowest:
    """Those of this process; but for :meth:`write`, for one thread at a time.

    :ivar floor: what takes no longer, in seconds, need not be noted.
    :param directory: where those of all processes are.
    """

    def __init__(self, directory: Path) -> None:
        self.floor = LEAST_SECONDS
        self._directory = directory
        self._file: Path | None = None
        # The number of a window, and its heap: the quickest of those that are kept is first.
        self._windows: dict[int, list[tuple[float, int, Seen]]] = {}
        self._count = 0
        self._is_new = False

    def note(self, seen: Seen) -> None:
        """Keep a request, if it is one of the slowest."""
        window = int(seen.time // WINDOW_SECONDS)
        heap = self._windows.get(window)
        if heap is None:
            heap = self._begin(window, seen.time)
        self._count += 1
        entry = (seen.ms, self._count, seen)
        if len(heap) < KEPT:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
        if len(heap) == KEPT:
            self.floor = max(LEAST_SECONDS, heap[0][0] / 1000)
        self._is_new = True

    def pass_on(self, now: float) -> None:
        """Let what is slow in a new window count anew."""
        if int(now // WINDOW_SECONDS) not in self._windows:
            self.floor = LEAST_SECONDS

    def _begin(self, window: int, now: float) -> list[tuple[float, int, Seen]]:
        oldest = int((now - HOUR) // WINDOW_SECONDS)
        for number in [each for each in self._windows if not oldest <= each <= window]:
            del self._windows[number]
        self.floor = LEAST_SECONDS
        self._windows[window] = []
        return self._windows[window]

    def news(self) -> list[Seen] | None:
        """Return what :meth:`write` is to write, if that is anything new."""
        if not self._is_new:
            return None
        self._is_new = False
        return [entry[2] for heap in self._windows.values() for entry in heap]

    def write(self, found: list[Seen]) -> None:
        """Let the other processes know; in the one thread that does.

        :raises OSError: it cannot be kept.
        """
        if self._file is None:
            # A process id comes back.
            name = f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
            owned.folder(self._directory)
            self._file = self._directory / name
            _tidy(self._directory)
        draft = self._file.with_suffix(".draft")
        descriptor = owned.opened(draft, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encoder.encode(found))
        draft.replace(self._file)


def slowest(directory: Path, most: int) -> list[Seen]:
    """Return those of all processes, the slowest first; of processes that are gone, too."""
    oldest = time.time() - HOUR
    found: list[Seen] = []
    for file in directory.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            found += (each for each in _decoder.decode(file.read_bytes()) if each.time >= oldest)
    return heapq.nlargest(most, found, key=lambda each: each.ms)


def _tidy(directory: Path) -> None:
    """Remove the files of processes that are gone, once all in them is too old."""
    oldest = time.time() - HOUR
    for file in directory.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < oldest:
                file.unlink()
