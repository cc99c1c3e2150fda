"""Two workers under load, and signals in the midst of it: nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.http.client import Answer
from tests.http.conftest import PATIENT
from tests.support.live import CACHE, Connection, Wire, call, head
from tests.support.processes import Memcached, Service, eventually, service
from tests.support.redis import Redis

CLIENTS = 8
COUNTS = 10_000
# Of its counts, each client follows one in so many with a write and two reads.
EVERY = 25
KILLS = 2
COUNTER = f"{CACHE}/counter"


class Load:
    """Clients that count and store until they are told to stop, and what they were promised."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.counts_sent = 0
        self.counts = 0
        self.stored: dict[str, int] = {}
        self.deleted: list[str] = []
        self.failures: list[str] = []

    def acknowledged(self) -> int:
        return self.counts + len(self.stored)

    def grows(self, by: int) -> Callable[[], bool]:
        """Return a check whether so many more requests were acknowledged."""
        goal = self.acknowledged() + by
        return lambda: self.acknowledged() >= goal

    def _client(self, number: int) -> None:
        with Connection(self._port) as connection:
            send = connection.call
            turn = 0
            while not self._stopped.is_set():
                turn += 1
                key = f"client-{number}-{turn}"
                with self._lock:
                    self.counts_sent += 1
                try:
                    counted = send("PATCH", COUNTER, {"increment": 1})
                    self._note(counted.status == 200, counted.body)
                    stored, is_done = self._store(send, key, turn)
                    self._note(is_done, stored.body, key, turn)
                    if is_done:
                        # The fast lane's part.
                        read = send("GET", f"{CACHE}/{key}")
                        self._note(read.status == 200, read.body, key, turn)
                    if turn % 10 == 0:
                        self._delete(send, f"client-{number}-{turn - 1}")
                except (OSError, http.client.HTTPException) as error:
                    self._note(False, repr(error).encode())
                    self._stopped.wait(0.01)

    @staticmethod
    def _store(send: Callable[..., Answer], key: str, value: int) -> tuple[Answer, bool]:
        """Store in one of four ways; return the answer, and whether it says that it is done."""
        way = value % 4
        if way == 0:
            answer = send("POST", CACHE, {"key": key, "value": value})
            return answer, answer.status == 201
        answer = send("POST", f"{CACHE}/{key}", {"value": "another" if way == 2 else value})
        if way == 1 or answer.status != 201:
            return answer, answer.status == 201
        if way == 2:
            answer = send("PUT", f"{CACHE}/{key}", {"value": value})
        else:
            answer = send("PATCH", f"{CACHE}/{key}", {"ttl": 600})
        return answer, answer.status == 200

    def _delete(self, send: Callable[..., Answer], key: str) -> None:
        """Delete what was stored; until it is known that it was, nothing is."""
        if (
            self.stored.pop(key, None) is not None
            and send("DELETE", f"{CACHE}/{key}").status == 200
        ):
            self.deleted.append(key)

    def _note(self, success: bool, body: bytes, key: str = "", value: int = 0) -> None:
        with self._lock:
            if not success:
                self.failures.append(body.decode())
            elif key:
                self.stored[key] = value
            else:
                self.counts += 1

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        call(self._port, "POST", CACHE, {"key": "counter", "value": 0})
        threads = [
            threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        try:
            eventually(self.grows(200), 20)
            yield
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def assert_nothing_was_lost(self, port: int) -> None:
        assert self.stored
        assert self.deleted
        keys = list(self.stored)
        with Connection(port) as connection:
            for start in range(0, len(keys), 200):
                part = keys[start : start + 200]
                answer = connection.call("GET", f"{CACHE}?keys={','.join(part)}")
                assert answer.status == 200, answer
                assert answer.json["meta"]["missing"] == []
                found = {entry["key"]: entry["value"] for entry in answer.json["resource"]}
                assert found == {key: self.stored[key] for key in part}
            there = f"{CACHE}?keys={','.join(self.deleted[:200])}"
            assert connection.call("GET", there).json["resource"] == []
            count = connection.call("GET", COUNTER).json["value"]
        assert self.counts <= count <= self.counts_sent


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Service]:
    """The service on a file, with two workers."""
    with service(tmp_path, WEB_CONCURRENCY="2") as live:
        eventually(lambda: len(live.workers()) == 2)
        yield live


@pytest.fixture(params=["file", "memcached", "redis"])
def two_workers_on_each_driver(
    request: pytest.FixtureRequest, tmp_path: Path, memcached_server: Memcached, redis_one: Redis
) -> Iterator[Service]:
    settings = {
        "CACHE_DRIVER": request.param,
        "MEMCACHED_HOST": "127.0.0.1",
        "MEMCACHED_PORT": str(memcached_server.port),
        **redis_one.settings,
        **PATIENT,
        "WEB_CONCURRENCY": "2",
    }
    with service(tmp_path, **settings) as live:
        assert call(live.port, "DELETE", CACHE).status == 200
        yield live


def test_ten_thousand_counts_of_eight_clients_are_ten_thousand(
    two_workers_on_each_driver: Service,
) -> None:
    port = two_workers_on_each_driver.port
    call(port, "POST", CACHE, {"key": "counter", "value": 0})

    def count(client: int) -> None:
        last = 0
        with Connection(port) as counting, Connection(port) as storing:
            for turn in range(COUNTS // CLIENTS):
                answer = counting.call("PATCH", COUNTER, {"increment": 1})
                assert answer.status == 200, answer
                assert answer.json["value"] > last
                last = answer.json["value"]
                if turn % EVERY == 0:
                    key = f"client-{client}-{turn}"
                    stored = storing.call("POST", CACHE, {"key": key, "value": [client, turn]})
                    assert stored.status == 201, stored
                    assert storing.call("GET", f"{CACHE}/{key}").json["value"] == [client, turn]
                    assert last <= storing.call("GET", COUNTER).json["value"] <= COUNTS

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(count, range(CLIENTS)))
    with Connection(port) as connection:
        assert connection.call("GET", COUNTER).json["value"] == COUNTS
        for client in range(CLIENTS):
            names = [f"client-{client}-{turn}" for turn in range(0, COUNTS // CLIENTS, EVERY)]
            answer = connection.call("GET", f"{CACHE}?keys={','.join(names)}").json
            assert [entry["key"] for entry in answer["resource"]] == names
            assert answer["meta"]["missing"] == []


def test_killed_workers_are_replaced_and_lose_nothing_acknowledged(
    two_workers_on_each_driver: Service,
) -> None:
    live = two_workers_on_each_driver
    eventually(lambda: len(live.workers()) == 2)
    load = Load(live.port)
    with load.running():
        for _ in range(KILLS):
            killed, kept = live.workers()
            os.kill(killed, signal.SIGKILL)
            eventually(partial(has_other_than, live, killed, kept), 5)
            eventually(load.grows(200), 20)
    assert live.process.poll() is None
    load.assert_nothing_was_lost(live.port)
    file = live.directory / "data" / "cache.sqlite3"
    if file.exists():
        with contextlib.closing(sqlite3.connect(file)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def has_other_than(live: Service, killed: int, kept: int) -> bool:
    return len(set(live.workers()) - {killed, kept}) == 1


def test_a_terminated_service_loses_nothing_acknowledged(two_workers: Service) -> None:
    load = Load(two_workers.port)
    with load.running():
        assert two_workers.stop() == 0
    two_workers.start()
    load.assert_nothing_was_lost(two_workers.port)


def has_only_new_workers(live: Service, before: set[int]) -> bool:
    now = set(live.workers())
    return len(now) == 2 and not now & before


def test_reloads_under_load_fail_no_request_and_change_the_workers(two_workers: Service) -> None:
    """A client that keeps its connection is told to come anew before it is closed."""
    load = Load(two_workers.port)
    with load.running():
        for _ in range(2):
            before = set(two_workers.workers())
            two_workers.process.send_signal(signal.SIGHUP)
            eventually(partial(has_only_new_workers, two_workers, before), within=20)
            eventually(load.grows(400), 20)
    assert load.failures == []
    load.assert_nothing_was_lost(two_workers.port)
    assert call(two_workers.port, "GET", COUNTER).json["value"] == load.counts


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_request_in_flight_completes_after(two_workers: Service, name: str) -> None:
    body = json.dumps({"key": "in-flight", "value": "complete"}).encode()
    before = two_workers.workers()
    with Wire(two_workers.port) as wire:
        wire.send(head(f"POST {CACHE}", f"Content-Length: {len(body)}") + body[:10])
        # A second request shows that the first has had the time to reach a worker.
        assert call(two_workers.port, "GET", "/api/v2/").status == 200
        two_workers.process.send_signal(signal.Signals[name])
        # The idle worker is gone: the busy one has been told as well.
        eventually(lambda: set(before) - set(two_workers.workers()))
        wire.send(body[10:])
        assert wire.answer().status == 201
    if name == "SIGTERM":
        assert two_workers.process.wait(20) == 0
        two_workers.start()
    assert call(two_workers.port, "GET", f"{CACHE}/in-flight").json["value"] == "complete"
