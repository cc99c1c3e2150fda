"""Replies of meta commands: which are taken, and which are none."""

from __future__ import annotations

import pytest

from backends.capabilities import Capability
from backends.errors import Unavailable, Unsupported
from backends.memcached.backend import MemcachedBackend
from backends.memcached.errors import NOT_FOUND, READ_FAILURE, CommandFailed
from backends.memcached.link import Link
from backends.memcached.meta import remaining_ttl
from backends.memcached.options import parse_servers
from tests.backends.memcached.test_reader import answering
from tests.conftest import connect
from tests.support.processes import SASL_PASSWORD, SASL_USER, Memcached, free_port


def on_port(port: int) -> MemcachedBackend:
    return MemcachedBackend(servers=parse_servers("127.0.0.1"), port=port)


def ask(link: Link) -> int | None:
    return remaining_ttl(link, b"a")


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


def test_a_server_without_these_commands_lacks_the_ability() -> None:
    with answering(b"ERROR\r\n") as link:
        backend = on_port(int(link._server.rpartition(":")[2]))
        with pytest.raises(Unsupported, match=r"older than 1\.6") as refusal:
            backend.remaining_ttl("a")
        backend.close()
    assert refusal.value.capability is Capability.REMAINING_TTL


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
