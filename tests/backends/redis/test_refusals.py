"""A Redis server that refuses: loading, busy, full, read-only, locked, of too many clients."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import redis

from backends.base import MISSING, Found, Item
from backends.errors import (
    AuthenticationFailed,
    Failed,
    OutOfMemory,
    Unavailable,
)
from backends.redis.backend import RedisBackend
from tests.backends.redis.test_faults import OPERATIONS, each_operation
from tests.conftest import connect_redis
from tests.support.processes import eventually, free_port
from tests.support.redis import COMMANDS, PASSWORD, Redis, acl_redis, redis_server, replica
from tests.support.timing import Stopwatch

Operation = Callable[[RedisBackend], object]
READS = {
    name: OPERATIONS[name]
    for name in ("get", "get_many", "get_with_token", "list_keys", "remaining_ttl")
}
WRITES = {name: work for name, work in OPERATIONS.items() if name not in READS}
# They take no room.
DELETES = {"delete", "delete_many", "get_and_delete", "compare_and_delete", "flush", "touch"}


@contextlib.contextmanager
def on_a_server(*arguments: str, **settings: str) -> Iterator[tuple[Redis, RedisBackend]]:
    with redis_server(*arguments) as server:
        backend = connect_redis(server, **settings)
        yield server, backend
        backend.close()


def refuses(backend: RedisBackend, code: str, operations: dict[str, Operation]) -> None:
    for operation in operations.values():
        with pytest.raises(Unavailable, match=f"^{code}: Redis at ") as caught:
            operation(backend)
        # The server said that it did nothing.
        assert "unknown" not in str(caught.value)


def test_a_server_that_loads_its_data_is_unavailable_and_then_right() -> None:
    slow = ("--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
    with on_a_server(*slow) as (server, backend):
        values = {f"key{number}": b"x" * 100 for number in range(2000)}
        backend.set_many([Item(key, value, None) for key, value in values.items()])
        server.call("SAVE")
        server.restart()
        refuses(backend, "LOADING", OPERATIONS)
        eventually(lambda: server.info("persistence")["loading"] == 0)
        assert backend.get_many(values) == values


def test_a_server_that_is_busy_with_a_script_is_unavailable_and_then_right() -> None:
    with on_a_server("--busy-reply-threshold", "20") as (server, backend):
        backend.set("k1", b"5", None)
        with server.client() as client:
            endless = threading.Thread(target=lambda: _run_endlessly(client))
            endless.start()
            eventually(lambda: _is_busy(server))
            refuses(backend, "BUSY", OPERATIONS)
            server.call("SCRIPT", "KILL")
            endless.join(10)
        assert backend.get("k1") == b"5"


def _run_endlessly(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="killed"):
        client.eval("while true do end", 0)


def _is_busy(server: Redis) -> bool:
    try:
        server.call("PING")
    except redis.ResponseError as error:
        return "BUSY" in f"{getattr(error, 'status_code', '')} {error}"
    return False


def test_a_server_that_cannot_save_takes_no_writes_and_is_read() -> None:
    with on_a_server() as (server, backend):
        backend.set("k1", b"1", None)
        server.call("CONFIG", "SET", "save", "3600 1")
        shutil.rmtree(server.directory)
        server.call("BGSAVE")
        eventually(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err")
        refuses(backend, "MISCONF", WRITES)
        assert backend.get("k1") == b"1"
        server.call("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        assert backend.increment("k1", 1) == 2


def test_a_server_with_too_few_replicas_takes_no_writes_and_is_read() -> None:
    with on_a_server() as (server, backend):
        backend.set("k1", b"1", None)
        server.call("CONFIG", "SET", "min-replicas-to-write", "1")
        refuses(backend, "NOREPLICAS", WRITES)
        assert backend.get("k1") == b"1"
        server.call("CONFIG", "SET", "min-replicas-to-write", "0")
        assert backend.increment("k1", 1) == 2


def test_a_replica_that_has_lost_its_master_is_unavailable() -> None:
    gone = ("--replicaof", f"127.0.0.1 {free_port()}")
    with on_a_server(*gone, "--replica-serve-stale-data", "no") as (server, backend):
        refuses(backend, "MASTERDOWN", READS)
        # Writing is refused for one reason or the other.
        for operation in WRITES.values():
            with pytest.raises(Unavailable):
                operation(backend)
        server.call("REPLICAOF", "NO", "ONE")
        assert backend.get("k1") is MISSING


def test_a_replica_takes_no_writes_and_is_read() -> None:
    with (
        on_a_server("--repl-diskless-sync", "no") as (master, backend),
        replica(master, "--repl-diskless-sync", "no") as follower,
    ):
        backend.set("k1", b"1", None)
        reader = connect_redis(follower)
        eventually(lambda: _ignore_unavailable(lambda: reader.get("k1") == b"1"))
        refuses(reader, "READONLY", WRITES)
        assert reader.get_many(["k1", "absent"]) == {"k1": b"1"}
        assert reader.list_keys("", 10, None) == (["k1"], None)
        reader.close()


def _ignore_unavailable(work: Callable[[], bool]) -> bool:
    try:
        return work()
    except Unavailable:
        return False


def test_a_full_server_refuses_what_takes_room_and_goes_on_reading() -> None:
    full = ("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    with on_a_server(*full) as (server, backend):
        backend.set("k1", b"1", None)
        backend.increment("k1", 0)
        items = [Item(f"fill{number}", b"x" * 10_000, None) for number in range(500)]
        outcomes = backend.set_many(items)
        stored = [item for item, outcome in zip(items, outcomes, strict=True) if outcome is True]
        assert 0 < len(stored) < len(items)
        assert {type(outcome) for outcome in outcomes if outcome is not True} == {OutOfMemory}
        server.call("CONFIG", "SET", "maxmemory", "1")
        for name in WRITES.keys() - DELETES:
            with pytest.raises(OutOfMemory, match=r"^SERVER_ERROR out of memory"):
                WRITES[name](backend)
        assert backend.get("k1") == b"1"
        assert backend.get_many(item.key for item in stored) == {
            item.key: item.value for item in stored
        }
        assert backend.touch("k1", 60) is True
        assert backend.delete_many([item.key for item in stored]) == [True] * len(stored)
        server.call("CONFIG", "SET", "maxmemory", "3mb")
        backend.set("again", b"1", None)


def refused_logins(server: Redis, code: str) -> int:
    return int(server.info("errorstats").get(f"errorstat_{code}", {"count": 0})["count"])


LOGINS = {
    "wrong password": ({"REDIS_PASSWORD": "wr0ng-one"}, "WRONGPASS"),
    "unknown user": ({"REDIS_USERNAME": "nobody", "REDIS_PASSWORD": "wr0ng-one"}, "WRONGPASS"),
    "no password": ({"REDIS_PASSWORD": ""}, "NOAUTH"),
}


@pytest.mark.parametrize(("settings", "code"), LOGINS.values(), ids=LOGINS)
def test_a_refused_login_names_the_cause_and_is_tried_once(
    redis_locked: Redis,
    settings: dict[str, str],
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = connect_redis(redis_locked, **settings)
    for name, operation in OPERATIONS.items():
        before = refused_logins(redis_locked, code)
        with pytest.raises(AuthenticationFailed, match=r"^Authentication failed: ") as caught:
            operation(backend)
        tries = 3 if name == "set_many" and code == "NOAUTH" else 1
        tries = 2 if name == "delete_many" and code == "NOAUTH" else tries
        assert (name, refused_logins(redis_locked, code) - before) == (name, tries)
        assert "wr0ng-one" not in f"{caught.value}{caught.value.__cause__}"
    assert "wr0ng-one" not in caplog.text
    backend.close()


def test_a_login_that_is_right_again_is_used_at_once() -> None:
    with redis_server() as server:
        backend = connect_redis(server, REDIS_PASSWORD=PASSWORD)
        with pytest.raises(AuthenticationFailed):
            backend.get("k1")
        server.call("CONFIG", "SET", "requirepass", PASSWORD)
        assert backend.get("k1") is MISSING
        backend.close()


# Without GETEX a new lifetime is given all the same: see test_touching.py.
@pytest.mark.parametrize("missing", sorted({*COMMANDS} - {"getex"}))
def test_each_right_is_needed_and_its_lack_is_named(missing: str) -> None:
    with acl_redis(f"-{missing}") as server:
        backend = connect_redis(server)
        operations = OPERATIONS | {"touch for ever": lambda backend: backend.touch("k1", None)}
        refused: dict[str, str] = {}
        for name, operation in operations.items():
            server.call("SET", "cacheapi:k1", "1")
            try:
                operation(backend)
            except AuthenticationFailed as error:
                refused[name] = str(error)
        assert all("does not permit" in message for message in refused.values())
        assert PASSWORD not in f"{refused}"
        assert 0 < len(refused) < len(operations)
        backend.close()


def test_a_user_with_the_least_rights_cannot_reach_beyond_the_prefix() -> None:
    with acl_redis() as server:
        server.call("SET", "other:k1", "1")
        backend = connect_redis(server, REDIS_PREFIX="other:")
        for name, operation in OPERATIONS.items():
            # SCAN shows names only, of all keys; what a flush then deletes is refused.
            if name != "list_keys":
                with pytest.raises(AuthenticationFailed, match="does not permit"):
                    operation(backend)
        assert server.call("GET", "other:k1") == b"1"
        backend.close()


@contextlib.contextmanager
def crowded_server() -> Iterator[tuple[Redis, redis.Redis]]:
    """A server that has its most clients, one of them given here."""
    with redis_server("--maxclients", "3") as server, server.client() as client:
        # Once the one is gone that waited for the start.
        eventually(lambda: _clients(client) == 1)
        with server.connect(), server.connect():
            eventually(lambda: _clients(client) == 3)
            yield server, client


def _clients(client: redis.Redis) -> int:
    return int(client.info("clients")["connected_clients"])


def test_a_server_at_its_most_clients_is_an_error_within_bounds_and_no_miss() -> None:
    with crowded_server() as (server, client):
        backend = connect_redis(server)
        for operation in OPERATIONS.values():
            taken = Stopwatch()
            with pytest.raises(Unavailable, match=r"^Connection refused: "):
                operation(backend)
            assert taken() < 0.3
        client.config_set("maxclients", 4)
        backend.set("k1", b"1", None)
        assert backend.get("k1") == b"1"
        backend.close()


def test_scripts_that_the_server_forgot_are_sent_again(redis_one: Redis) -> None:
    redis_one.empty()
    backend = connect_redis(redis_one)
    backend.set("k1", b"1", None)
    for count in range(2, 5):
        redis_one.call("SCRIPT", "FLUSH")
        assert backend.increment("k1", 1) == count
        redis_one.call("SCRIPT", "FLUSH")
        assert backend.touch("k1", 60) is True
        redis_one.call("SCRIPT", "FLUSH")
        found = backend.get_with_token("k1")
        assert isinstance(found, Found)
        assert backend.compare_and_set("k1", found.value, found.token, None) is True
        assert backend.compare_and_delete("k1", b"other") is False
    backend.close()


@pytest.mark.redis_alone
def test_the_constructor_opens_no_connection(redis_one: Redis) -> None:
    before = redis_one.info("stats")["total_connections_received"]
    backend = connect_redis(redis_one)
    # And the connection that asked.
    assert redis_one.info("stats")["total_connections_received"] == before + 1
    backend.get("k1")
    assert redis_one.info("stats")["total_connections_received"] == before + 3
    backend.close()


def test_a_forked_child_has_connections_of_its_own(redis_one: Redis) -> None:
    backend = connect_redis(redis_one)
    keys = [f"fork{number}" for number in range(200)]
    backend.set_many([Item(key, key.encode(), None) for key in keys])
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            right = all(backend.get(key) == key.encode() for key in keys * 3)
            os._exit(0 if right else 1)
        children.append(child)
    assert all(backend.get(key) == key.encode() for key in keys * 3)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3
    assert backend.get(keys[0]) == keys[0].encode()
    backend.close()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.redis_alone
def test_a_thousand_faults_cost_no_file_descriptor() -> None:
    with on_a_server() as (server, backend):
        backend.set("k1", b"1", None)
        before = open_files()
        for _ in range(10):
            server.kill()
            for _ in range(100):
                with pytest.raises(Unavailable):
                    backend.get("k1")
            server.start()
            assert backend.get("k1") is MISSING
        assert open_files() <= before + 1


def test_refused_logins_and_clients_cost_no_file_descriptor(redis_locked: Redis) -> None:
    wrong = connect_redis(redis_locked, REDIS_PASSWORD="wr0ng-one")
    with crowded_server() as (server, _):
        one_too_many = connect_redis(server)
        before = open_files()
        for _ in range(200):
            for backend in (wrong, one_too_many):
                with pytest.raises(Failed):
                    backend.get("k1")
        assert open_files() <= before + 2
    wrong.close()


NOTHING = SimpleNamespace(settings={})


@pytest.mark.redis_alone
@each_operation
def test_no_secret_is_in_an_error(operation: Operation, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    nobody = f"127.0.0.1:{free_port()}"
    for settings in (
        {"REDIS_URL": f"redis://user:s3cret-in-url@{nobody}/2"},
        {"REDIS_HOST": nobody, "REDIS_PASSWORD": "s3cret-in-url"},
        {"REDIS_SENTINEL_HOST": nobody, "REDIS_SENTINEL_PASSWORD": "s3cret-in-url"},
        {"REDIS_CLUSTER": "true", "REDIS_HOST": nobody, "REDIS_PASSWORD": "s3cret-in-url"},
    ):
        backend = connect_redis(NOTHING, **settings)
        with pytest.raises(Unavailable) as caught:
            operation(backend)
        error: BaseException | None = caught.value
        while error is not None:
            assert "s3cret" not in f"{error!r}{error}"
            error = error.__cause__ or error.__context__
        assert "s3cret" not in repr(vars(backend))
        backend.close()
    assert "s3cret" not in caplog.text
