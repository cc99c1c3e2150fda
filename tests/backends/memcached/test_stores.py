"""Many stores in one trip: what each of them is told, whatever the server says or does not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.base import MISSING, Item
from backends.errors import OutOfMemory, Timeout, Unavailable, ValueTooLarge
from backends.memcached.backend import MemcachedBackend
from backends.memcached.changes import SET
from backends.memcached.errors import (
    MOST_CLIENTS,
    OUT_OF_MEMORY_STORING,
    READ_FAILURE,
    SERVER_ERROR,
    SUCCESS,
    TIMEOUT,
    TOO_BIG,
    CommandFailed,
)
from backends.memcached.link import Link
from backends.memcached.options import parse_servers
from backends.memcached.stores import STORES_AT_ONCE, Batch
from tests.conftest import connect
from tests.support.processes import SASL_PASSWORD, SASL_USER, Memcached, eventually, memcached
from tests.support.proxy import Proxy, proxy
from tests.support.speaker import Speaker, speaking
from tests.support.timing import Stopwatch

UNKNOWN = "Whether the change was made is unknown"
NOT_TRIED = "Not tried"
TOO_LARGE = b"SERVER_ERROR object too large for cache\r\n"
STORED = b"STORED\r\n"


class Line:
    """A connection to a server that says what it is told to."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker
        self.link = Link(f"127.0.0.1:{speaker.port}", 2.0)

    def hears(self, count: int, *parts: bytes) -> Batch:
        """Send stores, which are answered with these bytes; return what is known of them."""
        self.speaker.parts = parts
        self.last = Batch([(b"k", b"set k 0 0 1\r\nv\r\n", SET)] * count)
        self.last.run(self.link, lambda error: None)
        return self.last

    def limit(self, seconds: float) -> None:
        """Wait for so long, from the next connection on."""
        self.link.close()
        self.link._timeout = seconds

    def fails(self, count: int, *parts: bytes) -> CommandFailed:
        with pytest.raises(CommandFailed) as caught:
            self.hears(count, *parts)
        return caught.value


def codes(batch: Batch) -> list[int]:
    return [SUCCESS if reply is True else reply.code for reply in batch.replies]


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with speaking() as speaker:
        made = Line(speaker)
        yield made
        made.link.close()


# Replies


def test_replies_are_the_same_however_they_are_cut_into_packets(line: Line) -> None:
    whole = STORED + TOO_LARGE + STORED
    for size in (1, 3, 8, 9, 40, len(whole)):
        parts = [whole[start : start + size] for start in range(0, len(whole), size)]
        assert codes(line.hears(3, *parts)) == [SUCCESS, TOO_BIG, SUCCESS]


@pytest.mark.parametrize(
    "reply",
    [
        b"ERROR\r\n",
        b"CLIENT_ERROR bad data chunk\r\n",
        b"NOT_STORED\r\n",
        b"EXISTS\r\n",
        b"END\r\n",
        b"\r\n",
        b"stored\r\n",
        b"STORED \r\n",
        b" STORED\r\n",
        b"STORED\n",
        b"x" * 5000,
        STORED * 3,
        STORED * 2 + b"x",
        STORED + b"ERROR\r\n",
        TOO_LARGE * 3,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_no_reply_leaves_all_unknown_and_ends_the_connection(
    line: Line, reply: bytes
) -> None:
    if reply == b"STORED\n":
        # It may still be ended as it should be.
        reply += b"\r\n"
    failed = line.fails(2, reply)
    assert (failed.code, failed.sent, failed.answered) == (READ_FAILURE, True, False)
    assert (codes(line.last), line.last.sent) == ([], 2)
    assert codes(line.hears(2, STORED * 2)) == [SUCCESS, SUCCESS]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"SERVER_ERROR", SERVER_ERROR),
        (b"SERVER_ERROR what no version before said", SERVER_ERROR),
        (b"SERVER_ERROR out of memory storing object", OUT_OF_MEMORY_STORING),
        (b"SERVER_ERROR Out of memory during read", OUT_OF_MEMORY_STORING),
        (b"SERVER_ERROR out of memory", OUT_OF_MEMORY_STORING),
    ],
)
def test_whatever_a_server_says_of_a_store_is_its_outcome(
    line: Line, said: bytes, code: int
) -> None:
    batch = line.hears(3, STORED + said + b"\r\n" + STORED)
    assert codes(batch) == [SUCCESS, code, SUCCESS]
    assert batch.replies[1].text == said.decode()


@pytest.mark.parametrize("reply", [b"S", b"STORED\r", STORED + b"STORED", STORED + b"SERVER_"])
def test_what_stays_out_is_a_timeout_and_what_came_before_counts(line: Line, reply: bytes) -> None:
    line.limit(0.2)
    failed = line.fails(2, reply)
    line.limit(2.0)
    assert (failed.code, failed.sent) == (TIMEOUT, True)
    assert codes(line.last) == [SUCCESS] * reply.count(STORED)


def test_a_server_that_has_its_most_clients_was_told_nothing(line: Line) -> None:
    failed = line.fails(2, b"ERROR Too many open connections\r\n")
    assert (failed.code, failed.sent, line.last.sent) == (MOST_CLIENTS, False, 0)


def test_what_nobody_asked_for_is_taken_for_no_reply(line: Line) -> None:
    line.hears(1, STORED)
    # It comes after the whole reply, so that only the next store can find it.
    line.hears(1, STORED, b"", STORED)
    line.speaker.go_on.set()
    eventually(line.link._is_stale)
    assert codes(line.hears(1, TOO_LARGE)) == [TOO_BIG]


def test_a_batch_that_is_run_again_goes_on_where_it_was_broken_off(line: Line) -> None:
    line.limit(0.2)
    line.fails(3, STORED + STORED)
    line.limit(2.0)
    batch = line.last
    line.speaker.parts = [TOO_LARGE]
    batch.run(line.link, lambda error: None)
    assert codes(batch) == [SUCCESS, SUCCESS, TOO_BIG]


LINES = st.sampled_from([STORED, TOO_LARGE, b"ERROR\r\n", b"END\r\n", b"STORED\r", b"\r\n", b"x"])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(count=st.integers(1, 4), lines=st.lists(LINES, max_size=6), data=st.data())
def test_a_store_is_said_to_be_done_only_if_its_own_line_said_so(
    count: int, lines: list[bytes], data: st.DataObject, line: Line
) -> None:
    text = b"".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
    cut = [text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    parts = [part for part in cut if part]
    # Nothing that is waited for stays out, so that no example takes the whole time limit.
    good = {STORED[:-2]: SUCCESS, TOO_LARGE[:-2]: TOO_BIG}
    told = text.split(b"\r\n")[:-1]
    line.limit(0.03)
    try:
        batch = line.hears(count, *parts)
    except CommandFailed:
        known = codes(line.last)
        assert known == [good[said] for said in told[: len(known)]]
        assert len(known) < count
    else:
        assert codes(batch) == [good[said] for said in told[:count]]
        assert len(codes(batch)) == count
    finally:
        line.limit(2.0)


# Batches


def test_a_batch_of_many_megabytes_is_stored_each_its_own_outcome() -> None:
    with memcached("-I", "1m", "-m", "256") as server:
        backend = connect(server)
        values = [os.urandom(2000) for _ in range(3 * STORES_AT_ONCE)]
        values[100::100] = [os.urandom(900_000) for _ in values[100::100]]
        values[50::100] = [bytes(1_100_000) for _ in values[50::100]]
        assert sum(map(len, values)) > 14_000_000
        outcomes = backend.set_many(
            [Item(f"key{number}", value, 60) for number, value in enumerate(values)]
        )
        large = [number for number, value in enumerate(values) if len(value) == 1_100_000]
        assert [
            number for number, outcome in enumerate(outcomes) if isinstance(outcome, ValueTooLarge)
        ] == large
        assert {outcome for number, outcome in enumerate(outcomes) if number not in large} == {True}
        assert backend.get_many([f"key{number}" for number in range(len(values))]) == {
            f"key{number}": value for number, value in enumerate(values) if number not in large
        }
        backend.close()


def test_the_last_of_equal_keys_wins_and_the_next_read_sees_it(
    memcached_backend: MemcachedBackend,
) -> None:
    for _ in range(20):
        items = [Item(f"key{number % 3}", b"%d" % number, None) for number in range(600)]
        assert set(memcached_backend.set_many(items)) == {True}
        assert memcached_backend.get_many(["key0", "key1", "key2"]) == {
            "key0": b"597",
            "key1": b"598",
            "key2": b"599",
        }


def test_an_empty_batch_is_no_trip(memcached_backend: MemcachedBackend) -> None:
    assert memcached_backend.set_many([]) == []


def test_a_value_that_looks_like_a_command_is_a_value(
    memcached_server: Memcached, memcached_backend: MemcachedBackend
) -> None:
    tricks = [b"\r\nset a 0 0 1\r\n1\r\n", b"1\r\nflush_all\r\n", STORED, b"\r\n", b"", b"\x00\xff"]
    items = [Item(f"trick{number}", value, None) for number, value in enumerate(tricks)]
    assert set(memcached_backend.set_many(items)) == {True}
    assert memcached_backend.get("a") is MISSING
    assert list(memcached_backend.get_many([item.key for item in items]).values()) == tricks
    # Nothing of another program's flags is left.
    memcached_server.plant("marked", b"1", flags=16)
    memcached_backend.set("marked", b"2", None)
    assert memcached_server.say(b"get marked\r\n") == b"VALUE marked 0 1\r\n2\r\nEND\r\n"


def test_lifetimes_of_one_batch_are_each_its_own(memcached_backend: MemcachedBackend) -> None:
    ttls = {"for ever": None, "an hour": 3600, "long": 60 * 60 * 24 * 90, "past": 0, "gone": -5.0}
    assert set(
        memcached_backend.set_many([Item(key.replace(" ", "_"), b"1", ttls[key]) for key in ttls])
    ) == {True}
    found = memcached_backend.get_many([key.replace(" ", "_") for key in ttls])
    assert list(found) == ["for_ever", "an_hour", "long"]


def test_only_a_backend_without_a_login_takes_many_at_once(
    memcached_backend: MemcachedBackend, sasl_server: Memcached
) -> None:
    backend = connect(sasl_server, username=SASL_USER, password=SASL_PASSWORD)
    assert (memcached_backend.sets_many_at_once, backend.sets_many_at_once) == (True, False)
    items = [Item("a", b"1", None), Item("b", b"x" * 1_100_000, None), Item("c", b"3", None)]
    first, second, third = backend.set_many(items)
    assert (first, type(second), third) == (True, ValueTooLarge, True)
    backend.close()


def test_a_full_server_refuses_some_of_a_batch_and_goes_on_with_the_rest() -> None:
    with memcached("-M", "-m", "2") as server:
        backend = connect(server)
        items = [Item(f"key{number}", os.urandom(9000), None) for number in range(600)]
        # The server keeps these in several pieces, and may run out of memory within one.
        items += [Item(f"pieces{number}", os.urandom(700_000), None) for number in range(8)]
        outcomes = backend.set_many(items)
        stored = {
            item.key: item.value
            for item, outcome in zip(items, outcomes, strict=True)
            if outcome is True
        }
        refused = [outcome for outcome in outcomes if outcome is not True]
        assert {type(outcome) for outcome in refused} == {OutOfMemory}
        assert any(isinstance(outcome, OutOfMemory) for outcome in outcomes[-8:])
        said = {str(outcome).partition(":")[0] for outcome in refused}
        assert said == {
            "SERVER_ERROR out of memory storing object",
            "SERVER_ERROR Out of memory during read",
        }
        assert stored
        assert backend.get_many([item.key for item in items]) == stored
        backend.close()


# Faults


@contextmanager
def spoiled(timeout_ms: int = 500) -> Iterator[tuple[Proxy, MemcachedBackend]]:
    """A backend behind a proxy, with its connection proven."""
    with memcached() as server, proxy(server.port) as line, pytest.MonkeyPatch.context() as patch:
        # On a busy machine it may be long until the next command; what is spoiled then shall be
        # the reply to that, and not to a trial before it.
        patch.setattr("backends.memcached.link.IDLE_SECONDS", 60.0)
        # Each store is answered: what becomes of others, test_quiet says.
        patch.setattr("backends.memcached.quiet.LEAST", 10**6)
        backend = connect(line, timeout_ms=timeout_ms)
        backend.set("proof", b"proof", None)
        try:
            yield line, backend
        finally:
            backend.close()


ITEMS = [Item(f"key{number}", b"value %d" % number, None) for number in range(10)]


@pytest.mark.parametrize("size", [0, 3, 8, 44, 79])
@pytest.mark.parametrize("mode", ["cut", "hold"])
def test_replies_that_end_early_tell_what_is_known(mode: str, size: int) -> None:
    with spoiled() as (line, backend):
        line.mode, line.size = mode, size
        outcomes = backend.set_many(ITEMS)
        line.mode = "pass"
        known = outcomes.count(True)
        # After a cut, what was not answered is sent again once.
        assert known <= size // 8 + (0 if mode == "hold" else min(size // 8, 10 - size // 8))
        assert outcomes[:known] == [True] * known
        assert all(UNKNOWN in str(outcome) for outcome in outcomes[known:])
        # They all were sent.
        assert len(backend.get_many([item.key for item in ITEMS])) == 10
        assert set(backend.set_many(ITEMS)) == {True}


@pytest.mark.parametrize(("mode", "size"), [("cut", 20), ("garbage", 0)])
def test_a_batch_whose_replies_are_lost_once_is_stored(mode: str, size: int) -> None:
    with spoiled(timeout_ms=2000) as (line, backend):
        line.times, line.size, line.mode = 1, size, mode
        assert set(backend.set_many(ITEMS)) == {True}
        assert backend.get("proof") == b"proof"
        assert len(backend.get_many([item.key for item in ITEMS])) == 10


def test_what_was_not_sent_is_said_not_to_be_tried() -> None:
    items = [Item(f"key{number}", b"1", None) for number in range(STORES_AT_ONCE + 5)]
    with spoiled() as (line, backend):
        line.mode = "swallow"
        outcomes = backend.set_many(items)
        assert {type(outcome) for outcome in outcomes} == {Timeout, Unavailable}
        assert all(UNKNOWN in str(outcome) for outcome in outcomes[:STORES_AT_ONCE])
        assert all(str(outcome).startswith(NOT_TRIED) for outcome in outcomes[STORES_AT_ONCE:])


def test_of_a_batch_to_a_dead_server_one_says_why_and_nothing_is_unknown() -> None:
    with memcached() as server:
        backend = connect(server)
        backend.set("key", b"1", None)
        server.kill()
        first, *rest = backend.set_many(ITEMS)
        assert str(first).startswith("Connection refused: memcached at 127.0.0.1")
        assert UNKNOWN not in str(first)
        assert {str(outcome)[: len(NOT_TRIED)] for outcome in rest} == {NOT_TRIED}
        server.start()
        assert set(backend.set_many(ITEMS)) == {True}
        backend.close()


@pytest.mark.parametrize(("size", "count"), [(500_000, 40), (30_000_000, 2)])
def test_a_hung_server_costs_a_large_batch_one_time_limit(
    size: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that is busy takes so long to make the batch that the connection would be tried
    # first, and nothing of the batch be sent.
    monkeypatch.setattr("backends.memcached.link.IDLE_SECONDS", 60.0)
    with memcached() as server:
        backend = connect(server, timeout_ms=250)
        assert set(backend.set_many(ITEMS * 2)) == {True}
        server.pause()
        # More than the buffers of the connection take.
        items = [Item(f"key{number}", bytes(size), None) for number in range(count)]
        taken = Stopwatch()
        outcomes = backend.set_many(items)
        assert taken() < 2
        assert isinstance(outcomes[0], Timeout)
        assert UNKNOWN in str(outcomes[0])
        assert str(outcomes[-1]).startswith(NOT_TRIED)
        server.resume()
        assert eventually(lambda: set(backend.set_many(ITEMS)) == {True})
        backend.close()


def test_slow_replies_are_waited_for_and_late_ones_reach_nobody() -> None:
    with spoiled(timeout_ms=1500) as (line, backend):
        line.mode, line.seconds = "delay", 0.03
        assert set(backend.set_many(ITEMS)) == {True}
        for number in range(2):
            line.mode, line.seconds = "delay", 2.0
            outcomes = backend.set_many([Item("late", b"%d" % number, None)] * 2)
            assert all(UNKNOWN in str(outcome) for outcome in outcomes)
            line.mode = "pass"
            large = backend.set_many([Item("large", bytes(1_100_000), None)])
            assert isinstance(large[0], ValueTooLarge)
            assert backend.get("late") == b"%d" % number


def test_an_idle_connection_that_the_server_closed_fails_no_store() -> None:
    with memcached("-o", "idle_timeout=1") as server:
        backend = connect(server)
        assert set(backend.set_many(ITEMS)) == {True}
        time.sleep(3.5)
        assert set(backend.set_many(ITEMS)) == {True}
        backend.close()


def test_at_the_connection_limit_a_batch_fails_and_was_not_made() -> None:
    with memcached("-c", "64") as server:
        backend = connect(server)
        with server.full_of_clients(64):
            outcomes = backend.set_many(ITEMS)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert set(backend.set_many(ITEMS)) == {True}
        backend.close()


# Pools


@contextmanager
def pool(*servers: Memcached | Proxy, **options: object) -> Iterator[MemcachedBackend]:
    addresses = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    backend = MemcachedBackend(servers=parse_servers(addresses), **options)
    try:
        yield backend
    finally:
        backend.close()


@pytest.mark.parametrize("mode", ["cut", "hold", "swallow", "reset", "garbage"])
def test_a_member_that_fails_in_the_middle_of_a_batch_fails_none_of_it(mode: str) -> None:
    items = [Item(f"key{number}", b"%d" % number, None) for number in range(900)]
    # Of equal keys the last wins, whichever server it went to.
    items += [Item(f"key{number}", b"again", None) for number in range(900)]
    with memcached() as one, memcached() as two, proxy(one.port) as line, pool(line, two) as both:
        assert set(both.set_many(items)) == {True}
        # The replies to many are one of four bytes.
        line.size, line.mode, line.skip = 2, mode, 1
        assert set(both.set_many(items)) == {True}
        found = both.get_many([item.key for item in items])
        assert found == {f"key{number}": b"again" for number in range(900)}


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_dead_members_values_go_to_the_others(fault: str) -> None:
    items = [Item(f"key{number}", b"%d" % number, None) for number in range(300)]
    with memcached() as one, memcached() as two, pool(one, two) as both:
        getattr(two, fault)()
        assert set(both.set_many(items)) == {True}
        assert both.get_many([item.key for item in items]) == {
            item.key: item.value for item in items
        }


def test_with_no_member_left_a_batch_fails_and_says_what_may_have_been_made() -> None:
    with (
        memcached() as server,
        proxy(server.port) as one,
        proxy(server.port) as two,
        pool(one, two) as both,
    ):
        assert set(both.set_many(ITEMS)) == {True}
        one.mode = two.mode = "swallow"
        outcomes = both.set_many(ITEMS)
        assert {type(outcome) for outcome in outcomes} == {Timeout}
        assert all(UNKNOWN in str(outcome) for outcome in outcomes)


def test_with_all_members_dead_a_batch_was_not_made() -> None:
    with memcached() as one, memcached() as two, pool(one, two) as both:
        one.kill()
        two.kill()
        first, *rest = both.set_many(ITEMS)
        assert str(first).startswith("Connection refused: memcached at 127.0.0.1")
        assert {str(outcome)[: len(NOT_TRIED)] for outcome in rest} == {NOT_TRIED}
        assert UNKNOWN not in str(first)
