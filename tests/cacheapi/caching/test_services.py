"""The rules of the cache service that HTTP does not show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from werkzeug.datastructures import ETags

from backends.base import MISSING, Found, Missing
from backends.errors import NotAnInteger, Unavailable
from backends.file.backend import FileBackend
from cacheapi.caching.codec import Value
from cacheapi.caching.conditions import Condition, PreconditionFailed
from cacheapi.caching.pairs import KeyExists, Pair
from cacheapi.caching.service import CacheService
from tests.conftest import Clock

ANY = Condition(if_match=ETags(star_tag=True))
NONE = Condition(if_none_match=ETags(star_tag=True))


class Contended(FileBackend):
    """A file on which somebody else is faster, so many times."""

    times = 0
    interfere: Callable[[FileBackend], None] = staticmethod(lambda backend: None)

    def _faster(self) -> None:
        if self.times:
            self.times -= 1
            self.interfere(self)

    def get_with_token(self, key: str) -> Found | Missing:
        found = super().get_with_token(key)
        self._faster()
        return found

    def increment(self, key: str, delta: int) -> int | Missing:
        number = super().increment(key, delta)
        self._faster()
        return number

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        added = super().add(key, value, ttl)
        if not added and self.times:
            self.delete(key)
        return added


@pytest.fixture
def backend(tmp_path: Path, clock: Clock):
    made = Contended(data_dir=str(tmp_path), clock=clock)
    yield made
    made.close()


@pytest.fixture
def cache(backend: Contended, clock: Clock) -> CacheService:
    return CacheService("cache", backend, default_ttl=5, clock=clock)


def changing(backend: Contended, times: int) -> None:
    """Let the value change between look and write, so many times."""
    counter = iter(range(1000, 2000))
    backend.times = times
    backend.interfere = lambda other: other.set("k", b"%d" % next(counter), None)


def test_a_service_is_described(backend: Contended) -> None:
    cache = CacheService("own", backend, default_ttl=0)
    assert (cache.name, cache.label, cache.type) == ("own", "own", "cache_local")
    assert CacheService("own", backend, default_ttl=0, label="Own").label == "Own"


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(None, 300), (60, 60), (2_592_000, 2_592_000), (1_800_000_500, 500)]
)
def test_a_value_lives_as_long_as_its_ttl_says(
    cache: CacheService, clock: Clock, ttl: int | None, seconds: int
) -> None:
    assert cache.set_many([Pair("k", "1", ttl)]) == [True]
    clock.advance(seconds - 1)
    assert cache.get("k") == Value("1")
    clock.advance(1)
    assert cache.get("k") is MISSING


def test_zero_is_for_ever(cache: CacheService, clock: Clock) -> None:
    cache.add("k", "1", 0)
    clock.advance(1e9)
    assert cache.get("k") == Value("1")


def test_a_default_of_zero_is_for_ever(backend: Contended, clock: Clock) -> None:
    cache = CacheService("cache", backend, default_ttl=0, clock=clock)
    cache.add("k", "1", None)
    clock.advance(1e9)
    assert cache.get("k") == Value("1")


def test_a_touched_value_lives_anew(cache: CacheService, clock: Clock) -> None:
    cache.add("k", "1", 60)
    clock.advance(50)
    assert cache.touch("k", None)
    clock.advance(299)
    assert cache.get("k") == Value("1")
    clock.advance(1)
    assert cache.get("k") is MISSING


def test_a_unix_time_is_of_the_clock(cache: CacheService, clock: Clock) -> None:
    cache.add("k", "1", int(clock.now))
    assert cache.get("k") is MISSING


def test_a_created_key_may_not_exist(cache: CacheService) -> None:
    cache.add("k", "1", 0)
    with pytest.raises(KeyExists, match=r"^k$"):
        cache.add("k", "2", 0)


@pytest.mark.parametrize(
    "work",
    [
        lambda cache: cache.replace("k", '"mine"', 0, ANY),
        lambda cache: cache.touch("k", 60, ANY),
        lambda cache: cache.delete("k", ANY),
        lambda cache: cache.get_and_delete("k", ANY),
        lambda cache: cache.increment("k", 1, None, 0, ANY),
    ],
    ids=["replace", "touch", "delete", "take", "count"],
)
@pytest.mark.parametrize("times", [1, 31, 32])
def test_a_conditional_write_is_tried_against_others(
    cache: CacheService, backend: Contended, work: Callable[[CacheService], object], times: int
) -> None:
    cache.add("k", "1", 0)
    changing(backend, times)
    if times < 32:
        assert work(cache)
        assert backend.times == 0
    else:
        with pytest.raises(PreconditionFailed):
            work(cache)
        assert cache.get("k") == Value("1031")


def test_a_conditional_write_gives_up_when_its_tag_is_gone(
    cache: CacheService, backend: Contended
) -> None:
    cache.add("k", "1", 0)
    condition = Condition(if_match=ETags([Value("1").etag]))
    changing(backend, 1)
    with pytest.raises(PreconditionFailed):
        cache.replace("k", "2", 0, condition)
    assert cache.get("k") == Value("1000")


def test_a_count_on_a_key_that_comes_and_goes_is_tried_again(
    cache: CacheService, backend: Contended
) -> None:
    backend.interfere = lambda other: FileBackend.add(other, "n", b"5", None)
    backend.times = 3
    assert cache.increment("n", 1, 7, 0) in (6, 7)


def test_a_count_that_never_succeeds_is_an_error(cache: CacheService, backend: Contended) -> None:
    backend.interfere = lambda other: FileBackend.add(other, "n", b"5", None)
    backend.times = 1000
    with pytest.raises(Unavailable, match="nothing was counted"):
        cache.increment("n", 1, 7, 0)


def test_a_conditional_creation_by_counting(cache: CacheService) -> None:
    assert cache.increment("n", 1, 7, 0, NONE) == 7
    with pytest.raises(PreconditionFailed):
        cache.increment("n", 1, 7, 0, NONE)
    assert cache.get("n") == Value("7")


@pytest.mark.parametrize(
    ("delta", "initial"), [(2**63, None), (-(2**63), None), (1, 2**63), (1, -(2**63) - 1)]
)
def test_numbers_out_of_range_are_refused(
    cache: CacheService, delta: int, initial: int | None
) -> None:
    with pytest.raises(NotAnInteger):
        cache.increment("n", delta, initial, 0)
    assert cache.get("n") is MISSING


def test_several_values_are_read_and_deleted(cache: CacheService) -> None:
    cache.set_many([Pair("a", "1", 0), Pair("b", '"x"', 0)])
    assert cache.get_many(["b", "c", "a"]) == {"a": Value("1"), "b": Value('"x"')}
    assert cache.list_keys("", 10, None) == (["a", "b"], None)
    assert cache.delete_many(["a", "c"]) == [True, False]
    cache.flush()
    assert cache.get_many(["a", "b"]) == {}
