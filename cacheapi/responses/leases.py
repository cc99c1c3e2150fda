"""The right to fetch, of which there is one in all workers that share a store.

Its holder renews it while it works; one that was killed loses it after
:data:`LEASE_SECONDS`, about.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

from backends.base import MISSING
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

    async def keep(self) -> None:
        """Renew it until cancelled."""
        backend = self._calls.store.backend
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with contextlib.suppress(CacheDown):
                await self._calls.run(backend.set, self._key, self._token, LEASE_SECONDS)

    def release(self) -> None:
        """Give it up, if it is still this one's."""
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


async def is_held(calls: Calls, key: str) -> bool:
    """Return whether anybody has the lease.

    :raises CacheDown: it cannot be known.
    """
    return await calls.run(calls.store.backend.get, key) is not MISSING


@contextlib.asynccontextmanager
async def held(calls: Calls, lease: Lease | None) -> AsyncIterator[None]:
    """Renew a lease meanwhile, and give it up at the end."""
    if lease is None:
        yield
        return
    keeping = asyncio.get_running_loop().create_task(lease.keep())
    try:
        yield
    finally:
        keeping.cancel()
        with contextlib.suppress(CacheDown):
            await calls.run(lease.release)
