"""The client of Python in one loop that has many tasks."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from typing import Any

import anyio
import httpx
import pytest
from cacheapi_client import AsyncCache, Cache
from cacheapi_client.asynchronous import _AT_ONCE

from tests.support.live import CACHE, call
from tests.support.processes import Service

TASKS = 100


class Counted(AsyncCache):
    """Counts its requests, and how many were under way at once."""

    requests = under_way = most = 0

    async def _send(self, *what: Any) -> Any:
        self.requests += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await super()._send(*what)
        finally:
            self.under_way -= 1


@pytest.fixture
def url(live: Service) -> str:
    assert call(live.port, "DELETE", CACHE).status == 200
    return f"{live.url}{CACHE}"


def counted(url: str) -> Counted:
    return Counted(url, Service.api_key, timeout=60, connect_timeout=60, strict=True)


def test_requests_wait_for_their_turn(url: str) -> None:
    """All at once they would keep each other from their answers until the time limit."""

    async def ask() -> Counted:
        async with counted(url) as cache:
            await asyncio.gather(*(cache.get(f"k{number}") for number in range(TASKS)))
            return cache

    asked = asyncio.run(ask())
    assert (asked.requests, asked.most) == (TASKS, _AT_ONCE)


def test_tasks_that_wait_for_a_value_of_their_own_program_do_not_ask(url: str) -> None:
    computed = []
    cache = counted(url)

    async def slowly() -> str:
        """Compute until nobody asks any more; who looks again and again does so for ever."""
        for _ in range(30):
            before = cache.requests
            await asyncio.sleep(1)
            if cache.requests == before:
                break
        else:
            pytest.fail("they go on asking")
        computed.append(1)
        return "value"

    async def ask() -> list[str]:
        async with cache:
            return await asyncio.gather(
                *(cache.remember("k", 60, slowly, lease=60) for _ in range(TASKS))
            )

    assert asyncio.run(ask()) == ["value"] * TASKS
    assert computed == [1]


def test_a_computation_that_fails_leaves_it_to_another(url: str) -> None:
    computed = []

    async def first() -> str:
        computed.append(1)
        if len(computed) == 1:
            await asyncio.sleep(1)
            raise ZeroDivisionError
        return "value"

    async def ask() -> list[str | BaseException]:
        async with counted(url) as cache:
            tasks = (cache.remember("k", 60, first, wait=60) for _ in range(10))
            return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(ask())
    assert len(computed) == 2
    assert found.count("value") == 9


def test_a_task_that_is_cancelled_leaves_no_connection_in_use(url: str) -> None:
    """Wherever it is: after a hundred of them nobody would have got an answer any more."""
    cache = counted(url)
    cache._connection._settings["limits"] = httpx.Limits(max_connections=_AT_ONCE)

    async def ask() -> None:
        await cache.set("k", 1, 60)
        for steps in [*range(1, 40)] * 2:
            tasks = [asyncio.create_task(cache.get("k")) for _ in range(60)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with anyio.fail_after(30):
            assert await cache.get("k") == 1
        await cache.aclose()

    asyncio.run(ask())


def test_who_is_cancelled_lets_the_lease_go(url: str) -> None:
    async def ask() -> str:
        async with counted(url) as cache:
            with anyio.move_on_after(0.2):
                await cache.remember("k", 60, anyio.sleep_forever, lease=600)
            assert not await cache.has("k:lease")
            return await cache.remember("k", 60, lambda: "value", lease=600)

    assert asyncio.run(ask()) == "value"


def test_a_cache_may_be_used_in_several_loops(url: str) -> None:
    """As one of a module is: each asynchronous view of Flask has a loop of its own."""
    cache = counted(url)

    async def ask() -> list[int | None]:
        async with cache:
            await cache.set("k", 1, 60)
            await cache.remember("r", 60, lambda: 2)
            return await asyncio.gather(*(cache.get("k") for _ in range(TASKS)))

    for _ in range(3):
        assert asyncio.run(ask()) == [1] * TASKS


def test_a_loop_that_has_ended_leaves_no_connections(url: str) -> None:
    cache = counted(url)
    with warnings.catch_warnings():
        # Nobody can close them any more.
        warnings.simplefilter("ignore", ResourceWarning)
        open_files = []
        for _ in range(3):
            for _ in range(20):
                asyncio.run(cache.get("k"))
            gc.collect()
            open_files.append(len(os.listdir("/proc/self/fd")))
        asyncio.run(cache.aclose())
        del cache
        gc.collect()
    assert open_files[2] <= open_files[0]


@pytest.mark.parametrize("address", ["127.0.0.1:8000/api/v2/cache", "localhost:8000", "ftp://a/b"])
def test_what_is_no_address_is_said_at_once(address: str) -> None:
    for make in (Cache, AsyncCache):
        with pytest.raises(ValueError, match="is no address of a service: http://… or https://…"):
            make(address, "key")
