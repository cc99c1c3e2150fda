"""Leases that are held elsewhere are waited for together."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backends.base import Backend
from backends.errors import Unavailable
from backends.file.backend import FileBackend
from cacheapi.responses.calls import Calls
from cacheapi.responses.store import Store
from cacheapi.responses.watching import LONGEST, Watch
from tests.support.timing import Stopwatch

KEYS = [f"lease-{number}" for number in range(200)]


class Counting(FileBackend):
    """A cache that notes how often it is asked for many keys."""

    trips = 0

    def get_many(self, keys: Any) -> dict[str, bytes]:
        self.trips += 1
        return super().get_many(keys)


def watching(backend: Backend, work: Any) -> None:
    async def run() -> None:
        with ThreadPoolExecutor(2) as threads:
            calls = Calls(Store("shop", backend), threads)
            watch = Watch(calls)
            await work(watch)
            watch.close()
            calls.close()

    asyncio.run(run())
    backend.close()


def test_one_look_is_for_all_that_are_waited_for(tmp_path: Path) -> None:
    cache = Counting(data_dir=str(tmp_path))
    for key in KEYS:
        cache.set(key, b"held", 60.0)

    async def work(watch: Watch) -> None:
        waiting = asyncio.gather(*(watch.until_gone(key, 30.0) for key in KEYS))
        await asyncio.sleep(0.3)
        looks = cache.trips
        # By each for itself it would be 200 times as many.
        assert 1 <= looks <= 0.3 / 0.004 + 1
        cache.delete_many(KEYS)
        stopwatch = Stopwatch()
        assert await waiting == [True] * len(KEYS)
        assert stopwatch() < LONGEST + 1.0
        # Nobody waits, nobody looks.
        await asyncio.sleep(0.1)
        after = cache.trips
        await asyncio.sleep(0.1)
        assert cache.trips == after

    watching(cache, work)


def test_a_lease_that_is_held_for_too_long_is_waited_for_no_more(tmp_path: Path) -> None:
    cache = Counting(data_dir=str(tmp_path))
    cache.set("lease", b"held", 60.0)

    async def work(watch: Watch) -> None:
        assert await watch.until_gone("lease", 0.1) is False

    watching(cache, work)


def test_while_the_cache_is_down_nothing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Counting(data_dir=str(tmp_path))
    cache.set("lease", b"held", 60.0)

    def fail(keys: Any) -> dict[str, bytes]:
        raise Unavailable("gone")

    monkeypatch.setattr(cache, "get_many", fail)

    async def work(watch: Watch) -> None:
        assert await watch.until_gone("lease", 30.0) is True

    watching(cache, work)
