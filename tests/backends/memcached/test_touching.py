"""Reads with new lifetimes over memcached: one trip, and whatever breaks it."""

from __future__ import annotations

import contextlib

import pytest

from backends.base import MISSING, Flagged, flags_of
from backends.errors import BackendError, Failed, NotRead, Timeout, Unavailable
from backends.memcached import commands
from backends.memcached.backend import MemcachedBackend
from backends.memcached.changes import TOUCH, Change
from backends.memcached.errors import READ_FAILURE, SERVER_ERROR, CommandFailed
from backends.memcached.options import parse_servers
from backends.memcached.touching import get_and_touch_many
from backends.operations import Get, Touch, perform_each
from backends.within import perform_within
from tests.backends.memcached.test_reader import answering
from tests.backends.memcached.test_replies import Line, line
from tests.backends.test_touching import MOST, pairs
from tests.conftest import connect
from tests.support.processes import Memcached, memcached
from tests.support.speaker import speaking
from tests.support.timing import Stopwatch

__all__ = ["line"]

TOUCHES: list[Change] = [
    (key, commands.touch(key, 60, False), TOUCH) for key in (b"a", b"gone", b"a", b"b")
]
WHOLE = (
    b"TOUCHED\r\nNOT_FOUND\r\nTOUCHED\r\nTOUCHED\r\n"
    b"VALUE a 16 5\r\nEND\r\n\r\nVALUE b 0 9\r\nTOUCHED\r\n\r\nEND\r\n"
)
READ = ([True, False, True, True], {b"a": b"END\r\n", b"b": b"TOUCHED\r\n"})


def test_replies_are_the_same_however_they_are_cut_into_packets() -> None:
    for size in (1, 2, 7, 36, 40, len(WHOLE)):
        parts = [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]
        with answering(*parts) as link:
            touched, read = get_and_touch_many(link, TOUCHES)
        assert (touched, read) == READ
        assert flags_of(read[b"a"]) == 16  # type: ignore[arg-type]
    with answering(b"TOUCHED\r\n" * 4, b"END\r\n") as link:
        assert get_and_touch_many(link, TOUCHES) == ([True] * 4, {})


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (WHOLE + b"END\r\n", READ_FAILURE),
        (WHOLE.removeprefix(b"TOUCHED\r\n"), READ_FAILURE),
        (b"TOUCHED\r\n" + WHOLE, READ_FAILURE),
        (WHOLE.replace(b"NOT_FOUND", b"STORED"), READ_FAILURE),
        (WHOLE.replace(b"VALUE b", b"VALUE c"), READ_FAILURE),
        (WHOLE.replace(b"NOT_FOUND", b"SERVER_ERROR out"), SERVER_ERROR),
        (b"TOUCHED\r\n" * 4 + b"SERVER_ERROR none\r\n", SERVER_ERROR),
        (b"TOUCHED\r\n" + b"x" * 1000, READ_FAILURE),
    ],
)
def test_what_is_no_reply_is_a_failure(reply: bytes, code: int) -> None:
    with answering(reply) as link, pytest.raises(CommandFailed) as caught:
        get_and_touch_many(link, TOUCHES)
    assert caught.value.code == code


def test_they_are_one_trip(memcached_backend: MemcachedBackend, trips: list[bytes]) -> None:
    memcached_backend.set("a", Flagged(b"7", 4), 1000)
    trips.clear()
    asked = pairs(("a", 5000), ("gone", 60), ("a", 6000))
    outcomes = perform_within(memcached_backend, asked, MOST)
    assert outcomes == [b"7", True, MISSING, False, b"7", True]
    assert flags_of(outcomes[0]) == 4
    (sent,) = trips
    assert sent.count(b"touch ") == 3
    assert sent.endswith(b"\r\nget a gone\r\n")


def test_what_is_left_on_its_way_is_read_later(memcached_server: Memcached) -> None:
    backend: MemcachedBackend = connect(memcached_server, timeout_ms=5000)
    keys = [f"large{number}" for number in range(10)]
    for key in keys:
        backend.set(key, b"x" * 300_000, 1000)
    before = int(memcached_server.statistics()["curr_connections"])
    for _ in range(10):
        done = backend.get_and_touch_many([Touch(key, 60) for key in keys], 300_000)
        assert {type(found) for found, _ in done} == {bytes, NotRead}
        assert backend.get("absent") is MISSING
    assert int(memcached_server.statistics()["curr_connections"]) <= before + 1
    backend.close()


@pytest.mark.parametrize("mode", ["cut", "hold"])
def test_a_reply_that_ends_early_is_done_again_or_a_failure(line: Line, mode: str) -> None:
    line.backend.set("a", b"the value", 1000)
    asked = pairs(("a", 5000), ("gone", 60))
    whole = len(b"TOUCHED\r\nNOT_FOUND\r\nVALUE a 0 9\r\nthe value\r\nEND\r\n")
    for size in range(0, whole, 5 if mode == "cut" else 20):
        taken = Stopwatch()
        with line.spoiled(mode, size):
            outcomes = perform_within(line.backend, asked, MOST)
        assert {type(one) for one in outcomes} == {Timeout if mode == "hold" else Unavailable}
        # It is waited for once.
        assert mode == "cut" or taken() < 1.5
        assert perform_within(line.backend, asked, MOST) == [b"the value", True, MISSING, False]
        assert line.backend.get("proof") == b"proof"


@pytest.mark.parametrize(
    "reply",
    [
        b"SERVER_ERROR out of memory\r\n",
        b"CLIENT_ERROR what\r\n",
        b"ERROR\r\n",
        b"HELLO\r\n",
        b"TOUCHED\r\nSERVER_ERROR half\r\n",
    ],
)
def test_what_a_server_refuses_is_told_as_by_the_operations(reply: bytes) -> None:
    with speaking() as server:
        server.parts = [reply]
        told = []
        for work in (perform_each, lambda backend, asked: perform_within(backend, asked, MOST)):
            backend = MemcachedBackend(
                servers=parse_servers(f"127.0.0.1:{server.port}"), timeout_ms=1000
            )
            told.append([(type(one), str(one)) for one in work(backend, pairs(("a", 60)))])
            backend.close()
        assert told[0][0] == told[1][0]
        assert issubclass(told[0][0][0], BackendError)


def test_a_pool_is_asked_at_each_of_its_servers_and_without_the_one_that_is_gone() -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(memcached()) for _ in range(2)]
        names = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        backend = MemcachedBackend(servers=parse_servers(names), timeout_ms=2000)
        stack.callback(backend.close)
        values = {f"key{number}": b"%d" % number for number in range(40)}
        for key, value in values.items():
            backend.set(key, value, None)
        asked = pairs(*((key, 60) for key in values))
        expected = [one for value in values.values() for one in (value, True)]
        assert perform_within(backend, asked, MOST) == expected
        # What one server brought leaves less for the other.
        done = backend.get_and_touch_many([Touch(key, 60) for key in values], 0)
        assert {type(found) for found, _ in done} == {bytes, NotRead}
        servers[0].kill()
        outcomes = perform_within(backend, asked, MOST)
        assert {MISSING, True} <= set(outcomes)
        assert not any(isinstance(one, Failed) for one in outcomes)
        known = backend.get_many(values)
        for operation, found in zip(asked[::2], outcomes[::2], strict=True):
            assert isinstance(operation, Get)
            assert found == known.get(operation.key, MISSING)
