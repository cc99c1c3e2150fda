"""Counting by many at once: exact on every backend."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from backends.base import Backend
from backends.operations import Increment

THREADS = 8
TIMES = 50
AT_ONCE = 25


def test_ten_thousand_counts_of_eight_threads_are_ten_thousand(backend: Backend) -> None:
    asked = [Increment("key", 1, b"1", 600)] * AT_ONCE

    def count(_: int) -> list[object]:
        return [number for _ in range(TIMES) for number in backend.perform(asked)]

    with ThreadPoolExecutor(THREADS) as pool:
        numbers = [number for some in pool.map(count, range(THREADS)) for number in some]
    assert backend.get("key") == b"%d" % (THREADS * TIMES * AT_ONCE)
    assert len(set(numbers)) == len(numbers) == THREADS * TIMES * AT_ONCE
