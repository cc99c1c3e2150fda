"""A turn of the lane: how much it reads and gives, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from backends.base import Backend
from backends.errors import BackendError, NotRead
from cacheapi.caching.service import CacheService
from cacheapi.serving.answering import CALL_BYTES, MOST_KEYS, PATIENCE, TURN_BYTES, Answering
from cacheapi.serving.answers import Read
from cacheapi.serving.health import Troubles

LARGE = 4 * 1024 * 1024
SMALL = b'"small"'


class Cache:
    """A backend whose values are as large as the test says; it counts what it gave."""

    service_type = "test"

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes
        self.most_at_once = 0

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> dict[str, bytes | BackendError]:
        given = 0
        found: dict[str, bytes | BackendError] = {}
        for key in keys:
            if most is not None and given > most:
                found[key] = NotRead("left")
            else:
                found[key] = b'"%b"' % (b"x" * self.sizes[key]) if key in self.sizes else SMALL
                given += len(cast("bytes", found[key]))
        self.most_at_once = max(self.most_at_once, given)
        return found


class Sink:
    """A connection whose client takes nothing once it was sent more than it has room for."""

    def __init__(self, room: int = 2**60) -> None:
        self.room = room
        self.sent = 0
        self.reads = 0
        self.bodies: list[bytes] = []

    @property
    def is_full(self) -> bool:
        return self.sent > self.room

    def flush(self) -> None:
        pass

    def answer(self, status: int, fields: str, body: bytes | None, keep_alive: bool) -> None:
        assert status == 200
        self.bodies.append((body or b"")[:30])
        self.sent += len(body or b"")


def made(sizes: dict[str, int]) -> tuple[Answering, CacheService, Cache]:
    cache = Cache(sizes)
    service = CacheService("cache", cast("Backend", cache), default_ttl=0)
    answering = Answering(Troubles(), None, service)
    # Small values have been read for a while: so many are asked for at once as ever.
    for _ in range(10 * PATIENCE):
        assert answering.answer([read(Sink(), service, "small")], 0.0) == []
    return answering, service, cache


def read(sink: Sink, service: CacheService, *keys: str) -> Read:
    key = keys[0] if len(keys) == 1 else None
    return Read(sink, True, service, False, None, keys=list(keys), key=key, condition=None)


def test_who_takes_nothing_gets_one_answer_at_a_time() -> None:
    answering, service, _ = made({"large": LARGE})
    sinks = [Sink(1024) for _ in range(3)]
    taken = [read(sink, service, "large") for sink in sinks for _ in range(10)]
    left = answering.answer([*taken], 0.0)
    assert [len(sink.bodies) for sink in sinks] == [1, 1, 1]
    assert left == [*taken[1:10], *taken[11:20], *taken[21:]]


def test_a_turn_gives_no_more_of_one_value_than_of_many() -> None:
    answering, service, _ = made({"large": LARGE})
    sinks = [Sink() for _ in range(MOST_KEYS)]
    left = answering.answer([read(sink, service, "large") for sink in sinks], 0.0)
    given = sum(sink.sent for sink in sinks)
    assert TURN_BYTES < given <= TURN_BYTES + 2 * LARGE
    assert len(left) == len([sink for sink in sinks if not sink.bodies])


def test_values_that_were_small_until_now_are_not_all_read_at_once() -> None:
    sizes = {f"large{number}": LARGE for number in range(MOST_KEYS)}
    answering, service, cache = made(sizes)
    sinks = [Sink() for _ in range(4)]
    keys = list(sizes)
    left = [read(sinks[number % 4], service, key) for number, key in enumerate(keys)]
    turns = 0
    while left:
        left = answering.answer(left, 0.0)
        turns += 1
        assert turns < 2 * MOST_KEYS
    assert cache.most_at_once <= CALL_BYTES + 2 * LARGE
    for number, sink in enumerate(sinks):
        # In the order in which they were asked for.
        given = [body.split(b'"')[3].decode() for body in sink.bodies]
        assert given == keys[number::4]


def test_a_list_of_large_values_is_read_whole() -> None:
    answering, service, _ = made({"a": LARGE, "b": LARGE, "c": LARGE, "d": LARGE})
    one, other = Sink(), Sink()
    left = [read(one, service, "a", "b", "c", "d"), read(other, service, "a", "b", "c")]
    for _ in range(4):
        left = answering.answer(left, 0.0)
    assert left == []
    assert one.sent > 4 * LARGE
    assert other.sent > 3 * LARGE
