"""Counts and reads behind them over memcached: one trip, and whatever breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from backends.base import MISSING, Flagged, flags_of
from backends.errors import BackendError, Failed, NotAnInteger, NotRead, Timeout, Unavailable
from backends.memcached.backend import MemcachedBackend
from backends.memcached.counting import count_and_read_many, counting
from backends.memcached.errors import CLIENT_ERROR, READ_FAILURE, SERVER_ERROR, CommandFailed
from backends.memcached.options import parse_servers
from backends.operations import Increment
from tests.backends.memcached.test_reader import answering
from tests.backends.memcached.test_replies import Line, line
from tests.conftest import PATIENT_MS, connect
from tests.support.processes import Memcached
from tests.support.timing import Stopwatch

__all__ = ["line"]

MOST = 10_000
COUNTS = [counting(b"n", 2), counting(b"gone", 1), counting(b"m", 1)]
WHOLE = (
    b"12\r\nNOT_FOUND\r\nCLIENT_ERROR no number\r\n"
    b"VALUE a 16 5\r\nEND\r\n\r\nVALUE b 0 4\r\n12\r\n\r\nEND\r\n"
)


def own(*keys: str) -> list[Increment]:
    """Return counts of the product's own."""
    return [Increment(key, 3, b"3", 1000, own=True) for key in keys]


def test_replies_are_the_same_however_they_are_cut_into_packets() -> None:
    for size in (1, 2, 7, 36, 40, len(WHOLE)):
        parts = [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]
        with answering(*parts) as link:
            replies, read = count_and_read_many(link, COUNTS, [b"a", b"b", b"c"], MOST)
        assert replies[:2] == [12, MISSING]
        assert replies[2].code == CLIENT_ERROR
        assert read == {b"a": b"END\r\n", b"b": b"12\r\n"}
        assert flags_of(read[b"a"]) == 16  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (WHOLE + b"END\r\n", READ_FAILURE),
        (WHOLE.removeprefix(b"12\r\n"), READ_FAILURE),
        (b"13\r\n" + WHOLE, READ_FAILURE),
        (WHOLE.replace(b"NOT_FOUND", b"STORED"), READ_FAILURE),
        (WHOLE.replace(b"VALUE b", b"VALUE c"), READ_FAILURE),
        (b"1\r\n2\r\n3\r\nSERVER_ERROR none\r\n", SERVER_ERROR),
        (b"1\r\n" + b"9" * 1000, READ_FAILURE),
    ],
)
def test_what_is_no_reply_is_a_failure(reply: bytes, code: int) -> None:
    with answering(reply) as link, pytest.raises(CommandFailed) as caught:
        count_and_read_many(link, COUNTS, [b"a", b"b"], MOST)
    assert caught.value.code == code


def test_they_are_one_trip(memcached_backend: MemcachedBackend, trips: list[bytes]) -> None:
    memcached_backend.set("a", Flagged(b"7", 4), 1000)
    memcached_backend.perform(own("n", "m"))
    trips.clear()
    outcomes, found = memcached_backend.count_and_get_each(own("n", "m"), ["a", "gone"], MOST)
    assert (outcomes, found) == ([6, 6], {"a": b"7"})
    assert flags_of(found["a"]) == 4  # type: ignore[index,arg-type]
    (sent,) = trips
    assert sent.count(b"incr ") == 2
    assert sent.endswith(b"\r\nget a gone\r\n")


def test_what_is_not_there_begins_and_what_is_no_number_is_refused(
    memcached_backend: MemcachedBackend,
) -> None:
    memcached_backend.set("text", b"text", None)
    memcached_backend.set("a", b"1", None)
    for number in (3, 6):
        outcomes, found = memcached_backend.count_and_get_each(own("new", "text"), ["a"], MOST)
        assert outcomes[0] == number
        assert type(outcomes[1]) is NotAnInteger
        assert found == {"a": b"1"}
    assert 900 < (memcached_backend.remaining_ttl("new") or 0) <= 1000


def test_what_one_trip_does_not_do_is_counted_all_the_same(
    memcached_backend: MemcachedBackend,
) -> None:
    for number, (counts, keys) in enumerate(
        [(own("n"), ["a b"]), (own("n"), [f"k{n}" for n in range(501)])], 1
    ):
        outcomes, found = memcached_backend.count_and_get_each(counts, keys, MOST)
        assert (outcomes, found) == ([3 * number], None)
    # A proxy would refuse all reads for one, and close at what it does not know.
    memcached_backend.in_front = "a proxy"
    assert memcached_backend.count_and_get_each(own("n"), ["a"], MOST) == ([9], None)


def test_of_a_pool_one_trip_is_for_one_server(
    memcached_pool: list[Memcached],
) -> None:
    addresses = ",".join(f"127.0.0.1:{server.port}" for server in memcached_pool)
    backend = MemcachedBackend(servers=parse_servers(addresses), timeout_ms=PATIENT_MS)
    backend.flush()
    expected = 0
    at_once = set()
    for number in range(20):
        backend.set(f"k{number}", b"%d" % number, None)
        outcomes, found = backend.count_and_get_each(own("count"), [f"k{number}"], MOST)
        expected += 3
        assert outcomes == [expected]
        assert found in (None, {f"k{number}": b"%d" % number})
        at_once.add(found is not None)
    assert at_once == {False, True}
    backend.close()


def test_what_is_left_on_its_way_is_not_read(memcached_server: Memcached) -> None:
    backend = connect(memcached_server, timeout_ms=5000)
    keys = [f"large{number}" for number in range(10)]
    for key in keys:
        backend.set(key, b"x" * 300_000, 1000)
    backend.delete("n")
    for number in range(1, 5):
        outcomes, found = backend.count_and_get_each(own("n"), keys, 300_000)
        assert outcomes == [3 * number]
        assert {type(one) for one in (found or {}).values()} == {bytes, NotRead}
        assert backend.get("absent") is MISSING
    backend.close()


@pytest.mark.parametrize("mode", ["cut", "hold"])
def test_a_reply_that_ends_early_is_no_second_count(line: Line, mode: str) -> None:
    line.backend.set("a", b"the value", 1000)
    line.backend.perform(own("n"))
    whole = len(b"3\r\nVALUE a 0 9\r\nthe value\r\nEND\r\n")
    done: tuple[list[Any], Any]
    for number, size in enumerate(range(0, whole, 5 if mode == "cut" else 20), 1):
        taken = Stopwatch()
        with line.spoiled(mode, size):
            done = line.backend.count_and_get_each(own("n"), ["a"], MOST)
        assert done[1] is None
        assert [type(one) for one in done[0]] == [Timeout if mode == "hold" else Unavailable]
        # It is waited for once.
        assert mode == "cut" or taken() < 1.5
        assert line.backend.get("n") == b"%d" % (3 + 3 * number)
        assert line.backend.get("proof") == b"proof"


def test_where_nothing_was_sent_the_usual_way_says_why() -> None:
    backend = MemcachedBackend(servers=parse_servers("127.0.0.1:1"), timeout_ms=200)
    outcomes, found = backend.count_and_get_each(own("n"), ["a"], MOST)
    assert found is None
    assert isinstance(outcomes[0], Unavailable)
    backend.close()


def test_a_server_that_refuses_the_read_has_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    def refuse(*_: object, **__: object) -> None:
        sent.append(b"")
        raise CommandFailed(SERVER_ERROR, text="SERVER_ERROR out")

    backend = MemcachedBackend(servers=parse_servers("127.0.0.1:1"), timeout_ms=200)
    monkeypatch.setattr("backends.memcached.text.count_and_read_many", refuse)
    outcomes, found = backend.count_and_get_each(own("n"), ["a"], MOST)
    assert (len(sent), found) == (1, None)
    assert isinstance(outcomes[0], Failed)
    assert isinstance(outcomes[0], BackendError)
    backend.close()
