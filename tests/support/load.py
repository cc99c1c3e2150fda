"""Threads that write and read a backend, and a model of what each key may now hold."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from backends.base import MISSING, Backend, Item
from backends.errors import BackendError, Failed
from tests.support.processes import eventually

KEYS = 12


class Lost(NamedTuple):
    """An acknowledged write that is gone: the key holds what it held before, or nothing.

    :ivar moment: when it was missed.
    :ivar written: when it was acknowledged.
    """

    moment: float
    key: str
    written: float


class Writer(threading.Thread):
    """A thread with keys that nobody else writes.

    A value that was never sent for its key is wrong, always. One that was sent before
    another that was acknowledged is lost: replication is asynchronous, so a failover may
    do that.
    """

    def __init__(self, backend: Backend, number: int, stopped: threading.Event) -> None:
        super().__init__()
        self.errors: list[tuple[float, Failed]] = []
        self.lost: list[Lost] = []
        self.wrong: list[tuple[str, object]] = []
        self.done = 0
        self.counts_sent = 0
        self._backend = backend
        self._stopped = stopped
        self._random = random.Random(number)
        self._keys = [f"writer{number}:{index}" for index in range(KEYS)]
        self._counter = f"counter{number}"
        self._next = 0
        self._sent: dict[str, set[object]] = {key: {MISSING} for key in self._keys}
        # What it can hold now; after a write without an answer, more than one value.
        self._possible: dict[str, set[object]] = {key: {MISSING} for key in self._keys}
        # When the last write was acknowledged.
        self._written = dict.fromkeys(self._keys, 0.0)

    def run(self) -> None:
        steps = (self._set, self._set_many, self._get, self._get, self._get_many, self._count)
        while not self._stopped.is_set():
            try:
                self._random.choice(steps)()
                self.done += 1
            except Failed as error:
                self.errors.append((time.monotonic(), error))

    def _value(self, key: str) -> bytes:
        self._next += 1
        return f"{key}={self._next}".encode()

    def _sending(self, key: str) -> bytes:
        value = self._value(key)
        self._sent[key].add(value)
        self._possible[key].add(value)
        return value

    def _set(self) -> None:
        key = self._random.choice(self._keys)
        value = self._sending(key)
        self._backend.set(key, value, None)
        self._is_written(key, value)

    def _set_many(self) -> None:
        items = [Item(key, self._sending(key), 600) for key in self._keys[::2]]
        outcomes = self._backend.set_many(items)
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome is True:
                self._is_written(item.key, item.value)
        for outcome in outcomes:
            if isinstance(outcome, BackendError):
                raise outcome

    def _is_written(self, key: str, value: bytes) -> None:
        self._possible[key] = {value}
        self._written[key] = time.monotonic()

    def _get(self) -> None:
        key = self._random.choice(self._keys)
        self._check(key, self._backend.get(key))

    def _get_many(self) -> None:
        found = self._backend.get_many(self._keys)
        for key in self._keys:
            self._check(key, found.get(key, MISSING))

    def _check(self, key: str, value: object) -> None:
        if value in self._possible[key]:
            return
        if value in self._sent[key]:
            self.lost.append(Lost(time.monotonic(), key, self._written[key]))
            self._possible[key] = {value}
        else:
            self.wrong.append((key, value))

    def _count(self) -> None:
        self.counts_sent += 1
        number = self._backend.increment(self._counter, 1)
        if number is MISSING:
            self._backend.add(self._counter, b"0", None)
        elif not 0 < number <= self.counts_sent:
            self.wrong.append((self._counter, number))


class Load:
    """Several writers on one backend, empty at first, until :meth:`stop`."""

    def __init__(self, backend: Backend, writers: int = 4) -> None:
        backend.flush()
        self._stopped = threading.Event()
        self._writers = [Writer(backend, number, self._stopped) for number in range(writers)]
        for writer in self._writers:
            writer.start()
        eventually(self.goes_on(50), 10)

    @property
    def done(self) -> int:
        return sum(writer.done for writer in self._writers)

    @property
    def errors(self) -> list[tuple[float, Failed]]:
        return sorted(
            (error for writer in self._writers for error in writer.errors),
            key=lambda error: error[0],
        )

    @property
    def lost(self) -> list[Lost]:
        return sorted(lost for writer in self._writers for lost in writer.lost)

    @property
    def wrong(self) -> list[tuple[str, object]]:
        return [wrong for writer in self._writers for wrong in writer.wrong]

    def goes_on(self, steps: int) -> Callable[[], bool]:
        """Return a check whether each writer did so many more steps."""
        before = [writer.done for writer in self._writers]
        return lambda: all(
            writer.done >= done + steps for writer, done in zip(self._writers, before, strict=True)
        )

    def is_well_for(self, seconds: float) -> bool:
        """Return whether nothing failed for some time, while each writer went on."""
        failed, goes_on = len(self.errors), self.goes_on(10)
        time.sleep(seconds)
        return goes_on() and len(self.errors) == failed

    def stop(self) -> None:
        self._stopped.set()
        for writer in self._writers:
            writer.join()
