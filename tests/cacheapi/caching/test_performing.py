"""Operations of a service: the same rules as its methods have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import MISSING, Flagged
from backends.errors import NotAnInteger
from backends.file.backend import FileBackend
from backends.memcached.backend import MemcachedBackend
from backends.operations import Delete, Exists, Get, GetAndDelete
from cacheapi.caching.codec import Value
from cacheapi.caching.service import CacheService
from cacheapi.caching.values import make as make_values
from tests.conftest import Clock


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[CacheService]:
    backend = FileBackend(data_dir=str(tmp_path), clock=clock)
    yield CacheService("cache", backend, default_ttl=5, clock=clock)
    backend.close()


def test_values_go_in_as_text_and_come_out_as_values(cache: CacheService) -> None:
    make = cache.make
    asked = [
        *(make.set("a", '"é"', None), make.add("b", "[1]", None), make.replace("b", "2", None)),
        *(Get("a"), GetAndDelete("b"), Get("b"), Exists("a"), Delete("a")),
    ]
    assert cache.perform(asked) == [
        *(True, True, True, Value('"é"'), Value("2"), MISSING, True, True)
    ]


@pytest.mark.parametrize(("ttl", "seconds"), [(None, 300), (60, 60), (1_800_000_500, 500)])
def test_lifetimes_are_those_of_the_methods(
    cache: CacheService, clock: Clock, ttl: int | None, seconds: int
) -> None:
    make = cache.make
    assert cache.perform([make.set("replaced", "1", 0), make.set("touched", "1", 0)]) == [True] * 2
    asked = [
        *(make.set("set", "1", ttl), make.add("added", "1", ttl), make.touch("touched", ttl)),
        *(make.replace("replaced", "1", ttl), make.increment("counted", 1, 1, ttl)),
    ]
    assert cache.perform(asked) == [True, True, True, True, 1]
    keys = ["set", "added", "touched", "replaced", "counted"]
    clock.advance(seconds - 1)
    assert cache.get_many(keys).keys() == set(keys)
    clock.advance(1)
    assert cache.get_many(keys) == {}


def test_a_count_out_of_range_is_not_made(cache: CacheService) -> None:
    for delta, initial in ((2**63, None), (1, 2**63)):
        with pytest.raises(NotAnInteger):
            cache.make.increment("k", delta, initial, None)


def test_what_is_a_boolean_to_its_programs_is_not_counted_on(
    memcached_backend: MemcachedBackend,
) -> None:
    values = make_values(memcached_backend, "pylibmc", None, raw_bytes=False)
    cache = CacheService("cache", memcached_backend, default_ttl=0, values=values)
    # pylibmc stores booleans as digits with the flag 2.
    memcached_backend.set("boolean", Flagged(b"1", 2), None)
    make = cache.make
    outcomes = cache.perform(
        [
            *(make.set("number", "4", 0), make.increment("boolean", 1, None, None)),
            *(make.increment("number", 1, None, None), make.increment("number", 1, None, None)),
            *(make.increment("boolean", 1, 1, None), make.increment("new", 1, 1, None)),
            Get("number"),
        ]
    )
    assert [type(outcomes[1]), type(outcomes[4])] == [NotAnInteger] * 2
    assert "boolean" not in str(outcomes[1])
    assert [outcomes[index] for index in (0, 2, 3, 5)] == [True, 5, 6, 1]
    assert outcomes[6].json == "6"
    assert memcached_backend.get("boolean") == b"1"


def test_another_backend_has_its_own_limits(
    cache: CacheService, memcached_backend: MemcachedBackend
) -> None:
    assert cache.make.increment("k", 2**40, None, None).delta == 2**40
    with pytest.raises(NotAnInteger, match="memcached"):
        cache.over(memcached_backend).make.increment("k", 2**40, None, None)
