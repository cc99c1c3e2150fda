"""Counting the requests of a turn against the limits of their API keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.file.backend import FileBackend
from backends.operations import Increment
from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Rate
from cacheapi.web.rates import Standing, count_as, count_many, refusal

WIDE = Rate(2, 1_000_000)
NARROW = Rate(9, 500_000)


@pytest.fixture
def counts(tmp_path: Path) -> CacheService:
    return CacheService("counts", FileBackend(data_dir=str(tmp_path)), default_ttl=0)


def numbers(found: Any) -> list[int]:
    return [standing.number for standing in found]


def test_requests_of_one_key_have_each_a_place_in_one_count(
    counts: CacheService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Increment] = []
    perform = counts.perform

    def told(operations: Any, most: int | None = None) -> list[Any]:
        asked.extend(operations)
        return perform(operations, most)

    monkeypatch.setattr(counts, "perform", told)
    turn = [("a", WIDE), ("b", WIDE), ("a", WIDE), ("a", NARROW), ("a", WIDE)]
    found = count_many(turn, counts)
    assert numbers(found) == [1, 1, 2, 1, 3]
    assert [one.delta for one in asked] == [3, 1, 1]
    assert [one and one.is_over for one in found] == [False, False, False, False, True]
    assert numbers(count_many(turn[:2], counts)) == [4, 2]


def test_a_count_goes_on_from_those_of_before(counts: CacheService) -> None:
    standing = count_as("a", WIDE, counts)
    assert standing is not None
    assert numbers(count_many([("a", WIDE), ("a", WIDE)], counts)) == [2, 3]
    assert standing.lines == "".join(
        f"{name.lower()}: {text}\r\n" for name, text in standing.headers.items()
    )
    assert standing.headers["RateLimit-Remaining"] == "1"


@pytest.mark.parametrize(
    ("requests", "words"), [(1, "make 1 request in 60 s."), (2, "make 2 requests in 60 s.")]
)
def test_one_too_many_is_told_in_good_english(requests: int, words: str) -> None:
    refused = refusal(Standing(Rate(requests, 60), requests + 1, 30))
    assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
    assert refused.message.endswith(words)
