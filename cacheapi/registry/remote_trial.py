"""Trying a service in front of an HTTP API: whether it answers, and what stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from backends.endpoints import trial_key
from backends.errors import Failed, Timeout, Unavailable
from cacheapi.registry.definition import Definition
from cacheapi.registry.errors import Fault, Invalid
from cacheapi.registry.live import Registry
from cacheapi.responses.connection import OriginFailed
from cacheapi.responses.origin import Origin
from cacheapi.responses.remote import Remote


def works(registry: Registry, definition: Definition) -> list[Callable[[], None]]:
    """Return the steps of a trial, each named for what it does.

    Any answer of the API will do: its base URL need not be anything. The cache is asked for a
    key that nobody stores under.
    """
    made: list[Remote] = []

    def configure() -> None:
        made.append(definition.make_remote())

    def connect() -> None:
        asyncio.run(_ask(made[0]))

    def cache() -> None:
        name = made[0].cache
        service = registry.find(name)
        if service is None:
            raise Invalid(
                [Fault(f"There is no service {name!r} to store answers.", "config.cache")]
            )
        service.backend.get(trial_key())

    return [configure, connect, cache]


async def _ask(remote: Remote) -> None:
    """Ask for the base URL.

    :raises Failed: there is no answer.
    """
    config = remote.config
    origin = Origin(
        config.base,
        connect_seconds=config.connect_seconds,
        read_seconds=config.read_seconds,
        ignores_codings=config.ignores_codings,
    )
    try:
        answer = await origin.send("GET", config.base.target(b"", b""), config.headers)
        answer.close()
    except OriginFailed as error:
        kind: type[Failed] = Timeout if error.status == 504 else Unavailable
        raise kind(str(error)) from error
    finally:
        origin.close()
