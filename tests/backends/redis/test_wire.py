"""Commands as they are sent to Redis, and replies: which are taken, and which are none."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.connection import Connection, PythonRespSerializer

from backends.base import Item
from backends.errors import OutOfMemory, Timeout, Unavailable
from backends.redis.client import COMMANDS_AT_ONCE
from backends.redis.errors import Broken
from backends.redis.wire import Reply, Wire, pack, pack_stores
from tests.conftest import connect_redis
from tests.support.processes import eventually
from tests.support.redis import Redis, redis_server
from tests.support.speaker import Speaker, speaking
from tests.support.timing import Stopwatch

OK = b"+OK\r\n"
FULL = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
UNKNOWN = "Whether the change was made is unknown"


class Line:
    """A connection to a server that says what it is told to."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker
        self.limit(2.0)

    def limit(self, seconds: float) -> None:
        """Wait for so long, from the next connection on."""
        if hasattr(self, "wire"):
            self.wire.close()
        connection = Connection(port=self.speaker.port, protocol=2, driver_info=None)
        self.wire = Wire(connection, seconds)

    def hears(self, count: int, *parts: bytes) -> list[Reply]:
        """Send commands, which are answered with these bytes; return the replies."""
        self.speaker.parts = parts
        return self.wire.exchange([pack("PING")] * count)


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with speaking() as speaker:
        made = Line(speaker)
        yield made
        made.wire.close()


# Commands


@pytest.mark.redis_alone
@settings(deadline=None)
@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    value=st.binary(max_size=300),
    lifetime=st.none() | st.integers(-3, 2**62),
)
def test_a_store_is_packed_as_redis_py_packs_it(
    key: str, value: bytes, lifetime: int | None
) -> None:
    stored = b"p:" + key.encode()
    if lifetime is None:
        arguments: tuple[bytes | str | int, ...] = ("SET", stored, value)
    elif lifetime > 0:
        arguments = ("SET", stored, value, "PX", lifetime)
    else:
        arguments = ("UNLINK", stored)
    encoder = redis.connection.Encoder("utf-8", "strict", False)
    expected = b"".join(PythonRespSerializer(6000, encoder.encode).pack(*arguments))
    assert pack(*arguments) == expected
    packed = pack_stores(
        "p:", [Item(key, value, 1.5), Item("k", b"v", None)], {1.5: lifetime, None: None}
    )
    assert packed == [(stored, expected), (b"p:k", pack("SET", b"p:k", b"v"))]


# Replies


@pytest.mark.parametrize(
    ("whole", "replies"),
    [
        (OK * 3, [b"OK", b"OK", b"OK"]),
        (OK + b":1\r\n" + OK, [b"OK", 1, b"OK"]),
        (b"$5\r\n+OK\r\n\r\n$-1\r\n$0\r\n\r\n", [b"+OK\r\n", None, b""]),
        (b"*2\r\n$1\r\na\r\n$-1\r\n*0\r\n*-1\r\n", [[b"a", None], [], None]),
    ],
)
def test_replies_are_the_same_however_they_are_cut_into_packets(
    line: Line, whole: bytes, replies: list[Reply]
) -> None:
    for size in (1, 2, 5, 7, len(whole)):
        parts = [whole[start : start + size] for start in range(0, len(whole), size)]
        assert line.hears(3, *parts) == replies


def test_a_refusal_in_a_batch_is_its_own_item(line: Line) -> None:
    first, second, third = line.hears(3, OK + FULL + OK)
    assert (first, type(second), third) == (b"OK", redis.OutOfMemoryError, b"OK")


def test_a_refusal_that_is_no_text_is_one_all_the_same(line: Line) -> None:
    (reply,) = line.hears(1, b"-ERR \xff\xfe\r\n")
    assert isinstance(reply, redis.ResponseError)


@pytest.mark.parametrize(
    "reply",
    [
        *(b"OK\r\n", b"\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"STORED\r\n", b"ERROR\r\n"),
        *(b":x\r\n", b"$-7\r\n", b"$x\r\n", b"*x\r\n", b"\x00" * 50),
    ],
)
def test_what_is_no_reply_ends_the_connection(line: Line, reply: bytes) -> None:
    line.limit(0.2)
    first, second = line.hears(2, OK + reply)
    line.limit(2.0)
    assert first == b"OK"
    assert isinstance(second, Broken)
    assert second.sent
    assert line.hears(1, OK) == [b"OK"]


@pytest.mark.parametrize("part", [b"+", b"+OK\r", b"$10\r\nabc", b"*2\r\n$1\r\na\r\n", b"-ERR"])
def test_what_stays_out_is_a_timeout_and_what_came_before_counts(line: Line, part: bytes) -> None:
    line.limit(0.2)
    first, second, third = line.hears(3, OK + part)
    line.limit(2.0)
    assert first == b"OK"
    for reply in (second, third):
        assert isinstance(reply, Broken)
        assert reply.sent
        assert isinstance(reply.cause, redis.TimeoutError)


@pytest.mark.parametrize("extra", [OK, b"$1", b"-ERR late\r\n"])
@pytest.mark.parametrize("late", [False, True])
def test_what_nobody_asked_for_is_taken_for_no_reply(line: Line, extra: bytes, late: bool) -> None:
    line.speaker.go_on.clear()
    line.wire.close()
    if late:
        assert line.hears(1, OK, b"", extra) == [b"OK"]
        line.speaker.go_on.set()
    else:
        assert line.hears(1, OK + extra) == [b"OK"]
    eventually(line.wire._is_stale)
    assert line.hears(1, b":5\r\n") == [5]


GOOD = {
    OK: b"OK",
    b":7\r\n": 7,
    b"$-1\r\n": None,
    b"$2\r\n\r\n\r\n": b"\r\n",
    b"*1\r\n+a\r\n": [b"a"],
}
LINES = st.sampled_from([*GOOD, FULL, b"x\r\n", b"$5\r\n", b"+OK", b"*3\r\n"])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(count=st.integers(1, 4), lines=st.lists(LINES, max_size=5), data=st.data())
def test_a_reply_is_that_to_its_own_command_or_none(
    count: int, lines: list[bytes], data: st.DataObject, line: Line
) -> None:
    text = b"".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    line.limit(0.03)
    replies = line.hears(count, *[part for part in parts if part])
    line.limit(2.0)
    assert len(replies) == count
    lost = False
    for number, reply in enumerate(replies):
        if lost:
            assert isinstance(reply, Broken)
        elif isinstance(reply, Broken):
            lost = True
        elif set(lines[: number + 1]) <= set(GOOD):
            assert reply == GOOD[lines[number]]


# Batches


def test_a_batch_of_many_megabytes_is_stored(redis_one: Redis, redis_tls: Redis) -> None:
    for server in (redis_one, redis_tls):
        backend = connect_redis(server, REDIS_TIMEOUT_MS="5000")
        values = {f"key{number}": os.urandom(1000) for number in range(2 * COMMANDS_AT_ONCE + 5)}
        values |= {f"large{number}": os.urandom(1_500_000) for number in range(6)}
        items = [Item(key, value, 60) for key, value in values.items()]
        assert set(backend.set_many(items)) == {True}
        assert backend.get_many(values) == values
        assert set(backend.delete_many(list(values))) == {True}
        backend.close()


def test_a_full_server_refuses_each_of_a_batch_and_still_deletes() -> None:
    with redis_server("--maxmemory", "2mb", "--maxmemory-policy", "noeviction") as server:
        backend = connect_redis(server)
        items = [Item(f"key{number}", os.urandom(20_000), None) for number in range(200)]
        outcomes = backend.set_many([*items, Item("gone", b"1", 0)])
        refused = [outcome for outcome in outcomes if outcome is not True]
        assert {type(outcome) for outcome in refused} == {OutOfMemory}
        # A lifetime that is over deletes.
        assert outcomes[-1] is True
        stored = [
            item.key for item, outcome in zip(items, outcomes, strict=False) if outcome is True
        ]
        assert list(backend.get_many([item.key for item in items])) == stored
        backend.close()


def test_a_hung_server_costs_a_large_batch_one_time_limit() -> None:
    with redis_server() as server:
        backend = connect_redis(server, REDIS_TIMEOUT_MS="200")
        backend.set("k", b"1", None)
        server.pause()
        taken = Stopwatch()
        # More than the buffers of the connection take.
        outcomes = backend.set_many([Item(f"k{number}", bytes(30_000_000), 9) for number in "12"])
        outcomes += backend.set_many([Item(f"k{number}", b"1", 9) for number in range(1200)])
        assert taken() < 3
        server.resume()
        assert {type(outcome) for outcome in outcomes} == {Timeout, Unavailable}
        assert all(UNKNOWN in str(outcome) for outcome in outcomes[:COMMANDS_AT_ONCE])
        assert str(outcomes[-1]).startswith("Not tried")
        assert backend.set_many([Item("k", b"2", None)]) == [True]
        assert backend.get("k") == b"2"
        backend.close()
