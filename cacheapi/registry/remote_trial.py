"""Trying a service in front of an HTTP API: whether it answers, and what stores."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from backends.endpoints import trial_key
from backends.errors import Failed, Timeout, Unavailable
from cacheapi.registry.definition import Definition
from cacheapi.registry.errors import Fault, Invalid
from cacheapi.registry.live import Registry
from cacheapi.responses.connection import OriginFailed
from cacheapi.responses.origin import Origin
from cacheapi.responses.remote import Remote

_FAILED: Final = "The API is there, but fails; its own log may say why."


def works(
    registry: Registry, definition: Definition, patience: float | None = None
) -> list[Callable[[], str | None]]:
    """Return the steps of a trial, each named for what it does.

    The base URL need not be anything: any answer of the API will do that does not say that the
    API fails. The cache is asked for a key that nobody stores under.

    :param patience: as :func:`ask` takes it.
    """
    made: list[Remote] = []

    def configure() -> None:
        made.append(definition.make_remote())

    def connect() -> str:
        return f"The API answered {ask(made[0], patience)} at its base URL."

    def cache() -> None:
        name = made[0].cache
        service = registry.find(name)
        if service is None:
            raise Invalid(
                [Fault(f"There is no service {name!r} to store answers.", "config.cache")]
            )
        service.backend.get(trial_key())

    return [configure, connect, cache]


def ask(remote: Remote, patience: float | None = None) -> str:
    """Ask an API for its base URL; return the status of its answer, with its name.

    :param patience: seconds to wait at most, where the service would wait longer.
    :raises Failed: there is no answer, or one of 5xx.
    """
    status = asyncio.run(_status(remote, patience))
    named = str(status)
    with contextlib.suppress(ValueError):
        named = f"{status} {HTTPStatus(status).phrase}"
    if status >= 500:
        raise Failed(f"The API answered {named} at its base URL.", _FAILED)
    return named


async def _status(remote: Remote, patience: float | None) -> int:
    config = remote.config
    most = float("inf") if patience is None else patience
    origin = Origin(
        config.base,
        connect_seconds=min(config.connect_seconds, most),
        read_seconds=min(config.read_seconds, most),
        ignores_codings=config.ignores_codings,
    )
    try:
        answer = await origin.send("GET", config.base.target(b"", b""), config.headers)
        answer.close()
        return answer.head.status
    except OriginFailed as error:
        kind: type[Failed] = Timeout if error.status == 504 else Unavailable
        raise kind(str(error)) from error
    finally:
        origin.close()
