"""Threads that work for an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future

import pytest

from cacheapi.serving.threads import Threads


def test_results_and_errors_come_to_who_waits_for_them() -> None:
    def divide(number: int, by: int) -> float:
        return number / by

    async def ask() -> list[object]:
        threads = Threads(3, "t")
        wanted = (threads.run(divide, number, number % 4) for number in range(100))
        return await asyncio.gather(*wanted, return_exceptions=True)

    found = asyncio.run(ask())

    for number, each in enumerate(found):
        if number % 4:
            assert each == number / (number % 4)
        else:
            assert isinstance(each, ZeroDivisionError)


def test_there_are_as_many_as_are_needed_and_no_more() -> None:
    async def ask() -> tuple[set[str], set[str]]:
        threads = Threads(2, "t")
        one = {await threads.run(name) for _ in range(5)}
        gate: Future[None] = Future()

        def wait() -> str:
            gate.result()
            return name()

        waiting = [threads.run(wait) for _ in range(5)]
        gate.set_result(None)
        return one, set(await asyncio.gather(*waiting))

    def name() -> str:
        return threading.current_thread().name

    one, more = asyncio.run(ask())

    assert one == {"t_0"}
    assert more <= {"t_0", "t_1"}


def test_who_waits_no_more_is_told_nothing_and_others_are() -> None:
    async def ask() -> int:
        threads = Threads(1, "t")
        gate: Future[None] = Future()
        left = threads.run(gate.result)
        following = threads.run(int, "7")
        left.cancel()
        gate.set_result(None)
        return await following

    assert asyncio.run(ask()) == 7


def test_a_loop_that_ended_holds_up_no_other() -> None:
    threads = Threads(1, "t")
    gate: Future[None] = Future()

    async def begin() -> None:
        threads.run(gate.result)

    asyncio.run(begin())
    gate.set_result(None)

    async def ask() -> float:
        return await threads.run(time.monotonic)

    for _ in range(3):
        assert asyncio.run(ask()) > 0


def test_what_is_raised_is_raised_where_it_is_waited_for() -> None:
    async def ask() -> None:
        await Threads(1, "t").run(exit)

    with pytest.raises(SystemExit):
        asyncio.run(ask())
