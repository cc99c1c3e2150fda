"""One kind's run: its service, its clients, a fault every ten seconds, memory and descriptors."""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.soak.client import ALL_KEYS, CLIENTS, Client
from tests.soak.faults import Kind
from tests.soak.ledger import Ledger
from tests.soak.model import Model
from tests.support.live import CACHE, Connection, call
from tests.support.processes import Service, eventually, service

FIRST_FAULT = 4.0
BETWEEN_FAULTS = 10.0
# The longest fault takes this long to be over.
LAST_FAULT = 12.0
LINE_SECONDS = 10.0
TICK = 0.1
# More than any run sends.
PLENTY = {"requests": 1_000_000, "seconds": 86400}
# So often each of two workers is surely met.
KNOWN_TIMES = 40
SYSTEM = "/api/v2/system"
# What is flat: no more than a tenth, and this, above the second quarter of the run.
FLAT_SHARE = 1.10
FLAT_BYTES = 8 * 1024 * 1024
FLAT_DESCRIPTORS = 10


class Sample(NamedTuple):
    """What all workers together have."""

    memory: int
    descriptors: int


class Run:
    """A run of one kind; see :class:`tests.soak.faults.Stage` for what faults use of it.

    :param limited: an API key with a rate limit, which every other client shows.
    """

    def __init__(self, kind: Kind, live: Service, seed: str, seconds: float, limited: str) -> None:
        self.kind = kind
        self.service = live
        self.random = random.Random(f"{seed}/{kind.name}")
        self.model = Model(ALL_KEYS, kind.stores, kind.slack, time.monotonic)
        self.ledger = Ledger()
        self.samples: list[Sample] = []
        self.faults = 0
        self._seconds = seconds
        self._start = self._next_sample = time.monotonic()
        self._next_line = self._start + LINE_SECONDS
        self._clients = [
            Client(
                number,
                f"{seed}/{kind.name}",
                live.port,
                self.model,
                self.ledger,
                lists=kind.lists,
                key=limited if number % 2 else live.api_key,
            )
            for number in range(CLIENTS)
        ]

    def run(self) -> None:
        self.kind.prepare(self)
        with self._working():
            self.wait(FIRST_FAULT / 2)
            self._flush()
            self.wait(FIRST_FAULT / 2)
            while self._left() > LAST_FAULT:
                due = time.monotonic() + BETWEEN_FAULTS
                self.faults += 1
                self.kind.fault(self)
                self.wait(min(due - time.monotonic(), self._left()))
                if self.faults % 2 == 0:
                    self._flush()
            self.wait(self._left())
        self._clients[0].sweep()
        self._check_flat()

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            self._look()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(TICK, left))

    def until(self, check: Callable[[], bool], within: float, promise: str) -> None:
        deadline = time.monotonic() + within
        while not check():
            if time.monotonic() > deadline:
                self.ledger.promise("not in time", f"{promise}: not within {within:.0f} s")
                return
            self.wait(TICK)

    def quarters(self) -> tuple[Sample, Sample]:
        """Return the medians of the second quarter of the run and of the last."""
        quarter = max(1, len(self.samples) // 4)
        parts = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        second, last = (
            Sample(
                int(statistics.median([one.memory for one in part] or [0])),
                int(statistics.median([one.descriptors for one in part] or [0])),
            )
            for part in parts
        )
        return second, last

    def _left(self) -> float:
        return self._start + self._seconds - time.monotonic()

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        for client in self._clients:
            client.start()
        try:
            yield
        finally:
            for client in self._clients:
                client.stop.set()
            for client in self._clients:
                client.join(20)

    def _flush(self) -> None:
        """Flush while no client sends anything."""
        with contextlib.ExitStack() as stack:
            for client in self._clients:
                stack.enter_context(client.turn)
            with Connection(self.service.port) as connection:
                started = time.monotonic()
                reply = connection.call("DELETE", CACHE)
            self.ledger.answered(reply.status, started)
            self.model.flush(done=reply.status == 200)
            if reply.status != 200:
                self.ledger.promise("flush refused", f"{reply.status} {reply.body!r}")

    def _look(self) -> None:
        """Take a sample each second, write a line every ten, and see that the clients live."""
        now = time.monotonic()
        if now >= self._next_sample:
            self._next_sample = now + 1
            self.samples.append(_sample(self.service.workers()))
        if now >= self._next_line:
            self._next_line = now + LINE_SECONDS
            print(f"{self.kind.name:>10} {now - self._start:4.0f} s  {self.ledger.line()}")
        for client in self._clients:
            if client.failure is not None:
                raise RuntimeError(f"{client.name} failed") from client.failure

    def _check_flat(self) -> None:
        second, last = self.quarters()
        if last.memory > second.memory * FLAT_SHARE + FLAT_BYTES:
            self.ledger.promise("memory grew", f"{second.memory} -> {last.memory} bytes")
        if last.descriptors > second.descriptors * FLAT_SHARE + FLAT_DESCRIPTORS:
            text = f"{second.descriptors} -> {last.descriptors}"
            self.ledger.promise("descriptors grew", text)


def _sample(workers: list[int]) -> Sample:
    memory = descriptors = 0
    for worker in workers:
        # It may end at any time.
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
            memory += pages * os.sysconf("SC_PAGE_SIZE")
            descriptors += len(os.listdir(f"/proc/{worker}/fd"))
    return Sample(memory, descriptors)


@contextlib.contextmanager
def started(kind: Kind, directory: Path, seed: str, seconds: float) -> Iterator[Run]:
    """Run the service of a kind, with two workers."""
    settings = {"WEB_CONCURRENCY": "2", **kind.settings}
    with service(directory, **settings) as live:
        yield Run(kind, live, seed, seconds, _limited_key(live))


def _limited_key(live: Service) -> str:
    """Make an API key whose requests are counted; return it once all workers know it."""
    rules = [{"service": "cache", "verbs": ["GET", "POST", "PUT", "PATCH", "DELETE"]}]
    fields = {"name": "limited", "rules": rules, "rate_limit": PLENTY}
    made = call(live.port, "POST", f"{SYSTEM}/api_key", fields)
    assert made.status == 201, made
    key: str = made.json["resource"][0]["api_key"]
    eventually(lambda: all(_counts(live, key) for _ in range(KNOWN_TIMES)), 20)
    return key


def _counts(live: Service, key: str) -> bool:
    return "RateLimit-Remaining" in call(live.port, "GET", f"{CACHE}/k", key=key).headers
