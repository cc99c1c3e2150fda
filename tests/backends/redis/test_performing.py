"""Operations on Redis in one write: what each is told, in order, whatever breaks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backends.base import MISSING
from backends.errors import (
    BackendError,
    NotAnInteger,
    NotPermitted,
    Unavailable,
    ValueTooLarge,
    WrongType,
)
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    GetAndDelete,
    Increment,
    Item,
    Operation,
    Replace,
    Touch,
)
from backends.redis.wire import Wire
from tests.backends.redis.test_apart import a_key_of_its_own
from tests.backends.redis.test_faults import UNKNOWN, Line, line
from tests.conftest import connect_redis
from tests.support.redis import Redis

__all__ = ["line"]

ALL: list[Operation] = [
    *(Item("a", b"1", None), Add("b", b"2", 60), Replace("b", b"3", 60), Touch("b", 50)),
    *(Increment("a", 1), Increment("c", 1, b"7", 60), GetAndDelete("b"), Delete("c")),
    *(Get("a"), Exists("b"), Get("other")),
]
DONE = [True, True, True, True, 2, 7, b"3", True, b"2", False, MISSING]


def test_all_are_one_write(redis_one: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    redis_one.empty()
    backend = connect_redis(redis_one)
    # Now the server knows the scripts.
    assert backend.perform(ALL) == DONE
    backend.delete("a")
    sent: list[int] = []
    exchange = Wire.exchange

    def counting(self: Wire, commands: Sequence[bytes], most: float) -> list[object]:
        sent.append(len(commands))
        return exchange(self, commands, most)

    monkeypatch.setattr(Wire, "exchange", counting)
    assert backend.perform(ALL) == DONE
    assert sent == [len(ALL)]
    backend.close()


def test_a_server_that_lost_its_scripts_keeps_the_order_of_a_key(redis_one: Redis) -> None:
    redis_one.empty()
    backend = connect_redis(redis_one)
    asked: list[Operation] = [
        *(Item("k", b"1", None), Increment("k", 1), Get("k"), Replace("k", b"8", None)),
        *(Increment("k", 1), Touch("k", 60), Delete("k"), Replace("k", b"9", None)),
        *(Increment("own", 1, b"5"), Increment("own", 1), Touch("other", 60)),
    ]
    for _ in range(2):
        redis_one.call("SCRIPT", "FLUSH")
        assert backend.perform(asked) == [
            *(True, 2, b"2", True, 9, True, True, False),
            *(5, 6, False),
        ]
        assert backend.get("k") is MISSING
        backend.delete("own")
    backend.close()


def test_a_number_is_created_for_its_lifetime(redis_one: Redis) -> None:
    redis_one.empty()
    backend = connect_redis(redis_one)
    counts = [Increment("k", 1, b"5", ttl) for ttl in (0, -5, 60)]
    assert backend.perform([*counts, Get("k")]) == [5, 5, 5, b"5"]
    left = backend.remaining_ttl("k")
    assert isinstance(left, float)
    assert 50 < left <= 60
    assert backend.perform([Increment("other", -3, b"-4", None)]) == [-4]
    assert backend.remaining_ttl("other") is None
    backend.close()


def test_what_is_of_another_type_refuses_its_own_operations(redis_one: Redis) -> None:
    redis_one.empty()
    backend = connect_redis(redis_one)
    redis_one.call("HSET", "cacheapi:hash", "field", "1")
    refused: list[Operation] = [
        *(Get("hash"), Add("hash", b"1", None), Add("hash", b"1", 0), Replace("hash", b"1", None)),
        *(
            Touch("hash", 60),
            Increment("hash", 1),
            Increment("hash", 1, b"1"),
            GetAndDelete("hash"),
        ),
    ]
    outcomes = backend.perform([*refused, Exists("hash"), Item("k", b"x", None), Get("k")])
    for outcome in outcomes[: len(refused)]:
        assert isinstance(outcome, WrongType)
        assert outcome.kind == "hash"
    assert outcomes[len(refused) :] == [True, True, b"x"]
    assert redis_one.call("HGET", "cacheapi:hash", "field") == b"1"
    assert backend.perform([Item("hash", b"2", None), Get("hash")]) == [True, b"2"]
    redis_one.call("DEL", "cacheapi:hash")
    redis_one.call("HSET", "cacheapi:hash", "field", "1")
    assert backend.perform([Delete("hash"), Get("hash")]) == [True, MISSING]
    (error,) = backend.perform([Increment("k", 1)])
    assert isinstance(error, NotAnInteger)
    backend.close()


def test_a_key_that_is_not_permitted_refuses_its_own_operations() -> None:
    with a_key_of_its_own() as server:
        backend = connect_redis(server)
        closed: list[Operation] = [
            *(Get("closed"), Item("closed", b"1", None), Add("closed", b"1", None)),
            *(Replace("closed", b"1", None), Delete("closed"), Touch("closed", 60)),
            *(Increment("closed", 1), GetAndDelete("closed"), Exists("closed")),
        ]
        well = [Item("open:1", b"1", None), Increment("open:1", 1), Get("open:1")]
        outcomes = backend.perform([well[0], *closed, *well[1:]])
        for outcome in outcomes[1:-2]:
            assert isinstance(outcome, NotPermitted)
            assert outcome.apart
        assert [outcomes[0], *outcomes[-2:]] == [True, 2, b"2"]
        backend.close()


@pytest.mark.parametrize("mode", ["cut", "hold"])
def test_what_has_no_reply_is_unknown_if_it_may_not_be_sent_twice(line: Line, mode: str) -> None:
    asked: list[Operation] = [
        *(Item("first", b"1", None), Increment("n", 1, b"1"), Add("added", b"1", None)),
        *(Get("first"), Item("last", b"2", None), Delete("first"), GetAndDelete("n")),
    ]
    line.backend.perform(asked)
    for key in ("added", "last", "n"):
        line.backend.delete(key)
    with line.spoiled(mode, size=len(b"+OK\r\n"), times=1):
        outcomes = line.backend.perform(asked)
    unknown = [index for index, one in enumerate(outcomes) if isinstance(one, BackendError)]
    # One that hangs took the time limit, and is not asked again.
    again = mode == "cut"
    assert unknown == [1, 2, 5, 6] if again else [*range(1, 7)]
    assert outcomes[0] is True
    for index in unknown:
        assert isinstance(outcomes[index], Unavailable)
        assert (UNKNOWN in str(outcomes[index])) is (index != 3)
    # It was all done once, and the store that was sent again a second time.
    expected = {"added": b"1", "last": b"2"}
    assert line.backend.get_many(["first", "n", "added", "last"]) == expected
    assert not again or outcomes[3] in (b"1", MISSING)


def test_a_server_that_is_gone_is_waited_for_once(redis_one: Redis) -> None:
    backend = connect_redis(redis_one, REDIS_PORT="1")
    outcomes = backend.perform(ALL)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert not any(UNKNOWN in str(outcome) for outcome in outcomes)
    backend.close()


def test_a_value_that_no_redis_takes_is_its_own_failure(
    redis_one: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_one.empty()
    monkeypatch.setattr("backends.redis.limits.LONGEST", 5)
    monkeypatch.setattr("backends.redis.keys.LONGEST", 5)
    backend = connect_redis(redis_one)
    items = [Item("a", b"1", None), Item("b", b"123456", None), Item("c", b"3", 0)]
    writes: list[Operation] = [Add("d", b"123456", None), Replace("a", b"123456", None), Get("a")]
    outcomes = [*backend.set_many(items), *backend.perform(writes)]
    assert [type(outcomes[index]) for index in (1, 3, 4)] == [ValueTooLarge] * 3
    assert [outcomes[index] for index in (0, 2, 5)] == [True, True, b"1"]
    assert "512 MB" in str(outcomes[1])
    backend.close()
