"""Trying a service: connect, write, read, delete; and what is likely wrong, in plain words."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from backends import owned
from backends.base import Backend
from backends.endpoints import trial_key
from backends.errors import (
    AuthenticationFailed,
    BackendError,
    Failed,
    LoginNotSent,
    NotNow,
    NotPermitted,
    OutOfMemory,
    Timeout,
    Unavailable,
    ValueTooLarge,
)
from backends.probe import NotDone, Probe
from cacheapi.registry import forms
from cacheapi.registry.definition import Definition
from cacheapi.registry.errors import Invalid
from cacheapi.registry.live import Registry
from cacheapi.responses.remote import RemoteType

# The first that fits; what a backend raises says what happened, this why that may be.
CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        LoginNotSent,
        (
            "No login was sent: the SASL plugin 'plain' (package libsasl2-modules) is missing "
            "here, or the server does not offer it."
        ),
    ),
    (NotPermitted, "The server gives this user fewer rights than a cache needs."),
    (AuthenticationFailed, "The server does not accept this user name and password."),
    (
        Timeout,
        (
            "Nothing answered in time: the address may be wrong, a firewall may drop the "
            "packets, or the server is overloaded."
        ),
    ),
    (
        NotNow,
        (
            "The server is there, but refuses for now: it has its most clients, loads its data, is "
            "busy, cannot save, or lacks its master or its replicas."
        ),
    ),
    (
        Unavailable,
        (
            "Nothing takes connections there: is the server running, are host and port right, may "
            "this machine reach it, and does it take more clients?"
        ),
    ),
    (OutOfMemory, "The server has no room left and may not evict."),
    (ValueTooLarge, "The server takes no value of even a few bytes."),
    (Failed, "The server is there, but does not do its work; its own log may say why."),
    (Invalid, "The settings do not go together."),
)
_OTHER: Final = "It stored and gave back something else: something else than a cache answers there."


@dataclasses.dataclass(frozen=True)
class Step:
    """A part of the trial."""

    name: str
    success: bool
    message: str
    ms: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    :ivar cause: what is likely wrong; ``None``: nothing.
    """

    success: bool
    steps: list[Step]
    cause: str | None


def run(
    registry: Registry, definition: Definition, *, saved: bool, patience: float | None = None
) -> Outcome:
    """Try a service with a key of the trial's own.

    :param saved: it is as it is saved, and so its own backend is tried, where it runs.
    :param patience: seconds to wait for an HTTP API at most; ``None``: what its settings say.
    """
    if definition.is_remote:
        # It brings an event loop, which takes a while to import.
        from cacheapi.registry import remote_trial

        return _outcome(_done(remote_trial.works(registry, definition, patience)))
    running = registry.find(definition.name) if saved else None
    if running is not None:
        return run_on(running.backend)
    owned.folder(registry.data_dir)
    with tempfile.TemporaryDirectory(dir=registry.data_dir, prefix="trial.") as directory:
        made: list[Backend] = []

        def make() -> Backend:
            kind = forms.kind_of(definition.type)
            assert not isinstance(kind, RemoteType)
            made.append(forms.make_backend(kind, definition.config, Path(directory)))
            return made[0]

        try:
            outcome = _outcome(_steps(make))
            return _told(made[0], outcome) if made else outcome
        finally:
            for backend in made:
                backend.close()


def run_on(backend: Backend, key: str | None = None) -> Outcome:
    """Try a backend that runs with a key of the trial's own.

    :param key: such a key, where it matters which of the servers has it.
    """
    return _told(backend, _outcome(_steps(lambda: backend, key)))


def _told(backend: Backend, outcome: Outcome) -> Outcome:
    """Return an outcome that calls settings as they are called where the backend was described."""
    return Outcome(
        outcome.success,
        [dataclasses.replace(step, message=backend.told(step.message)) for step in outcome.steps],
        None if outcome.cause is None else backend.told(outcome.cause),
    )


def cause_of(error: Exception) -> str:
    """Return what is likely wrong, in plain words that name no host and no secret."""
    told = error.cause if isinstance(error, Failed) else ""
    return told or next((words for kind, words in CAUSES if isinstance(error, kind)), _OTHER)


def _outcome(steps: Iterator[tuple[Step, Exception | None]]) -> Outcome:
    done: list[Step] = []
    for step, error in steps:
        done.append(step)
        if error is not None:
            return Outcome(False, done, cause_of(error))
    return Outcome(True, done, None)


def _steps(
    make: Callable[[], Backend], key: str | None = None
) -> Iterator[tuple[Step, Exception | None]]:
    """Try a backend with a key of the trial's own, step by step."""
    made: list[Probe] = []

    def configure() -> None:
        made.append(make().probe(key or trial_key()))

    def connect() -> None:
        # A key that was given is one server's.
        made[0].connect() if key else made[0].connect_all()

    def write() -> None:
        made[0].write()

    def read() -> None:
        made[0].read()

    def delete() -> None:
        made[0].delete()

    return _done([configure, connect, write, read, delete])


def _done(works: Iterable[Callable[[], str | None]]) -> Iterator[tuple[Step, Exception | None]]:
    """Do and yield each step, which may say what it found; the caller stops where one failed."""
    for work in works:
        started = time.monotonic()
        error: Exception | None = None
        message = "Done."
        try:
            message = work() or message
        except (BackendError, Invalid) as failure:
            error, message = failure, str(failure)
        except NotDone as failure:
            error, message = failure, "It answered, but not what was expected."
        ms = round((time.monotonic() - started) * 1000, 3)
        yield Step(work.__name__, error is None, message, ms), error
