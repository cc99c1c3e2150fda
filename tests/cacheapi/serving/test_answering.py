"""A turn of the lane: how much it reads and gives, and in which order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import pytest

from backends.base import Backend
from backends.errors import BackendError, NotRead
from backends.operations import Get, GetAndDelete, Operation, Touch
from cacheapi.caching.service import CacheService
from cacheapi.serving import finishing, health, leaving
from cacheapi.serving.answering import Answering
from cacheapi.serving.answers import Act, Read, Taken
from cacheapi.serving.bringing import CALL_BYTES, MOST_KEYS, PATIENCE, TURN_BYTES
from cacheapi.serving.health import Troubles
from cacheapi.serving.largeness import Largeness
from cacheapi.serving.making import MOST_KEPT, Hands
from cacheapi.serving.performing import MOST_BROUGHT
from cacheapi.serving.unsent import Room, Waiting

pytestmark = pytest.mark.usefixtures("never_slow")

LARGE = 1024 * 1024
SMALL = b'"small"'


class Cache:
    """A backend whose values are as large as the test says; it counts what it gave."""

    service_type = "test"

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes
        self.most_at_once = 0
        self.calls: list[int] = []
        self.performed: list[Operation] = []

    def uncounted(self) -> Cache:
        """Return itself: it has no statistics."""
        return self

    def told(self, text: str) -> str:
        """Return a text as it is: it has no settings."""
        return text

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        """Give what is asked for, and note what is done."""
        self.performed += operations
        found = self.get_each([one.key for one in operations])
        return [
            found[one.key] if isinstance(one, Get | GetAndDelete) else True for one in operations
        ]

    def get_and_touch_many(self, touches: Sequence[Touch], most: int) -> list[Any]:
        """Leave it to the other methods."""
        return [None] * len(touches)

    def has_mark(self, key: str) -> bool:
        """Say that nothing has tags here."""
        return False

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> dict[str, bytes | BackendError]:
        given = 0
        found: dict[str, bytes | BackendError] = {}
        keys = list(keys)
        self.calls.append(len(keys))
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

    client = None

    def __init__(self, room: int = 2**60) -> None:
        self.room = room
        self.sent = 0
        self.reads = 0
        self.bodies: list[bytes] = []
        self.statuses: list[int] = []

    @property
    def is_full(self) -> bool:
        return self.sent > self.room

    def flush(self) -> None:
        pass

    def end(self) -> None:
        pass

    def answer(self, status: int, fields: str, body: bytes | None, keep_alive: bool) -> None:
        self.statuses.append(status)
        self.bodies.append((body or b"")[:30])
        self.sent += len(body or b"")


class Later:
    """Hands that do nothing until they are told to."""

    def __init__(self) -> None:
        self.put: list[Callable[[], None]] = []

    def work(
        self, request: Any, size: int, work: Callable[[], Any], then: Callable[[Any], None]
    ) -> None:
        assert size > LARGE
        self.put.append(lambda: then(work()))


def made(
    sizes: dict[str, int], hands: Hands | None = None
) -> tuple[Answering, CacheService, Cache]:
    cache = Cache(sizes)
    service = CacheService("cache", cast("Backend", cache), default_ttl=0)
    troubles = Troubles()
    answering = Answering(troubles, None, service, Waiting(), Largeness(troubles), None, hands)
    # Small values have been read for a while: so many are asked for at once as ever.
    for _ in range(10 * PATIENCE):
        assert answering.answer([read(Sink(), service, "small")], 0.0) == []
    return answering, service, cache


def read(sink: Sink, service: CacheService, *keys: str) -> Read:
    key = keys[0] if len(keys) == 1 else None
    return Read(sink, True, service, False, None, keys=list(keys), key=key, condition=None)


def act(sink: Sink, service: CacheService, *operations: Operation, gives: bool = False) -> Act:
    takes = isinstance(operations[0], GetAndDelete)
    return Act(
        sink,
        True,
        service,
        False,
        None,
        method="PATCH" if len(operations) > 1 else "GET",
        keys=[operations[0].key],
        size=0,
        operations=list(operations),
        finish=finishing.touch if len(operations) > 1 else finishing.read,
        reads=not takes and len(operations) == 1,
        brings=True,
        gives=gives,
    )


def test_many_small_values_of_a_turn_are_one_call() -> None:
    answering, service, cache = made({})
    cache.calls.clear()
    lists = [[f"{first}:{number}" for number in range(100)] for first in range(10)]
    sinks = [Sink() for _ in lists]
    taken = [read(sink, service, *keys) for sink, keys in zip(sinks, lists, strict=True)]
    assert answering.answer([*taken], 0.0) == []
    assert [sink.statuses for sink in sinks] == [[200]] * 10
    assert cache.calls == [1000]


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
    # By their number one call would bring all; by their size many are needed.
    sizes = {f"large{number}": LARGE for number in range(MOST_KEYS // 8)}
    answering, service, cache = made(sizes)
    sinks = [Sink() for _ in range(4)]
    keys = list(sizes)
    left = [read(sinks[number % 4], service, key) for number, key in enumerate(keys)]
    turns = 0
    while left:
        left = answering.answer(left, 0.0)
        turns += 1
        assert turns < 2 * len(keys)
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


@pytest.mark.parametrize("kind", ["pull", "read", "new lifetime"])
def test_acts_bring_few_large_values_a_turn_and_all_are_answered_once(kind: str) -> None:
    sizes = {f"large{number}": LARGE for number in range(12)}
    answering, service, cache = made(sizes)
    sinks = [Sink() for _ in sizes]
    taken: list[Taken] = []
    for sink, key in zip(sinks, sizes, strict=True):
        ways: dict[str, list[Operation]] = {
            "pull": [GetAndDelete(key)],
            "read": [Get(key)],
            "new lifetime": [Get(key), Touch(key, 60)],
        }
        # What its connection asked for behind it waits for it.
        taken += [act(sink, service, *ways[kind], gives=True), read(sink, service, "small")]
    left, turns, cache.most_at_once = taken, 0, 0
    while left:
        left = answering.answer(left, 0.0)
        turns += 1
        assert turns < 2 * len(sizes)
    assert cache.most_at_once <= MOST_BROUGHT + LARGE + 100
    assert [sink.statuses for sink in sinks] == [[200, 200]] * len(sinks)
    assert all(sink.bodies[1].startswith(b'{"key":"small"') for sink in sinks)
    done = [one.key for one in cache.performed if not isinstance(one, Get)]
    assert sorted(done) == sorted(sizes if kind != "read" else [])


def test_a_large_answer_is_made_beside_the_turn_and_what_is_behind_it_waits() -> None:
    hands = Later()
    answering, service, cache = made({"large": LARGE}, hands)
    gone_on: list[Taken] = []
    answering.making.go_on = gone_on.extend
    first, other, taker = Sink(), Sink(), Sink()
    taken: list[Taken] = [
        act(taker, service, GetAndDelete("large"), gives=True),
        read(first, service, "small"),
        read(first, service, "large"),
        read(first, service, "other"),
        read(other, service, "small"),
        read(taker, service, "small"),
    ]
    left = answering.answer(taken, 0.0)
    assert left == [taken[5], taken[3]]
    assert (first.statuses, other.statuses, taker.statuses) == ([200], [200], [])
    # As :class:`Turns` does.
    for request in left:
        answering.making.sinks[request.sink].append(request)
    # What comes in later turns waits as well, and others do not.
    more: list[Taken] = [read(first, service, "more"), read(other, service, "more")]
    assert answering.answer([*more], 0.0) == more[:1]
    answering.making.sinks[first].append(more[0])
    for one in hands.put:
        one()
    assert [body[:15] for body in first.bodies] == [b'{"key":"small",', b'{"key":"large",']
    assert taker.sent > LARGE
    assert [one.key for one in cache.performed] == ["large"]
    # Each connection's in their order.
    assert [one for one in gone_on if one.sink is first] == [taken[3], more[0]]
    assert [one for one in gone_on if one.sink is taker] == [taken[5]]
    assert not answering.making.sinks
    assert answering.answer(gone_on, 0.0) == []


def test_of_what_waits_for_a_thread_few_bytes_are_kept() -> None:
    hands = Later()
    sizes = {f"large{number}": LARGE for number in range(20)}
    answering, service, cache = made(sizes, hands)
    sinks = [Sink() for _ in range(16)]
    left: list[Taken] = [read(sink, service, f"large{number}") for number, sink in enumerate(sinks)]
    while left:
        left = answering.answer(left, 0.0)
    assert answering.making.is_full
    kept = answering.making._kept
    assert MOST_KEPT < kept <= MOST_KEPT + 2 * LARGE
    # What would be taken is left where it is, and tried again once others have gone.
    taker, small = Sink(), Sink()
    pulls: list[Taken] = [
        act(taker, service, GetAndDelete("large19"), gives=True),
        act(small, service, GetAndDelete("small"), gives=True),
    ]
    assert answering.answer([*pulls], 0.0) == pulls[:1]
    assert answering.crowd.sinks == {taker}
    assert (taker.statuses, small.statuses) == ([], [200])
    assert [one.key for one in cache.performed] == ["small"]
    # The others are read anew, each when it is its turn.
    for one in hands.put:
        one()
    hands.put.clear()
    assert [sink.statuses for sink in sinks] == [[200]] * len(sinks)
    assert all(sink.sent > LARGE for sink in sinks)
    assert answering.making._kept == 0
    assert answering.answer(pulls[:1], 0.0) == []
    hands.put.pop()()
    assert taker.statuses == [200]


def test_a_list_that_is_too_much_for_a_turn_is_read_beside_it() -> None:
    hands = Later()
    sizes = {f"large{number}": LARGE for number in range(8)}
    answering, service, cache = made(sizes, hands)
    sink, other = Sink(), Sink()
    left: list[Taken] = [read(other, service, "small"), read(sink, service, *sizes, "small")]
    cache.most_at_once = 0
    while left and not hands.put:
        left = answering.answer(left, 0.0)
    assert cache.most_at_once <= CALL_BYTES + LARGE + 100
    assert (other.statuses, sink.statuses, len(hands.put)) == ([200], [], 1)
    hands.put.pop()()
    assert sink.statuses == [200]
    assert sink.sent > 8 * LARGE


def test_what_goes_wrong_with_a_large_value_is_its_requests_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hands = Later()
    answering, service, _ = made({"large": LARGE}, hands)
    sink = Sink()
    monkeypatch.setattr(service, "_read", lambda _: 1 / 0)
    assert answering.answer([read(sink, service, "large")], 0.0) == []
    hands.put.pop()()
    assert sink.statuses == [500]
    assert not answering.making.sinks


class Crowd(Waiting):
    """Answers that wait, as the test says."""

    is_crowded = True

    def room(self) -> Room:
        return Room({"": 2**40} if self.is_crowded else {})


def crowded(sizes: dict[str, int]) -> tuple[Answering, CacheService, Cache, Crowd]:
    cache, crowd = Cache(sizes), Crowd()
    service = CacheService("cache", cast("Backend", cache), default_ttl=0)
    troubles = Troubles()
    answering = Answering(troubles, None, service, crowd, Largeness(troubles))
    return answering, service, cache, crowd


def test_a_large_pull_waits_for_room_and_nothing_is_lost() -> None:
    answering, service, cache, crowd = crowded({"large": LARGE})
    large, small, plain = Sink(), Sink(), Sink()
    taken: list[Taken] = [
        act(large, service, GetAndDelete("large"), gives=True),
        read(large, service, "small"),
        act(small, service, GetAndDelete("small"), gives=True),
        read(plain, service, "large"),
    ]
    left = answering.answer(taken, 0.0)
    # Both requests of its connection; small values wait for nobody, a plain read is refused.
    assert left == taken[:2]
    assert answering.crowd.sinks == {large}
    assert (large.statuses, small.statuses, plain.statuses) == ([], [200], [503])
    assert [one.key for one in cache.performed] == ["small"]
    assert answering.answer(left, 0.0) == left
    crowd.is_crowded = False
    assert answering.answer(left, 0.0) == []
    assert large.statuses == [200, 200]


def test_a_pull_does_not_wait_for_ever_and_what_it_would_take_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering, service, cache, _ = crowded({"large": LARGE})
    sink, small = Sink(), Sink()
    taken: list[Taken] = [act(sink, service, GetAndDelete("large"), gives=True)]
    assert answering.answer(taken, 0.0) == taken
    monkeypatch.setattr(leaving, "MOST_CROWDED_SECONDS", -1.0)
    taken.append(act(small, service, GetAndDelete("small"), gives=True))
    assert answering.answer(taken, 0.0) == []
    assert (sink.statuses, small.statuses) == ([503], [200])
    assert [one.key for one in cache.performed] == ["small"]


def test_what_was_left_by_one_turn_is_refused_by_the_next_where_it_finds_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = {f"large{number}": LARGE for number in range(12)}
    answering, service, cache, crowd = crowded(sizes)
    crowd.is_crowded = False
    sinks = [Sink() for _ in sizes]
    left: list[Taken] = [
        act(sink, service, GetAndDelete(key), gives=True)
        for sink, key in zip(sinks, sizes, strict=True)
    ]
    left = answering.answer(left, 0.0)
    # Not all were read at once.
    assert 0 < len(left) < len(sinks)
    crowd.is_crowded = True
    monkeypatch.setattr(leaving, "MOST_CROWDED_SECONDS", -1.0)
    assert answering.answer(left, 0.0) == []
    assert [one.sink.statuses for one in left] == [[503]] * len(left)
    assert len(cache.performed) == len(sinks) - len(left)


def test_a_call_that_brings_much_may_take_longer() -> None:
    troubles = Troubles()
    started = time.monotonic() - 2 * health.SLOW_SECONDS
    troubles.look("cache", started, None, stores=False, brought=lambda: 2**40)
    assert not troubles
    troubles.look("cache", started, None, stores=False)
    assert troubles
    assert troubles.is_slow("cache")
    assert not troubles.is_slow("other")


def test_what_is_not_known_weighs_as_much_as_others_where_the_lane_leaves_it() -> None:
    answering, service, _ = made({"large": LARGE})
    answering.answer([read(Sink(), service, "large")], 0.0)
    assert answering._large.likely_size(service, "large") == LARGE + 2
    assert answering._large.likely_size(service, "other") == 0
    started = time.monotonic() - 2 * health.SLOW_SECONDS
    answering._troubles.look("cache", started, None, stores=True)
    assert answering._large.likely_size(service, "other") == LARGE + 2
