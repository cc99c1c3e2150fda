"""One service and its servers: does it work, how fast, how full, and what would help."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backends.base import Backend
from backends.capabilities import Capability
from backends.endpoints import Endpoint, trial_key
from backends.errors import (
    AuthenticationFailed,
    BackendError,
    LoginNotSent,
    Timeout,
    Unavailable,
)
from backends.parallel import at_once
from backends.probe import NotDone
from backends.statistics import ServerStatistics
from cacheapi.caching.service import CacheService
from cacheapi.commands.diagnosis.findings import Finding, Level
from cacheapi.commands.diagnosis.places import Fault, Reached, reach
from cacheapi.observing import statistics
from cacheapi.registry import trial
from cacheapi.registry.trial import Outcome, Step

ROUND_TRIPS: Final = 100
# A slow server is judged by fewer.
LATENCY_SECONDS: Final = 2.0
# In one data center it is a millisecond.
SLOW_MS: Final = 20.0
# More, and a lifetime that is a Unix time ends at another time than was meant.
CLOCK_SECONDS: Final = 2.0
# What these rules find ends badly. A cache that is full and evicts does what it is for.
WARNED: Final = frozenset({"connections"})
# Where the servers say which they are, and what time it is.
_VERSIONS: Final = ("version", "valkey_version", "redis_version")
_HANGS: Final = (
    "It takes connections and does not answer: its process is stopped or stuck, or the machine is "
    "overloaded. Look at the process there (is its state T?), continue or restart it."
)
_LOGIN: Final = "Correct the user name and password of the service, or those of the server."


@dataclasses.dataclass
class Latency:
    """The time of round trips, in milliseconds."""

    round_trips: int
    p50: float
    p99: float


@dataclasses.dataclass
class ServerReport:
    """What a server is like."""

    server: str
    steps: list[Step] = dataclasses.field(default_factory=list)
    version: str | None = None
    clock_offset: float | None = None
    latency_ms: Latency | None = None
    stats: dict[str, Any] | None = None


@dataclasses.dataclass
class ServiceReport:
    """What a service is like.

    :ivar names: of the same cache, by more than one.
    :ivar about: what else there is to know.
    """

    names: list[str]
    type: str
    success: bool
    steps: list[Step]
    servers: list[ServerReport]
    findings: list[Finding]
    about: str = ""


def look(names: list[str], service: CacheService) -> ServiceReport:
    """Look into a service, all of its servers at once."""
    return _Look(names, service).report()


class _Look:
    """A look into one service."""

    def __init__(self, names: list[str], service: CacheService) -> None:
        self._names = names
        self._service = service
        self._backend: Backend = service.backend
        self._findings: list[Finding] = []

    def report(self) -> ServiceReport:
        """Look, and say what was found."""
        endpoints = self._backend.endpoints()
        # Before the rest: it may leave a server out, and that is not what is looked for.
        reached = at_once(reach, endpoints)
        before = time.time()
        told = self._statistics()
        after = time.time()
        servers = [
            self._server(endpoint, one, told)
            for endpoint, one in zip(endpoints, reached, strict=True)
        ]
        if not endpoints:
            servers = [self._without_place(each) for each in told.values()]
        for server in servers:
            self._judge_clock(server, told.get(server.server), before, after)
        outcome = self._outcome(endpoints, servers)
        if self._backend.in_front:
            self._find(
                Level.ADVICE,
                None,
                self._backend.in_front,
                "Keys are read and written; for statistics, lists, flushes and lifetimes ask the "
                "servers behind it, or give the service their addresses.",
            )
        return ServiceReport(
            self._names,
            self._service.type,
            outcome.success,
            outcome.steps,
            servers,
            self._findings,
        )

    def _statistics(self) -> dict[str, ServerStatistics]:
        """Return what each server says of itself, by name; note the advice that follows."""
        if Capability.STATS not in self._backend.capabilities:
            return {}
        try:
            found = statistics.read(self._service)
        except BackendError:
            # The trial says what is wrong.
            return {}
        for advice in found.advice:
            level = Level.WARNING if advice.rule in WARNED else Level.ADVICE
            self._find(level, None, advice.message, "")
        return {server.server: server for server in found.servers}

    def _server(
        self, endpoint: Endpoint, reached: Reached, told: Mapping[str, ServerStatistics]
    ) -> ServerReport:
        report = ServerReport(endpoint.server, list(reached.steps))
        if reached.fault is not None:
            self._fail(endpoint.server, reached.fault)
            return report
        if reached.warning is not None:
            self._find(Level.WARNING, endpoint.server, *reached.warning)
        own = told.get(endpoint.server)
        if own is not None:
            self._take(report, own)
            if own.error is not None:
                self._fail(endpoint.server, _fault_of(own))
        return report

    def _without_place(self, told: ServerStatistics) -> ServerReport:
        report = ServerReport(told.server)
        self._take(report, told)
        if told.error is not None:
            self._fail(told.server, _fault_of(told))
        return report

    def _take(self, report: ServerReport, told: ServerStatistics) -> None:
        """Take what a server says of itself into its report."""
        if told.error is not None or told.figures is None:
            report.steps.append(Step("statistics", False, told.error or "", 0.0))
            return
        report.stats = statistics.figures_shown(told.figures)
        name = next((name for name in _VERSIONS if name in told.raw), "")
        # Valkey says too, as which Redis it behaves.
        brand = "Valkey " if name.startswith("valkey") else ""
        report.version = f"{brand}{told.raw[name]}" if name else None

    def _judge_clock(
        self, report: ServerReport, told: ServerStatistics | None, before: float, after: float
    ) -> None:
        theirs = None if told is None else _clock(told.raw)
        if theirs is None:
            return
        # It was read at some time between, and some servers count whole seconds.
        low, high = before - theirs - 1, after - theirs
        offset = 0.0 if low <= 0 <= high else -(low if low > 0 else high)
        report.clock_offset = round(offset, 3)
        if abs(offset) > CLOCK_SECONDS:
            message = f"Its clock and this machine's are {abs(offset):.0f} s apart."
            action = "Let both follow the same time (NTP): a ttl that is a Unix time ends wrong."
            self._find(Level.WARNING, report.server, message, action)

    def _outcome(self, endpoints: Sequence[Endpoint], servers: Sequence[ServerReport]) -> Outcome:
        """Try the service, on each server with a key of its own, and time it."""
        tried = [
            (endpoint.key, server)
            for endpoint, server in zip(endpoints, servers, strict=False)
            if endpoint.key is not None
        ]
        if not tried:
            tried = [(trial_key(), server) for server in servers[:1] or [ServerReport("")]]
        outcomes = at_once(lambda pair: self._try(*pair), tried)
        return next((each for each in outcomes if not each.success), outcomes[0])

    def _try(self, key: str, server: ServerReport) -> Outcome:
        outcome = trial.run_on(self._backend, key)
        failed = not all(step.success for step in server.steps)
        # A step before has found the reason already, and said it better; and on a pool,
        # another server has answered.
        if failed:
            return outcome
        server.steps += map(_named, outcome.steps[1:])
        if outcome.success:
            server.latency_ms = _latency(self._backend, key)
            self._judge_latency(server)
            return outcome
        said = outcome.steps[-1]
        action = outcome.cause or ""
        if action == trial.cause_of(Timeout("")) and len(server.steps) > 1:
            action = _HANGS
        self._fail(server.server, Fault(f"{said.name}: {said.message}", action))
        return outcome

    def _judge_latency(self, server: ServerReport) -> None:
        latency = server.latency_ms
        if latency is not None and latency.p50 > SLOW_MS:
            message = f"Half of its round trips take {latency.p50:.0f} ms or more."
            action = "Is it far away, or overloaded? Each request waits so long, at least."
            self._find(Level.WARNING, server.server, message, action)

    def _fail(self, server: str, fault: Fault) -> None:
        self._find(Level.FAILURE, server, fault.message, fault.action)

    def _find(self, level: Level, server: str | None, message: str, action: str) -> None:
        where = f"service {' = '.join(self._names)}"
        if server:
            where += f", server {server}"
        told = self._backend.told
        self._findings.append(Finding(level, where, told(message), told(action)))


def _named(step: Step) -> Step:
    """Return a step of the trial, whose first question needs a connection and a login."""
    return dataclasses.replace(step, name="login") if step.name == "connect" else step


def _fault_of(told: ServerStatistics) -> Fault:
    """Return what the error in a server's statistics means, where it was connected to."""
    error = told.error or ""
    if told.cause:
        return Fault(error, told.cause)
    if error.startswith("Authentication failed"):
        refused = AuthenticationFailed if "refused" in error else LoginNotSent
        advice = f" {_LOGIN}" if refused is AuthenticationFailed else ""
        return Fault(error, f"{trial.cause_of(refused(''))}{advice}")
    if error.startswith("Connection timed out"):
        return Fault(error, _HANGS)
    return Fault(error, trial.cause_of(Unavailable("")))


def _clock(raw: Mapping[str, Any]) -> float | None:
    """Return the Unix time of a server, where it says it."""
    if isinstance(raw.get("server_time_usec"), int):
        return float(raw["server_time_usec"]) / 1e6
    return float(raw["time"]) if isinstance(raw.get("time"), int) else None


def _latency(backend: Backend, key: str) -> Latency | None:
    """Time round trips; ``None`` where one failed."""
    taken = []
    end = time.monotonic() + LATENCY_SECONDS
    probe = backend.probe(key)
    for _ in range(ROUND_TRIPS):
        started = time.perf_counter()
        try:
            probe.connect()
        except (BackendError, NotDone):
            return None
        taken.append((time.perf_counter() - started) * 1000)
        if time.monotonic() > end:
            break
    return Latency(len(taken), *(round(_percentile(taken, part), 3) for part in (0.5, 0.99)))


def _percentile(values: list[float], part: float) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * part) - 1)]
