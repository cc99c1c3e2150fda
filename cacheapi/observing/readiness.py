"""Whether the services that count can do their work: each is tried, really, and in parallel.

Anybody may ask, so what is told names no host and no secret, and is found out at most once
a second in a process: a flood of questions costs the caches no more than one does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from backends.base import Backend
from backends.errors import Timeout
from cacheapi.registry.live import Registry
from cacheapi.registry.snapshot import Snapshot
from cacheapi.registry.trial import Outcome, cause_of, run_on
from cacheapi.settings import EVERY_SERVICE

log = logging.getLogger(__name__)

# The name of an application's Readiness in its "extensions".
READINESS: Final = "cacheapi.observing.readiness"
SHARED_SECONDS: Final = 1.0

NO_SERVICE: Final = "There is no such service."
UNUSABLE: Final = "Its settings cannot be used."
NOT_READ: Final = "The database of services cannot be read yet."
UNEXPECTED: Final = "It failed unexpectedly; the service's log says how."


class Verdict(NamedTuple):
    """What became of trying a service.

    :ivar step: the step of the trial that failed, if one was reached.
    :ivar why: what is likely wrong, for anybody; ``None``: it works.
    :ivar said: what the backend said, for the log.
    """

    name: str
    ms: float = 0.0
    step: str | None = None
    why: str | None = None
    said: str = ""

    @property
    def sentence(self) -> str:
        """What is wrong, in one sentence or two."""
        failed = f"could not {self.step}" if self.step else "is not ready"
        return f"Service '{self.name}' {failed}. {self.why}"


class _Attempt(threading.Thread):
    """A trial on a thread of its own, which nothing waits for at the end of the process."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(name="readiness", daemon=True)
        self.outcome: Outcome | None = None
        self._backend = backend
        self._started_at = time.monotonic()
        self.start()

    def run(self) -> None:
        try:
            self.outcome = run_on(self._backend)
        except Exception:
            log.exception("Trying a service failed")
            self.outcome = Outcome(False, [], UNEXPECTED)

    def verdict(self, name: str, deadline: float) -> Verdict:
        """Wait for it until the deadline, and return what became of it."""
        self.join(max(0.0, deadline - time.monotonic()))
        outcome = self.outcome
        if outcome is None:
            ms = (time.monotonic() - self._started_at) * 1000
            return Verdict(name, round(ms, 3), None, cause_of(Timeout()), "It is waited for.")
        ms = round(sum(step.ms for step in outcome.steps), 3)
        if outcome.success:
            return Verdict(name, ms)
        last = outcome.steps[-1] if outcome.steps else None
        return Verdict(
            name,
            ms,
            None if last is None else last.name,
            outcome.cause,
            "" if last is None else last.message,
        )


class Readiness:
    """The services that count; for all threads.

    :param wanted: their names; :data:`~cacheapi.settings.EVERY_SERVICE` alone for all that are
        active. One that is named and not active does not count.
    :param seconds: how long to wait for all of them.
    """

    def __init__(self, registry: Registry, wanted: Sequence[str], seconds: float) -> None:
        self._registry = registry
        self._wanted = wanted
        self._seconds = seconds
        self._lock = threading.Lock()
        # By the backend: one that hangs is not asked again until it answers.
        self._attempts: dict[Backend, _Attempt] = {}
        self._verdicts: list[Verdict] = []
        self._until = 0.0

    def check(self) -> list[Verdict]:
        """Return a verdict on each service that counts, none older than a second."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._verdicts = self._try()
                self._until = time.monotonic() + SHARED_SECONDS
            return self._verdicts

    def announce(self) -> None:
        """Log, soon, which services do not work; this waits for none of them."""
        threading.Thread(target=self._announce, name="readiness", daemon=True).start()

    def _announce(self) -> None:
        for verdict in self.check():
            if verdict.why is not None:
                log.warning("%s", " ".join(filter(None, (verdict.sentence, verdict.said))))

    def _try(self) -> list[Verdict]:
        deadline = time.monotonic() + self._seconds
        snapshot = self._registry.snapshot
        attempts: dict[Backend, _Attempt] = {}
        found: dict[str, _Attempt | str] = {}
        for name in self._names(snapshot):
            service = snapshot.find(name)
            if service is None:
                found[name] = _fault(snapshot, name)
                continue
            backend = service.backend
            if backend not in attempts:
                attempts[backend] = self._attempt(backend)
            found[name] = attempts[backend]
        self._attempts = attempts
        return [
            Verdict(name, why=what) if isinstance(what, str) else what.verdict(name, deadline)
            for name, what in found.items()
        ]

    @property
    def _wants_all(self) -> bool:
        return EVERY_SERVICE in self._wanted

    def _names(self, snapshot: Snapshot) -> Iterator[str]:
        definitions = snapshot.definitions
        for name in sorted(definitions) if self._wants_all else self._wanted:
            definition = definitions.get(snapshot.name_of(name))
            if definition is None or definition.is_active:
                yield name
        if self._wants_all and not snapshot.is_complete:
            yield EVERY_SERVICE

    def _attempt(self, backend: Backend) -> _Attempt:
        last = self._attempts.get(backend)
        return last if last is not None and last.is_alive() else _Attempt(backend)


def _fault(snapshot: Snapshot, name: str) -> str:
    if snapshot.name_of(name) in snapshot.definitions:
        return UNUSABLE
    return NO_SERVICE if snapshot.is_complete else NOT_READ
