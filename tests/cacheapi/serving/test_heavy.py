"""Requests about large values: how many bytes of them are worked on at a time."""

from __future__ import annotations

import asyncio

import pytest

from cacheapi.serving import heavy
from cacheapi.serving.heavy import MOST_HEAVY, Heavy
from cacheapi.serving.unsent import Waiting


class Crowd(Waiting):
    """Answers that wait, as the test says."""

    is_crowded = False

    def has_room(self, most: int = 0) -> bool:
        return not self.is_crowded


def test_few_bytes_are_worked_on_at_a_time() -> None:
    inside, most = [0], [0]

    async def work(room: Heavy, weight: int) -> None:
        await room.enter(weight, gives=False, takes=False)
        inside[0] += weight
        most[0] = max(most[0], inside[0])
        await asyncio.sleep(0.001)
        inside[0] -= weight
        room.leave(weight)

    async def run(weight: int) -> int:
        room = Heavy(Crowd())
        most[0] = 0
        await asyncio.gather(*[work(room, weight) for _ in range(12)])
        return most[0]

    assert asyncio.run(run(MOST_HEAVY // 3)) <= MOST_HEAVY
    # One is always let in.
    assert asyncio.run(run(2 * MOST_HEAVY)) == 2 * MOST_HEAVY


@pytest.mark.parametrize("takes", [False, True])
def test_an_answer_waits_for_others_to_leave_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, takes: bool
) -> None:
    async def run() -> bool:
        crowd = Crowd()
        crowd.is_crowded = True
        room = Heavy(crowd)
        waits = asyncio.create_task(room.enter(1, gives=True, takes=takes))
        await asyncio.sleep(0.05)
        waited = not waits.done()
        crowd.is_crowded = False
        await waits
        crowd.is_crowded = True
        for name in ("MOST_CROWDED_SECONDS", "CROWDED_SECONDS"):
            monkeypatch.setattr(heavy, name, -1.0)
        await room.enter(1, gives=True, takes=takes)
        # Where the value is no answer, that does not matter.
        await room.enter(1, gives=False, takes=False)
        return waited

    assert asyncio.run(run())
