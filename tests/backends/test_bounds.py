"""Reading many values within a bound in bytes: on each backend, whose sizes are as they are."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from backends.base import MISSING, Backend, Item
from backends.capabilities import Capability
from backends.errors import Failed, NotAnInteger, NotRead, OutOfMemory, Refused, ValueTooLarge
from backends.file import keys as file_room
from backends.file.backend import FileBackend
from backends.memcached import performing as memcached_performing
from backends.memcached.backend import MemcachedBackend
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    GetAndDelete,
    Increment,
    Operation,
    Replace,
)
from backends.redis.backend import RedisBackend
from backends.redis.reads import READS_APART
from backends.within import perform_within
from tests.conftest import connect, connect_redis
from tests.support.processes import Memcached
from tests.support.redis import Redis

LARGE = 300_000
KEYS = [f"large{number}" for number in range(12)]


def test_no_more_is_read_than_was_asked_for_and_the_rest_is_no_absence(backend: Backend) -> None:
    backend.set_many([Item(key, key.encode() + b"x" * LARGE, None) for key in KEYS])
    left, found = ["absent", *KEYS], {}
    for _ in range(len(left)):
        part = backend.get_each(left, 2 * LARGE)
        values = {key: value for key, value in part.items() if isinstance(value, bytes)}
        assert sum(map(len, values.values())) <= 3 * LARGE + 3 * len("large11")
        assert all(isinstance(part[key], NotRead) for key in part.keys() - values.keys())
        found |= values
        left = [key for key in left if isinstance(part.get(key), NotRead)]
        if not left:
            break
        # One is always read, and the backend serves as before.
        assert values or not {*left} - {*KEYS}
        assert backend.get(KEYS[0]) == KEYS[0].encode() + b"x" * LARGE
    assert found == {key: key.encode() + b"x" * LARGE for key in KEYS}
    assert backend.get_many([*KEYS, "absent"]).keys() == set(KEYS)


def test_a_backend_that_bounds_nothing_itself_is_asked_for_some_keys_at_a_time(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    get_many = backend.get_many

    def counted(keys: Iterable[str]) -> dict[str, bytes]:
        keys = list(keys)
        asked.append(len(keys))
        return get_many(keys)

    backend.set_many([Item(f"small{number}", b"x", None) for number in range(100)])
    backend.set_many([Item(key, b"x" * LARGE, None) for key in KEYS])
    monkeypatch.setattr(backend, "get_many", counted)
    keys = [f"small{number}" for number in range(100)] + KEYS + ["absent"]
    found = Backend.get_each(backend, [*keys, *keys], LARGE)
    assert asked == [16, 32, 64]
    assert [type(found[key]) for key in keys[:112]] == [bytes] * 112
    assert isinstance(found["absent"], NotRead)
    assert Backend.get_each(backend, keys) == get_many(keys)


def test_one_is_read_however_large(backend: Backend) -> None:
    backend.set_many([Item(key, b"x" * LARGE, None) for key in KEYS[:3]])
    found = backend.get_each(KEYS[:3], 10)
    assert [value for value in found.values() if isinstance(value, bytes)] == [b"x" * LARGE]
    assert backend.get_each(KEYS[:1], 10) == {KEYS[0]: b"x" * LARGE}
    assert backend.get_each(["small", *KEYS[:3]], 10).keys() <= {"small", *KEYS}


def test_small_values_are_read_at_once(backend: Backend) -> None:
    backend.set_many([Item(key, b"x", None) for key in KEYS])
    assert backend.get_each([*KEYS, "absent"], 1000) == dict.fromkeys(KEYS, b"x")


def test_memcached_does_not_send_the_rest_for_nothing(memcached_server: Memcached) -> None:
    backend: MemcachedBackend = connect(memcached_server, timeout_ms=5000)
    backend.set_many([Item(key, b"x" * LARGE, None) for key in KEYS])
    before = int(memcached_server.statistics()["curr_connections"])
    for _ in range(10):
        assert NotRead in map(type, backend.get_each(KEYS, LARGE).values())
        assert backend.get("absent") is not None
    assert int(memcached_server.statistics()["curr_connections"]) <= before + 1
    backend.close()


@pytest.fixture
def on_redis(redis_one: Redis) -> RedisBackend:
    redis_one.empty()
    backend: RedisBackend = connect_redis(redis_one)
    backend.set_many([Item(key, b"x", None) for key in KEYS])
    return backend


def test_redis_reads_many_by_one_command(on_redis: RedisBackend, redis_one: Redis) -> None:
    before = (redis_one.calls("mget"), redis_one.calls("get"))
    for _ in range(3):
        assert on_redis.get_each(KEYS) == dict.fromkeys(KEYS, b"x")
    assert (redis_one.calls("mget"), redis_one.calls("get")) == (before[0] + 3, before[1])


def test_redis_asks_again_for_what_may_be_of_another_type(
    on_redis: RedisBackend, redis_one: Redis
) -> None:
    before = (redis_one.calls("mget"), redis_one.calls("get"))
    for _ in range(READS_APART):
        assert on_redis.get_each([*KEYS, "absent"]) == dict.fromkeys(KEYS, b"x")
    mget, get = redis_one.calls("mget") - before[0], redis_one.calls("get") - before[1]
    # Once too often, and then as if there were no MGET.
    assert (mget, get) == (1, 1 + (READS_APART - 1) * (len(KEYS) + 1))
    assert on_redis.get_each(KEYS) == dict.fromkeys(KEYS, b"x")
    assert redis_one.calls("mget") == before[0] + 2


def test_operations_bring_no_more_than_was_asked_for(backend: Backend) -> None:
    stored = {key: key.encode() + b"x" * LARGE for key in KEYS}
    backend.set_many([Item(key, value, None) for key, value in stored.items()])
    takes = Capability.GET_AND_DELETE in backend.capabilities
    pulled = KEYS[6:] if takes else []
    left: list[Operation] = [Get(key) for key in KEYS[:6]]
    left += [GetAndDelete(key) for key in pulled]
    found: dict[str, bytes] = {}
    for _ in range(len(left)):
        outcomes = perform_within(backend, left, 2 * LARGE)
        brought = {
            operation.key: outcome
            for operation, outcome in zip(left, outcomes, strict=True)
            if isinstance(outcome, bytes)
        }
        assert 1 <= len(brought) <= 3
        found |= brought
        left = [
            operation
            for operation, outcome in zip(left, outcomes, strict=True)
            if isinstance(outcome, NotRead)
        ]
        # What was not brought is there.
        assert backend.get_many([one.key for one in left]).keys() == {one.key for one in left}
        if not left:
            break
    assert found == {key: stored[key] for key in [*KEYS[:6], *pulled]}
    assert backend.get_many(KEYS).keys() == set(KEYS) - set(pulled)


def test_nothing_is_done_to_a_key_behind_what_was_not_brought(backend: Backend) -> None:
    backend.set_many([Item(key, b"x" * LARGE, None) for key in KEYS[:3]])
    asked: list[Operation] = []
    for key in KEYS[:3]:
        asked += [Get(key), Item(key, b"changed", None), Get(key), Delete(key)]
    asked += [Add("other", b"stored", None), Get("other"), Get("absent"), Exists(KEYS[0])]
    outcomes = perform_within(backend, asked, 10)
    done = [outcomes[start : start + 4] for start in (0, 4, 8)]
    whole = [one for one in done if not isinstance(one[0], NotRead)]
    assert len(whole) <= 1
    assert [one[:2] for one in whole] == [[b"x" * LARGE, True]] * len(whole)
    for key, four in zip(KEYS, done, strict=False):
        if isinstance(four[0], NotRead):
            assert [type(one) for one in four] == [NotRead] * 4
            assert backend.get(key) == b"x" * LARGE
    # What brings nothing is done.
    assert outcomes[12] is True
    assert backend.get("other") == b"stored"


def test_no_value_is_brought_that_is_larger_than_asked_for(backend: Backend) -> None:
    backend.set_many([Item("small", b"x" * 10, None), Item("large", b"x" * 2000, None)])
    for key, outcome in (("large", NotRead), ("small", bytes), ("absent", type(MISSING))):
        for asked in (Get(key), GetAndDelete(key)):
            (one,) = perform_within(backend, [asked], LARGE, 1000)
            assert isinstance(one, outcome)
    assert backend.get("large") == b"x" * 2000
    assert backend.get("small") is MISSING


@pytest.mark.parametrize("at_once", [True, False])
def test_nothing_is_brought_of_a_key_that_cannot_be_looked_at(
    file_backend: FileBackend, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    failure: Failed = OutOfMemory("full") if at_once else ValueTooLarge("large")
    get = file_backend.get

    def look(*_: object) -> None:
        # Of one kind it is told of which key; of the other each is asked for alone.
        raise failure if at_once else Refused

    def look_at_one(key: str) -> object:
        if key == KEYS[0]:
            raise failure
        return get(key)

    monkeypatch.setattr(file_backend, "get_each", look)
    monkeypatch.setattr(file_backend, "get", look_at_one)
    file_backend.set_many([Item(key, b"x" * LARGE, None) for key in KEYS[:2]])
    asked: list[Operation] = [
        *(Item(KEYS[2], b"own", None), Get(KEYS[2]), GetAndDelete(KEYS[0]), Get(KEYS[0])),
        *(Add(KEYS[0], b"no", None), Get(KEYS[0]), GetAndDelete(KEYS[1]), Delete(KEYS[0])),
    ]
    outcomes = perform_within(file_backend, asked, 10)
    brought = failure if at_once else b"x" * LARGE
    assert outcomes == [True, b"own", failure, failure, False, failure, brought, True]
    assert get(KEYS[1]) == (b"x" * LARGE if at_once else MISSING)


def test_operations_within_a_bound_do_what_they_do_without(backend: Backend) -> None:
    asked: list[Operation] = [
        *(Item("a", b"7", None), Get("a"), Add("a", b"no", None), Get("a"), Delete("a"), Get("a")),
        *(Get("b"), Add("b", b"one", None), Get("b"), Replace("b", b"two", None), Get("b")),
        *(Exists("b"), Get("b"), Item("b", b"", 0), Get("b"), Get("c"), Exists("c")),
    ]
    expected = backend.perform(asked)
    backend.delete_many(["a", "b", "c"])
    assert perform_within(backend, asked, 1000) == expected
    assert perform_within(backend, [Item("a", b"1", None), Get("b")], -1)[0] is True
    assert isinstance(perform_within(backend, [Get("a")], -1)[0], NotRead)


def test_to_ask_whether_many_are_there_holds_few_of_their_values(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (memcached_performing, file_room):
        monkeypatch.setattr(module, "LOOKED_AT", LARGE)
    backend.set_many([Item(key, b"x" * LARGE, None) for key in KEYS])
    asked: list[Operation] = [Exists(key) for key in (*KEYS, "absent")]
    assert backend.perform(asked) == [True] * len(KEYS) + [False]
    if Capability.INCREMENT in backend.capabilities:
        counts = backend.perform([Increment(key, 1) for key in KEYS])
        assert {type(one) for one in counts} == {NotAnInteger}
