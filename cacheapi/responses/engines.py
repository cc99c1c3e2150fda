"""The engines of all services in front of an API, for one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from backends.base import Backend
from cacheapi.responses.asking import NoAnswer
from cacheapi.responses.budget import Budget
from cacheapi.responses.calls import THREADS
from cacheapi.responses.engine import Engine
from cacheapi.responses.listening import Listener
from cacheapi.responses.remote import Remote
from cacheapi.responses.store import Store

MOUNT: Final = "/api/v2/"
# What is under way at a service that changed has ended by then.
RETIRED_SECONDS: Final = 120.0


class Engines:
    """Makes an engine for a service when one is first needed, and anew when it has changed.

    :param find_backend: gives the backend of the service that stores, by its name.
    :param listen: gives who is told of a service, by its name.
    :param retire: is told of an engine whose service has changed.
    :param mount: the path that all services are below, as clients have it.
    """

    def __init__(
        self,
        find_backend: Callable[[str], Backend | None],
        listen: Callable[[str], Listener] | None = None,
        retire: Callable[[Engine], None] | None = None,
        mount: str = MOUNT,
    ) -> None:
        self._mount = mount
        self._find_backend = find_backend
        self._listen = listen
        self._tell_retired = retire
        self._threads: ThreadPoolExecutor | None = None
        self._budget = Budget()
        self._engines: dict[str, tuple[Remote, Backend, Engine]] = {}
        # Those of services that have changed since, and what will close them.
        self._retired: dict[Engine, asyncio.TimerHandle] = {}

    def engine(self, remote: Remote) -> Engine:
        """Return the engine of a service, within the event loop.

        :raises NoAnswer: 500; the service that stores is not there.
        """
        backend = self._find_backend(remote.cache)
        if backend is None:
            raise NoAnswer(500, f"The service '{remote.cache}' that stores cannot be used.")
        known = self._engines.get(remote.name)
        if known is not None:
            if known[0] is remote and known[1] is backend:
                return known[2]
            self._retire(known[2])
        self._threads = self._threads or ThreadPoolExecutor(THREADS, thread_name_prefix="responses")
        made = Engine(
            remote.name,
            remote.config,
            Store(remote.name, backend, remote.config.counts),
            mount=f"{self._mount}{remote.name}",
            threads=self._threads,
            budget=self._budget,
            listener=None if self._listen is None else self._listen(remote.name),
        )
        self._engines[remote.name] = (remote, backend, made)
        return made

    def known(self, remote: Remote) -> Engine | None:
        """Return the engine of a service if there is one for it as it is now; from any thread."""
        known = self._engines.get(remote.name)
        if known is None or known[0] is not remote:
            return None
        return known[2] if known[1] is self._find_backend(remote.cache) else None

    def _retire(self, engine: Engine) -> None:
        def close() -> None:
            del self._retired[engine]
            engine.close()

        if self._tell_retired is not None:
            self._tell_retired(engine)
        loop = asyncio.get_running_loop()
        self._retired[engine] = loop.call_later(RETIRED_SECONDS, close)

    async def end(self) -> None:
        """Close all engines, before the event loop ends."""
        for timer in self._retired.values():
            timer.cancel()
        engines = [*self._retired, *(made for _, _, made in self._engines.values())]
        self._retired, self._engines = {}, {}
        await asyncio.gather(*(engine.end() for engine in engines))
        if self._threads is not None:
            # What still hangs at a cache keeps its thread, and nobody waits for it.
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
