"""Callers who have a limit, in the lane: counted exactly, before what they ask is done."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.lane.test_lane import CACHE, DATE, all_answers, store
from tests.support.apps import UNHURRIED
from tests.support.live import Connection, Wire, call, head
from tests.support.metrics import Metrics
from tests.support.processes import Memcached, Service, eventually, service

RESET = re.compile(rb"(?i)(ratelimit-reset|retry-after): \d+")
ALIKE = {"WEB_CONCURRENCY": "1", "PYTHONHASHSEED": "0"}


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("lane"), app=UNHURRIED, **ALIKE) as live:
        yield live


@pytest.fixture(scope="module")
def flask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    app = "tests.support.apps:flask_alone()"
    with service(tmp_path_factory.mktemp("flask"), app=app, **ALIKE) as live:
        yield live


def limited(live: Service, name: str, requests: int, **more: object) -> str:
    """Make an API key that may make so many requests an hour."""
    rules = [{"service": "cache", "verbs": ["GET", "POST", "PUT", "PATCH", "DELETE"]}]
    rate = {"requests": requests, "seconds": 3600}
    body = {"name": name, "rules": rules, "rate_limit": rate, **more}
    made = call(live.port, "POST", "/api/v2/system/api_key", {"resource": [body]})
    assert made.status == 201, made.body
    key: str = made.json["resource"][0]["api_key"]
    return key


def shown(request: bytes, key: str) -> bytes:
    return request.replace(Service.api_key.encode(), key.encode())


REQUESTS = [
    head(f"GET {CACHE}/absent"),
    store({"key": "n", "value": 1}),
    store({"increment": 1}, method="PATCH", target=f"{CACHE}/n"),
    head(f"GET {CACHE}/n"),
    head(f"GET {CACHE}?keys=n,absent"),
    store({"value": 2}, method="PUT", target=f"{CACHE}/absent"),
    head(f"HEAD {CACHE}/n"),
    # From here on they are too many.
    head(f"GET {CACHE}/n"),
    head(f"DELETE {CACHE}/n"),
    store({"key": "n", "value": 2}),
    head(f"GET {CACHE}?keys=n"),
]
LAST = head(f"HEAD {CACHE}/n", "Connection: close")


def test_answers_to_who_has_a_limit_are_flasks(lane: Service, flask: Service) -> None:
    found = []
    for live in (lane, flask):
        key = limited(live, "answers", 7)
        sent = b"".join(shown(request, key) for request in [*REQUESTS, LAST])
        found.append(RESET.sub(rb"\1: n", DATE.sub(b"", all_answers(live, sent))))
        assert call(live.port, "GET", f"{CACHE}/n").json["value"] == 2
    assert found[0] == found[1]
    statuses = re.findall(rb"HTTP/1.1 (\d+)", found[0])
    assert statuses == [b"404", b"201", b"200", b"200", b"200", b"404", b"200"] + [b"429"] * 5
    assert b"ratelimit-remaining: 0" in found[0]


def test_they_are_the_lanes(lane: Service) -> None:
    def refused() -> float:
        found = Metrics(call(lane.port, "GET", "/metrics").body.decode())
        return found.sum("cacheapi_requests_total", method="GET", status="429", lane="fast")

    before = refused()
    key = limited(lane, "metrics", 3)
    with Wire(lane.port) as wire:
        for status in (404, 404, 404, 429):
            wire.send(shown(head(f"GET {CACHE}/nothing"), key))
            assert wire.answer().status == status
    # A worker hands its counts over several times a second.
    eventually(lambda: refused() == before + 1)


def test_of_many_at_once_exactly_so_many_are_served(lane: Service) -> None:
    key = limited(lane, "many", 50)
    statuses: list[int] = []

    def ask() -> None:
        with Connection(lane.port) as connection:
            for _ in range(20):
                fields = {"X-DreamFactory-API-Key": key}
                answer = connection.call("GET", f"{CACHE}/k", headers=fields)
                statuses.append(answer.status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [404] * 50 + [429] * 110


def test_what_is_read_with_the_count_is_served_exactly_so_often(
    memcached_server: Memcached, tmp_path: Path
) -> None:
    """Far from the limit, a turn's requests are counted and read for in one trip."""
    at = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": "127.0.0.1", "WEB_CONCURRENCY": "2"}
    with service(tmp_path, **at, MEMCACHED_PORT=str(memcached_server.port)) as live:
        key = limited(live, "far", 1200)
        asked = shown(head(f"GET {CACHE}/nothing"), key)
        statuses: list[int] = []

        def ask() -> None:
            with Wire(live.port) as wire:
                for _ in range(10):
                    wire.send(asked * 20)
                    statuses.extend(wire.answer().status for _ in range(20))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [404] * 1200 + [429] * 400
