"""A Redis server that dies, hangs or is cut off, and what is said of a write without a reply."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from backends.base import MISSING, Item
from backends.errors import BackendError, Timeout, Unavailable
from backends.redis.backend import RedisBackend
from tests.conftest import connect_redis
from tests.support.processes import Memcached
from tests.support.proxy import Proxy, proxy
from tests.support.redis import Redis, redis_server
from tests.support.timing import Stopwatch

UNKNOWN = "Whether the change was made is unknown"
VALUES = {f"key{number}": b"value of key%d" % number for number in range(100)}


def first(outcomes: Sequence[object]) -> object:
    """Return what became of the first of a batch, as the method for one key would."""
    if isinstance(outcomes[0], BackendError):
        raise outcomes[0]
    return outcomes[0]


OPERATIONS: dict[str, Callable[[RedisBackend], object]] = {
    "get": lambda backend: backend.get("k1"),
    "get_many": lambda backend: backend.get_many(["k1", "k2"]),
    "get_with_token": lambda backend: backend.get_with_token("k1"),
    "set": lambda backend: backend.set("k1", b"1", None),
    "set_many": lambda backend: first(backend.set_many([Item("k1", b"1", None)] * 3)),
    "add": lambda backend: backend.add("k1", b"1", None),
    "replace": lambda backend: backend.replace("k1", b"1", None),
    "delete": lambda backend: backend.delete("k1"),
    "delete_many": lambda backend: first(backend.delete_many(["k1", "k2"])),
    "touch": lambda backend: backend.touch("k1", 60),
    "increment": lambda backend: backend.increment("k1", 1),
    "compare_and_set": lambda backend: backend.compare_and_set("k1", b"1", b"1", None),
    "compare_and_delete": lambda backend: backend.compare_and_delete("k1", b"1"),
    "get_and_delete": lambda backend: backend.get_and_delete("k1"),
    "remaining_ttl": lambda backend: backend.remaining_ttl("k1"),
    "list_keys": lambda backend: backend.list_keys("", 10, None),
    "flush": lambda backend: backend.flush(),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


@pytest.fixture(scope="module")
def own(engine: str) -> Iterator[Redis]:
    """A server that the tests of this module kill and pause."""
    with redis_server() as server:
        yield server


@pytest.fixture
def backend(own: Redis) -> Iterator[RedisBackend]:
    own.empty()
    made = connect_redis(own)
    yield made
    made.close()


@each_operation
@pytest.mark.parametrize("way", ["port", "socket"])
def test_a_dead_server_is_an_error_and_its_return_is_noticed_at_once(
    own: Redis, way: str, operation: Callable[[RedisBackend], object]
) -> None:
    backend = connect_redis(own, **({"REDIS_URL": f"unix://{own.socket}"} if way != "port" else {}))
    backend.set("k1", b"5", None)
    own.kill()
    for _ in range(3):
        taken = Stopwatch()
        with pytest.raises(Unavailable, match=r"^Connection refused: Redis at ") as caught:
            operation(backend)
        assert taken() < 1
        assert UNKNOWN not in str(caught.value)
    own.start()
    operation(backend)
    backend.close()


@each_operation
def test_a_restart_costs_values_but_no_failed_call(
    own: Redis, backend: RedisBackend, operation: Callable[[RedisBackend], object]
) -> None:
    backend.set("k1", b"5", None)
    operation(backend)
    own.restart()
    operation(backend)


def test_a_hung_server_is_a_timeout_within_a_second_and_right_when_it_goes_on(
    own: Redis,
) -> None:
    backend = connect_redis(own, REDIS_TIMEOUT_MS="500")
    backend.set_many([Item(key, value, None) for key, value in VALUES.items()])

    def run(operation: Callable[[RedisBackend], object]) -> float:
        taken = Stopwatch()
        with pytest.raises(Timeout, match=r"^Connection timed out: Redis at "):
            operation(backend)
        return taken()

    # All but the flush, which the server does when it goes on.
    operations = [work for name, work in OPERATIONS.items() if name != "flush"]
    own.pause()
    try:
        with ThreadPoolExecutor(len(operations)) as pool:
            assert max(pool.map(run, operations)) < 1
    finally:
        own.resume()
    assert backend.get_many([*VALUES, "absent"]) == VALUES
    assert [backend.get(key) for key in VALUES] == list(VALUES.values())
    backend.close()


class Port:
    """A port to connect to."""

    def __init__(self, port: int) -> None:
        self.settings = {"REDIS_HOST": f"127.0.0.1:{port}"}


def test_another_kind_of_server_is_an_error_and_no_miss(memcached_server: Memcached) -> None:
    backend = connect_redis(Port(memcached_server.port), REDIS_TIMEOUT_MS="200")
    for operation in OPERATIONS.values():
        with pytest.raises(Unavailable):
            operation(backend)
    backend.close()


class Line:
    """A backend behind a proxy."""

    def __init__(self, server: Redis, spoiler: Proxy) -> None:
        self.server = server
        self.backend = connect_redis(Port(spoiler.port), REDIS_TIMEOUT_MS="700")
        self.proxy = spoiler

    @contextlib.contextmanager
    def spoiled(
        self, mode: str, size: int = 0, seconds: float = 0.0, times: int | None = None
    ) -> Iterator[None]:
        """Prove the connection, so that the next reply is what is spoiled."""
        assert self.backend.get("proof") == b"proof"
        self.proxy.times = times
        self.proxy.size, self.proxy.seconds, self.proxy.mode = size, seconds, mode
        try:
            yield
        finally:
            self.proxy.mode = "pass"


@pytest.fixture
def line(redis_one: Redis) -> Iterator[Line]:
    redis_one.empty()
    with proxy(redis_one.port) as spoiler:
        made = Line(redis_one, spoiler)
        made.backend.set("proof", b"proof", None)
        yield made
        made.backend.close()


READS: dict[str, tuple[Callable[[RedisBackend], object], object, int]] = {
    "hit": (lambda backend: backend.get("hit"), b"the value", len(b"$9\r\nthe value\r\n")),
    "miss": (lambda backend: backend.get("absent"), MISSING, len(b"$-1\r\n")),
    "some": (
        lambda backend: backend.get_many(["hit", "absent", "proof"]),
        {"hit": b"the value", "proof": b"proof"},
        len(b"$9\r\nthe value\r\n$-1\r\n$5\r\nproof\r\n"),
    ),
}


@pytest.mark.parametrize("mode", ["cut", "hold"])
@pytest.mark.parametrize(("read", "expected", "whole"), READS.values(), ids=READS)
def test_a_reply_that_ends_early_at_any_byte_is_an_error(
    line: Line, read: Callable[[RedisBackend], object], expected: object, whole: int, mode: str
) -> None:
    line.backend.set("hit", b"the value", None)
    for size in range(whole) if mode == "cut" else range(0, whole, 5):
        with line.spoiled(mode, size), contextlib.suppress(Unavailable):
            # Of several, those that were answered are not asked again with the others.
            assert (read(line.backend), type(expected)) == (expected, dict)
        assert read(line.backend) == expected


def test_a_batch_that_ends_early_is_an_error_and_never_a_part(line: Line) -> None:
    line.backend.set_many([Item(key, value, None) for key, value in VALUES.items()])
    for size in (0, 1, 5, 330, 1000):
        with line.spoiled("cut", size), pytest.raises(Unavailable):
            line.backend.get_many([*VALUES, "absent"])
        assert line.backend.get_many([*VALUES, "absent"]) == VALUES


@each_operation
@pytest.mark.parametrize("mode", ["reset", "garbage", "swallow"])
def test_no_broken_reply_is_taken_for_an_answer(
    line: Line, mode: str, operation: Callable[[RedisBackend], object]
) -> None:
    operation(line.backend)
    line.backend.set("proof", b"proof", None)
    with line.spoiled(mode), pytest.raises(Unavailable):
        operation(line.backend)
    line.backend.set("proof", b"proof", None)
    assert line.backend.get_many(["proof", "absent"]) == {"proof": b"proof"}


WRITES: dict[str, tuple[Callable[[RedisBackend], object], object]] = {
    "increment": (lambda backend: backend.increment("counted", 5), {"counted": b"12"}),
    "add": (lambda backend: backend.add("added", b"1", None), {"counted": b"7", "added": b"1"}),
    "delete": (lambda backend: backend.delete("counted"), {}),
    "delete_many": (lambda backend: first(backend.delete_many(["counted"])), {}),
    "get_and_delete": (lambda backend: backend.get_and_delete("counted"), {}),
    "compare_and_set": (
        lambda backend: backend.compare_and_set("counted", b"8", b"7", None),
        {"counted": b"8"},
    ),
    "compare_and_delete": (lambda backend: backend.compare_and_delete("counted", b"7"), {}),
}


@pytest.mark.parametrize(("mode", "size"), [("swallow", 0), ("cut", 1), ("reset", 0), ("hold", 2)])
@pytest.mark.parametrize(("write", "after"), WRITES.values(), ids=WRITES)
def test_a_write_whose_reply_is_lost_is_made_once_and_said_to_be_unknown(
    line: Line, write: Callable[[RedisBackend], object], after: object, mode: str, size: int
) -> None:
    # The server knows the script from the first time.
    write(line.backend)
    line.backend.delete("added")
    line.backend.set("counted", b"7", None)
    before = line.server.calls("evalsha", "eval"), line.server.calls("set", "unlink", "getdel")
    with line.spoiled(mode, size), pytest.raises(Unavailable, match=UNKNOWN):
        write(line.backend)
    after_it = line.server.calls("evalsha", "eval"), line.server.calls("set", "unlink", "getdel")
    # A script that stores counts as a SET too.
    assert after_it[0] + after_it[1] - sum(before) == 1 or after_it[0] - before[0] == 1
    assert line.backend.get_many(["counted", "added"]) == after


REPEATED: dict[str, Callable[[RedisBackend], object]] = {
    "set": lambda backend: backend.set("k", b"1", None),
    "replace": lambda backend: backend.replace("k", b"2", None),
    "touch": lambda backend: backend.touch("k", 60),
}


@pytest.mark.parametrize("write", REPEATED.values(), ids=REPEATED)
def test_a_write_that_may_be_repeated_is_made_though_one_reply_is_lost(
    line: Line, write: Callable[[RedisBackend], object]
) -> None:
    write(line.backend)
    with line.spoiled("cut", size=1, times=1):
        write(line.backend)
    with line.spoiled("cut", size=1), pytest.raises(Unavailable):
        write(line.backend)


def test_a_write_that_was_sent_stays_unknown_if_it_cannot_be_sent_again(line: Line) -> None:
    line.backend.set("k", b"1", None)
    line.proxy.refuse()
    with line.spoiled("cut", size=1), pytest.raises(Unavailable, match=UNKNOWN):
        line.backend.set("k", b"2", None)
    with pytest.raises(Unavailable) as failure:
        line.backend.set("k", b"3", None)
    assert UNKNOWN not in str(failure.value)
    assert line.server.call("GET", "cacheapi:k") == b"2"


def test_a_slow_reply_within_the_limit_is_right(line: Line) -> None:
    with line.spoiled("delay", seconds=0.03):
        assert line.backend.get("proof") == b"proof"
        assert line.backend.get("absent") is MISSING


def test_late_replies_reach_nobody(line: Line) -> None:
    some = dict(list(VALUES.items())[:8])
    line.backend.set_many([Item(key, value, None) for key, value in some.items()])
    for key in some:
        with line.spoiled("delay", seconds=0.8), pytest.raises(Timeout):
            line.backend.get(key)
        assert {other: line.backend.get(other) for other in some} == some


def test_a_hundred_items_wait_once_for_a_server_that_is_gone(line: Line) -> None:
    items = [Item(key, b"", None) for key in VALUES]
    with line.spoiled("swallow"):
        taken = Stopwatch()
        outcomes = [*line.backend.set_many(items), *line.backend.delete_many(["a", "b"])]
        assert taken() < 2
    assert {type(outcome) for outcome in outcomes} == {Timeout}
