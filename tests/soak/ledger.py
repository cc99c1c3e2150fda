"""What happened in a run: counts, failures within a fault's window and outside it, breaches."""

from __future__ import annotations

import collections
import threading
import time

from tests.soak.calls import Wishes
from tests.soak.model import Breach


class Window:
    """A fault, from its beginning until the time that its end is promised for.

    :param describe: what is done to which server.
    :param spared: verbs that may not fail in it either.
    :param most: failures that one client may have in it; ``None`` for any number.
    """

    def __init__(
        self, describe: str, spared: frozenset[str] = frozenset(), most: int | None = None
    ) -> None:
        self.describe = describe
        self.spared = spared
        self.most = most
        self.start = time.monotonic()
        self.end: float | None = None
        self.last_failure: float | None = None
        self.failures: collections.Counter[str] = collections.Counter()

    def touches(self, start: float, end: float) -> bool:
        return start <= (self.end or end) and end >= self.start


class Ledger:
    """The record of one kind's run. Safe for threads."""

    def __init__(self) -> None:
        self.requests = 0
        self.statuses: collections.Counter[str] = collections.Counter()
        self.breaches: collections.Counter[str] = collections.Counter()
        self.inside = 0
        self.outside = 0
        self.slowest = 0.0
        self.windows: list[Window] = []
        self.evidence: list[str] = []
        self._lock = threading.Lock()

    # Faults

    def open(self, window: Window) -> Window:
        with self._lock:
            self.windows.append(window)
            return window

    def close(self, window: Window, after: float = 0.0) -> None:
        """Let a window end some seconds from now."""
        window.end = time.monotonic() + after

    def in_fault(self, since: float) -> bool:
        now = time.monotonic()
        return any(window.touches(since, now) for window in self.windows)

    @property
    def longest_window(self) -> float:
        """The longest time from a fault's beginning to the last failure that it caused."""
        lengths = [
            window.last_failure - window.start
            for window in self.windows
            if window.last_failure is not None
        ]
        return max(lengths, default=0.0)

    # Requests

    def answered(self, status: int, started: float) -> None:
        with self._lock:
            self.requests += 1
            self.statuses[str(status)] += 1
            self.slowest = max(self.slowest, time.monotonic() - started)

    def failed(self, text: str, started: float, wishes: Wishes, client: str) -> None:
        """Note a 500, or a connection that broke (which was not counted as answered)."""
        now = time.monotonic()
        with self._lock:
            if "-> 500" not in text:
                self.requests += 1
                self.statuses["lost"] += 1
            window = next((one for one in self.windows if one.touches(started, now)), None)
            if window is None:
                self.outside += 1
                self._breach("500 outside a window", text)
                return
            self.inside += 1
            window.last_failure = now
            window.failures[client] += 1
            where = f"{text}, {now - window.start:.2f} s after: {window.describe}"
            if any(wish.verb in window.spared for _, wish in wishes):
                self._breach("500 of a spared verb", where)
            elif window.most is not None and window.failures[client] > window.most:
                self._breach(f"over {window.most} failures of a client", where)

    def strange(self, text: str) -> None:
        """Note an answer that the contract does not have."""
        with self._lock:
            self._breach("strange answer", text)

    def judged(self, breach: Breach | None) -> None:
        if breach is not None:
            with self._lock:
                self._breach(breach.kind, "\n    ".join([breach.text, *breach.history]))

    def promise(self, kind: str, text: str) -> None:
        """Note a promise that was broken by something else than one request."""
        with self._lock:
            self._breach(kind, text)

    def _breach(self, kind: str, text: str) -> None:
        self.breaches[kind] += 1
        # The first tells most; hundreds may follow from it.
        if len(self.evidence) < 5 or self.breaches[kind] == 1:
            self.evidence.append(f"{kind}: {text}")

    def line(self) -> str:
        """Return the state of the run in one line."""
        statuses = " ".join(f"{status}:{count}" for status, count in sorted(self.statuses.items()))
        broken = sum(self.breaches.values())
        return (
            f"{self.requests} requests ({statuses}), failures {self.inside} in windows "
            f"and {self.outside} outside, promises broken {broken}"
        )
