"""Values that are known, read again: nothing that differs is taken for what it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest

from backends.errors import Unavailable
from backends.memcached.backend import MemcachedBackend
from backends.memcached.comparing import Known, compare_many, joined, known_of
from backends.memcached.errors import READ_FAILURE, CommandFailed
from backends.memcached.options import parse_servers
from backends.memcached.performing import KEYS_A_COMMAND
from tests.backends.memcached.test_reader import answering
from tests.conftest import connect
from tests.support.processes import Memcached, memcached

VALUES: Mapping[bytes, bytes | None] = {b"a": b"END\r\n", b"b": b"", b"gone": None, b"c": b"x" * 9}
KNOWN = known_of(VALUES)
WHOLE = b"VALUE a 0 5\r\nEND\r\n\r\nVALUE b 0 0\r\n\r\nVALUE c 0 9\r\nxxxxxxxxx\r\nEND\r\n"


def test_what_is_as_it_was_is_known_however_it_is_cut_into_packets() -> None:
    for size in (1, 2, 7, 20, len(WHOLE)):
        parts = [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]
        with answering(*parts) as link:
            assert compare_many(link, KNOWN) is None


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (b"END\r\n", {}),
        (b"VALUE a 0 5\r\nEND\r\n\r\nEND\r\n", {b"a": b"END\r\n"}),
        (WHOLE.replace(b"END\r\n\r\nV", b"BND\r\n\r\nV"), {b"a": b"BND\r\n"}),
        (WHOLE.replace(b"xxxxxxxxx", b"xxxxxxxxy"), {b"c": b"x" * 8 + b"y"}),
        (WHOLE.replace(b"9\r\nxxxxxxxxx", b"3\r\nxxx"), {b"c": b"xxx"}),
        (WHOLE.replace(b"VALUE c", b"VALUE gone"), {b"gone": b"x" * 9, b"c": None}),
        (WHOLE[:-5] + b"VALUE gone 0 1\r\n1\r\nEND\r\n", {b"gone": b"1"}),
        (b"VALUE c 0 9\r\nxxxxxxxxx\r\n" + WHOLE[:-29] + b"END\r\n", {}),
    ],
)
@pytest.mark.parametrize("cut", [0, 5, 20, 40])
def test_what_differs_is_read(reply: bytes, found: dict[bytes, bytes | None], cut: int) -> None:
    parts = [part for part in (reply[:cut], reply[cut:]) if part]
    with answering(*parts) as link:
        read = compare_many(link, KNOWN)
    assert read is not None
    if len(reply) > 30:
        found = {**VALUES, **found}
    assert read == {key: value for key, value in found.items() if value is not None}


def test_a_flag_that_another_program_set_is_another_value() -> None:
    with answering(WHOLE.replace(b"c 0 9", b"c 1 9")) as link:
        read = compare_many(link, KNOWN)
    assert read is not None
    assert getattr(read[b"c"], "flags", 0) == 1


@pytest.mark.parametrize(
    "reply",
    [
        WHOLE + b"END\r\n",
        WHOLE[:-5] + b"\r\n",
        b"VALUE other 0 1\r\n1\r\nEND\r\n",
        WHOLE.replace(b"xxxxxxxxx", b"xxxxxxxxxx"),
    ],
)
def test_what_is_no_reply_is_a_failure(reply: bytes) -> None:
    with answering(reply) as link, pytest.raises(CommandFailed) as caught:
        compare_many(link, KNOWN)
    assert caught.value.code == READ_FAILURE


def test_two_that_say_different_things_of_a_key_are_not_one() -> None:
    def known(**values: bytes | None) -> Known:
        return known_of({key.encode(): value for key, value in values.items()})

    assert joined([known(a=b"1", b=None), known(b=None, c=b"2")]) == known(a=b"1", b=None, c=b"2")
    assert joined([known(a=b"1"), known(a=b"2")]) is None
    assert joined([known(a=b"1"), known(a=None)]) is None


@contextlib.contextmanager
def pool() -> Iterator[tuple[list[Memcached], MemcachedBackend]]:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(memcached()) for _ in range(2)]
        names = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        backend = MemcachedBackend(servers=parse_servers(names), timeout_ms=2000)
        stack.callback(backend.close)
        yield servers, backend


def test_a_pool_is_asked_at_each_of_its_servers() -> None:
    values: dict[str, bytes | None] = {f"key{number}": b"%d" % number for number in range(40)}
    with pool() as (servers, backend):
        for key, value in values.items():
            backend.set(key, value or b"", None)
        known = [backend.known(values)]
        assert backend.get_changed(known) is None
        backend.set("key7", b"other", None)
        assert backend.get_changed(known) == {**values, "key7": b"other"}
        backend.set("key7", b"7", None)
        assert backend.get_changed(known) is None
        servers[0].kill()
        left = backend.get_changed(known)
        assert left is not None
        assert left == backend.get_many(values)
        assert 0 < len(left) < len(values)


def test_a_server_that_is_down_is_a_failure_and_one_that_begins_anew_has_nothing() -> None:
    with memcached() as server:
        backend = connect(server)
        backend.set("key", b"value", None)
        known = [backend.known({"key": b"value"})]
        assert backend.get_changed(known) is None
        server.kill()
        with pytest.raises(Unavailable):
            backend.get_changed(known)
        server.start()
        assert backend.get_changed(known) == {}
        backend.close()


def test_what_a_server_refuses_is_told_as_of_a_read(memcached_backend: MemcachedBackend) -> None:
    many = {f"key{number}": None for number in range(KEYS_A_COMMAND + 1)}
    assert memcached_backend.get_changed([memcached_backend.known(many)]) == {}
    # One that cannot be sent as it is, is not compared.
    assert memcached_backend.known({"two words": None}) is None
