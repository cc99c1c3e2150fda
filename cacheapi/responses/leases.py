"""The right to fetch, of which there is one in all workers that share a store.

Its holder renews it while it works; one that was killed loses it after
:data:`LEASE_SECONDS`, about.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Final

from cacheapi.responses.calls import CacheDown, Calls

LEASE_SECONDS: Final = 3.0
RENEW_SECONDS: Final = 1.0


class Lease:
    """A lease that is held.

    :param key: its key, of :func:`~cacheapi.responses.entries.lease_key`.
    """

    def __init__(self, calls: Calls, key: str, token: bytes) -> None:
        self._calls = calls
        self._key = key
        self._token = token
        self._is_over = asyncio.Event()

    async def keep(self) -> None:
        """Renew it until it is let go; then give it up, if it is still this one's."""
        backend = self._calls.store.backend
        while not self._is_over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._is_over.wait()
                    continue
            with contextlib.suppress(CacheDown):
                await self._calls.run(backend.set, self._key, self._token, LEASE_SECONDS)
        with contextlib.suppress(CacheDown):
            await self._calls.run(self._release)

    def let_go(self) -> None:
        """Have it given up; a renewal that is under way comes first."""
        self._is_over.set()

    def _release(self) -> None:
        backend = self._calls.store.backend
        if backend.get(self._key) == self._token:
            backend.delete(self._key)


async def acquire(calls: Calls, key: str) -> Lease | None:
    """Return the lease, ``None`` if another has it.

    :raises CacheDown: it cannot be known.
    """
    token = secrets.token_bytes(8)
    if await calls.run(calls.store.backend.add, key, token, LEASE_SECONDS):
        return Lease(calls, key, token)
    return None


@contextlib.asynccontextmanager
async def held(lease: Lease | None) -> AsyncIterator[Callable[[], None]]:
    """Renew a lease meanwhile, and give it up at the end, or when it is let go before."""
    if lease is None:
        yield lambda: None
        return
    keeping = asyncio.get_running_loop().create_task(lease.keep())
    try:
        yield lease.let_go
    finally:
        lease.let_go()
        await asyncio.shield(keeping)
