"""The fast lane when a backend is hurt: bounded waits, and no harm to the other services."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheapi import create_app, load
from tests.http.client import close_app
from tests.http.conftest import PATIENT
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Connection, Wire, call, head
from tests.support.processes import Memcached, Service, eventually, memcached, service
from tests.support.timing import Stopwatch

SECOND = "/api/v2/second"


def declare_second(directory: Path, server: Memcached) -> str:
    """Write a file of services with ``second``; return its path."""
    file = directory / "services.toml"
    file.write_text(
        '[[service]]\nname = "second"\ntype = "cache_memcached"\n'
        f"config = {{ port = {server.port}, timeout_ms = 1000 }}\n"
    )
    return str(file)


@contextlib.contextmanager
def two_services(directory: Path) -> Iterator[tuple[Memcached, Service]]:
    """Run ``cache`` on one memcached and ``second`` on another, which is given."""
    with memcached() as first, memcached() as second, contextlib.ExitStack() as running:
        live = running.enter_context(
            service(
                directory,
                **PATIENT,
                CACHE_DRIVER="memcached",
                MEMCACHED_HOST="127.0.0.1",
                MEMCACHED_PORT=str(first.port),
                CACHEAPI_SERVICES_FILE=declare_second(directory, second),
                WEB_CONCURRENCY="1",
            )
        )
        first.plant("k", b'"first"', 0)
        second.plant("k", b'"second"', 0)
        yield second, live
        assert "Traceback" not in live.log.read_text()


@contextlib.contextmanager
def two_services_here(directory: Path) -> Iterator[tuple[Memcached, Inside]]:
    """Run the same in this process."""
    with memcached() as first, memcached() as second:
        settings = {
            "CACHEAPI_API_KEY": Service.api_key,
            "CACHEAPI_DATA_DIR": str(directory),
            **PATIENT,
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": "127.0.0.1",
            "MEMCACHED_PORT": str(first.port),
            "CACHEAPI_SERVICES_FILE": declare_second(directory, second),
        }
        app = create_app(load(settings, None))
        first.plant("k", b'"first"', 0)
        second.plant("k", b'"second"', 0)
        with inside(app, directory) as live:
            yield second, live
        close_app(app)


def timed(client: Connection, path: str) -> tuple[int, float]:
    taken = Stopwatch()
    status = client.call("GET", path).status
    return status, taken()


def read_all_the_time(port: int, path: str, stop: threading.Event, seen: list[int]) -> None:
    with Connection(port) as client:
        while not stop.is_set():
            seen.append(client.call("GET", path).status)


def test_a_hung_service_does_not_slow_the_keys_of_another(tmp_path: Path) -> None:
    with two_services(tmp_path) as (second, live), Connection(live.port) as client:
        assert client.call("GET", f"{SECOND}/k").json["value"] == "second"
        second.pause()
        stop, seen = threading.Event(), []
        readers = [
            threading.Thread(target=read_all_the_time, args=(live.port, f"{SECOND}/k", stop, seen))
            for _ in range(4)
        ]
        for reader in readers:
            reader.start()
        try:
            # The first failure holds everybody up for once; after that nobody.
            eventually(lambda: len(seen) > 4)
            outcomes = [timed(client, f"{CACHE}/k") for _ in range(1500)]
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        assert {status for status, _ in outcomes} == {200}
        assert set(seen) == {500}
        slowest = sorted(seconds for _, seconds in outcomes)
        assert slowest[int(len(slowest) * 0.99)] < 0.1
        second.resume()
        eventually(lambda: client.call("GET", f"{SECOND}/k").status == 200, 3)
        assert client.call("GET", f"{SECOND}/k").json["value"] == "second"


def test_a_dead_service_is_answered_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with two_services_here(tmp_path) as (second, live), Connection(live.port) as client:
        second.kill()
        for turn in range(200):
            answer = client.call("GET", f"{SECOND}/k")
            assert answer.status == 500, turn
            assert answer.message.startswith("Connection refused")
            assert int(answer.headers["Retry-After"]) >= 1
            assert client.call("GET", f"{CACHE}/k").json["value"] == "first"
        logged = caplog.text.count("Connection refused")
        assert 1 <= logged < 50
        second.start()
        second.plant("k", b'"again"', 0)
        eventually(lambda: client.call("GET", f"{SECOND}/k").status == 200, 3)
        assert client.call("GET", f"{SECOND}/k").json["value"] == "again"


def test_stores_on_memcached_are_seen_and_fail_for_themselves_alone(tmp_path: Path) -> None:
    with two_services_here(tmp_path) as (second, live), Connection(live.port) as client:
        for number in range(50):
            pair = {"key": f"k{number % 7}", "value": number}
            assert client.call("POST", SECOND, pair).status == 201
            assert client.call("GET", f"{SECOND}/k{number % 7}").json["value"] == number
        many = [{"key": f"many{number}", "value": "v" * 100} for number in range(500)]
        many[7]["value"] = "x" * 100_000
        answer = client.call("POST", SECOND, {"resource": many})
        assert answer.json == {"resource": [{"key": pair["key"], "success": True} for pair in many]}
        second.pause()
        lost = client.call("POST", SECOND, {"key": "k", "value": "lost"})
        assert lost.status == 500
        assert lost.message.endswith("Whether the change was made is unknown.")
        assert client.call("POST", CACHE, {"key": "k", "value": "other"}).status == 201
        second.resume()
        eventually(lambda: client.call("POST", SECOND, {"key": "k", "value": 1}).status == 201, 5)
        assert client.call("GET", f"{SECOND}/k").json["value"] == 1


def test_a_write_that_succeeds_ends_the_pause(tmp_path: Path) -> None:
    with two_services_here(tmp_path) as (second, live), Connection(live.port) as client:
        second.kill()
        for _ in range(20):
            assert client.call("GET", f"{SECOND}/k").status == 500
            time.sleep(0.02)
        second.start()
        pair = {"key": "k", "value": "written"}
        eventually(lambda: client.call("POST", SECOND, pair).status == 201, 3)
        assert client.call("GET", f"{SECOND}/k").json["value"] == "written"


def test_a_wrong_key_is_401_while_a_service_is_down(tmp_path: Path) -> None:
    with two_services_here(tmp_path) as (second, live), Connection(live.port) as client:
        second.kill()
        assert client.call("GET", f"{SECOND}/k").status == 500
        with Connection(live.port, key="wrong") as stranger:
            assert stranger.call("GET", f"{SECOND}/k").status == 401


@pytest.mark.parametrize("path", [f"{SECOND}/k", f"{CACHE}/k"])
def test_pipelined_reads_of_two_services_are_answered_in_order(tmp_path: Path, path: str) -> None:
    with two_services_here(tmp_path) as (second, live):
        second.kill()
        asked = [path, f"{CACHE}/k", f"{SECOND}/k", f"{CACHE}/absent", f"{CACHE}/k"]
        with Wire(live.port) as wire:
            wire.send(b"".join(head(f"GET {target}") for target in asked))
            statuses = [wire.answer().status for _ in asked]
        first = 500 if path.startswith(SECOND) else 200
        assert statuses == [first, 200, 500, 404, 200]


def test_a_locked_file_leaves_reads_to_the_lane(tmp_path: Path) -> None:
    settings = {"CACHEAPI_API_KEY": Service.api_key, "CACHEAPI_DATA_DIR": str(tmp_path)}
    app = create_app(load(settings, None))
    with inside(app, tmp_path) as live, Connection(live.port) as client:
        pair = {"key": "k", "value": "stored"}
        assert client.call("POST", CACHE, pair).status == 201
        path = tmp_path / "cache.sqlite3"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert client.call("POST", CACHE, pair).status == 500
            # What is stored now waits on a thread, and holds up no read.
            waiting = threading.Thread(target=call, args=(live.port, "POST", CACHE, pair))
            waiting.start()
            assert all(timed(client, f"{CACHE}/k")[0] == 200 for _ in range(20))
            other.execute("ROLLBACK")
            waiting.join()
        eventually(lambda: client.call("POST", CACHE, {**pair, "value": "new"}).status == 201)
        assert client.call("GET", f"{CACHE}/k").json["value"] == "new"
    close_app(app)
