"""What a client sees when the Redis of a live service is hurt."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.http.conftest import PATIENT
from tests.http.live.test_faults import OPERATIONS, Client
from tests.support.live import CACHE
from tests.support.processes import Service, eventually, service
from tests.support.proxy import proxy
from tests.support.redis import Redis, redis_server
from tests.support.redis_groups import Cluster, SentinelGroup, redis_cluster, sentinel_group
from tests.support.timing import Stopwatch, starved


@contextlib.contextmanager
def service_on(
    directory: Path, target: Redis | SentinelGroup | Cluster, **settings: str
) -> Iterator[tuple[Service, Client]]:
    """Run a service on Redis; give a client, and find no traceback after."""
    with (
        service(
            directory,
            CACHE_DRIVER="redis",
            **{"WEB_CONCURRENCY": "1", **PATIENT, **target.settings, **settings},
        ) as live,
        Client(live.port) as client,
    ):
        yield live, client
        assert "Traceback" not in live.log.read_text()


def test_a_dead_server_is_an_error_for_every_operation_and_its_return_is_noticed(
    tmp_path: Path,
) -> None:
    with redis_server() as server, service_on(tmp_path, server) as (_, client):
        assert client.store("key", 1).status == 201
        server.kill()
        for method, path, body in [*OPERATIONS, ("GET", CACHE, None)] * 2:
            answer = client.call(method, path, body)
            assert (method, path, answer.status) == (method, path, 500)
            assert int(answer.headers["Retry-After"]) >= 1
            if method != "HEAD":
                assert answer.message.startswith("Connection refused")
        server.start()
        # The lane lets a server that failed alone for up to a second.
        eventually(lambda: client.get("key").status == 404, 3)
        assert client.store("key", 2).status == 201
        assert client.get("key").json["value"] == 2


def test_a_hung_server_is_an_error_within_a_second(tmp_path: Path) -> None:
    settings = {"REDIS_TIMEOUT_MS": "500"}
    with redis_server() as server, service_on(tmp_path, server, **settings) as (_, client):
        assert client.store("key", "before").status == 201
        server.pause()
        for method, path, body in [*OPERATIONS[:3], ("GET", f"{CACHE}/absent", None)]:
            taken = Stopwatch()
            answer = client.call(method, path, body)
            assert taken() < 1
            assert answer.status == 500
            assert int(answer.headers["Retry-After"]) >= 1
        server.resume()
        eventually(lambda: client.get("key").status == 200, 3)
        assert client.get("key").json["value"] == "before"
        assert client.get("absent").status == 404


def test_a_wrong_password_is_an_error_that_does_not_repeat_it_and_one_line_at_most(
    tmp_path: Path, redis_locked: Redis
) -> None:
    password = "not-the-right-one-7391"
    with service_on(tmp_path, redis_locked, REDIS_PASSWORD=password) as (live, client):
        # What the start says of it comes when it has tried.
        eventually(lambda: "could not connect" in live.log.read_text(), 20)
        for method, path, body in OPERATIONS:
            before = live.log.read_text().count("Authentication failed")
            answer = client.call(method, path, body)
            assert (method, path, answer.status) == (method, path, 500)
            assert password not in answer.body.decode()
            if method != "HEAD":
                assert "Authentication failed" in answer.message
            after = live.log.read_text()
            # None where the lane answers with what it was told the moment before.
            assert after.count("Authentication failed") - before <= 1, (method, path)
            assert "Authentication failed" in after
            assert password not in after


def test_what_another_program_stored_is_409_for_every_verb_and_stays(
    tmp_path: Path, redis_one: Redis
) -> None:
    redis_one.empty()
    path = f"{CACHE}/theirs"
    redis_one.call("HSET", "cacheapi:theirs", "field", "1")
    with service_on(tmp_path, redis_one) as (_, client):
        assert client.store("mine", 1).status == 201
        for method, where, body in [
            ("GET", path, None),
            ("GET", f"{path}?pull=true", None),
            ("GET", f"{path}?default=x", None),
            ("GET", f"{CACHE}?keys=mine,theirs", None),
            ("POST", path, {"value": 1}),
            ("PUT", path, {"value": 1}),
            ("PATCH", path, {"ttl": 60}),
            ("PATCH", path, {"ttl": 0}),
            ("PATCH", path, {"ttl": 2592001}),
            ("PATCH", path, {"increment": 1}),
            ("PATCH", path, {"increment": 1, "initial": 5}),
        ]:
            answer = client.call(method, where, body)
            assert (method, where, answer.status) == (method, where, 409)
            assert "under this key is another program's hash" in answer.message
            assert ("'theirs'" in answer.message) == ("keys=" in where)
            assert redis_one.call("HGETALL", "cacheapi:theirs") == {b"field": b"1"}
            assert redis_one.call("TTL", "cacheapi:theirs") == -1
        assert client.call("GET", f"{path}?check_exist=true").json["exists"] is True
        keys = [each["key"] for each in client.call("GET", CACHE).json["resource"]]
        assert sorted(keys) == ["mine", "theirs"]
        assert client.get("mine").json["value"] == 1
        assert client.call("DELETE", path).status == 200
        redis_one.call("HSET", "cacheapi:theirs", "field", "1")
        assert client.store("theirs", 2).status == 201
        assert client.get("theirs").json["value"] == 2


def test_a_count_whose_reply_is_lost_is_made_once_and_said_to_be_unknown(tmp_path: Path) -> None:
    with redis_server() as server, proxy(server.port) as line:
        settings = {"REDIS_PORT": str(line.port), "REDIS_TIMEOUT_MS": "1000"}
        with service_on(tmp_path, server, **settings) as (_, client):
            assert client.store("count", 10).status == 201
            count = ("PATCH", f"{CACHE}/count", {"increment": 1})
            assert client.call(*count).json["value"] == 11
            for mode, expected in (("swallow", 12), ("cut", 13)):
                line.mode = mode
                answer = client.call(*count)
                assert answer.status == 500
                assert "Whether the change was made is unknown" in answer.message
                line.mode = "pass"
                assert client.get("count").json["value"] == expected


@pytest.mark.parametrize(
    "group",
    [sentinel_group, functools.partial(redis_cluster, timeout_ms=1000)],
    ids=["sentinel", "cluster"],
)
def test_a_failover_is_errors_for_some_seconds_and_never_a_404_or_another_value(
    tmp_path: Path, group: Callable[[], contextlib.AbstractContextManager[object]]
) -> None:
    keys = [f"key-{number}" for number in range(60)]
    settings = {"WEB_CONCURRENCY": "2", "REDIS_TIMEOUT_MS": "500"}
    with group() as target, service_on(tmp_path, target, **settings) as (live, client):
        pairs = [{"key": key, "value": key} for key in keys]
        assert client.call("POST", CACHE, {"resource": pairs}).status == 201
        wrong, errors, stopped = [], [], threading.Event()

        def read() -> None:
            with Client(live.port) as reading:
                while not stopped.is_set():
                    for key in keys:
                        answer = reading.get(key)
                        if answer.status == 500:
                            errors.append(time.monotonic())
                        elif answer.status != 200 or answer.json["value"] != key:
                            wrong.append(answer)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        started, waited = time.monotonic(), starved()
        master = target.master if isinstance(target, SentinelGroup) else target.nodes[0]
        master.kill()
        eventually(lambda: errors, 5)
        eventually(lambda: time.monotonic() - errors[-1] > 1, 15)
        stopped.set()
        for reader in readers:
            reader.join()
        outage = errors[-1] - started - (starved() - waited)
        print(f"outage {outage:.2f} s")
        assert outage < 8
        assert wrong == []
        for key in keys:
            # Sentinels of a busy machine may take the new master for dead too.
            eventually(lambda key=key: client.store(key, "after").status == 201, 10)
            assert client.get(key).json["value"] == "after"
