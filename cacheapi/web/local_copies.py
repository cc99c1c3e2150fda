"""Copies of answers of HTTP APIs in a process of threads, for services with ``local_ms``.

A worker of ours holds such copies in its event loop. A server of threads has several requests at
a time: they share the copies, in the same bound, and each looks for itself where one has not
been compared with the cache for too long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from backends.errors import BackendError
from cacheapi.responses.answers import Outgoing
from cacheapi.responses.asking import Asked
from cacheapi.responses.engine import Engine
from cacheapi.responses.kept import Kept
from cacheapi.responses.shelf import MOST_BYTES, Shelf


class LocalCopies:
    """Answers from them; for all threads of a process.

    :param most: bytes of all together.
    :param clock: one that does not go back; for tests.
    """

    def __init__(self, most: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._shelf = Shelf(most)

    def answer(self, engine: Engine, asked: Asked) -> Outgoing | None:
        """Return a fresh answer; ``None`` if that is the engine's to find, or the service has none.

        Blocks as the cache does, where that is to be asked.
        """
        config, request = engine.config, asked.request
        if not (config.local_seconds and config.is_on) or engine.is_cut_off:
            return None
        if request.method not in ("GET", "HEAD"):
            return None
        name = request.target.encode(errors="surrogatepass")
        now = self._clock()
        with self._lock:
            kept = self._shelf.find(engine, name)
            if kept is None:
                kept = Kept(engine, request.target, asked.target, "")
                self._shelf.add(engine, name, kept)
            elif kept.is_current(now):
                out = kept.outgoing(asked)
                if out is not None:
                    return out
        try:
            return self._looked_up(engine, kept, asked, now)
        except BackendError:
            # The engine finds out for itself, and knows what to do then.
            return None

    def forget(self, engine: Engine) -> None:
        """Drop what is held for a service that has changed."""
        with self._lock:
            self._shelf.forget(engine)

    def _looked_up(self, engine: Engine, kept: Kept, asked: Asked, now: float) -> Outgoing | None:
        backend = engine.store.backend
        purges = engine.purges
        found = backend.get_many(kept.keys)
        with self._lock:
            missing = kept.take(found, now, purges)
        if missing:
            found = {**found, **backend.get_many(missing)}
            with self._lock:
                if kept.take(found, now, purges):
                    return None
        with self._lock:
            out = kept.outgoing(asked)
            lacking = kept.lacking
        if out is None and lacking is not None:
            found = backend.get_many([lacking])
            with self._lock:
                kept.take_body(found)
                out = kept.outgoing(asked)
        return out
