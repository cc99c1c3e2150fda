"""What is purged: as a client wants it, and what its writes have made invalid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cacheapi.responses.asking import Asked, NoAnswer, target_of
from cacheapi.responses.calls import CacheDown, Calls
from cacheapi.responses.config import Config
from cacheapi.responses.invalidation import invalidates
from cacheapi.responses.listening import ALL, TAG, URL, Listener
from cacheapi.responses.messages import Response
from cacheapi.responses.store import Store


class Purging:
    """The purges of one service in this worker.

    :param listener: is told of each.
    :ivar purges: how many were made here: what was held before one is not to be served.
    """

    def __init__(self, config: Config, calls: Calls, listener: Listener) -> None:
        self.config = config
        self.store: Store = calls.store
        self.purges = 0
        self._calls = calls
        self._listener = listener

    async def purge(self, path: bytes, query: bytes, *, soft: bool) -> None:
        """Make all variants of a URL gone, or stale.

        :raises NoAnswer: 400, or 500 where the cache cannot be used.
        """
        url, _ = target_of(self.config, path, query)
        await self._purged(URL, lambda: self.store.purge_url(url, soft=soft))

    async def purge_tags(self, tags: Sequence[str], *, soft: bool) -> None:
        """Make gone, or stale, everything that carries one of some tags.

        :raises NoAnswer: 500; the cache cannot be used.
        """
        await self._purged(TAG, lambda: self.store.purge_tags(tags, soft=soft))

    async def purge_all(self, *, soft: bool) -> None:
        """Make gone, or stale, everything of the service.

        :raises NoAnswer: 500; the cache cannot be used.
        """
        await self._purged(ALL, lambda: self.store.purge_all(soft=soft))

    async def _run(self, work: Callable[..., None], *arguments: str) -> None:
        """Purge; what was looked up meanwhile may be from before."""
        try:
            await self._calls.run(work, *arguments)
        finally:
            self.purges += 1

    async def _purged(self, scope: str, work: Callable[[], None]) -> None:
        try:
            await self._run(work)
        except CacheDown as error:
            raise NoAnswer(500, f"Nothing was purged: {error}") from error
        self._listener.purged(scope)

    async def _forget(self, asked: Asked, head: Response) -> None:
        """Make gone what a write has made invalid: now, or before the store is used again."""
        for url in invalidates(asked.request, head):
            target = self._known(url)
            if target is not None:
                try:
                    await self._run(self.store.purge_url, target)
                except CacheDown:
                    self._calls.owe_purge(target)

    def _known(self, url: str) -> str | None:
        """Return a URL of the origin in the one way to write it; ``None`` if it is none."""
        root = self.config.base.root
        if not url.startswith(root):
            return None
        path, _, query = url[len(root) :].partition("?")
        if not path.startswith(self.config.base.path):
            return None
        below = path[len(self.config.base.path) :]
        try:
            return target_of(self.config, below.encode(), query.encode())[0]
        except NoAnswer:
            return None
