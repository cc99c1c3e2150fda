"""Trips to the stores of answers of HTTP APIs, on the thread that serves every connection.

So no store that failed or was slow is asked here until a try on another thread has succeeded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from backends.base import Backend
from backends.errors import BackendError, Failed
from cacheapi.responses.calls import CacheDown
from cacheapi.responses.engine import Engine
from cacheapi.responses.kept import Kept
from cacheapi.serving.health import SLOW_SECONDS, Health, Way
from cacheapi.web.errors import note

# What is read in one trip, in bytes, about.
TRIP_BYTES: Final = 4 * 1024 * 1024
# That a store has what it had.
SAME: Final[dict[str, bytes]] = {}


class Stores:
    """Asks them; for one event loop.

    :ivar troubled: those that are not well, see :meth:`is_well`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Backends that failed or were slow.
        self.troubled: dict[Backend, Health] = {}
        self._probes: set[asyncio.Task[None]] = set()

    def look(self, asked: Iterable[tuple[Engine, Kept]]) -> set[Kept]:
        """Learn what the stores have: one trip each, and one for tags that were not known.

        :return: those of which it cannot be known.
        """
        by_backend: dict[Backend, dict[Kept, None]] = {}
        engines = set()
        for engine, kept in asked:
            engines.add(engine)
            backend = engine.store.backend
            kepts = by_backend.get(backend)
            if kepts is None:
                kepts = by_backend[backend] = {}
            kepts[kept] = None
        unknown: set[Kept] = set()
        for backend, kepts in by_backend.items():
            known = [kept.known for kept in kepts]
            found = self._get(
                backend,
                (key for kept in kepts for key in kept.keys),
                () if None in known else known,
            )
            if found is None:
                unknown.update(kepts)
                self._tell(backend, engines)
                continue
            now = time.monotonic()
            if found is SAME:
                for kept in kepts:
                    kept.hold(now)
                continue
            lacking: dict[Kept, list[str]] = {}
            for kept in kepts:
                missing = kept.take(found, now)
                if missing:
                    lacking[kept] = missing
            if not lacking:
                continue
            more = self._get(backend, (key for missing in lacking.values() for key in missing))
            if more is None:
                unknown.update(lacking)
                continue
            for kept in lacking:
                if kept.take({**found, **more}, now):
                    unknown.add(kept)
        return unknown

    def _tell(self, backend: Backend, engines: Iterable[Engine]) -> None:
        """Spare engines finding out for themselves, by waiting, that their store is down."""
        health = self.troubled.get(backend)
        if health is not None and health.failure is not None:
            for engine in engines:
                if engine.store.backend is backend:
                    engine.cut_off(str(health.failure))

    def bring_bodies(self, lacking: Mapping[Kept, Engine]) -> None:
        """Read bodies that are lacking, as many as one trip may have."""
        by_backend: dict[Backend, list[Kept]] = {}
        size = 0
        for kept, engine in lacking.items():
            size += kept.lacking_bytes
            if size <= TRIP_BYTES:
                by_backend.setdefault(engine.store.backend, []).append(kept)
        for backend, kepts in by_backend.items():
            found = self._get(backend, (kept.lacking for kept in kepts if kept.lacking))
            for kept in kepts:
                kept.take_body(found or {})

    def _get(
        self, backend: Backend, keys: Iterable[str], known: Sequence[Any] = ()
    ) -> dict[str, bytes] | None:
        """Return what a store has; ``None`` if it cannot be known.

        :param known: what it has been; where that is so still, return :data:`SAME`.
        """
        started = time.monotonic()
        failure: Failed | None = None
        try:
            if known:
                changed = backend.get_changed(known)
                if changed is None:
                    return SAME
                values = changed
            else:
                values = backend.get_each(dict.fromkeys(keys))
        except Failed as error:
            note(error)
            failure = error
            return None
        except BackendError:
            return None
        finally:
            ended = time.monotonic()
            if failure is not None or ended - started > SLOW_SECONDS:
                self.troubled.setdefault(backend, Health()).failed(ended, failure)
        return {key: value for key, value in values.items() if isinstance(value, bytes)}

    def is_well(self, engine: Engine, keys: Sequence[str]) -> bool:
        """Return whether a store may be asked on this thread; see it tried on another.

        :param keys: to try it with.
        """
        backend = engine.store.backend
        health = self.troubled.get(backend)
        if health is None:
            return True
        way = health.way(time.monotonic())
        if way is Way.LANE:
            del self.troubled[backend]
            return True
        if way is Way.FLASK:
            probe = self._loop.create_task(_probe(engine, health, keys))
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)
        return False


async def _probe(engine: Engine, health: Health, keys: Sequence[str]) -> None:
    started = time.monotonic()
    try:
        await engine.try_store(keys)
    except CacheDown:
        health.failed(time.monotonic(), health.failure)
    else:
        ended = time.monotonic()
        health.heard(ended, ended - started, 200)
