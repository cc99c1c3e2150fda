"""One fetch for a hundred clients in four workers, and nobody waits for what is another's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backends.base import Backend
from cacheapi.responses import entries, leases
from cacheapi.responses.engine import Engine
from cacheapi.responses.leases import LEASE_SECONDS
from cacheapi.responses.looking import Looked
from cacheapi.responses.store import Ticket
from tests.cacheapi.responses.running import Got, get, run, running
from tests.conftest import Clock
from tests.support.origin import Origin, reply
from tests.support.timing import Stopwatch

CLIENTS = 100
ORIGIN_SECONDS = 0.5
# Of the service's own work, and on a machine that is busy.
MARGIN = 1.0


@contextlib.asynccontextmanager
async def workers(
    cache: Backend, origin: Origin, count: int = 4, **settings
) -> AsyncIterator[list[Engine]]:
    """Engines that share nothing but the cache."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(running(cache, origin.url, **settings))
            for _ in range(count)
        ]


async def all_at_once(engines: list[Engine], path: str) -> tuple[list[Got], float]:
    watch = Stopwatch()
    found = await asyncio.gather(
        *(get(engines[number % len(engines)], path) for number in range(CLIENTS))
    )
    return list(found), watch()


def test_a_cold_key_is_fetched_once(cache: Backend, origin: Origin) -> None:
    origin.on("/h/1", reply(200, {"Cache-Control": "max-age=60"}, "a", delay=ORIGIN_SECONDS))

    async def work() -> None:
        async with workers(cache, origin) as engines:
            found, seconds = await all_at_once(engines, "/h/1")
            assert {(got.status, got.body) for got in found} == {(200, b"a")}
            caches = [got.cache for got in found]
            assert caches.count("fwd=uri-miss; stored") == 1
            assert caches.count("fwd=uri-miss; collapsed") == CLIENTS - 1
            assert seconds < ORIGIN_SECONDS + MARGIN

    run(work())
    assert origin.count("/h/1") == 1


def test_an_expired_key_is_fetched_once(cache: Backend, origin: Origin) -> None:
    headers = {"Cache-Control": "max-age=10", "ETag": '"1"'}
    origin.on(
        "/h/2",
        reply(200, headers, "a"),
        reply(304, headers, length=False, delay=ORIGIN_SECONDS),
    )
    clock = Clock(time.time() - 1000)

    async def work() -> None:
        async with workers(cache, origin, clock=clock) as engines:
            await get(engines[0], "/h/2")
            clock.advance(20)
            found, seconds = await all_at_once(engines, "/h/2")
            assert {(got.status, got.body) for got in found} == {(200, b"a")}
            assert seconds < ORIGIN_SECONDS + MARGIN

    run(work())
    assert origin.count("/h/2") == 2


@pytest.mark.parametrize(
    "headers", [{"Cache-Control": "private"}, {"Cache-Control": "no-cache"}, {"Set-Cookie": "a=1"}]
)
def test_an_answer_for_one_is_waited_for_once_and_remembered(
    cache: Backend, origin: Origin, headers: dict
) -> None:
    origin.on("/h/3", reply(200, headers, "a", delay=ORIGIN_SECONDS))

    async def work() -> None:
        async with workers(cache, origin) as engines:
            found, seconds = await all_at_once(engines, "/h/3")
            assert {got.status for got in found} == {200}
            assert seconds < 2 * ORIGIN_SECONDS + MARGIN
            assert origin.count("/h/3") == CLIENTS
            found, seconds = await all_at_once(engines, "/h/3")
            assert seconds < ORIGIN_SECONDS + MARGIN

    run(work())
    assert origin.count("/h/3") == 2 * CLIENTS


def test_that_an_answer_is_for_one_is_noted_once_a_worker(
    cache: Backend, origin: Origin, clock: Clock
) -> None:
    origin.on("/h/10", reply(200, {"Cache-Control": "private"}, "a"))
    noted: list[Ticket] = []
    begun: list[Looked] = []

    async def work() -> None:
        async with workers(cache, origin, clock=clock) as engines:
            for engine in engines:
                leave, begin = engine.store.leave_alone, engine.store.begin

                def counted(ticket: Ticket, seconds: float, leave: Any = leave) -> None:
                    noted.append(ticket)
                    leave(ticket, seconds)

                def began(target: str, looked: Looked, begin: Any = begin) -> Ticket:
                    begun.append(looked)
                    return begin(target, looked)

                engine.store.leave_alone = counted  # type: ignore[method-assign]
                engine.store.begin = began  # type: ignore[method-assign]
            found, _ = await all_at_once(engines, "/h/10")
            assert {got.status for got in found} == {200}
            # Who waited for a fetch needs no generations of its own.
            waited = sum(looked.record is None for looked in begun)
            assert (len(noted), len(set(noted))) <= (4, 4)
            assert waited <= 4

    run(work())
    assert origin.count("/h/10") == CLIENTS


def test_variants_are_fetched_once_each(cache: Backend, origin: Origin) -> None:
    headers = {"Cache-Control": "max-age=60", "Vary": "X-V"}
    origin.on("/h/4", reply(200, headers, "a"), reply(200, headers, "b", delay=ORIGIN_SECONDS))

    async def work() -> None:
        async with workers(cache, origin) as engines:
            await get(engines[0], "/h/4", x_v="0")
            await asyncio.gather(
                *(
                    get(engines[number % 4], "/h/4", x_v=str(1 + number % 2))
                    for number in range(CLIENTS)
                )
            )

    run(work())
    assert origin.count("/h/4") == 3


def test_an_origin_that_fails_is_asked_once_a_worker_at_most(
    cache: Backend, origin: Origin
) -> None:
    origin.on("/h/5", [["sleep", ORIGIN_SECONDS], ["close"]])

    async def work() -> None:
        async with workers(cache, origin) as engines:
            found, seconds = await all_at_once(engines, "/h/5")
            assert {got.status for got in found} == {502}
            assert seconds < 4 * ORIGIN_SECONDS + MARGIN

    run(work())
    assert origin.count("/h/5") <= 4


def test_a_holder_that_was_killed_costs_the_lease_at_most(cache: Backend, origin: Origin) -> None:
    origin.on("/h/6", reply(200, {"Cache-Control": "max-age=60"}, "a"))
    cache.add(entries.lease_key("shop", origin.url + "/h/6"), b"of the dead", LEASE_SECONDS)

    async def work() -> None:
        async with workers(cache, origin) as engines:
            found, seconds = await all_at_once(engines, "/h/6")
            assert {got.body for got in found} == {b"a"}
            # memcached may keep it two seconds longer.
            assert seconds < LEASE_SECONDS + 2 + MARGIN

    run(work())
    assert origin.count("/h/6") == 1


def test_a_lease_is_renewed_while_the_origin_is_slow(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long may a busy machine keep a renewal from being made.
    monkeypatch.setattr(leases, "LEASE_SECONDS", 6.0)
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.5)
    headers = {"Cache-Control": "max-age=60"}
    origin.on("/h/7", reply(200, headers, "a", delay=6.0 + 2.5))

    async def work() -> None:
        async with workers(cache, origin) as engines:
            found = await asyncio.gather(*(get(engines[number % 4], "/h/7") for number in range(8)))
            assert {got.body for got in found} == {b"a"}

    run(work())
    assert origin.count("/h/7") == 1


def test_a_renewal_under_way_does_not_outlive_its_lease(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that came after the lease was given up would hold others up for all its time."""
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    origin.on("/h/10", reply(200, {"Cache-Control": "max-age=60"}, "a", delay=0.1))
    renew = cache.set

    def slowly(key: str, value: bytes, ttl: float | None) -> None:
        if ":lease:" in key:
            time.sleep(0.3)
        renew(key, value, ttl)

    monkeypatch.setattr(cache, "set", slowly)

    async def work() -> None:
        async with workers(cache, origin, count=1) as engines:
            await get(engines[0], "/h/10")

    run(work())
    assert not cache.get(entries.lease_key("shop", origin.url + "/h/10"))


def test_an_answer_for_one_lets_go_before_its_body_is_there(cache: Backend, origin: Origin) -> None:
    head = "HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 2\r\n\r\na"
    origin.on("/h/11", [["send", head], ["sleep", 3.0], ["send", "b"]])

    async def work() -> None:
        async with workers(cache, origin, count=2) as engines:
            watch = Stopwatch()
            found = await asyncio.gather(
                *(get(engines[number % 2], "/h/11") for number in range(4))
            )
            assert {got.body for got in found} == {b"ab"}
            # Whoever waited for all of the first would need twice as long.
            assert watch() < 3.0 + MARGIN

    run(work())


def test_a_client_that_leaves_takes_nothing_from_the_others(cache: Backend, origin: Origin) -> None:
    headers = {"Cache-Control": "max-age=60"}
    origin.on("/h/8", reply(200, headers, "a", delay=ORIGIN_SECONDS))

    async def work() -> None:
        async with workers(cache, origin, count=1) as engines:
            first = asyncio.ensure_future(get(engines[0], "/h/8"))
            await asyncio.sleep(0.1)
            second = asyncio.ensure_future(get(engines[0], "/h/8"))
            await asyncio.sleep(0.1)
            first.cancel()
            assert (await second).body == b"a"

    run(work())
    assert origin.count("/h/8") == 1


def test_no_flight_and_no_lease_is_left(cache: Backend, origin: Origin) -> None:
    origin.on("/h/9", reply(200, {"Cache-Control": "max-age=60"}, "a"))

    async def work() -> None:
        async with workers(cache, origin, count=1) as engines:
            await get(engines[0], "/h/9")
            key = entries.lease_key("shop", origin.url + "/h/9")
            assert not engines[0]._fetching._herd.is_flying(key)
            assert not cache.get(key)

    run(work())
