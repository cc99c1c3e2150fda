"""Where Flask's requests about large values are served, and that they hold up nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cacheapi import create_app, load
from cacheapi.caching.reading import LOOKING_SECONDS
from cacheapi.caching.service import CacheService
from cacheapi.serving import beside
from cacheapi.serving.beside import AT_ONCE_SECONDS, MOST_NEAR_MANY
from cacheapi.serving.largeness import LARGE
from cacheapi.web.large import LARGE as WAITS
from cacheapi.web.large import MOST_LARGE, Turn
from tests.http.client import FileStore, close_app
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Connection

FIELDS = {"range": {"Range": "bytes=0-1"}, "since": {"If-Modified-Since": "x"}}


class Watched(NamedTuple):
    """A service, its store, and the threads that its application ran on, one a request."""

    live: Inside
    store: FileStore
    threads: list[str]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never_slow: None) -> Iterator[Watched]:
    # Nothing is taken for a large value's by the time that it took.
    monkeypatch.setattr(beside, "NEAR_SECONDS", 60)
    app = create_app(
        load({"CACHEAPI_API_KEY": Inside.api_key, "CACHEAPI_DATA_DIR": str(tmp_path)}, None)
    )
    threads: list[str] = []
    serve = app.wsgi_app

    def noting(*arguments: Any) -> Any:
        name = threading.current_thread().name
        threads.append("thread" if name.startswith("wsgi_") else "loop")
        return serve(*arguments)

    monkeypatch.setattr(app, "wsgi_app", noting)
    with inside(app, tmp_path) as live:
        yield Watched(live, FileStore(tmp_path), threads)
    close_app(app)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GET", FIELDS["range"]),
        ("GET", FIELDS["since"]),
        ("GET", {"X-Server-Timing": "1"}),
        ("HEAD", FIELDS["range"]),
    ],
)
def test_a_large_value_is_read_on_a_thread_and_so_is_what_may_be_one(
    watched: Watched, method: str, fields: dict[str, str]
) -> None:
    watched.store.plant("large", json.dumps("x" * (LARGE + 1)).encode())
    watched.store.plant("small", b"1")
    with Connection(watched.live.port) as client:
        for key in ("small", "large", "large", "other", "small", "small", "large"):
            status = client.call(method, f"{CACHE}/{key}", headers=fields).status
            assert status == (404 if key == "other" else 200)
    # The first large one is not known; then each key is tried on a thread before.
    assert watched.threads == ["loop", "loop", "thread", "thread", "thread", "loop", "thread"]


def test_a_large_value_that_is_stored_is_known_to_be_one(watched: Watched) -> None:
    with Connection(watched.live.port) as client:
        body = {"value": "x" * (LARGE + 1)}
        assert client.call("POST", f"{CACHE}/large", body).status == 201
        assert client.call("GET", f"{CACHE}/large", headers=FIELDS["range"]).status == 200
    assert watched.threads == ["thread", "thread"]


def test_what_takes_long_has_a_thread_next_time_whatever_its_answer_is(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.store.plant("k", b"1")
    change = {"ttl": 60}
    with Connection(watched.live.port) as client:
        for seconds in (0.0, 0.0, 60.0, 60.0):
            monkeypatch.setattr(beside, "NEAR_SECONDS", seconds)
            call = client.call("PATCH", f"{CACHE}/k", change, {"If-Match": '"other"'})
            assert call.status == 412
    assert watched.threads == ["loop", "thread", "thread", "loop"]


OPERATIONS = {"operations": [{"set": {"key": "k", "value": 1}}, {"get": "k"}]}
MANY = {"operations": [{"set": {"key": "k", "value": "x" * MOST_NEAR_MANY}}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "fields", "status", "where"),
    [
        ("GET", CACHE, None, {}, 200, "loop"),
        ("GET", f"{CACHE}?prefix=k&details=true", None, {}, 200, "loop"),
        ("GET", "/api/v2", None, {}, 200, "loop"),
        ("GET", "/api/v2/", None, {}, 200, "loop"),
        ("GET", "/health/live", None, {}, 200, "loop"),
        ("POST", CACHE, OPERATIONS, {}, 200, "loop"),
        ("POST", CACHE, MANY, {}, 200, "thread"),
        ("POST", CACHE, {"resource": ["k"]}, {"X-HTTP-Method": "DELETE"}, 200, "thread"),
        ("DELETE", f"{CACHE}?prefix=k", None, {}, 200, "thread"),
        ("DELETE", CACHE, None, {}, 200, "thread"),
        ("GET", "/api/v2/system/service", None, {}, 200, "thread"),
    ],
)
def test_what_takes_long_by_its_nature_has_a_thread_and_what_is_short_has_none(
    watched: Watched,
    method: str,
    path: str,
    body: Any,
    fields: dict[str, str],
    status: int,
    where: str,
) -> None:
    with Connection(watched.live.port) as client:
        assert client.call(method, path, body, fields).status == status
    assert watched.threads == [where]


def test_a_list_that_took_long_has_a_thread_next_time(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Connection(watched.live.port) as client:
        for path in (CACHE, "/api/v2"):
            for seconds in (0.0, 60.0, 60.0):
                monkeypatch.setattr(beside, "NEAR_SECONDS", seconds)
                assert client.call("GET", path).status == 200
    assert watched.threads == ["loop", "thread", "loop"] * 2


def test_a_list_looks_around_for_less_long_where_a_loop_waits_for_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[float] = []
    list_keys = CacheService.list_keys

    def noting(cache: CacheService, *arguments: Any) -> Any:
        looked.append(arguments[-1])
        return list_keys(cache, *arguments)

    monkeypatch.setattr(CacheService, "list_keys", noting)
    monkeypatch.setattr(beside, "NEAR_SECONDS", 0.0)
    with Connection(watched.live.port) as client:
        for _ in range(2):
            assert client.call("GET", CACHE).status == 200
    assert watched.threads == ["loop", "thread"]
    assert looked == [AT_ONCE_SECONDS, LOOKING_SECONDS]


@pytest.mark.parametrize(
    "call",
    [
        ("GET", f"{CACHE}/large", None, FIELDS["range"]),
        ("GET", f"{CACHE}?keys=large", None, FIELDS["range"]),
        ("POST", CACHE, {"operations": [{"get": "large"}]}, {}),
    ],
    ids=["one", "several", "operations"],
)
def test_nobody_is_waited_for_on_the_thread_of_a_loop(
    watched: Watched, call: tuple[Any, ...]
) -> None:
    watched.store.plant("large", json.dumps("x" * WAITS).encode())
    others = [Turn(may_wait=True) for _ in range(MOST_LARGE)]
    assert all(turn.take(WAITS + 1) for turn in others)
    with Connection(watched.live.port) as client:
        assert client.call(*call).status == 200
    assert watched.threads == ["loop"]
    for turn in others:
        with turn:
            assert turn.is_ours
    # As many as there were.
    again = [Turn(may_wait=True) for _ in range(MOST_LARGE + 1)]
    assert [turn.take(WAITS + 1) for turn in again] == [True] * MOST_LARGE + [False]
    for turn in again:
        turn.__exit__(None, None, None)
