"""Bodies that are held at once: bounded together, counted for as long as somebody has them."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend
from backends.file.backend import FileBackend
from cacheapi.responses import calls
from cacheapi.responses.asking import Incoming
from cacheapi.responses.budget import SMALL, Budget, Crowded
from cacheapi.responses.engine import Engine
from cacheapi.responses.policy import Policy
from tests.cacheapi.responses.running import get, run, running, taken
from tests.conftest import Clock
from tests.support.origin import Origin, Steps, reply

FRESH = {"Cache-Control": "max-age=60"}
MOST = 1_000_000
LARGE = "x" * 200_000
CROWDED = "fwd=uri-miss; detail=crowded"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Backend]:
    made = FileBackend(data_dir=str(tmp_path))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "ROOM_SECONDS", 0.05)


def chunked(body: str) -> Steps:
    """Return the steps of an answer whose length is not known before its end."""
    pieces = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
    steps = reply(200, {**FRESH, "Transfer-Encoding": "chunked"}, length=False)
    return [*steps, *(["send", f"{len(p):x}\r\n{p}\r\n"] for p in pieces), ["send", "0\r\n\r\n"]]


async def given_back(budget: Budget) -> None:
    """Wait for what is done to be let go of, which is a turn of the loop later."""
    for _ in range(100):
        if not budget.held:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{budget.held} bytes are held still")


def test_it_counts_what_somebody_has() -> None:
    budget = Budget(MOST)
    one, two = budget.hold(600_000), budget.hold(400_000)
    assert budget.held == MOST
    with pytest.raises(Crowded) as refused:
        budget.hold(SMALL + 1)
    # Also while somebody has the error.
    assert (budget.held, refused.type) == (MOST, Crowded)
    small = budget.hold(SMALL)
    assert budget.held == MOST + SMALL
    assert not one.grow_to(600_001)
    # A body never counts for less than it was.
    assert two.grow_to(1)
    del one
    assert budget.held == 400_000 + SMALL
    assert two.grow_to(500_000)
    # Whichever thread lets go of it last.
    thread = threading.Thread(target=[two, small].clear)
    del two, small
    thread.start()
    thread.join()
    del thread
    assert budget.held == 0


@pytest.mark.parametrize("answer", [reply(200, FRESH, LARGE), chunked(LARGE)])
def test_what_finds_no_room_goes_through_and_is_not_stored(
    answer: Steps, cache: Backend, origin: Origin
) -> None:
    origin.on("/b/1", answer)
    budget = Budget(MOST)

    async def work() -> None:
        async with running(cache, origin.url, budget=budget) as engine:
            others = budget.hold(MOST - 100_000)
            for _ in range(2):
                got = await get(engine, "/b/1")
                assert (got.status, got.body, got.cache) == (200, LARGE.encode(), CROWDED)
            del others
            # It is not remembered as one that is not worth keeping.
            assert (await get(engine, "/b/1")).cache == "fwd=uri-miss; stored"
            assert (await get(engine, "/b/1")).cache == "hit"

    run(work())
    assert origin.count("/b/1") == 3
    assert budget.held == 0


def test_small_answers_always_have_room(cache: Backend, origin: Origin) -> None:
    origin.on("/b/2", reply(200, FRESH, "x" * SMALL))
    budget = Budget(MOST)

    async def work() -> None:
        async with running(cache, origin.url, budget=budget) as engine:
            others = budget.hold(MOST)
            assert (await get(engine, "/b/2")).cache == "fwd=uri-miss; stored"
            assert (await get(engine, "/b/2")).cache == "hit"
            del others

    run(work())
    assert budget.held == 0


def test_all_who_ask_at_once_get_it(cache: Backend, origin: Origin) -> None:
    origin.on("/b/3", reply(200, FRESH, LARGE, delay=0.2))
    budget = Budget(MOST)

    async def work() -> None:
        async with running(cache, origin.url, budget=budget) as engine:
            others = budget.hold(MOST)
            found = await asyncio.gather(*(get(engine, "/b/3") for _ in range(10)))
            assert {(got.status, got.body, got.cache) for got in found} == {
                (200, LARGE.encode(), CROWDED)
            }
            del others
            # With room one fetch is for all, and so is its body.
            outs = await asyncio.gather(*(ask(engine, "/b/3") for _ in range(10)))
            assert budget.held == len(LARGE)
            assert {out.result for out in outs} == {"miss", "collapsed"}

    async def ask(engine: Engine, path: str):
        return await engine.answer(Incoming("GET", path.encode(), b"", (), b""))

    run(work())
    gc.collect()
    assert budget.held == 0


def test_what_is_stored_waits_for_room_or_is_fetched(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.on("/b/4", reply(200, FRESH, LARGE))
    budget = Budget(MOST)

    async def work() -> None:
        async with running(cache, origin.url, budget=budget) as engine:
            await get(engine, "/b/4")
            await given_back(budget)
            others = budget.hold(MOST)
            got = await get(engine, "/b/4")
            assert (got.status, got.body) == (200, LARGE.encode())
            assert (got.cache, got.result) == ("fwd=bypass; detail=crowded", "bypass")
            got = await get(engine, "/b/4", cache_control="only-if-cached")
            assert (got.status, got.cache) == (503, "fwd=bypass; detail=crowded")
            monkeypatch.setattr(calls, "ROOM_SECONDS", 20.0)
            waiting = asyncio.ensure_future(get(engine, "/b/4"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            del others
            assert (await waiting).cache == "hit"

    run(work())
    assert origin.count("/b/4") == 2
    assert budget.held == 0


def test_a_304_without_room_for_what_is_stored_is_asked_for_whole(
    cache: Backend, origin: Origin
) -> None:
    # Behind the origin's, whose dates are then of now.
    clock = Clock(time.time() - 1000)
    fields = {"Cache-Control": "max-age=10", "ETag": '"1"'}
    origin.on(
        "/b/5",
        reply(200, fields, LARGE),
        reply(304, fields, length=False),
        reply(200, fields, LARGE),
    )
    budget = Budget(MOST)

    async def work() -> None:
        async with running(cache, origin.url, clock=clock, budget=budget) as engine:
            await get(engine, "/b/5")
            await given_back(budget)
            clock.advance(20)
            others = budget.hold(MOST)
            got = await get(engine, "/b/5")
            assert (got.status, got.body) == (200, LARGE.encode())
            assert got.cache == "fwd=stale; detail=crowded"
            del others

    run(work())
    assert origin.count("/b/5") == 3
    assert budget.held == 0


def test_stale_that_finds_no_room_is_not_served_for_an_error(
    cache: Backend, origin: Origin
) -> None:
    # Behind the origin's, whose dates are then of now.
    clock = Clock(time.time() - 1000)
    origin.on("/b/6", reply(200, {"Cache-Control": "max-age=10"}, LARGE), reply(500, {}, "broken"))
    budget = Budget(MOST)

    async def work() -> None:
        policy = Policy(stale_if_error=1000)
        async with running(cache, origin.url, clock=clock, budget=budget, policy=policy) as engine:
            await get(engine, "/b/6")
            await given_back(budget)
            clock.advance(20)
            others = budget.hold(MOST)
            assert (await get(engine, "/b/6")).status == 500
            del others
            assert (await get(engine, "/b/6")).body == LARGE.encode()

    run(work())
    assert budget.held == 0


def test_it_counts_until_the_client_has_it(cache: Backend, origin: Origin) -> None:
    origin.on("/b/7", reply(200, FRESH, LARGE))
    origin.on(
        "/b/8", [*reply(200, {"Content-Length": "1000000"}, "x" * 900, length=False), ["close"]]
    )
    budget = Budget(MOST)

    async def work() -> None:
        async with running(cache, origin.url, budget=budget) as engine:
            for _ in range(2):
                out = await engine.answer(Incoming("GET", b"/b/7", b"", (), b""))
                assert budget.held == len(LARGE)
                await taken(out)
                del out
                await given_back(budget)
            assert (await get(engine, "/b/8")).status == 502

    run(work())
    gc.collect()
    assert budget.held == 0
