"""Requests as they come, over HTTP: of all workers and both lanes, for administrators."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.live import CACHE, Connection, Wire, call
from tests.support.processes import Service, eventually, service

TAIL = "/api/v2/system/tail"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("tail")
    settings = {"WEB_CONCURRENCY": "2", "CACHEAPI_LOG_KEYS": "hash"}
    with service(directory, **settings) as running:
        yield running


class Watcher:
    """Who looks on, and has seen what came since the last time."""

    def __init__(self, live: Service) -> None:
        self._port = live.port
        self._cursor = ""
        self.seen: list[dict[str, Any]] = []

    def look(self) -> list[dict[str, Any]]:
        answer = call(self._port, "GET", f"{TAIL}{self._cursor}")
        assert answer.status == 200
        told = answer.json
        self._cursor = f"?cursor={told['meta']['next']}"
        self.seen += told["resource"]
        return self.seen


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def watching(live: Service) -> Watcher:
    """Return one that all workers know of."""
    watcher = Watcher(live)
    with Connection(live.port) as connection:

        def is_told() -> bool:
            connection.call("GET", f"{CACHE}/probe")
            return bool(watcher.look())

        eventually(is_told, 20)
    return watcher


def test_the_first_look_says_how_to_go_on(live: Service) -> None:
    first = call(live.port, "GET", TAIL).json
    assert first["resource"] == []
    assert first["meta"]["message"] == (
        "Requests are noted from now on. Ask again with cursor= and meta.next."
    )
    then = call(live.port, "GET", f"{TAIL}?cursor={first['meta']['next']}").json
    assert then["meta"].keys() == {"next", "left_out"}


def test_both_lanes_tell_and_refusals_too(live: Service) -> None:
    watcher = watching(live)
    # On one connection: a worker that has told of one request tells of the next ones.
    with Connection(live.port) as connection:

        def fast() -> bool:
            connection.call("GET", f"{CACHE}/mine")
            return any(row["key"] == hash_of("mine") for row in watcher.look())

        eventually(fast, 20)
        connection.call("POST", CACHE, {"key": "mine", "value": 1})
        connection.call("GET", f"{CACHE}/mine?ttl=true")
        connection.call("GET", "/api/v2/system/service/cache")
        connection.call("GET", "/health/live")

    def found(**wanted: Any) -> dict[str, Any] | None:
        fits = (row for row in watcher.look() if wanted.items() <= row.items())
        return next(fits, None)

    store = eventually(lambda: found(method="POST", lane="fast"), 20)
    assert (store["service"], store["status"], store["key"]) == ("cache", 201, None)
    assert store["route"] == "/api/v2/{service}"
    assert store["ms"] > 0
    read = eventually(lambda: found(lane="flask", service="cache"), 20)
    assert (read["route"], read["key"]) == ("/api/v2/{service}/{key}", hash_of("mine"))
    told = eventually(lambda: found(route="/api/v2/system/service/{reference}"), 20)
    assert (told["service"], told["lane"]) == ("", "flask")

    def refused() -> dict[str, Any] | None:
        with Wire(live.port) as wire:
            wire.send(b"NONSENSE\r\n\r\n")
            wire.answer()
        return found(method="", status=400)

    assert eventually(refused, 20)["lane"] == ""
    # Who looks on is no news, nor are probes.
    assert not [row for row in watcher.seen if "tail" in row["route"] or "health" in row["route"]]


def test_all_workers_tell(live: Service) -> None:
    watcher, tries = watching(live), itertools.count()

    def all_are_seen() -> bool:
        # Each connection is some worker's, which knows within half a second that it is watched.
        keys = [f"{next(tries)}-{number}" for number in range(10)]
        for key in keys:
            call(live.port, "GET", f"{CACHE}/{key}")
        wanted = {hash_of(key) for key in keys}
        with contextlib.suppress(AssertionError):
            # Each writes what it has at its own pace.
            return bool(eventually(lambda: wanted <= {row["key"] for row in watcher.look()}, 3))
        return False

    eventually(all_are_seen, 30)


def test_the_slowest_are_told(live: Service) -> None:
    # Nothing is quick enough on the first request of a worker: Flask imports.
    def slow() -> list[dict[str, Any]]:
        call(live.port, "GET", "/api/v2/system/service_type")
        rows: list[dict[str, Any]] = call(live.port, "GET", "/api/v2/system/slowest").json[
            "resource"
        ]
        return rows

    rows = eventually(slow, 30)
    assert rows == sorted(rows, key=lambda row: -row["ms"])
    assert all(row["ms"] >= 5 for row in rows)
    assert len(call(live.port, "GET", "/api/v2/system/slowest?limit=1").json["resource"]) == 1


def test_the_audit_log_is_told(live: Service) -> None:
    made = call(live.port, "POST", "/api/v2/system/api_key", {"name": "audited"}).json
    number = made["resource"][0]["id"]
    call(live.port, "DELETE", f"/api/v2/system/api_key/{number}")
    call(live.port, "DELETE", CACHE)
    told = call(live.port, "GET", "/api/v2/system/audit?limit=3").json
    assert [(act["action"], act["kind"], act["name"]) for act in told["resource"]] == [
        ("flushed", "service", "cache"),
        ("revoked", "API key", "audited"),
        ("created", "API key", "audited"),
    ]
    assert told["resource"][1]["id"] == number
    assert (told["resource"][0]["who"], told["resource"][0]["caller"]) == (
        "API key",
        "CACHEAPI_API_KEY",
    )
    rest = call(live.port, "GET", "/api/v2/system/audit?limit=1&search=AUDITED").json
    following = call(
        live.port, "GET", f"/api/v2/system/audit?limit=1&cursor={rest['meta']['next']}"
    ).json
    assert rest["resource"][0]["action"] == "revoked"
    assert following["resource"][0]["action"] == "created"


@pytest.mark.parametrize("path", ["tail", "slowest", "audit"])
def test_it_is_for_administrators(live: Service, path: str) -> None:
    made = call(live.port, "POST", "/api/v2/system/api_key", {"name": "reader"}).json
    answer = call(live.port, "GET", f"/api/v2/system/{path}", key=made["resource"][0]["api_key"])
    assert answer.status == 403


@pytest.mark.parametrize("path", ["tail?cursor=x", "audit?cursor=x", "slowest?limit=0"])
def test_what_cannot_be_asked(live: Service, path: str) -> None:
    assert call(live.port, "GET", f"/api/v2/system/{path}").status == 400
