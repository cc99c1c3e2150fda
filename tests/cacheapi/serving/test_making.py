"""Large values of which nobody knew: their answers are made on a thread, and are as ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cacheapi import create_app, load
from cacheapi.caching.codec import read_stored
from cacheapi.serving.largeness import LARGE
from tests.http.client import FileStore, close_app
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Connection, Wire, head

VALUE = json.dumps(["x" * LARGE, 1.50])


class Watched(NamedTuple):
    """A service, its store, and the threads on which large values were looked at."""

    live: Inside
    store: FileStore
    threads: set[str]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never_slow: None) -> Iterator[Watched]:
    app = create_app(
        load({"CACHEAPI_API_KEY": Inside.api_key, "CACHEAPI_DATA_DIR": str(tmp_path)}, None)
    )
    threads: set[str] = set()

    def noting(stored: bytes) -> Any:
        if len(stored) > LARGE:
            threads.add(threading.current_thread().name)
        return read_stored(stored)

    service = app.extensions["cacheapi"].find("cache")
    monkeypatch.setattr(service, "_read", noting)
    with inside(app, tmp_path) as live:
        yield Watched(live, FileStore(tmp_path), threads)
    close_app(app)


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", ""),
        ("HEAD", ""),
        ("GET", "?check_exist=true"),
        ("GET", "?default=1"),
        ("GET", "?clear=true"),
        ("PATCH", ""),
    ],
)
def test_a_large_value_is_looked_at_on_a_thread(watched: Watched, method: str, query: str) -> None:
    watched.store.plant("large", VALUE.encode())
    watched.store.plant("small", b"1")
    etag = f'"{read_stored(VALUE.encode()).etag}"'
    with Connection(watched.live.port) as client:
        body = {"ttl": 60} if method == "PATCH" else None
        answer = client.call(method, f"{CACHE}/large{query}", body)
        assert answer.status == 200
        assert answer.headers["ETag"] == etag
        if method == "GET" and "exist" not in query:
            assert answer.body == f'{{"key":"large","value":{VALUE}}}'.encode()
        left = client.call("GET", f"{CACHE}/large", headers={"If-None-Match": etag})
        assert left.status == (404 if "clear" in query else 304)
    assert watched.threads
    assert all(name.startswith(("large_", "wsgi_")) for name in watched.threads)


def test_a_large_list_is_looked_at_on_a_thread(watched: Watched) -> None:
    keys = [f"large{number}" for number in range(8)]
    for key in keys:
        watched.store.plant(key, VALUE.encode())
    with Connection(watched.live.port) as client:
        answer = client.call("GET", f"{CACHE}?keys={','.join(keys)},absent")
    entries = ",".join(f'{{"key":"{key}","value":{VALUE}}}' for key in keys)
    assert answer.body == f'{{"resource":[{entries}],"meta":{{"missing":["absent"]}}}}'.encode()
    assert {name.partition("_")[0] for name in watched.threads} == {"large"}


def test_the_answers_of_a_connection_keep_their_order(watched: Watched) -> None:
    watched.store.plant("large", VALUE.encode())
    watched.store.plant("small", b"1")
    # Those of the lane, one that is Flask's, and again the lane's.
    asked = [("small", ()), ("large", ()), ("small", ()), ("large", ("Range: bytes=0-1",))]
    asked += [("absent", ()), ("large", ()), ("small", ())]
    with Wire(watched.live.port) as wire:
        wire.send(b"".join(head(f"GET {CACHE}/{key}", *fields) for key, fields in asked))
        for key, _ in asked:
            answer = wire.answer()
            assert answer.status == (404 if key == "absent" else 200)
            assert key == "absent" or answer.json["key"] == key
    assert watched.threads
