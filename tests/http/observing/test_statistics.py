"""Statistics over HTTP: exact traffic on every way of being served, and who may see them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi.observing.metrics.meter import METER
from tests.http.client import Api, AppApi
from tests.http.conftest import PATIENT
from tests.support.live import CACHE, Connection, call
from tests.support.processes import (
    SASL_PASSWORD,
    SASL_USER,
    Service,
    eventually,
    memcached,
    sasl_memcached,
    service,
)
from tests.support.redis import redis_server

SYSTEM = "/api/v2/system/service"
STATS = f"{SYSTEM}/cache/stats"
NAMES = {
    *("curr_items", "get_hits", "get_misses", "hit_ratio", "evictions", "bytes", "limit_bytes"),
    *("bytes_read", "bytes_written", "curr_connections", "max_connections", "uptime"),
}


def statistics(port: int) -> dict[str, Any]:
    answer = call(port, "GET", STATS)
    assert answer.status == 200, answer.body
    assert all(server["error"] is None for server in answer.json["servers"]), answer.json
    told: dict[str, Any] = answer.json["stats"]
    return told


@contextlib.contextmanager
def driver(kind: str) -> Iterator[dict[str, str]]:
    """Run a server that nobody else uses; give the settings for it."""
    if kind == "file":
        yield {}
    elif kind == "redis":
        with redis_server() as redis:
            yield {"CACHE_DRIVER": "redis", **redis.settings}
    else:
        login = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": SASL_PASSWORD}
        with sasl_memcached() if kind == "sasl" else memcached() as server:
            yield {
                "CACHE_DRIVER": "memcached",
                "MEMCACHED_HOST": f"127.0.0.1:{server.port}",
                **(login if kind == "sasl" else {}),
            }


@pytest.fixture(scope="module", params=["file", "memcached", "sasl", "redis"])
def two_workers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("two")
    # No reads but those of the test: no look whether the cache is ready.
    more = {"WEB_CONCURRENCY": "2", "CACHEAPI_READY_SERVICES": "", **PATIENT}
    with driver(request.param) as settings, service(directory, **more, **settings) as live:
        yield live


@pytest.mark.parametrize("way", ["lane", "Flask"])
def test_known_traffic_is_told_exactly(two_workers: Service, way: str) -> None:
    port = two_workers.port
    # A query is for Flask, even if there is nothing in it.
    end = "?" if way == "Flask" else ""
    # Several connections, so that both workers have some of the traffic.
    connections = [Connection(port) for _ in range(10)]
    before = statistics(port)
    for number in range(100):
        pair = {"key": f"{way}{number}", "value": number, "ttl": 3600}
        answer = connections[number % 10].call("POST", f"{CACHE}{end}", pair)
        assert answer.status == 201
    for number in range(100):
        key = f"{way}{number}" if number < 80 else f"{way}-absent{number}"
        answer = connections[number % 10].call("GET", f"{CACHE}/{key}{end}")
        assert answer.status == (200 if number < 80 else 404)
    after = statistics(port)
    for connection in connections:
        connection.__exit__(None, None, None)
    assert after["curr_items"] - before["curr_items"] == 100
    assert after["get_hits"] - before["get_hits"] == 80
    assert after["get_misses"] - before["get_misses"] == 20
    assert after["hit_ratio"] == 0.8


def test_every_backend_answers_in_one_shape(api: Api) -> None:
    api.store_one("key", 1)
    answer = api.call("GET", STATS)
    assert answer.status == 200
    told = answer.json
    assert set(told) == {"name", "type", "stats", "servers", "advice"}
    assert told["name"] == "cache"
    assert set(told["stats"]) == NAMES
    assert told["stats"]["curr_items"] >= 1
    for server in told["servers"]:
        assert set(server) == {"server", "stats", "error", "raw"}
        assert set(server["stats"]) == NAMES
        assert server["error"] is None
        assert server["raw"]
    assert told["stats"]["curr_items"] == sum(
        server["stats"]["curr_items"] for server in told["servers"]
    )


def test_the_sections_of_memcached_and_no_others(memcached_api: Api) -> None:
    for section in ("items", "slabs", "settings"):
        for number in range(20):
            memcached_api.store_one(f"key{number}", number)
        answer = memcached_api.call("GET", f"{STATS}?section={section}")
        assert answer.status == 200
        assert all(server["raw"] for server in answer.json["servers"])
    answer = memcached_api.call("GET", f"{STATS}?section=sizes")
    assert answer.status == 400
    assert "there are items, slabs, settings" in answer.json["error"]["message"]


def test_unknown_sections_of_the_others(file_app: AppApi, redis_app: AppApi) -> None:
    answer = file_app.call("GET", f"{STATS}?section=items")
    assert answer.status == 400
    assert answer.json["error"]["message"] == (
        "the file backend has no section 'items'; there is none."
    )
    answer = redis_app.call("GET", f"{STATS}?section=")
    assert answer.status == 400
    assert "keyspace" in answer.json["error"]["message"]
    answer = redis_app.call("GET", f"{STATS}?section=nosuch")
    assert answer.status == 400
    assert "latencystats" in answer.json["error"]["message"]
    assert redis_app.call("GET", f"{STATS}?section=latencystats").status == 200
    answer = redis_app.call("GET", f"{STATS}?section=memory")
    assert "used_memory" in answer.json["servers"][0]["raw"]


@pytest.fixture
def made(file_app: AppApi) -> Iterator[list[str]]:
    """Names of services that the test makes, which are deleted after it."""
    names: list[str] = []
    yield names
    for name in names:
        assert file_app.call("DELETE", f"{SYSTEM}/{name}").status == 200


def test_a_service_with_its_own_settings(file_app: AppApi, made: list[str]) -> None:
    with memcached() as server:
        config = {"host": "127.0.0.1", "port": server.port, "timeout_ms": 3000}
        body = {"name": "sessions", "type": "cache_memcached", "config": config}
        number = file_app.call("POST", SYSTEM, body=body).json["resource"][0]["id"]
        made.append("sessions")
        by_name = file_app.call("GET", f"{SYSTEM}/sessions/stats").json
        by_number = file_app.call("GET", f"{SYSTEM}/{number}/stats").json
        assert by_name["name"] == by_number["name"] == "sessions"
        assert by_name["type"] == "cache_memcached"
        assert by_name["servers"][0]["server"] == f"127.0.0.1:{server.port}"
        server.kill()
        answer = file_app.call("GET", f"{SYSTEM}/sessions/stats")
        assert answer.status == 200
        assert answer.json["servers"][0]["stats"] is None
        assert "Connection refused" in answer.json["servers"][0]["error"]
        assert set(answer.json["stats"].values()) == {None}
        change = {"is_active": False}
        assert file_app.call("PATCH", f"{SYSTEM}/sessions", body=change).status == 200
        answer = file_app.call("GET", f"{SYSTEM}/sessions/stats")
        assert answer.status == 404
        assert answer.json["error"]["message"] == "Service 'sessions' is not active."


def test_a_service_in_front_of_an_api_has_its_hit_ratio(file_app: AppApi, made: list[str]) -> None:
    body = {"name": "shop", "type": "rws", "config": {"base_url": "http://127.0.0.1:9"}}
    assert file_app.call("POST", SYSTEM, body=body).status == 201
    made.append("shop")
    told = file_app.call("GET", f"{SYSTEM}/shop/stats").json
    assert (told["name"], told["type"], told["servers"], told["results"]) == ("shop", "rws", [], {})
    assert (told["stats"].keys(), told["stats"]["hit_ratio"]) == (NAMES, None)
    with file_app.app.extensions[METER].flask() as tally:
        for result in ("hit", "hit", "stale", "miss", "pass"):
            tally.response("shop", result)
    told = file_app.call("GET", f"{SYSTEM}/shop/stats").json
    assert told["results"] == {"hit": 2, "stale": 1, "miss": 1, "pass": 1}
    assert (told["stats"]["get_hits"], told["stats"]["get_misses"]) == (3, 1)
    assert told["stats"]["hit_ratio"] == 0.75
    assert file_app.call("GET", f"{SYSTEM}/shop/stats?section=items").status == 400


def test_a_service_that_there_is_not(file_app: AppApi) -> None:
    assert file_app.call("GET", f"{SYSTEM}/nobody/stats").status == 404
    assert file_app.call("GET", f"{SYSTEM}/99999/stats").status == 404
    assert file_app.call("POST", STATS, body={}).status == 405


def test_statistics_are_for_administrators(file_app: AppApi) -> None:
    body = {"name": "reader", "rules": [{"service": "*", "verbs": ["GET"]}]}
    made = file_app.call("POST", "/api/v2/system/api_key", body=body).json["resource"][0]
    answer = file_app.call("GET", STATS, {"X-DreamFactory-API-Key": made["api_key"]})
    assert answer.status == 403
    assert file_app.call("DELETE", f"/api/v2/system/api_key/{made['id']}").status == 200


def test_samples_go_on_after_the_worker_that_took_them_is_killed(tmp_path: Path) -> None:
    def lines() -> list[str]:
        try:
            return (tmp_path / "data" / "samples" / "cache.samples").read_text().split()
        except FileNotFoundError:
            return []

    with service(tmp_path, WEB_CONCURRENCY="2", CACHEAPI_SAMPLE_SECONDS="1") as live:
        eventually(lambda: len(lines()) > 2, 60)
        # Whichever of them it is that takes them.
        for worker in live.workers():
            before = len(lines())
            os.kill(worker, signal.SIGKILL)
            eventually(lambda: len(lines()) > before + 1, 60)  # noqa: B023 (called at once)
    kept = lines()
    with service(tmp_path, WEB_CONCURRENCY="2", CACHEAPI_SAMPLE_SECONDS="1"):
        eventually(lambda: len(lines()) > len(kept) + 1, 60)
    assert lines()[: len(kept)] == kept


def test_two_workers_take_no_more_samples_than_one(tmp_path: Path) -> None:
    file = tmp_path / "data" / "samples" / "cache.samples"
    started = time.monotonic()
    with service(tmp_path, WEB_CONCURRENCY="2", CACHEAPI_SAMPLE_SECONDS="1"):
        eventually(lambda: file.exists() and len(file.read_text().split()) >= 4, 60)
        assert len(file.read_text().split()) <= time.monotonic() - started + 1
    # Its other name is no other service.
    assert not (tmp_path / "data" / "samples" / "local.samples").exists()
