"""Replies of meta commands: which are taken, and which are none."""

from __future__ import annotations

import pytest

from backends.base import MISSING
from backends.capabilities import Capability
from backends.errors import Unavailable, Unsupported
from backends.memcached.backend import MemcachedBackend
from backends.memcached.errors import NOT_FOUND, READ_FAILURE, CommandFailed
from backends.memcached.link import Link
from backends.memcached.meta import look_at_ttl, remaining_ttl
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
