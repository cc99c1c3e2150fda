"""While the cache is down the origin answers, or nobody does; and soon after it is used again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cacheapi.responses import calls
from cacheapi.responses.asking import NoAnswer
from cacheapi.responses.engine import Engine
from cacheapi.responses.store import Store
from tests.cacheapi.responses.running import get, run, running
from tests.conftest import connect
from tests.support.origin import Origin, reply
from tests.support.processes import Memcached, memcached
from tests.support.timing import Stopwatch

FRESH = {"Cache-Control": "max-age=600"}


@pytest.fixture
def own_memcached() -> Iterator[Memcached]:
    with memcached() as server:
        yield server


async def until_hit(engine: Engine, path: str) -> None:
    for _ in range(400):
        if (await get(engine, path)).result == "hit":
            return
        await asyncio.sleep(0.05)
    raise AssertionError("never a hit")


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_the_origin_answers_while_the_cache_is_down(
    own_memcached: Memcached, origin: Origin, how: str
) -> None:
    origin.on("/d/1", reply(200, FRESH, "a"))
    cache = connect(own_memcached)

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            await until_hit(engine, "/d/1")
            if how == "killed":
                own_memcached.kill()
            else:
                own_memcached.pause()
            # The first finds out.
            got = await get(engine, "/d/1")
            assert (got.status, got.cache) == (200, "fwd=bypass; detail=cache-down")
            watch = Stopwatch()
            found = [await get(engine, "/d/1") for _ in range(20)]
            seconds = watch()
            assert {one.result for one in found} == {"bypass"}
            # Twenty time-outs would be five seconds.
            assert seconds < 20 * 0.05
            assert (await get(engine, "/d/1", "POST")).status == 200
            if how == "killed":
                own_memcached.start()
            else:
                own_memcached.resume()
            await until_hit(engine, "/d/1")

    run(work())
    cache.close()


def test_it_may_be_503_instead(own_memcached: Memcached, origin: Origin) -> None:
    origin.on("/d/2", reply(200, FRESH, "a"))
    cache = connect(own_memcached)
    own_memcached.kill()

    async def work() -> None:
        async with running(cache, origin.url, pass_when_down=False) as engine:
            for _ in range(3):
                got = await get(engine, "/d/2")
                assert (got.status, got.cache) == (503, "fwd=bypass; detail=cache-down")

    run(work())
    assert origin.count("/d/2") == 0
    cache.close()


def test_a_value_that_the_cache_refuses_is_passed_on(
    own_memcached: Memcached, origin: Origin
) -> None:
    """It is no reason to take the cache for down."""
    origin.on("/d/3", reply(200, FRESH, "a" * 2_000_000))
    origin.on("/d/4", reply(200, FRESH, "b"))
    cache = connect(own_memcached)

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            # As if its items were smaller than they are at most.
            engine.store.bodies.part_bytes = 1_500_000
            got = await get(engine, "/d/3")
            assert (got.status, len(got.body)) == (200, 2_000_000)
            assert got.cache == "fwd=uri-miss; detail=cache-down"
            await get(engine, "/d/4")
            assert (await get(engine, "/d/4")).result == "hit"

    run(work())
    cache.close()


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_a_purge_that_cannot_be_made_is_no_success(
    own_memcached: Memcached, origin: Origin, how: str
) -> None:
    origin.on("/d/5", reply(200, FRESH, "a"))
    cache = connect(own_memcached)

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            await until_hit(engine, "/d/5")
            if how == "killed":
                own_memcached.kill()
            else:
                own_memcached.pause()
            for _ in range(2):
                for purge in (
                    engine.purge(b"/d/5", b"", soft=False),
                    engine.purge_tags(["a"], soft=False),
                    engine.purge_all(soft=True),
                ):
                    with pytest.raises(NoAnswer, match="Nothing was purged") as refused:
                        await purge
                    assert refused.value.status == 500

    run(work())
    cache.close()


@pytest.mark.parametrize("most", [1000, 1])
def test_what_a_write_made_invalid_meanwhile_is_gone_when_the_cache_is_back(
    own_memcached: Memcached, origin: Origin, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    cache = connect(own_memcached)
    monkeypatch.setattr(calls, "MOST_OWED", most)
    cache = connect(own_memcached)
    paths = ("/d/6", "/d/7", "/d/8")
    for path in paths:
        origin.on(path, reply(200, FRESH, "old"))
    origin.on("/d/9", reply(200, FRESH, "kept"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            for path in (*paths, "/d/9"):
                await until_hit(engine, path)
            own_memcached.pause()
            for path in paths:
                origin.on(path, reply(200, FRESH, "new"))
                assert (await get(engine, path, "POST")).status == 200
            own_memcached.resume()
            while (got := await get(engine, "/d/9")).result == "bypass":
                await asyncio.sleep(0.05)
            # Whoever owes more than can be remembered forgets all.
            assert got.result == ("hit" if most > len(paths) else "miss")
            for path in paths:
                got = await get(engine, path)
                assert (got.body, got.result) == (b"new", "miss"), path

    run(work())
    cache.close()


@pytest.mark.parametrize("most", [calls.MOST_OWED, 1], ids=["one", "all"])
def test_what_comes_to_be_owed_within_a_purge_is_purged_after_it(
    own_memcached: Memcached, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A write that ends while the purge of one before is on its way is another."""
    cache = connect(own_memcached)
    monkeypatch.setattr(calls, "MOST_OWED", most)
    monkeypatch.setattr(calls, "FIRST_PAUSE", 0.01)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        purged: list[str] = []
        with ThreadPoolExecutor(2) as threads:
            store = Store("shop", cache)
            one = calls.Calls(store, threads)

            def purge(target: str) -> None:
                if not purged:
                    again = threading.Event()
                    loop.call_soon_threadsafe(lambda: (one.owe_purge("a"), again.set()))
                    assert again.wait(30)
                purged.append(target)

            monkeypatch.setattr(store, "purge_url", purge)
            monkeypatch.setattr(store, "purge_all", lambda: purge("all"))
            one.owe_purge("a")
            if most == 1:
                one.owe_purge("b")
            while one.is_down:
                await asyncio.sleep(0.01)
        assert purged == (["a", "a"] if most > 1 else ["all", "a"])

    run(work())
    cache.close()
