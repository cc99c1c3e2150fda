"""Who waits for a lease to be given up elsewhere is woken: one look for all, in one trip.

A cache of bytes tells nobody that a key is gone, so somebody has to look. All that a worker
waits for is looked up together, often while it is new and more rarely as it grows old: what has
taken a second may be noticed a hundredth later.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from cacheapi.responses.calls import CacheDown, Calls

# The pause between two looks: a part of how long the newest has been waited for, in bounds.
PART: Final = 0.05
SHORTEST: Final = 0.004
LONGEST: Final = 0.02
# Of many, a look costs more than a pause.
EACH_SECONDS: Final = 0.00005
MOST_AT_ONCE: Final = 1000


class Watch:
    """The leases of others that are waited for, of one store and event loop."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        # When the waiting for a lease began, and what tells that it is gone.
        self._waited: dict[str, tuple[float, asyncio.Event]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def until_gone(self, key: str, seconds: float) -> bool:
        """Wait until nobody has a lease any more; return whether that is so.

        One may have been told so of a moment that is over again.

        :param seconds: the longest wait.
        """
        loop = asyncio.get_running_loop()
        known = self._waited.get(key)
        event = asyncio.Event() if known is None else known[1]
        # Anew for each that begins to wait: it may be gone soon.
        self._waited[key] = (loop.time(), event)
        if self._looking is None or self._looking.done():
            self._looking = loop.create_task(self._look())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
                return True
        return False

    def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waited:
            newest = max(since for since, _ in self._waited.values())
            pause = min(max((loop.time() - newest) * PART, SHORTEST), LONGEST)
            await asyncio.sleep(max(pause, EACH_SECONDS * len(self._waited)))
            keys = list(self._waited)
            for start in range(0, len(keys), MOST_AT_ONCE):
                part = keys[start : start + MOST_AT_ONCE]
                try:
                    found = await self._calls.run(self._calls.store.backend.get_many, part)
                except CacheDown:
                    # Nothing can be waited for.
                    found = {}
                for key in part:
                    if key not in found:
                        self._waited.pop(key)[1].set()
