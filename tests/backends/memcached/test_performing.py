"""Operations on memcached in a few round trips: what each is told, whatever breaks."""

from __future__ import annotations

from typing import Any

import pytest

from backends.base import MISSING, Flagged, flags_of
from backends.errors import (
    BackendError,
    NotAnInteger,
    Timeout,
    Unavailable,
    Unsupported,
    ValueTooLarge,
)
from backends.memcached import encoded
from backends.memcached.backend import MemcachedBackend
from backends.memcached.errors import CLIENT_ERROR, SERVER_ERROR, CommandFailed
from backends.memcached.link import Link
from backends.memcached.options import parse_servers
from backends.memcached.text import TextClient
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
from backends.testing.cases import at_once
from tests.backends.memcached.test_replies import UNKNOWN, Line, line
from tests.conftest import PATIENT_MS, connect
from tests.support.processes import Memcached, memcached
from tests.support.timing import Stopwatch

__all__ = ["line"]


def test_changes_reads_takes_and_counts_are_one_trip_each(
    memcached_backend: MemcachedBackend, trips: list[bytes]
) -> None:
    memcached_backend.set("taken", b"t", None)
    trips.clear()
    assert memcached_backend.perform(
        [
            *(Get("absent"), Increment("n", 2, b"40"), Item("a", b"1", None), Exists("a")),
            *(Add("b", b"2", 60), Replace("b", b"3", 60), Touch("b", 50), Get("b"), Delete("no")),
            *(Increment("n", 2), Increment("a", 1), GetAndDelete("taken"), GetAndDelete("b")),
        ]
    ) == [MISSING, 40, True, True, True, True, True, b"3", False, 42, 2, b"t", b"3"]
    assert [command.split()[0] for command in trips] == [b"set", b"get", b"gat", b"add"]
    assert trips[0].count(b"\r\n") == 3 * 2 + 2
    trips.clear()
    assert memcached_backend.delete_many(["a", "b", "n"]) == [True, False, True]
    assert len(trips) == 1


def test_a_key_that_changes_again_begins_a_round(
    memcached_backend: MemcachedBackend, trips: list[bytes]
) -> None:
    assert memcached_backend.perform(
        [
            *(Item("k", b"1", None), Increment("k", 1), Get("k"), Increment("k", 1)),
            *(GetAndDelete("k"), GetAndDelete("k"), Increment("k", 1, b"7"), Get("k")),
        ]
    ) == [True, 2, b"2", 3, b"3", MISSING, 7, b"7"]


def test_keys_that_are_read_and_then_changed_are_one_round(
    memcached_backend: MemcachedBackend, trips: list[bytes]
) -> None:
    asked: list[Operation] = []
    for number in range(20):
        memcached_backend.set(f"k{number}", b"%d" % number, None)
        asked += [Get(f"k{number}"), Touch(f"k{number}", 60), Get(f"k{number}")]
    trips.clear()
    expected = [[b"%d" % number, True, b"%d" % number] for number in range(20)]
    assert memcached_backend.perform(asked) == [one for some in expected for one in some]
    assert [command.split()[0] for command in trips] == [b"get", b"touch", b"get"]


def test_what_is_no_number_is_left_alone(memcached_backend: MemcachedBackend) -> None:
    most = 2**63 - 1
    stored: dict[str, bytes] = {
        "dwarfs": b"7 dwarfs",
        "most": b"%d" % most,
        "java": Flagged(b"9", 256),
        "text": b"text",
    }
    for key, value in stored.items():
        memcached_backend.set(key, value, None)
    outcomes = memcached_backend.perform([Increment(key, 1) for key in stored])
    assert [type(outcome) for outcome in outcomes] == [NotAnInteger] * len(stored)
    assert memcached_backend.get_many(stored) == stored
    memcached_backend.set("near", b"%d" % (most - 1), None)
    first, second, third = memcached_backend.perform([Increment("near", 1)] * 2 + [Get("near")])
    assert (first, type(second), third) == (most, NotAnInteger, b"%d" % most)
    assert memcached_backend.perform([Increment("near", -5), Increment("k", -5, b"3")]) == [
        *(most - 5, 3)
    ]


def test_a_new_number_has_its_flags_and_its_lifetime(memcached_backend: MemcachedBackend) -> None:
    asked = [Increment("k", 1, Flagged(b"5", 6), 100), Increment("k", 1), Get("k")]
    first, second, value = memcached_backend.perform(asked)
    assert (first, second, value, flags_of(value)) == (5, 6, b"6", 6)
    left = memcached_backend.remaining_ttl("k")
    assert isinstance(left, int)
    assert 90 < left <= 101
    assert memcached_backend.perform([Increment("gone", 1, b"5", 0)] * 2) == [5, 5]
    assert memcached_backend.get("gone") is MISSING


def test_a_count_that_is_nobody_elses_needs_no_look(
    memcached_backend: MemcachedBackend, trips: list[bytes]
) -> None:
    asked = [Increment("n", 3, b"3", 600, own=True), Increment("m", 1, own=True)]
    assert memcached_backend.perform(asked) == [3, MISSING]
    trips.clear()
    assert memcached_backend.perform([asked[0]] * 2) == [6, 9]
    assert [command.split()[0] for command in trips] == [b"incr"]
    assert memcached_backend.perform([Get("n"), asked[0], Get("n")]) == [b"9", 12, b"12"]
    left = memcached_backend.remaining_ttl("n")
    assert isinstance(left, int)
    assert left > 500


def test_a_number_that_somebody_else_creates_meanwhile_is_counted_on(
    memcached_backend: MemcachedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = memcached_backend._members
    read_many = members.read_many

    def then_created(keys: Any, *rest: Any) -> Any:
        monkeypatch.setattr(members, "read_many", read_many)
        found = read_many(keys, *rest)
        memcached_backend.set("k", b"10", None)
        memcached_backend.delete("deleted")
        return found

    memcached_backend.set("deleted", b"1", None)
    monkeypatch.setattr(members, "read_many", then_created)
    asked = [Increment("k", 1, b"5"), Increment("deleted", 1, b"5"), Increment("absent", 1)]
    assert memcached_backend.perform(asked) == [11, 5, MISSING]


def test_one_of_several_takers_gets_a_value(memcached_backend: MemcachedBackend) -> None:
    for number in range(20):
        memcached_backend.set("k", b"%d" % number, None)
        taken = at_once(lambda: memcached_backend.perform([GetAndDelete("k")])[0])
        assert [one for one in taken if one is not MISSING] == [b"%d" % number]
        assert memcached_backend.perform([Add("k", b"new", None)]) == [True]


def test_a_server_that_does_not_know_the_step_is_asked_otherwise(
    memcached_backend: MemcachedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(self: TextClient, keys: Any, taken: Any) -> Any:
        raise CommandFailed(CLIENT_ERROR, text="ERROR")

    monkeypatch.setattr(TextClient, "take_many", unknown)
    memcached_backend.set("k", b"1", None)
    asked = [GetAndDelete("k"), GetAndDelete("absent"), GetAndDelete("k")]
    assert memcached_backend.perform(asked) == [b"1", MISSING, MISSING]


def test_without_numbers_nothing_is_taken() -> None:
    with memcached("-C") as server:
        backend = connect(server)
        backend.set("k", b"1", None)
        outcome, value = backend.perform([GetAndDelete("k"), Get("k")])
        assert isinstance(outcome, Unsupported)
        assert "-C" in str(outcome)
        assert value == b"1"
        backend.close()


def test_a_value_that_is_too_large_is_its_own_failure(memcached_backend: MemcachedBackend) -> None:
    large = b"v" * 2_000_000
    outcomes = memcached_backend.perform(
        [
            *(Item("a", b"1", None), Item("large", large, None), Delete("no")),
            *(Add("large", large, None), Item("b", b"2", None), Get("a"), Get("b")),
        ]
    )
    assert [type(outcomes[1]), type(outcomes[3])] == [ValueTooLarge] * 2
    assert [outcomes[index] for index in (0, 2, 4, 5, 6)] == [True, False, True, b"1", b"2"]


@pytest.mark.parametrize("mode", ["cut", "hold"])
def test_what_has_no_reply_is_unknown_if_it_may_not_be_sent_twice(line: Line, mode: str) -> None:
    asked: list[Operation] = [
        *(Item("first", b"1", None), Add("added", b"1", None), Item("second", b"2", None)),
        *(Delete("first"), Touch("second", 60), Item("third", b"3", None)),
    ]
    with line.spoiled(mode, size=len(b"STORED\r\n")):
        outcomes = line.backend.perform(asked)
    assert outcomes[0] is True
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes[1:])
    assert all(UNKNOWN in str(outcome) for outcome in (outcomes[1], outcomes[3]))
    # It was all done, once.
    assert line.backend.get_many(["first", "added", "second", "third"]) == {
        "added": b"1",
        "second": b"2",
        "third": b"3",
    }


def test_what_may_be_sent_twice_is_where_one_reply_is_lost(line: Line) -> None:
    asked: list[Operation] = [
        *(Item("a", b"1", None), Add("b", b"1", None), Replace("a", b"2", None)),
        *(Touch("a", 60), Delete("a"), Item("c", b"3", None)),
    ]
    with line.spoiled("cut", size=len(b"STORED\r\n")):
        line._proxy.times = 1
        outcomes = line.backend.perform(asked)
    line._proxy.times = None
    assert [index for index, one in enumerate(outcomes) if isinstance(one, BackendError)] == [1, 4]
    for index in (1, 4):
        assert UNKNOWN in str(outcomes[index])
    assert [outcomes[0], outcomes[5]] == [True, True]
    assert line.backend.get_many(["a", "b", "c"]) == {"b": b"1", "c": b"3"}


def test_counts_whose_reply_is_lost_are_unknown_and_made_once(line: Line) -> None:
    line.backend.set("n", b"1", None)
    # The look before passes.
    with line.spoiled("cut", size=0, skip=1):
        outcomes = line.backend.perform([Increment("n", 1), Increment("n", 5)])
    for outcome in outcomes:
        assert isinstance(outcome, Unavailable)
        assert UNKNOWN in str(outcome)
    assert line.raw("n") == b"7"


def test_a_server_that_hangs_is_waited_for_once(line: Line) -> None:
    asked: list[Operation] = []
    for number in range(10):
        asked += [Item("k", b"%d" % number, None), Get("k"), Increment("k", 1)]
    with line.spoiled("swallow"):
        taken = Stopwatch()
        outcomes = line.backend.perform(asked)
        assert taken() < 3
    assert isinstance(outcomes[0], Timeout)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert "Not tried" in str(outcomes[-1])


def test_another_server_of_a_pool_takes_over(memcached_pool: list[Memcached]) -> None:
    with memcached() as dying:
        addresses = ",".join(f"127.0.0.1:{server.port}" for server in (*memcached_pool, dying))
        backend = MemcachedBackend(servers=parse_servers(addresses), timeout_ms=PATIENT_MS)
        keys = [f"key{number}" for number in range(60)]
        dying.kill()
        asked: list[Operation] = []
        for key in keys:
            asked += [Item(key, b"1", None), Touch(key, 60), Increment(key, 1)]
        assert backend.perform(asked) == [True, True, 2] * len(keys)
        taken = backend.perform([GetAndDelete(key) for key in keys])
        assert taken == [b"2"] * len(keys)
        backend.close()
        # It is found to be dead by what is taken first, too.
        backend = MemcachedBackend(servers=parse_servers(addresses), timeout_ms=PATIENT_MS)
        backend.learn_capabilities()
        assert backend.perform([GetAndDelete(key) for key in keys]) == [MISSING] * len(keys)
        backend.close()


def test_what_is_taken_without_a_reply_is_unknown(line: Line) -> None:
    line.backend.learn_capabilities()
    line.backend.set("k", b"1", None)
    with line.spoiled("cut", size=3):
        (outcome,) = line.backend.perform([GetAndDelete("k")])
    assert isinstance(outcome, Unavailable)
    assert UNKNOWN in str(outcome)
    assert line.backend.get("k") is MISSING
    with line.spoiled("garbage"):
        (outcome,) = line.backend.perform([GetAndDelete("other")])
    assert isinstance(outcome, Unavailable)


TAKEN = [GetAndDelete(key) for key in ("first", "absent", "second")]
# Their keys are sent encoded, by another command.
ODD = [GetAndDelete(key) for key in ("a first", "an absent", "a second")]


@pytest.mark.parametrize(
    ("asked", "reply"),
    [(TAKEN, b"VALUE first 0 4\r\n1111\r\n"), (ODD, b"VA 4 f0\r\n1111\r\nEN\r\n")],
    ids=["plain", "encoded"],
)
def test_what_was_taken_before_a_reply_breaks_off_is_told(
    line: Line, asked: list[GetAndDelete], reply: bytes
) -> None:
    line.backend.learn_capabilities()
    for more in (0, 5):
        line.backend.set_many([Item(asked[0].key, b"1111", None), Item(asked[2].key, b"2", None)])
        with line.spoiled("cut", size=len(reply) + more):
            first, absent, second = line.backend.perform(asked)
        assert first == b"1111"
        assert absent is MISSING or UNKNOWN in str(absent)
        assert isinstance(second, Unavailable)
        assert UNKNOWN in str(second)
        assert line.backend.get_many([one.key for one in asked]) == {}


def test_what_one_command_has_taken_is_told_though_the_next_one_fails(line: Line) -> None:
    line.backend.learn_capabilities()
    asked = [*TAKEN, *ODD]
    there = {one.key: one.key.encode() for one in asked if "absent" not in one.key}
    stored = [Item(key, value, None) for key, value in there.items()]
    # The encoded ones go first.
    line.backend.set_many(stored)
    with line.spoiled("cut", size=0, skip=1):
        outcomes = line.backend.perform(asked)
    assert outcomes[3:] == [b"a first", MISSING, b"a second"]
    assert [UNKNOWN in str(outcome) for outcome in outcomes[:3]] == [True] * 3
    # And what was not sent is as it was.
    line.backend.set_many(stored)
    with line.spoiled("cut", size=0):
        outcomes = line.backend.perform(asked)
    assert [UNKNOWN in str(outcome) for outcome in outcomes[3:]] == [True] * 3
    assert ["Not tried" in str(outcome) for outcome in outcomes[:3]] == [True] * 3
    assert line.backend.get_many(there) == {key: there[key] for key in ("first", "second")}


def test_what_is_no_reply_is_believed_in_no_part(
    memcached_backend: MemcachedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    memcached_backend.learn_capabilities()
    exchange = Link.exchange

    def with_more(self: Link, command: bytes, take: Any, **more: Any) -> Any:
        return exchange(self, command, lambda line, data: take(line, data + b"EN\r\n"), **more)

    for asked in (TAKEN, ODD):
        memcached_backend.set_many([Item(one.key, b"1", None) for one in asked])
        with monkeypatch.context() as patch:
            patch.setattr(Link, "exchange", with_more)
            outcomes = memcached_backend.perform(asked)
        assert [UNKNOWN in str(outcome) for outcome in outcomes] == [True] * 3


def test_who_refuses_to_take_some_is_asked_for_the_others(
    memcached_backend: MemcachedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise CommandFailed(SERVER_ERROR, text="SERVER_ERROR busy")

    monkeypatch.setattr(encoded, "take_many", refuse)
    memcached_backend.set_many([Item(one.key, b"1", None) for one in (*TAKEN, *ODD)])
    outcomes = memcached_backend.perform([*ODD, *TAKEN])
    assert ["SERVER_ERROR busy" in str(outcome) for outcome in outcomes[:3]] == [True] * 3
    assert outcomes[3:] == [b"1"] * 3
