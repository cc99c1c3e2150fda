"""Counts and reads behind them on Redis: one write, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backends.base import Item
from backends.errors import Timeout, Unavailable
from backends.operations import Increment
from backends.redis.backend import RedisBackend
from backends.redis.wire import Wire
from tests.backends.redis.test_faults import Line, line
from tests.conftest import connect_redis
from tests.support.redis import Redis
from tests.support.timing import Stopwatch

__all__ = ["line"]

MOST = 10_000


def own(*keys: str) -> list[Increment]:
    """Return counts of the product's own."""
    return [Increment(key, 3, b"3", 1000, own=True) for key in keys]


@pytest.fixture
def backend(redis_one: Redis) -> Iterator[RedisBackend]:
    redis_one.empty()
    made = connect_redis(redis_one, REDIS_TIMEOUT_MS="3000")
    made.set_many([Item("a", b"1", 1000), Item("b", b"2", None)])
    yield made
    made.close()


def test_they_are_one_write(backend: RedisBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.perform(own("n", "m"))
    sent: list[int] = []
    exchange = Wire.exchange

    def listening(self: Wire, commands: list[bytes], most: float) -> list[object]:
        sent.append(len(commands))
        return exchange(self, commands, most)

    monkeypatch.setattr(Wire, "exchange", listening)
    done = backend.count_and_get_each(own("n", "m"), ["a", "gone", "b"], MOST)
    assert done == ([6, 6], {"a": b"1", "b": b"2"})
    assert sent == [5]


def test_a_server_without_the_script_counts_once(backend: RedisBackend, redis_one: Redis) -> None:
    for number in (3, 6):
        redis_one.call("SCRIPT", "FLUSH")
        assert backend.count_and_get_each(own("n"), ["a"], MOST) == ([number], {"a": b"1"})
    assert 900 < (backend.remaining_ttl("n") or 0) <= 1000


def test_what_is_no_value_and_what_was_left_are_read_again(
    backend: RedisBackend, redis_one: Redis
) -> None:
    redis_one.call("RPUSH", f"{backend.prefix}list", "1")
    assert backend.count_and_get_each(own("n"), ["a", "list"], MOST) == ([3], None)
    backend.set_many([Item(key, b"x" * 300_000, None) for key in ("large", "larger")])
    assert backend.count_and_get_each(own("n"), ["large", "larger"], MOST) == ([6], None)
    assert backend.get("a") == b"1"


@pytest.mark.parametrize("mode", ["cut", "hold"])
def test_a_reply_that_ends_early_is_no_second_count(line: Line, mode: str) -> None:
    line.backend.set_many([Item("a", b"the value", 1000)])
    line.backend.perform(own("n"))
    for number, size in enumerate(range(0, len(b":3\r\n$9\r\nthe value\r\n"), 5), 1):
        taken = Stopwatch()
        with line.spoiled(mode, size):
            (outcome,), found = line.backend.count_and_get_each(own("n"), ["a"], MOST)
        # The count may have come before.
        known = 3 + 3 * number
        assert outcome == known or type(outcome) in (Timeout, Unavailable)
        assert found in (None, {"a": b"the value"})
        assert mode == "cut" or taken() < 2
        assert line.backend.get("n") == b"%d" % known
        assert line.backend.get("proof") == b"proof"
