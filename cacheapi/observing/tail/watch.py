"""What a process tells of its requests, while somebody watches; and of slow ones, always."""

from __future__ import annotations

import logging
import random
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cacheapi.observing import logged_keys
from cacheapi.observing.tail.files import Seen, TailFiles, fails
from cacheapi.observing.tail.slowest import Slowest

log = logging.getLogger(__name__)

# The name of an application's Tail in its "extensions".
TAIL: Final = "cacheapi.observing.tail"
# How soon a process knows that somebody watches; and how often it writes while somebody does.
LOOK_SECONDS: Final = 0.5
WRITE_SECONDS: Final = 0.25
# Of each kind, in that time: what goes well, and what does not.
MOST: Final = 50
# Paths whose requests are an operator's own looking on, and no traffic.
OWN: Final = (
    *("/health/", "/metrics", "/console", "/api/v2/docs/"),
    *("/api/v2/system/tail", "/api/v2/system/slowest"),
)

# A request as it is taken: a key is hashed only where it is written.
_Taken = tuple[float, str, str, str, "str | None", int, float, int, str]


class _Part:
    """Some of the requests of a short time, each of them as likely as any other."""

    def __init__(self) -> None:
        self.taken: list[_Taken] = []
        self.number = 0

    def add(self, request: _Taken) -> None:
        self.number += 1
        if len(self.taken) < MOST:
            self.taken.append(request)
            return
        place = int(random.random() * self.number)  # noqa: S311 (no secret)
        if place < MOST:
            self.taken[place] = request


class Tail:
    """For all threads of a process.

    :ivar wanted: whether somebody watches.
    :ivar floor: what takes longer than this, in seconds, is noted anyway.
    :param directory: what all processes of the machine share.
    :param keys: what is told of the key; see :mod:`~cacheapi.observing.logged_keys`.
    :param is_secret: whether a text is an API key, which nobody is told, whoever put it where.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keys: str,
        is_secret: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.wanted = False
        self.files = TailFiles(directory)
        self.keys = keys
        self._is_secret = is_secret
        self._slowest = Slowest(directory)
        self.floor = self._slowest.floor
        self._lock = threading.Lock()
        self._good, self._bad = _Part(), _Part()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_lost = False

    def takes(self, seconds: float) -> bool:
        """Return whether a request that took so long is to be noted."""
        return self.wanted or seconds >= self.floor

    def note(
        self,
        method: str,
        route: str,
        service: str,
        key: str | None,
        status: int,
        seconds: float,
        size: int,
        lane: str,
        *,
        is_slow: bool = True,
    ) -> None:
        """Note a request that :meth:`takes` one.

        :param route: the path, with names instead of what stands in it.
        :param service: the name of a service that there is; else empty.
        :param is_slow: whether it may be one of the slowest.
        """
        taken = (time.time(), method, route, service, key, status, seconds * 1000, size, lane)
        with self._lock:
            if is_slow and seconds >= self.floor:
                self._slowest.note(self._seen(taken))
                self.floor = self._slowest.floor
            if self.wanted:
                (self._bad if fails(status, service) else self._good).add(taken)

    def _seen(self, taken: _Taken, more: int = 0) -> Seen:
        moment, method, route, service, key, status, ms, size, lane = taken
        shown = logged_keys.shown(key, self.keys, self._is_secret) or ""
        return Seen(moment, method, route, service, shown, status, round(ms, 3), size, lane, more)

    # In each process

    def watch(self) -> None:
        """Look from now on whether somebody watches."""
        self._lock = threading.Lock()
        self._slowest = Slowest(self.files.directory)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=_follow, args=(weakref.ref(self), self._stop), name="tail", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Write what is left."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)
        self.look()

    def look(self) -> float:
        """Write what was taken, and look whether somebody watches; return when to look again."""
        try:
            self._write()
            is_watched = self.files.is_watched()
            if self.wanted and not is_watched:
                self.files.clear()
            self.wanted = is_watched
        except OSError as error:
            # A full disk stops nobody, and is told once.
            if not self._is_lost:
                log.warning("What is asked of the service cannot be told: %s", error)
            self._is_lost = True
        else:
            self._is_lost = False
        return WRITE_SECONDS if self.wanted else LOOK_SECONDS

    def _write(self) -> None:
        with self._lock:
            good, bad = self._good, self._bad
            if good.number or bad.number:
                self._good, self._bad = _Part(), _Part()
            self._slowest.pass_on(time.time())
            self.floor = self._slowest.floor
            slow = self._slowest.news()
        # Not while it is locked: a request would wait for the disk.
        if slow is not None:
            self._slowest.write(slow)
        requests = [
            self._seen(taken, part.number - len(part.taken) if not index else 0)
            for part in (good, bad)
            for index, taken in enumerate(part.taken)
        ]
        if requests:
            self.files.write(requests)


def _follow(reference: weakref.ref[Tail], stop: threading.Event) -> None:
    seconds = 0.0
    while not stop.wait(seconds):
        tail = reference()
        if tail is None:
            return
        seconds = tail.look()
        del tail
