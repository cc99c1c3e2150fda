"""Copies of a process of threads: what spares the look at the cache, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backends.base import Backend
from backends.errors import Unavailable
from cacheapi.responses.answers import Outgoing
from cacheapi.responses.asking import Incoming, asked_of
from cacheapi.responses.bodies import INLINE_BYTES
from cacheapi.responses.engine import Engine
from cacheapi.web.local_copies import LocalCopies
from tests.cacheapi.responses.running import get, run, running
from tests.support.origin import Origin, reply

FRESH = {"Cache-Control": "max-age=600"}


class Site:
    """An engine, the copies of its process, and how often the cache is asked for them."""

    def __init__(self, engine: Engine, cache: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        self.now = 0.0
        self.looks = 0
        self.copies = LocalCopies(clock=lambda: self.now)
        asked = cache.get_many

        def counted(keys: Any) -> Any:
            self.looks += 1
            return asked(keys)

        monkeypatch.setattr(cache, "get_many", counted)

    def copy(self, path: str, method: str = "GET", *fields: tuple[str, str]) -> Outgoing | None:
        self.looks = 0
        incoming = Incoming(method, path.encode(), b"", fields)
        return self.copies.answer(self.engine, asked_of(self.engine.config, incoming))


@asynccontextmanager
async def site(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch, seconds: float = 1.0
) -> AsyncIterator[Site]:
    async with running(cache, origin.url, local_seconds=seconds) as engine:
        yield Site(engine, cache, monkeypatch)


@pytest.mark.parametrize("size", [1, INLINE_BYTES + 1])
def test_within_its_time_no_look_is_made(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    body = "a" * size
    origin.on("/l/1", reply(200, {**FRESH, "ETag": '"1"', "Cache-Tag": "t"}, body))

    async def work() -> None:
        async with site(cache, origin, monkeypatch) as one:
            assert one.copy("/l/1") is None
            await get(one.engine, "/l/1")
            first = one.copy("/l/1")
            assert first is not None
            assert (first.status, first.body, first.result) == (200, body.encode(), "hit")
            assert one.looks > 0
            one.now = 0.9
            again = one.copy("/l/1", "GET", ("if-none-match", '"1"'))
            assert again is not None
            assert (again.status, again.body, one.looks) == (304, b"", 0)
            head = one.copy("/l/1", "HEAD")
            assert head is not None
            assert (head.status, head.body, one.looks) == (200, b"", 0)
            one.now = 1.0
            assert one.copy("/l/1") is not None
            # The body is known by its name, and not read again.
            assert one.looks == 1
            assert one.copy("/l/1", "POST") is None

    run(work())


def test_a_purge_in_the_process_is_in_force_at_once_another_within_its_time(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.on("/l/2", reply(200, FRESH, "a"))

    async def work() -> None:
        async with site(cache, origin, monkeypatch) as one:
            await get(one.engine, "/l/2")
            assert one.copy("/l/2") is not None
            await one.engine.purge(b"/l/2", b"", soft=False)
            assert one.copy("/l/2") is None
            await get(one.engine, "/l/2")
            assert one.copy("/l/2") is not None
            # As another process does it.
            one.engine.store.purge_url(origin.url + "/l/2")
            assert one.copy("/l/2") is not None
            one.now = 1.0
            assert one.copy("/l/2") is None

    run(work())
    assert origin.count("/l/2") == 2


def test_a_purge_during_a_look_leaves_no_copy(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.on("/l/3", reply(200, FRESH, "a"))

    async def work() -> None:
        async with site(cache, origin, monkeypatch) as one:
            await get(one.engine, "/l/3")
            asked, loop = cache.get_many, asyncio.get_running_loop()

            def slowly(keys: Any) -> Any:
                found = asked(keys)
                purge = one.engine.purge(b"/l/3", b"", soft=False)
                monkeypatch.setattr(cache, "get_many", asked)
                asyncio.run_coroutine_threadsafe(purge, loop).result(20)
                return found

            monkeypatch.setattr(cache, "get_many", slowly)
            assert await asyncio.to_thread(one.copy, "/l/3") is not None
            assert one.copy("/l/3") is None

    run(work())


def test_without_local_ms_or_a_cache_there_is_none(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.on("/l/4", reply(200, FRESH, "a"))

    async def work() -> None:
        async with site(cache, origin, monkeypatch, seconds=0.0) as one:
            await get(one.engine, "/l/4")
            assert (one.copy("/l/4"), one.looks) == (None, 0)
        async with site(cache, origin, monkeypatch) as one:
            assert one.copy("/l/4") is not None

            def fail(keys: Any) -> Any:
                raise Unavailable("gone")

            one.now = 1.0
            monkeypatch.setattr(cache, "get_many", fail)
            assert one.copy("/l/4") is None
            one.engine.cut_off("gone")
            one.now = 0.0
            assert one.copy("/l/4") is None

    run(work())


def test_threads_share_them_in_one_bound(
    cache: Backend, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"/l/5/{number}" for number in range(40)]
    for name in names:
        origin.on(name, reply(200, FRESH, name * 100))

    async def work() -> None:
        async with site(cache, origin, monkeypatch, seconds=60.0) as one:
            for name in names:
                await get(one.engine, name)
            one.copies = LocalCopies(most=60_000, clock=lambda: one.now)

            def ask(number: int) -> None:
                name = names[number % len(names)]
                out = one.copy(name)
                assert out is not None
                assert out.body == (name * 100).encode()
                assert one.copies._shelf.size <= 60_000

            with ThreadPoolExecutor(8) as pool:
                for _ in pool.map(ask, range(800)):
                    pass
            shelf = one.copies._shelf
            held = shelf._kept.items()
            assert shelf.size == sum(len(name) + kept.size for (_, name), kept in held) > 0
            one.copies.forget(one.engine)
            assert shelf.size == 0

    run(work())
