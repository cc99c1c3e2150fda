"""A moment of ``make fuzz`` for each reader; and that its inputs are not all refused."""

from __future__ import annotations

import random

import pytest

from cacheapi.formats.limits import Unreadable
from tests.fuzz.inputs import READERS, spoiled


@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_or_refuses(name: str) -> None:
    read, seeds = READERS[name]
    chance = random.Random(name)
    readable = 0
    for _ in range(400):
        try:
            read(spoiled(seeds, chance))
            readable += 1
        except Unreadable:
            pass
    assert readable > 10
