"""Replies of meta commands: which are taken, and which are none."""

from __future__ import annotations

from typing import Any

import pytest

from backends.base import MISSING, Item
from backends.capabilities import Capability
from backends.errors import Unavailable, Unsupported
from backends.memcached.backend import MemcachedBackend
from backends.memcached.errors import NOT_FOUND, READ_FAILURE, CommandFailed
from backends.memcached.link import Link
from backends.memcached.meta import look_at_ttl, look_at_ttl_many, remaining_ttl
from backends.memcached.options import parse_servers
from tests.backends.memcached.test_reader import answering
from tests.conftest import connect
from tests.support.processes import SASL_PASSWORD, SASL_USER, Memcached, free_port, memcached


def on_port(port: int) -> MemcachedBackend:
    return MemcachedBackend(servers=parse_servers("127.0.0.1"), port=port)


def ask(link: Link) -> int | None:
    return remaining_ttl(link, b"a")


def looked_at(told: int, version: str, more: bytes = b"") -> bytes:
    """Return the answer of a server of a version: how long a value stays."""
    line = b"ME a exp=%d la=5 cas=3 fetch=no cls=1 size=63\r\n" % told
    return line + more + b"VERSION %b\r\n" % version.encode()


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        # The server's clock may be about to skip a second: all is stored with two seconds more.
        *((b"HD t0\r\n", 1), (b"HD t1\r\n", 1), (b"HD t3\r\n", 1), (b"HD t3602\r\n", 3600)),
        *((b"HD t-1\r\n", None), (b"HD t7 W Z\r\n", 5)),
    ],
)
def test_seconds_are_taken_however_they_are_cut(reply: bytes, seconds: int | None) -> None:
    for size in (1, 3, len(reply)):
        parts = [reply[start : start + size] for start in range(0, len(reply), size)]
        with answering(*parts) as link:
            assert ask(link) == seconds


@pytest.mark.parametrize("reply", [b"EN\r\n", b"NF\r\n"])
def test_a_miss_is_what_the_server_says(reply: bytes) -> None:
    with answering(reply) as link, pytest.raises(CommandFailed) as refusal:
        ask(link)
    assert refusal.value.code == NOT_FOUND
    assert refusal.value.answered


@pytest.mark.parametrize(
    "reply",
    [
        *(b"HD\r\n", b"HD t\r\n", b"HD tx\r\n", b"HD t-2\r\n", b"VA 1 t1\r\n", b"\r\n"),
        b"x" * 5000,
    ],
)
def test_anything_else_is_a_failure(reply: bytes) -> None:
    with answering(reply) as link, pytest.raises(CommandFailed) as refusal:
        ask(link)
    assert refusal.value.code == READ_FAILURE
    assert not refusal.value.answered


def test_a_line_that_says_no_is_an_answer() -> None:
    reply = b"SERVER_ERROR out of memory\r\n"
    with answering(reply) as link, pytest.raises(CommandFailed) as refusal:
        ask(link)
    assert refusal.value.answered


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        # Before 1.6.24 the number was negative, and once a line that ends it came behind.
        (looked_at(-3602, "1.6.18"), 3600),
        (looked_at(-3602, "1.5.16", b"EN\r\n"), 3600),
        (looked_at(3602, "1.6.24"), 3600),
        (looked_at(3602, "2.0.0-rc1"), 3600),
        (looked_at(1, "1.6.38"), 1),
        (looked_at(-1, "1.6.24"), None),
        (looked_at(-1, "1.10.0"), None),
    ],
)
def test_a_look_takes_seconds_however_they_are_cut(reply: bytes, seconds: int | None) -> None:
    for size in (1, 9, len(reply)):
        parts = [reply[start : start + size] for start in range(0, len(reply), size)]
        with answering(*parts) as link:
            assert look_at_ttl(link, b"a") == seconds


def test_a_look_finds_nothing() -> None:
    with answering(b"EN\r\nVERSION 1.6.18\r\n") as link, pytest.raises(CommandFailed) as refusal:
        look_at_ttl(link, b"a")
    assert refusal.value.code == NOT_FOUND


@pytest.mark.parametrize(
    "looked",
    [
        # One second, or for ever: servers before 1.6.24 say the same.
        looked_at(-1, "1.6.18"),
        looked_at(-1, "of another make"),
        *(b"ERROR\r\nVERSION 1.6.18\r\n", b"ERROR\r\nERROR\r\n", b"ME a\r\nVERSION 1.6.24\r\n"),
    ],
)
def test_what_a_look_does_not_tell_is_asked_for(looked: bytes) -> None:
    with answering(looked, then=b"HD t3602\r\n") as link:
        assert look_at_ttl(link, b"a") == 3600


@pytest.mark.parametrize("reply", [b"x" * 5000, b"EN\r\n", b"EN\r\nVERSION", b"EN\r\n" * 500])
def test_a_look_that_ends_early_or_never_is_a_failure(reply: bytes) -> None:
    with answering(reply) as link, pytest.raises(CommandFailed) as refusal:
        look_at_ttl(link, b"a")
    assert not refusal.value.answered


def look(key: str, told: int | None) -> bytes:
    line = b"EN" if told is None else b"ME %b exp=%d la=5" % (key.encode(), told)
    return line + b"\r\nVERSION 1.6.24\r\n"


MANY = look("b", 62) + look("c", None) + look("d", -1)


@pytest.mark.parametrize("size", [1, 7, 20, len(MANY)])
def test_many_lifetimes_are_taken_however_their_answer_is_cut(size: int) -> None:
    """The first key goes alone."""
    parts = [MANY[start : start + size] for start in range(0, len(MANY), size)]
    with answering(look("a", 32), then=parts) as link:
        told = look_at_ttl_many(link, [b"a", b"b", b"c", b"d"])
    assert told == {b"a": 30, b"b": 60, b"c": MISSING, b"d": None}


@pytest.mark.parametrize(
    "first", [b"ERROR\r\nVERSION 1.4.39\r\n", b"ERROR\r\nERROR\r\n", b"ME a\r\nVERSION 1.6.24\r\n"]
)
def test_of_a_server_that_does_not_look_many_are_not_asked_for(first: bytes) -> None:
    with answering(first) as link:
        assert look_at_ttl_many(link, [b"a", b"b"]) == {}


@pytest.mark.parametrize(
    "reply",
    [
        *(b"", b"\r\n", look("b", 62), MANY[:-2], MANY + b"EN\r\n", b"EN\r\n" * 30_000),
        b"\r\nVERSION 1\r\nVERSION 1\r\nVERSION 1\r\n",
    ],
)
def test_an_answer_to_many_looks_that_is_none_is_a_failure(reply: bytes) -> None:
    with answering(look("a", 32), then=[reply]) as link, pytest.raises(CommandFailed) as refusal:
        look_at_ttl_many(link, [b"a", b"b", b"c", b"d"])
    assert not refusal.value.answered
    assert link._socket is None


def test_lifetimes_of_many_keys_are_few_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are asked for, and though this server tells for ever by another command."""
    trips = 0
    exchange = Link.exchange

    def counted(self: Link, *given: Any, **more: Any) -> Any:
        nonlocal trips
        trips += 1
        return exchange(self, *given, **more)

    with memcached() as server:
        backend = connect(server)
        keys = [f"{'k' * (number % 200)}{number}" for number in range(1000)]
        ttls = {key: (3600, 7200, None)[number % 3] for number, key in enumerate(keys)}
        backend.set_many([Item(key, b"v", ttl) for key, ttl in ttls.items()])
        monkeypatch.setattr(Link, "exchange", counted)
        told = backend.remaining_ttl_many([*keys, "absent", "an odd one"])
        backend.close()
    assert told.keys() == ttls.keys()
    for key, ttl in ttls.items():
        left = told[key]
        assert left is None if ttl is None else ttl - 10 <= (left or 0) <= ttl
    # Of 260 bytes a key at most 48 KiB at once, for the third that stays for ever twice.
    assert trips <= 12


def test_a_server_without_these_commands_lacks_the_ability() -> None:
    with answering(b"ERROR\r\nVERSION 1.4.39\r\n", then=b"ERROR\r\n") as link:
        backend = on_port(int(link._server.rpartition(":")[2]))
        with pytest.raises(Unsupported, match=r"older than 1\.6") as refusal:
            backend.remaining_ttl("a")
        backend.close()
    assert refusal.value.capability is Capability.REMAINING_TTL


def test_a_look_is_no_read_that_the_server_counts() -> None:
    with memcached() as server:
        backend = connect(server)
        backend.set("for an hour", b"1", 3600)
        backend.set("a", b"1", 3600)
        backend.set("for_ever", b"1", None)
        assert backend.remaining_ttl("a") in range(3590, 3602)
        assert backend.remaining_ttl("absent") is MISSING
        assert reads(server) == (0, 0)
        # See docs/limits.md: of an encoded key, and for ever before 1.6.24, it is one.
        assert backend.remaining_ttl("for an hour") in range(3590, 3602)
        assert reads(server) == (1, 0)
        assert backend.remaining_ttl("for_ever") is None
        assert reads(server) in ((1, 0), (2, 0))
        backend.close()


def reads(server: Memcached) -> tuple[int, int]:
    told = server.statistics()
    return int(told["get_hits"]), int(told["get_misses"])


def test_a_dead_server_is_no_miss() -> None:
    with pytest.raises(Unavailable):
        on_port(free_port()).remaining_ttl("a")


def test_with_a_login_the_ability_is_off(sasl_server: Memcached) -> None:
    backend = connect(sasl_server, username=SASL_USER, password=SASL_PASSWORD)
    assert Capability.REMAINING_TTL not in backend.capabilities
    assert Capability.REMAINING_TTL in MemcachedBackend.capabilities
    with pytest.raises(Unsupported):
        backend.remaining_ttl("a")
    backend.close()
