"""One memcached server at its worst: dead, hung, cut off, full, foreign, locked."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import resource
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.base import MISSING, Flagged, Item, flags_of
from backends.errors import (
    AuthenticationFailed,
    BackendError,
    Failed,
    InvalidOption,
    NotAnInteger,
    OutOfMemory,
    Timeout,
    Unavailable,
    ValueTooLarge,
)
from backends.memcached.asked import Token
from backends.memcached.backend import MemcachedBackend
from backends.memcached.expiry import LATEST, LONGEST_RELATIVE, expiry
from backends.memcached.options import Server, parse_servers
from tests.conftest import connect
from tests.support import scripts
from tests.support.processes import (
    REPOSITORY,
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    memcached,
    sasl_memcached,
)
from tests.support.proxy import Proxy, proxy
from tests.support.timing import Stopwatch

ONE = parse_servers("127.0.0.1")


@contextlib.contextmanager
def server_and_backend(
    *arguments: str, **options: int
) -> Iterator[tuple[Memcached, MemcachedBackend]]:
    with memcached(*arguments) as server:
        backend = connect(server, **options)
        yield server, backend
        backend.close()


@contextlib.contextmanager
def spoiled_backend() -> Iterator[tuple[Proxy, MemcachedBackend, Memcached]]:
    """A backend behind a proxy, with a hundred keys stored."""
    with memcached() as server, proxy(server.port) as line:
        backend = MemcachedBackend(servers=ONE, port=line.port)
        for number in range(100):
            backend.set(f"k{number}", b"value of k%d" % number, None)
        yield line, backend, server
        backend.close()


def token(backend: MemcachedBackend, cas: int = 1) -> Token:
    """Return a token as a reader of the first server would have it."""
    return Token(backend._members._members[0], cas)


OPERATIONS: dict[str, Callable[[MemcachedBackend], object]] = {
    "get": lambda backend: backend.get("k1"),
    "get_many": lambda backend: backend.get_many(["k1", "k2"]),
    "get_with_token": lambda backend: backend.get_with_token("k1"),
    "set": lambda backend: backend.set("k1", b"1", None),
    "add": lambda backend: backend.add("k1", b"1", None),
    "replace": lambda backend: backend.replace("k1", b"1", None),
    "delete": lambda backend: backend.delete("k1"),
    "touch": lambda backend: backend.touch("k1", 60),
    "increment": lambda backend: backend.increment("k1", 1),
    "compare_and_set": lambda backend: backend.compare_and_set("k1", b"1", token(backend), None),
    "get_and_delete": lambda backend: backend.get_and_delete("k1"),
    "flush": lambda backend: backend.flush(),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_dead_server_is_an_error_and_its_return_is_noticed_at_once(
    operation: Callable[[MemcachedBackend], object],
) -> None:
    with server_and_backend() as (server, backend):
        backend.set("k1", b"5", None)
        server.kill()
        for _ in range(3):
            with pytest.raises(
                Unavailable, match=r"^Connection refused: memcached at 127\.0\.0\.1"
            ):
                operation(backend)
        server.start()
        operation(backend)


def test_a_hung_server_is_a_timeout_within_bounds() -> None:
    with server_and_backend(timeout_ms=250) as (server, backend):
        backend.set("k1", b"1", None)
        server.pause()
        for operation in OPERATIONS.values():
            taken = Stopwatch()
            with pytest.raises(Timeout):
                operation(backend)
            assert taken() < 0.6
        server.resume()
        assert backend.get_many(["absent"]) == {}


@pytest.mark.parametrize("idle", [0.0, 0.7], ids=["in use", "idle"])
def test_a_restart_costs_values_but_no_failed_read_or_store(idle: float) -> None:
    with server_and_backend() as (server, backend):
        for operation in (
            lambda: backend.get("k1") is MISSING,
            lambda: backend.get_many(["k1", "k2"]) == {},
            lambda: backend.set("k1", b"1", None) is None,
            lambda: backend.replace("k1", b"1", None) is False,
        ):
            backend.set("k1", b"5", None)
            server.restart()
            time.sleep(idle)
            assert operation()


def test_a_restart_while_idle_costs_no_failed_count_or_add_either() -> None:
    with server_and_backend() as (server, backend):
        for operation, expected in (
            (lambda: backend.increment("k1", 1), MISSING),
            (lambda: backend.add("k1", b"1", None), True),
            (lambda: backend.compare_and_set("k1", b"1", token(backend), None), False),
            (lambda: backend.delete("k1"), False),
        ):
            backend.set("k1", b"5", None)
            server.restart()
            time.sleep(0.6)
            assert operation() is expected


SPOILS = [
    ("garbage", 0),
    ("reset", 0),
    ("swallow", 0),
    *[(mode, size) for mode in ("cut", "hold") for size in (0, 5, 17, 23, 200)],
]


@pytest.mark.parametrize(("mode", "size"), SPOILS)
def test_a_spoiled_reply_is_never_a_wrong_value_or_a_false_miss(mode: str, size: int) -> None:
    keys = [f"k{number}" for number in range(100)]
    with spoiled_backend() as (line, backend, _):
        for read in (lambda: [backend.get("k7")], lambda: list(backend.get_many(keys).values())):
            line.mode, line.size = mode, size
            with contextlib.suppress(Unavailable):
                values = read()
                assert len(values) in (1, 100)
                assert MISSING not in values
                assert all(value.startswith(b"value of k") for value in values)
            line.mode = "pass"
            assert backend.get("k8") == b"value of k8"
            assert len(backend.get_many(keys)) == 100


def test_a_reply_later_than_the_limit_is_a_timeout_and_not_the_answer_to_the_next() -> None:
    with spoiled_backend() as (line, backend, _):
        line.mode, line.seconds = "delay", 0.5
        with pytest.raises(Timeout):
            backend.get("k1")
        line.mode = "pass"
        time.sleep(0.5)
        assert [backend.get(f"k{number}") for number in range(5)] == [
            b"value of k%d" % number for number in range(5)
        ]


@pytest.mark.parametrize("mode", ["swallow", "cut", "garbage"])
def test_a_count_whose_reply_is_lost_is_made_once_and_said_to_be_unknown(mode: str) -> None:
    with spoiled_backend() as (line, backend, _):
        backend.set("count", b"10", None)
        assert backend.increment("count", 1) == 11
        # The reply to the look at the value is passed on.
        line.mode, line.skip = mode, 1
        with pytest.raises(Unavailable, match="Whether the change was made is unknown"):
            backend.increment("count", 1)
        line.mode = "pass"
        assert backend.get("count") == b"12"


def test_a_server_at_its_connection_limit_is_an_error_and_no_miss() -> None:
    with server_and_backend("-c", "64") as (server, backend):
        with server.full_of_clients(64):
            for operation in OPERATIONS.values():
                with pytest.raises(Failed):
                    operation(backend)
        backend.set("k1", b"1", None)
        assert backend.get("k1") == b"1"


def test_a_value_over_the_item_limit_is_refused_and_says_what_became_of_the_old() -> None:
    with server_and_backend("-I", "1m") as (_, backend):
        backend.set("k1", b"old", None)
        with pytest.raises(ValueTooLarge, match=r"^SERVER_ERROR .*may be gone"):
            backend.set("k1", b"x" * 2_000_000, None)
        assert backend.get("k1") in (b"old", MISSING)
        with pytest.raises(ValueTooLarge):
            backend.add("k2", b"x" * 2_000_000, None)
        assert backend.get("k2") is MISSING


def test_a_full_server_refuses_stores_and_goes_on_reading() -> None:
    with server_and_backend("-M", "-m", "2") as (_, backend):
        backend.set("first", b"1", None)
        items = [Item(f"k{number}", b"x" * 10_000, None) for number in range(2000)]
        with pytest.raises(OutOfMemory, match=r"^SERVER_ERROR out of memory"):
            raise backend.set_many(items)[-1]
        assert backend.get("first") == b"1"
        # A store that is refused takes away what was there, as the server does it.
        assert True in backend.delete_many([f"k{number}" for number in range(100)])


def test_a_connection_that_the_server_closed_for_idleness_is_not_noticed() -> None:
    with server_and_backend("-o", "idle_timeout=1") as (_, backend):
        backend.set("count", b"1", None)
        for operation, expected in (
            (lambda: backend.increment("count", 1), 2),
            (lambda: backend.get("count"), b"2"),
        ):
            time.sleep(3.5)
            assert operation() == expected


@pytest.mark.parametrize("value", [b'"text"', b"", b"1.5", b"-3", b"1" * 30])
@pytest.mark.parametrize("kind", ["plain", "sasl"])
def test_a_count_on_what_is_no_number_changes_nothing(
    kind: str, value: bytes, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("sasl_server" if kind == "sasl" else "memcached_server")
    user = {"username": SASL_USER, "password": SASL_PASSWORD} if kind == "sasl" else {}
    backend = connect(server, **user)
    backend.set("text", value, None)
    with pytest.raises(NotAnInteger):
        backend.increment("text", 1)
    assert backend.get("text") == value
    backend.close()


def test_a_wrong_password_is_an_error_and_no_miss(sasl_server: Memcached) -> None:
    backend = connect(sasl_server, username=SASL_USER, password="wrong")
    for operation in OPERATIONS.values():
        with pytest.raises(AuthenticationFailed, match="refused the configured") as caught:
            operation(backend)
        assert "wrong" not in str(caught.value)
        assert "plugin" not in str(caught.value)
    backend.close()


FIRST_READ = """
import sys
from backends.errors import BackendError
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
port, username, password = sys.argv[1:]
backend = MemcachedBackend(
    servers=parse_servers("127.0.0.1"),
    port=int(port),
    username=username,
    password=password,
    timeout_ms=3000,
)
try:
    print(backend.get("absent"))
except BackendError as error:
    print(type(error).__name__, error)
"""


def first_read(server: Memcached, password: str, **environ: str) -> str:
    """Return what a process says of its first read."""
    return subprocess.run(
        [sys.executable, "-c", FIRST_READ, str(server.port), SASL_USER, password],
        cwd=REPOSITORY,
        env={**os.environ, **environ},
        capture_output=True,
        check=True,
        text=True,
    ).stdout


def test_a_missing_plugin_is_told_apart_from_a_wrong_password(
    sasl_server: Memcached, tmp_path: Path
) -> None:
    missing = first_read(sasl_server, SASL_PASSWORD, SASL_PATH=str(tmp_path))
    assert missing.startswith("LoginNotSent Authentication failed: no login was sent to ")
    assert "libsasl2-modules" in missing
    refused = first_read(sasl_server, "wrong")
    assert refused.startswith("AuthenticationFailed Authentication failed: memcached at ")
    assert refused.endswith(" refused the configured user name or password.\n")


FIRST_PROBES = """
import sys
from backends.memcached.sasl import SaslClient as Client
for _ in range(3):
    Client(*sys.argv[1:2], 1.0, *sys.argv[2:]).probe()
"""


def test_what_lies_on_the_stack_fails_no_login(sasl_server: Memcached) -> None:
    # A process that did nothing else before is one where libmemcached 1.0 finds something there
    # that it takes for a part of the server's answer.
    address = f"127.0.0.1:{sasl_server.port}"
    scripts.run(FIRST_PROBES, address, SASL_USER, SASL_PASSWORD)


def test_no_password_where_one_is_wanted_is_an_error_and_no_miss(sasl_server: Memcached) -> None:
    # Such a server says nothing.
    backend = connect(sasl_server, timeout_ms=250)
    for operation in OPERATIONS.values():
        with pytest.raises(Failed):
            operation(backend)
    backend.close()


def test_a_password_for_a_server_that_wants_none_is_an_error_and_no_miss(
    memcached_server: Memcached,
) -> None:
    login = {"username": SASL_USER, "password": SASL_PASSWORD}
    backend = connect(memcached_server, timeout_ms=250, **login)
    with pytest.raises(Failed):
        backend.get("k1")
    backend.close()


def test_a_sasl_server_that_returns_is_logged_into_again() -> None:
    with sasl_memcached() as server:
        backend = connect(server, username=SASL_USER, password=SASL_PASSWORD)
        backend.set("k1", b"1", None)
        server.kill()
        with pytest.raises(Unavailable):
            backend.get("k1")
        server.start()
        assert backend.get("k1") is MISSING
        backend.close()


class _Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._path),)


def test_a_planted_pickle_is_bytes_and_nothing_is_run(
    memcached_server: Memcached, memcached_backend: MemcachedBackend, tmp_path: Path
) -> None:
    planted = pickle.dumps(_Touches(tmp_path / "unpickled"))
    memcached_server.plant("pickle", planted, flags=1)
    assert memcached_backend.get("pickle") == planted
    assert memcached_backend.get_many(["pickle"]) == {"pickle": planted}
    assert memcached_backend.get_and_delete("pickle") == planted
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("flags", [0, 1, 2, 3, 4, 6, 8, 16, 80, 2**32 - 1])
def test_no_foreign_flag_changes_what_the_bytes_are(
    flags: int, memcached_server: Memcached, memcached_backend: MemcachedBackend
) -> None:
    memcached_server.plant("foreign", b"\x00not what the flag says", flags)
    assert memcached_backend.get("foreign") == b"\x00not what the flag says"


@pytest.mark.parametrize("kind", ["plain", "sasl"])
def test_a_new_lifetime_leaves_the_flags_of_another_program_and_a_new_value_does_not(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("sasl_server" if kind == "sasl" else "memcached_server")
    user = {"username": SASL_USER, "password": SASL_PASSWORD} if kind == "sasl" else {}
    backend = connect(server, **user)
    server.plant("marked", b"zzz", flags=16)
    found = backend.get_with_token("marked")
    assert found is not MISSING
    assert backend.compare_and_set("marked", found.value, found.token, 60) is True
    assert server.say(b"get marked\r\n") == b"VALUE marked 16 3\r\nzzz\r\nEND\r\n"
    assert backend.touch("marked", 90) is True
    assert server.say(b"get marked\r\n") == b"VALUE marked 16 3\r\nzzz\r\nEND\r\n"
    found = backend.get_with_token("marked")
    assert found is not MISSING
    assert backend.compare_and_set("marked", b"new", found.token, 60) is True
    assert server.say(b"get marked\r\n") == b"VALUE marked 0 3\r\nnew\r\nEND\r\n"
    backend.close()


@pytest.mark.parametrize("kind", ["plain", "sasl"])
def test_flags_come_with_a_value_and_go_with_it(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("sasl_server" if kind == "sasl" else "memcached_server")
    user = {"username": SASL_USER, "password": SASL_PASSWORD} if kind == "sasl" else {}
    backend = connect(server, **user)
    backend.flush()
    server.plant("marked", b"42", flags=2**32 - 1)
    backend.set("plain", b"42", None)
    found = backend.get_with_token("marked")
    assert found is not MISSING
    read = [backend.get("marked"), found.value, *backend.get_many(["plain", "marked"]).values()]
    assert read == [b"42"] * 4
    assert sorted(map(flags_of, read)) == [0, *[2**32 - 1] * 3]
    assert type(backend.get("plain")) is bytes
    token, value = found.token, Flagged(b"[1]", 6)
    assert backend.compare_and_set("marked", value, token, None)
    backend.set("set", value, None)
    backend.set_many([Item("many", value, None)])
    assert backend.add("added", value, None)
    assert backend.replace("plain", value, None)
    for key in ("marked", "set", "many", "added", "plain"):
        assert (
            server.say(f"get {key}\r\n".encode()) == f"VALUE {key} 6 3\r\n[1]\r\nEND\r\n".encode()
        )
    gone = backend.get_and_delete("many")
    assert gone is not MISSING
    assert flags_of(gone) == 6
    backend.close()


@pytest.mark.parametrize(
    ("stored", "flags"),
    # spymemcached's 57 and true, its 12592; PHP's true.
    [(b"9", 512), (b"1", 256), (b"10", 768), (b"1", 3), (b"5", 2**31)],
)
def test_digits_that_are_no_number_to_their_program_are_not_counted_on(
    stored: bytes, flags: int, memcached_server: Memcached, memcached_backend: MemcachedBackend
) -> None:
    memcached_server.plant("foreign", stored, flags)
    for delta in (1, -1):
        with pytest.raises(NotAnInteger, match=f"by its flags, {flags}, it is no number"):
            memcached_backend.increment("foreign", delta)
    assert memcached_backend.get("foreign") == stored


@pytest.mark.parametrize("flags", [0, 1, 2, 4, 6, 8, 16])
def test_a_count_keeps_the_flags_of_a_number(
    flags: int, memcached_server: Memcached, memcached_backend: MemcachedBackend
) -> None:
    memcached_server.plant("foreign", b"42", flags)
    assert memcached_backend.increment("foreign", 1) == 43
    reply = f"VALUE foreign {flags} 2\r\n43\r\nEND\r\n".encode()
    assert memcached_server.say(b"get foreign\r\n") == reply


BOMB_READER = """
import resource, sys
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
backend = MemcachedBackend(servers=parse_servers("127.0.0.1"), port=int(sys.argv[1]))
backend.get("absent")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
value = backend.get("bomb")
assert backend.get_many(["bomb"]) == {"bomb": value}
print(len(value), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_zip_bomb_stays_packed(memcached_server: Memcached) -> None:
    packer = zlib.compressobj(9)
    zeros = bytes(1_000_000)
    bomb = b"".join(packer.compress(zeros) for _ in range(300)) + packer.flush()
    memcached_server.plant("bomb", bomb, flags=8)
    output = subprocess.run(
        [sys.executable, "-c", BOMB_READER, str(memcached_server.port)],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    size, grown_kb = map(int, output.split())
    assert size == len(bomb)
    assert grown_kb < 50_000
    assert resource.getpagesize() > 0


def test_threads_never_see_each_others_values(memcached_backend: MemcachedBackend) -> None:
    keys = [f"k{number}" for number in range(50)]
    for key in keys:
        memcached_backend.set(key, key.encode() * 50, None)
    wrong: list[str] = []

    def read() -> None:
        choose = random.Random(threading.get_ident())
        for _ in range(150):
            key = choose.choice(keys)
            if memcached_backend.get(key) != key.encode() * 50:
                wrong.append(key)

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_has_connections_of_its_own(memcached_backend: MemcachedBackend) -> None:
    keys = [f"k{number}" for number in range(200)]
    for key in keys:
        memcached_backend.set(key, key.encode(), None)
    child = os.fork()
    right = all(memcached_backend.get(key) == key.encode() for key in keys)
    if child == 0:
        os._exit(0 if right else 1)
    assert right
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_backends_with_the_same_persistent_id_share_their_connections() -> None:
    with memcached() as server:
        backends = [connect(server, persistent_id="shared") for _ in range(4)]
        backends += [connect(server, persistent_id="other"), connect(server)]
        for backend in backends:
            backend.set("k1", b"1", None)
        # And the connection that asks for the statistics.
        assert int(server.statistics()["curr_connections"]) == 3 + 1
        for backend in backends:
            backend.close()


def test_the_servers_own_hits_and_misses_are_those_of_the_callers() -> None:
    with server_and_backend() as (server, backend):
        for number in range(100):
            backend.set(f"k{number}", b"1", None)
        for number in range(80):
            assert backend.get(f"k{number}") == b"1"
        for number in range(20):
            assert backend.get(f"absent{number}") is MISSING
        statistics = server.statistics()
        assert (statistics["cmd_set"], statistics["get_hits"], statistics["get_misses"]) == (
            "100",
            "80",
            "20",
        )


def test_lifetimes_become_what_memcached_understands() -> None:
    now = time.time()
    assert expiry(None) == 0
    # Each has the two seconds more that the server's clock may be about to skip.
    assert (expiry(0.2), expiry(1), expiry(1.5)) == (3, 3, 4)
    assert expiry(LONGEST_RELATIVE - 2) == LONGEST_RELATIVE
    assert abs(expiry(LONGEST_RELATIVE) - (now + LONGEST_RELATIVE)) < 5
    assert abs(expiry(LONGEST_RELATIVE + 60) - (now + LONGEST_RELATIVE + 60)) < 5
    assert expiry(LATEST - now - 60) == pytest.approx(LATEST - 60, abs=5)
    assert expiry(2**40) == 0
    assert LONGEST_RELATIVE < expiry(0) < now
    assert LONGEST_RELATIVE < expiry(-5) < now


@pytest.mark.parametrize("ttl", [LONGEST_RELATIVE + 60, 2**31, 2**32, 2**32 + 5, 2.0**53])
def test_a_long_lifetime_is_no_short_one(ttl: float, memcached_backend: MemcachedBackend) -> None:
    memcached_backend.set("k1", b"1", ttl)
    assert memcached_backend.get("k1") == b"1"
    assert memcached_backend.touch("k1", ttl) is True
    assert memcached_backend.get("k1") == b"1"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"prefix": "two words:"}, "MEMCACHED_PREFIX"),
        ({"prefix": "x" * 251}, "MEMCACHED_PREFIX"),
        ({"username": "user"}, "MEMCACHED_PASSWORD"),
        ({"password": "s3cret"}, "MEMCACHED_USERNAME"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidOption, match=named) as caught:
        MemcachedBackend(servers=ONE, **options)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("localhost", (Server("localhost", None, 1),)),
        ("cache.example:11212", (Server("cache.example", 11212, 1),)),
        (
            "server2:11211:1, server1:11211:2",
            (Server("server1", 11211, 2), Server("server2", 11211, 1)),
        ),
        ("[::1]:11211:3,10.0.0.1", (Server("10.0.0.1", None, 1), Server("[::1]", 11211, 3))),
    ],
)
def test_server_lists_are_read(text: str, servers: tuple[Server, ...]) -> None:
    assert parse_servers(text) == servers


@pytest.mark.parametrize(
    "text",
    ["", ",", "a,", "a:b:c", "a:0", "a:65536", "a:1:0", "a:1:2:3", "a b", "::1", "a:1,a:1", "a/b"],
)
def test_malformed_server_lists_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_servers(text)


def test_every_failure_is_one_of_the_family() -> None:
    with server_and_backend() as (server, backend):
        server.kill()
        outcomes = backend.delete_many(["a", "b"])
    assert all(isinstance(outcome, BackendError) for outcome in outcomes)
