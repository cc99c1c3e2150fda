"""Requests about large values: how many bytes of them are worked on at a time."""

from __future__ import annotations

import asyncio
import sys

import pytest

from cacheapi.serving import heavy
from cacheapi.serving.heavy import MOST_HEAVY, Heavy
from cacheapi.serving.unsent import MOST_WAITING, Room, Waiting


class Crowd(Waiting):
    """Answers that wait, as the test says."""

    is_crowded = False

    def room(self) -> Room:
        return Room({"": 2**40} if self.is_crowded else {})


def test_few_bytes_are_worked_on_at_a_time() -> None:
    inside, most = [0], [0]

    async def work(room: Heavy, weight: int, service: str) -> None:
        await room.enter(weight, service, None, gives=False, takes=False)
        inside[0] += weight
        most[0] = max(most[0], inside[0])
        await asyncio.sleep(0.001)
        inside[0] -= weight
        room.leave(weight, service)

    async def run(weight: int) -> int:
        room = Heavy(Crowd())
        most[0] = 0
        await asyncio.gather(*[work(room, weight, f"s{number}") for number in range(12)])
        return most[0]

    assert asyncio.run(run(MOST_HEAVY // 3)) <= MOST_HEAVY
    # One is always let in.
    assert asyncio.run(run(2 * MOST_HEAVY)) == 2 * MOST_HEAVY


def test_one_of_a_service_is_worked_on_at_a_time_and_holds_up_no_other_service() -> None:
    entered: list[str] = []

    async def work(room: Heavy, service: str) -> None:
        await room.enter(1, service, None, gives=False, takes=False)
        entered.append(service)

    async def run() -> None:
        usual = sys.getswitchinterval()
        room = Heavy(Crowd())
        tasks = [asyncio.create_task(work(room, name)) for name in ("a", "a", "b", "a", "b")]
        await asyncio.sleep(0.05)
        assert entered == ["a", "b"]
        # Meanwhile the event loop waits less for threads.
        assert sys.getswitchinterval() == pytest.approx(heavy.SWITCH_SECONDS)
        for name in ("a", "a", "a", "b", "b"):
            room.leave(1, name)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert entered == ["a", "b", "a", "a", "b"]
        assert sys.getswitchinterval() == pytest.approx(usual)

    asyncio.run(run())


@pytest.mark.parametrize("takes", [False, True])
def test_an_answer_waits_for_others_to_leave_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    async def run() -> bool:
        crowd = Crowd()
        crowd.is_crowded = True
        room = Heavy(crowd)
        waits = asyncio.create_task(room.enter(1, "cache", None, gives=True, takes=takes))
        await asyncio.sleep(0.05)
        waited = not waits.done()
        crowd.is_crowded = False
        assert await waits
        room.leave(1, "cache")
        crowd.is_crowded = True
        for name in ("MOST_CROWDED_SECONDS", "CROWDED_SECONDS"):
            monkeypatch.setattr(heavy, name, -1.0)
        assert not await room.enter(1, "cache", None, gives=True, takes=takes)
        room.leave(1, "cache")
        # Where the value is no answer, that does not matter.
        assert await room.enter(1, "cache", None, gives=False, takes=False)
        return waited

    assert asyncio.run(run())


def test_who_came_first_goes_first_however_little_others_bring() -> None:
    entered: list[int] = []

    async def work(room: Heavy, number: int, weight: int) -> None:
        await room.enter(weight, f"s{number}", None, gives=False, takes=False)
        entered.append(weight)

    async def run() -> None:
        room = Heavy(Crowd())
        half = MOST_HEAVY // 2
        weights = (half, half, MOST_HEAVY, 1, half, 2)
        tasks = [asyncio.create_task(work(room, *each)) for each in enumerate(weights)]
        await asyncio.sleep(3 * heavy._PAUSE_SECONDS)
        for number, weight in enumerate(weights[:3]):
            room.leave(weight, f"s{number}")
            # What is small would have had room after the first.
            assert len(entered) < 3 or entered[2] == MOST_HEAVY
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert entered == [*weights]

    asyncio.run(run())


def test_who_is_not_there_any_more_is_waited_for_by_nobody() -> None:
    async def run() -> None:
        room = Heavy(Crowd())
        await room.enter(MOST_HEAVY, "cache", None, gives=False, takes=False)
        gone = [
            asyncio.create_task(room.enter(MOST_HEAVY, "cache", None, gives=False, takes=False))
            for _ in range(2)
        ]
        last = asyncio.create_task(room.enter(MOST_HEAVY, "cache", None, gives=False, takes=False))
        await asyncio.sleep(0)
        gone[0].cancel()
        await asyncio.sleep(0)
        # One may have been let in already.
        room.leave(MOST_HEAVY, "cache")
        gone[1].cancel()
        await asyncio.wait_for(last, 5)
        room.leave(MOST_HEAVY, "cache")
        assert room._inside == 0

    asyncio.run(run())


def test_who_does_not_take_earlier_answers_holds_up_nobody_else() -> None:
    class Slow(Waiting):
        def room(self) -> Room:
            return Room({"slow": MOST_WAITING})

    async def run() -> None:
        room = Heavy(Slow())
        slow = asyncio.create_task(room.enter(1, "cache", ("slow", 1), gives=True, takes=True))
        await asyncio.sleep(0)
        await asyncio.wait_for(room.enter(1, "cache", ("other", 1), gives=True, takes=True), 2)
        assert not slow.done()
        slow.cancel()

    asyncio.run(run())
