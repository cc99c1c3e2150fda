"""Reads with new lifetimes on Redis: one command each where it is known, and whatever breaks it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from backends.base import MISSING, Item
from backends.errors import NotPermitted, NotRead, Timeout, Unavailable, WrongType
from backends.operations import Touch
from backends.redis.backend import RedisBackend
from backends.within import perform_within
from tests.backends.redis.test_apart import a_key_of_its_own
from tests.backends.redis.test_faults import Line, line
from tests.backends.test_touching import MOST, pairs
from tests.conftest import connect_redis
from tests.support.redis import USER, Redis, acl_redis, redis_server
from tests.support.timing import Stopwatch

__all__ = ["line"]


@pytest.fixture
def backend(redis_one: Redis) -> Iterator[RedisBackend]:
    redis_one.empty()
    made = connect_redis(redis_one, REDIS_TIMEOUT_MS="3000")
    made.set_many([Item("a", b"1", 1000), Item("b", b"2", None)])
    yield made
    made.close()


def test_they_are_one_command_each(backend: RedisBackend, redis_one: Redis) -> None:
    before = redis_one.calls("getex"), redis_one.calls("get", "mget", "evalsha", "eval")
    asked = pairs(("a", None), ("b", 60), ("gone", 60), ("b", 70))
    assert perform_within(backend, asked, MOST) == [
        *(b"1", True, b"2", True, MISSING, False, b"2", True)
    ]
    after = redis_one.calls("getex"), redis_one.calls("get", "mget", "evalsha", "eval")
    assert (after[0] - before[0], after[1] - before[1]) == (4, 0)
    assert backend.remaining_ttl("a") is None
    left = backend.remaining_ttl("b")
    assert isinstance(left, float)
    assert 60 < left <= 70


def test_what_is_of_another_type_refuses_its_own(backend: RedisBackend, redis_one: Redis) -> None:
    redis_one.call("HSET", "cacheapi:hash", "field", "1")
    outcomes = perform_within(backend, pairs(("a", 60), ("hash", 60), ("b", 60)), MOST)
    assert [*outcomes[:2], *outcomes[4:]] == [b"1", True, b"2", True]
    for outcome in outcomes[2:4]:
        assert isinstance(outcome, WrongType)
        assert outcome.kind == "hash"
    assert redis_one.call("TTL", "cacheapi:hash") == -1


def test_what_is_left_on_its_way_is_read_later(backend: RedisBackend) -> None:
    backend.set_many([Item(f"large{number}", b"x" * 300_000, None) for number in range(10)])
    touches = [Touch(f"large{number}", 60) for number in range(10)]
    done = backend.get_and_touch_many(touches, 300_000)
    assert {type(found) for found, _ in done} == {bytes, NotRead}
    # Where the first alone is more, the usual way reads it.
    assert backend.get_and_touch_many(touches, 10) == [None] * 10
    assert backend.get_and_touch_many(touches[:1], 10) == [(b"x" * 300_000, True)]


@contextlib.contextmanager
def without_right() -> Iterator[Redis]:
    with acl_redis() as server:
        server.call("ACL", "SETUSER", USER, "-getex")
        yield server


@pytest.mark.parametrize(
    "lacking", [without_right, lambda: redis_server("--rename-command", "GETEX", "")]
)
def test_who_may_not_or_has_an_older_server_is_served_by_the_scripts(
    lacking: Callable[[], contextlib.AbstractContextManager[Redis]],
) -> None:
    with lacking() as server:
        backend = connect_redis(server, REDIS_TIMEOUT_MS="3000")
        backend.set_many([Item("a", b"1", 1000)])
        for ttl in (60, None):
            assert perform_within(backend, pairs(("a", ttl)), MOST) == [b"1", True]
        assert backend.remaining_ttl("a") is None
        # It is asked for once.
        assert backend.get_and_touch_many([Touch("a", 60)], MOST) == [None]
        assert backend.remaining_ttl("a") is None
        backend.close()


def test_a_key_that_is_not_permitted_refuses_its_own() -> None:
    with a_key_of_its_own() as server:
        backend = connect_redis(server)
        backend.set("open:1", b"1", None)
        outcomes = perform_within(backend, pairs(("open:1", 60), ("closed", 60)), MOST)
        assert outcomes[:2] == [b"1", True]
        assert [type(one) for one in outcomes[2:]] == [NotPermitted] * 2
        backend.close()


@pytest.mark.parametrize("mode", ["cut", "hold"])
def test_a_reply_that_ends_early_is_done_again_or_a_failure(
    line: Line, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.backend.set_many([Item("a", b"the value", 1000)])
    asked = pairs(("a", 5000), ("gone", 60))
    monkeypatch.setattr("backends.redis.touching.SILENT_SECONDS", 0.0)
    for size in range(0, len(b"$9\r\nthe value\r\n$-1\r\n"), 3 if mode == "cut" else 10):
        taken = Stopwatch()
        with line.spoiled(mode, size):
            outcomes = perform_within(line.backend, asked, MOST)
        if mode == "hold":
            # It is waited for once.
            assert {type(one) for one in outcomes} == {Timeout}
            assert taken() < 2
        else:
            # The value may have come before, and the rest the second time.
            assert outcomes[:2] == [b"the value", True] or type(outcomes[0]) is Unavailable
        assert perform_within(line.backend, asked, MOST) == [b"the value", True, MISSING, False]
        assert line.backend.get("proof") == b"proof"


def test_where_a_connection_ended_at_it_the_scripts_serve_for_a_while(line: Line) -> None:
    line.backend.set_many([Item("a", b"1", 1000)])
    with line.spoiled("cut", 0, times=2):
        assert perform_within(line.backend, pairs(("a", 60)), MOST) == [b"1", True]
    assert line.backend.get_and_touch_many([Touch("a", 60)], MOST) == [None]
    assert perform_within(line.backend, pairs(("a", 70)), MOST) == [b"1", True]
