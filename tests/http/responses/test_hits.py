"""Fresh answers in the lane: the engine's, byte for byte; and what is none goes to the engine."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheapi import create_app, load
from cacheapi.responses import shelf as held
from cacheapi.responses.engine import Engine
from cacheapi.serving import stores
from cacheapi.serving.hits import Numbers
from cacheapi.web.remotes import DOOR
from tests.http.client import close_app
from tests.support.inside import Inside
from tests.support.live import Connection, head
from tests.support.origin import Origin, date, reply
from tests.support.processes import Memcached, Service, eventually, memcached
from tests.support.timing import Stopwatch

FRESH = {"Cache-Control": "max-age=600"}
AUTH = f"X-DreamFactory-API-Key: {Service.api_key}"
# What may differ between two answers to the same request.
TIMED = re.compile(rb"(age: |ttl=|date: )[^\r;]*")


class Instance:
    """A service in this process, and how often its lane gave an answer."""

    def __init__(self, directory: Path, services: str, **more: str) -> None:
        directory.mkdir()
        path = directory / "services.toml"
        path.write_text(services)
        given = {
            "CACHEAPI_API_KEY": Service.api_key,
            "CACHEAPI_DATA_DIR": str(directory / "data"),
            "CACHEAPI_SERVICES_FILE": str(path),
            **more,
        }
        self._app = create_app(load(given, None))
        self.inside = Inside(self._app, directory)
        self.port = self.inside.port
        self.hits = self.inside.site.hits
        self.answered = 0
        self.trips = 0
        answer, look = self.hits._answer, self.hits.stores._get

        def counted(one: Any, numbers: Numbers) -> int | None:
            size = answer(one, numbers)
            self.answered += size is not None
            return size

        def looked(*arguments: Any) -> Any:
            self.trips += 1
            return look(*arguments)

        self.hits._answer = counted  # type: ignore[method-assign]
        self.hits.stores._get = looked  # type: ignore[method-assign]

    @property
    def backend(self) -> Any:
        return self._app.extensions[DOOR].find_backend("cache")

    def leave_all(self) -> None:
        """Leave everything to the engine."""
        self.hits.take = lambda *_: None  # type: ignore[method-assign]

    def close(self) -> None:
        self.inside.stop()
        close_app(self._app)

    def get(self, path: str, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with Connection(self.port) as connection:
            return connection.call("GET", f"/api/v2/shop{path}", headers=named)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        with Connection(self.port) as connection:
            return connection.call(method, path, body)

    def settle(self) -> None:
        """Wait until the turn that gave the last answer has counted it."""
        over = threading.Event()
        self.hits._loop.call_soon_threadsafe(over.set)
        assert over.wait(30)

    def gets_hit(self, path: str, **headers: str) -> bool:
        """As :meth:`is_hit`, in time: a store that failed is left alone for a while."""
        return bool(eventually(lambda: self.is_hit(path, **headers), 20))

    def is_hit(self, path: str, **headers: str) -> bool:
        """Ask, and return whether the lane answered."""
        before = self.answered
        answer = self.get(path, **headers)
        self.settle()
        in_lane = self.answered > before
        assert in_lane <= ("; hit" in answer.headers["Cache-Status"])
        return in_lane


def shop(origin: Origin, **config: Any) -> str:
    lines = "".join(f"{name} = {value}\n" for name, value in config.items())
    return (
        f'[[service]]\nname = "shop"\ntype = "rws"\n[service.config]\n'
        f'base_url = "{origin.url}"\n{lines}'
    )


@contextlib.contextmanager
def instance(
    directory: Path, origin: Origin, config: Any = None, **more: str
) -> Iterator[Instance]:
    made = Instance(directory, shop(origin, **(config or {})), **more)
    try:
        yield made
    finally:
        made.close()


def on(cache: Memcached) -> dict[str, str]:
    return {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": "127.0.0.1",
        "MEMCACHED_PORT": str(cache.port),
        "MEMCACHED_TIMEOUT_MS": "3000",
    }


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """On a busy machine a store that is well may seem slow, and be left alone for a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "SLOW_SECONDS", 10.0)
        yield


@pytest.fixture(scope="module")
def cache() -> Iterator[Memcached]:
    with memcached() as server:
        yield server


@pytest.fixture(scope="module")
def lane(
    origin_process: Origin, cache: Memcached, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Instance]:
    directory = tmp_path_factory.mktemp("lane") / "own"
    with instance(directory, origin_process, **on(cache)) as made:
        yield made


@pytest.fixture(scope="module")
def engine(
    origin_process: Origin, cache: Memcached, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Instance]:
    """The same without the lane, on the same cache."""
    directory = tmp_path_factory.mktemp("engine") / "own"
    with instance(directory, origin_process, **on(cache)) as made:
        made.leave_all()
        yield made


def all_answers(one: Instance, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", one.port), 30) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65536):
            received += part
    return TIMED.sub(rb"\1", received)


ANSWERS = {
    "/hit/plain": (200, FRESH, "a body"),
    "/hit/tagged": (200, {**FRESH, "Surrogate-Key": "a b", "ETag": '"1"'}, "b" * 3000),
    "/hit/dated": (200, {**FRESH, "Last-Modified": date(1e6), "Age": "5"}, "c"),
    "/hit/vary": (200, {**FRESH, "Vary": "Accept-Language", "ETag": 'W/"2"'}, "d"),
    "/hit/gone": (404, {**FRESH, "X-Request-Id": "theirs"}, "nothing"),
    "/hit/moved": (301, {**FRESH, "Location": "/hit/plain"}, ""),
    "/hit/empty": (204, FRESH, ""),
    "/hit/large": (200, {**FRESH, "X-Content-Type-Options": "nosniff"}, "e" * 100_000),
    "/hit/odd": (299, {"Cache-Control": "public, max-age=60"}, "f"),
    "/hit/named": (200, {**FRESH, "Cache-Status": "theirs; hit", "Link": "</é>"}, "g"),
}
FIELDS = [
    "Accept-Encoding: gzip",
    "Accept-Language: de",
    'If-None-Match: "1"',
    'If-None-Match: W/"2", "x"',
    "If-None-Match: *",
    "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT",
    "If-Modified-Since: nonsense",
    "If-Match: *",
    "Range: bytes=1-2",
    "Range: bytes=0-0,2-3",
    "Range: bytes=900000-",
    'If-Range: "1"',
    "Cache-Control: max-age=0",
    "Cache-Control: max-age=3600, min-fresh=1",
    "Cache-Control: no-store",
    "Cache-Control: only-if-cached",
    "Pragma: no-cache",
    "Connection: close",
    "Cookie: a=b",
    "Authorization: Bearer other",
    "X-Purge: true",
    "X_Odd: 1",
    "Upgrade: h2c",
    "Content-Length: 0",
    "Content-Length: 1",
    "Host: twice",
    "Expect: 100-continue",
    "X-Forwarded-Host: evil",
]


@pytest.fixture(scope="module")
def filled(lane: Instance, engine: Instance, origin_process: Origin) -> None:
    for path, (status, headers, body) in ANSWERS.items():
        origin_process.on(path, reply(status, headers, body))
        lane.get(path)


@given(
    path=st.sampled_from(sorted(ANSWERS)),
    fields=st.lists(st.sampled_from(FIELDS), max_size=3, unique=True),
    method=st.sampled_from(["GET", "GET", "HEAD"]),
    version=st.sampled_from(["1.1", "1.1", "1.0"]),
    query=st.sampled_from(["", "", f"?api_key={Service.api_key}", "?"]),
    again=st.integers(1, 3),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_its_answers_are_the_engines(
    filled: None,
    lane: Instance,
    engine: Instance,
    path: str,
    fields: list[str],
    method: str,
    version: str,
    query: str,
    again: int,
) -> None:
    lines = [f"{method} /api/v2/shop{path}{query} HTTP/{version}", "Host: a", AUTH, *fields]
    one = "\r\n".join([*lines, "", ""]).encode("latin-1")
    one += b"x" * ("Content-Length: 1" in fields)
    sent = one * again + head("GET /api/v2/cache/none", "Connection: close")
    # Either may bring a variant that is not there yet.
    all_answers(engine, sent)
    assert all_answers(lane, sent) == all_answers(engine, sent)


def test_it_answers_what_is_fresh(filled: None, lane: Instance) -> None:
    """Else the comparison above compares the engine with itself."""
    for path, fields in (
        ("/hit/plain", {}),
        ("/hit/tagged", {"If_None_Match": '"1"'}),
        ("/hit/dated", {"If_Modified_Since": date(10)}),
        ("/hit/vary", {}),
        ("/hit/gone", {}),
        ("/hit/moved", {}),
        ("/hit/empty", {}),
        ("/hit/tagged", {"Range": "bytes=0-5"}),
        ("/hit/plain", {"Cache_Control": "max-age=3600"}),
    ):
        assert lane.gets_hit(path, **fields), path
    assert not lane.is_hit("/hit/odd")
    assert not lane.is_hit("/hit/plain", Cache_Control="no-cache")
    with Connection(lane.port) as connection:
        before = lane.answered
        for _ in range(3):
            assert connection.call("HEAD", "/api/v2/shop/hit/plain").status == 200
            assert connection.call("GET", "/api/v2/shop/hit/plain?").status == 200
        lane.settle()
        assert lane.answered == before + 6


def test_a_turn_is_one_trip(filled: None, lane: Instance) -> None:
    """All that came in it, with all generations; tags are known after the first time."""
    sent = head("GET /api/v2/shop/hit/tagged")
    connections = [socket.create_connection(("127.0.0.1", lane.port), 30) for _ in range(20)]
    loop = lane.hits._loop
    for number in range(3):
        gate, ready = threading.Event(), threading.Event()

        def hold(gate: threading.Event = gate, ready: threading.Event = ready) -> None:
            ready.set()
            gate.wait(30)

        loop.call_soon_threadsafe(hold)
        assert ready.wait(30)
        trips, answered = lane.trips, lane.answered
        for connection in connections:
            connection.sendall(sent)
        time.sleep(0.2)
        gate.set()
        for connection in connections:
            connection.settimeout(30)
            data = b""
            while b"b" * 3000 not in data:
                data += connection.recv(65536)
        lane.settle()
        assert lane.answered == answered + 20
        # At first they are still being accepted, one by one.
        assert lane.trips - trips == 1 or number == 0
    for connection in connections:
        connection.close()


def test_what_the_store_has_still_is_compared_and_what_it_has_not_is_read(
    lane: Instance, engine: Instance, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"/hit/compared/{number}" for number in range(4)]
    told: list[bool] = []
    compare = lane.backend.get_changed

    def watched(known: Any) -> Any:
        changed = compare(known)
        told.append(changed is None)
        return changed

    monkeypatch.setattr(lane.backend, "get_changed", watched)
    for name in names:
        origin.on(name, reply(200, {**FRESH, "Cache-Tag": "t,u"}, "old"))
        lane.get(name)
        assert lane.gets_hit(name)
    told.clear()
    assert all(lane.is_hit(name) for name in names)
    assert told == [True] * 4
    # By another worker; of those it is known what they had, and the others had no part in it.
    origin.on(names[1], reply(200, {**FRESH, "Cache-Tag": "v"}, "new"))
    assert engine.call("DELETE", f"/api/v2/shop{names[1]}?purge=true").status == 200
    assert engine.get(names[1]).body == b"new"
    told.clear()
    assert [lane.get(name).body for name in names] == [b"old", b"new", b"old", b"old"]
    lane.settle()
    assert told[:2] == [True, False]
    assert lane.gets_hit(names[1])
    assert engine.call("DELETE", "/api/v2/shop?tag=u").status == 200
    assert [lane.is_hit(name) for name in names] == [False, True, False, False]


def test_purges_are_in_force_at_once(lane: Instance, engine: Instance, origin: Origin) -> None:
    headers = {**FRESH, "Cache-Tag": "a,b"}
    origin.on("/hit/purged", reply(200, headers, "x"))

    def fill() -> None:
        lane.get("/hit/purged")
        assert lane.gets_hit("/hit/purged")

    for purge in (
        "/api/v2/shop/hit/purged?purge=true",
        "/api/v2/shop/hit/purged?purge=true&soft=true",
        "/api/v2/shop?tag=b",
        "/api/v2/shop?tag=b&soft=true",
        "/api/v2/shop",
        "/api/v2/shop?soft=true",
    ):
        for other in (engine, lane):
            fill()
            assert other.call("DELETE", purge).status == 200
            assert not lane.is_hit("/hit/purged"), purge


def test_rights_are_looked_up_each_time(lane: Instance, origin: Origin) -> None:
    origin.on("/hit/mine", reply(200, FRESH, "x"))
    rules = [{"service": "shop", "verbs": ["GET"], "keys": "hit/m*"}]
    fields = {"name": "reader", "rules": rules}
    made = lane.call("POST", "/api/v2/system/api_key", {"resource": [fields]})
    assert made.status == 201, made.body
    (row,) = made.json["resource"]
    with Connection(lane.port, row["api_key"]) as connection:
        status = eventually(lambda: connection.call("GET", "/api/v2/shop/hit/mine").status)
        assert status == 200
        before = lane.answered
        assert connection.call("GET", "/api/v2/shop/hit/mine").status == 200
        lane.settle()
        assert lane.answered == before + 1
        assert connection.call("GET", "/api/v2/shop/hit/plain").status == 403
        assert connection.call("GET", "/api/v2/shop/hit/%6dine").status == 200
        assert lane.call("DELETE", f"/api/v2/system/api_key/{row['id']}").status == 200
        eventually(lambda: connection.call("GET", "/api/v2/shop/hit/mine").status == 401)


def test_a_key_that_was_refused_and_then_deleted_reads_nothing(
    lane: Instance, origin: Origin
) -> None:
    origin.on("/hit/mine", reply(200, FRESH, "x"))
    rules = [{"service": "shop", "verbs": ["GET"], "keys": "hit/m*"}]
    fields = {"name": "reader", "rules": rules}
    (row,) = lane.call("POST", "/api/v2/system/api_key", {"resource": [fields]}).json["resource"]
    with Connection(lane.port, row["api_key"]) as connection:
        for _ in range(2):
            assert connection.call("GET", "/api/v2/shop/hit/mine").status == 200
        lane.settle()
        # The last that is heard of it before: a turn in which nothing is taken.
        assert connection.call("GET", "/api/v2/shop/hit/other").status == 403
        assert lane.call("DELETE", f"/api/v2/system/api_key/{row['id']}").status == 200
        assert connection.call("GET", "/api/v2/shop/hit/mine").status == 401
    assert len(lane.hits._callers) <= 1


def test_who_may_read_nothing_pushes_nothing_out(lane: Instance, origin: Origin) -> None:
    """Neither a stranger, nor a key that may not read what it asks for, nor one with a limit."""
    origin.on("/hit/mine", reply(200, FRESH, "x"))
    rules = [{"service": "shop", "verbs": ["GET"], "keys": "hit/m*"}]
    limit = {"rate_limit": {"requests": 1000, "seconds": 60}}
    fields = [
        {"name": "one path", "rules": rules},
        {"name": "limited", "rules": [{"service": "shop", "verbs": ["GET"]}], **limit},
    ]
    rows = lane.call("POST", "/api/v2/system/api_key", {"resource": fields}).json["resource"]
    assert lane.get("/hit/mine").status == 200
    assert lane.gets_hit("/hit/mine")
    held = list(lane.hits._shelf._kept)
    for key, status in (
        ("a stranger's", 401),
        (rows[0]["api_key"], 403),
        (rows[1]["api_key"], 404),
    ):
        with Connection(lane.port, key) as connection:
            for number in range(3):
                answer = connection.call("GET", f"/api/v2/shop/hit/not-mine?{number}")
                assert answer.status == status
    assert list(lane.hits._shelf._kept) == held
    assert lane.gets_hit("/hit/mine")


def test_whose_parameter_is_written_oddly_is_the_applications(
    lane: Instance, origin: Origin
) -> None:
    """The parameter goes before ``Authorization``, however it is written."""
    origin.on("/hit/shown", reply(200, FRESH, "x"))
    shown = {"Authorization": f"Bearer {Service.api_key}", "X-DreamFactory-API-Key": ""}
    with Connection(lane.port) as connection:
        for query, status in (("", 200), ("?api%5Fkey=none", 401), ("?%61pi_key=none&a", 401)):
            for _ in range(2):
                answer = connection.call("GET", f"/api/v2/shop/hit/shown{query}", headers=shown)
                assert answer.status == status, query


def test_a_stale_answer_is_the_engines(lane: Instance, origin: Origin) -> None:
    headers = {"Cache-Control": "max-age=60, stale-while-revalidate=60", "Age": "90"}
    origin.on("/hit/stale", reply(200, headers, "x"))
    lane.get("/hit/stale")
    answer = lane.get("/hit/stale")
    assert re.search("hit; ttl=-3", answer.headers["Cache-Status"])
    assert not lane.is_hit("/hit/stale")


def test_requests_behind_a_miss_wait_for_its_answer(lane: Instance, origin: Origin) -> None:
    origin.on("/hit/slow", reply(200, {}, "slow", delay=0.3))
    origin.on("/hit/plain", reply(200, FRESH, "a body"))
    lane.get("/hit/plain")
    parts = ["/hit/plain", "/hit/slow", "/hit/plain", "/hit/slow", "/hit/plain"]
    sent = b"".join(head(f"GET /api/v2/shop{path}") for path in parts)
    text = all_answers(lane, sent + head("GET /api/v2/cache/none", "Connection: close"))
    found = re.findall(rb"a body|slow", text)
    assert found == [b"a body", b"slow", b"a body", b"slow", b"a body"]


def test_what_hits_have_looked_up_the_engine_does_not_ask_again(
    lane: Instance, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = lane.backend
    looks: list[list[str]] = []
    asked = backend.get_many

    def counted(keys: Any) -> Any:
        names = list(keys)
        # A look is for a record and a generation; what else is read is one key.
        if len(names) > 1:
            looks.append(names)
        return asked(names)

    monkeypatch.setattr(backend, "get_many", counted)

    def miss(path: str) -> tuple[int, int]:
        origin.on(path, reply(200, FRESH, "a"))
        looks.clear()
        trips = lane.trips
        assert "fwd=uri-miss" in lane.get(path).headers["Cache-Status"]
        return lane.trips - trips, len(looks)

    # One in the lane, and one by who has got the lease; a store that was slow is not the lane's.
    numbers = itertools.count()
    assert eventually(lambda: miss(f"/hit/missed/{next(numbers)}") == (1, 1), 20)


def test_a_client_that_left_takes_nothing_along(lane: Instance, origin: Origin) -> None:
    origin.on("/hit/left", reply(200, {}, "x"))
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", lane.port), 30)
        connection.sendall(head("GET /api/v2/shop/hit/plain"))
        connection.settimeout(30)
        assert connection.recv(65536)
        connection.sendall(head("GET /api/v2/shop/hit/left"))
        connection.close()
    assert lane.get("/hit/plain").status == 200


def test_it_is_counted_and_logged(
    origin: Origin, cache: Memcached, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    origin.on("/hit/seen", reply(200, {**FRESH, "X-Request-Id": "theirs"}, "four"))
    settings = {**on(cache), "CACHEAPI_ACCESS_LOG": "all"}
    with instance(tmp_path / "own", origin, **settings) as one:
        one.get("/hit/seen")
        assert one.is_hit("/hit/seen")
        answer = one.get("/hit/seen", X_Request_Id="mine")
        assert answer.headers.get_all("X-Request-Id") == ["mine"]
        written = ""

        def lines() -> list[str]:
            # A line is written once its answer is sent.
            nonlocal written
            written += capfd.readouterr().out
            found = [line for line in written.splitlines() if "service=shop" in line]
            return found if len(found) == 3 else []

        (line,) = (line for line in eventually(lines) if "request_id=mine" in line)
        assert "route=/api/v2/{service}/{path} service=shop status=200" in line
        assert "bytes=4 lane=fast" in line

        def has(text: str) -> bool:
            return text in one.call("GET", "/metrics").body.decode().splitlines()

        labels = '{lane="fast",method="GET",service="shop",status="200"}'
        for line in (
            'cacheapi_responses_total{result="hit",service="shop"} 2.0',
            'cacheapi_hits_total{service="shop"} 2.0',
            f"cacheapi_requests_total{labels} 3.0",
            'cacheapi_request_seconds_count{lane="fast",service="shop"} 3.0',
        ):
            assert eventually(lambda line=line: has(line)), line


def test_a_store_that_fails_is_left_to_the_engine(origin: Origin, tmp_path: Path) -> None:
    origin.on("/hit/down", reply(200, FRESH, "x"))
    with memcached() as own, instance(tmp_path / "own", origin, **on(own)) as one:
        one.get("/hit/down")
        assert one.gets_hit("/hit/down")
        own.kill()
        for _ in range(3):
            answer = one.get("/hit/down")
            assert answer.status == 200
            assert "fwd=bypass" in answer.headers["Cache-Status"]
        own.start()
        assert one.gets_hit("/hit/down")


def test_a_slow_store_does_not_hold_up_the_loop(origin: Origin, tmp_path: Path) -> None:
    origin.on("/hit/hung", reply(200, FRESH, "x"))
    with memcached() as own:
        settings = {**on(own), "MEMCACHED_TIMEOUT_MS": "1000"}
        with instance(tmp_path / "own", origin, **settings) as one:
            one.get("/hit/hung")
            assert one.gets_hit("/hit/hung")
            own.pause()
            watch = Stopwatch()
            assert one.get("/hit/hung").status == 200
            # The engine need not find out once more.
            assert watch() < 1.9
            trips = one.trips
            watch = Stopwatch()
            for _ in range(10):
                assert one.get("/hit/hung").status == 200
            assert one.trips == trips
            assert watch() < 10 * 0.05 + 1.0
            own.resume()
            assert one.gets_hit("/hit/hung")


def test_a_local_copy_is_looked_up_after_its_time_only(
    origin: Origin, cache: Memcached, engine: Instance, tmp_path: Path
) -> None:
    origin.on("/hit/local", reply(200, FRESH, "x"))
    local = {"local_ms": 60_000}
    with instance(tmp_path / "own", origin, local, **on(cache)) as one:
        one.get("/hit/local")
        assert one.gets_hit("/hit/local")
        trips = one.trips
        for _ in range(5):
            assert one.is_hit("/hit/local")
        assert one.trips == trips
        # Another worker's purge is not seen for so long; its own is at once.
        assert engine.call("DELETE", "/api/v2/shop/hit/local?purge=true").status == 200
        assert one.is_hit("/hit/local")
        assert one.call("DELETE", "/api/v2/shop/hit/local?purge=true").status == 200
        assert not one.is_hit("/hit/local")
        assert one.gets_hit("/hit/local")
        # So is a write.
        assert one.call("POST", "/api/v2/shop/hit/local", {}).status == 200
        assert not one.is_hit("/hit/local")
    with instance(tmp_path / "short", origin, {"local_ms": 50}, **on(cache)) as one:
        one.get("/hit/local")
        assert one.gets_hit("/hit/local")
        assert engine.call("DELETE", "/api/v2/shop/hit/local?purge=true").status == 200
        eventually(lambda: not one.is_hit("/hit/local"))


def test_a_copy_that_was_looked_up_within_a_write_is_no_more(
    origin: Origin, cache: Memcached, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the write makes invalid is there until the cache has heard of it."""
    origin.on("/hit/written", reply(200, FRESH, "x"))
    with instance(tmp_path / "own", origin, {"local_ms": 60_000}, **on(cache)) as one:
        one.get("/hit/written")
        assert one.gets_hit("/hit/written")
        purging, gate = threading.Event(), threading.Event()
        store = one.backend.set

        def held_up(*arguments: Any) -> None:
            purging.set()
            assert gate.wait(30)
            store(*arguments)

        monkeypatch.setattr(one.backend, "set", held_up)
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(one.call, "POST", "/api/v2/shop/hit/written", {})
            assert purging.wait(30)
            assert one.get("/hit/written").status == 200
            monkeypatch.setattr(one.backend, "set", store)
            gate.set()
            assert written.result().status == 200
        assert not one.is_hit("/hit/written")


@pytest.mark.parametrize(
    ("before", "now", "headers"),
    [
        ({}, {"key_headers": '"X-Tenant"'}, {}),
        ({}, {"cookies": '"user"'}, {}),
        ({"shared_cookies": '"language"'}, {}, {"Set-Cookie": "language=de"}),
    ],
    ids=["key header", "cookie", "shared cookie"],
)
def test_what_was_stored_by_other_settings_reaches_nobody_whom_these_part(
    origin: Origin,
    cache: Memcached,
    tmp_path: Path,
    before: dict[str, str],
    now: dict[str, str],
    headers: dict[str, str],
) -> None:
    """Who mends a leak by a setting has it mended at once."""
    path = f"/hit/mended/{tmp_path.name}"
    origin.on(path, reply(200, {**FRESH, **headers}, "theirs"), reply(200, FRESH, "mine"))
    with instance(tmp_path / "before", origin, before, **on(cache)) as one:
        assert one.get(path, X_Tenant="they", Cookie="user=they").body == b"theirs"
        assert one.gets_hit(path, X_Tenant="me", Cookie="user=me")
    with instance(tmp_path / "now", origin, now, **on(cache)) as one:
        mine = {"X_Tenant": "me", "Cookie": "user=me"}
        assert one.get(path, **mine).body == b"mine"
        assert one.gets_hit(path, **mine)
        assert one.get(path, **mine).body == b"mine"


def test_what_is_held_has_a_bound(lane: Instance, origin: Origin) -> None:
    origin.on("/hit/many", reply(200, FRESH, "x" * 30_000))
    shelf = lane.hits._shelf
    old, shelf._most = shelf._most, 500_000
    try:
        for number in range(40):
            lane.get(f"/hit/many?n={number}")
            assert lane.gets_hit(f"/hit/many?n={number}")
            assert shelf.size <= 500_000
        assert shelf.size == sum(len(name) + one.size for (_, name), one in shelf._kept.items())
        assert lane.gets_hit("/hit/many?n=0")
    finally:
        shelf._most = old
    assert held.MOST_BYTES <= 16 * 1024 * 1024


def weight(thing: Any, seen: set[int]) -> int:
    """Return how many bytes a thing takes, with all that it alone is made of."""
    if id(thing) in seen or isinstance(thing, (type, Engine)) or callable(thing):
        return 0
    seen.add(id(thing))
    if isinstance(thing, dict):
        parts = [*thing.keys(), *thing.values()]
    elif isinstance(thing, (list, tuple)):
        parts = list(thing)
    elif isinstance(thing, msgspec.Struct):
        parts = [getattr(thing, name) for name in thing.__struct_fields__]
    else:
        parts = [vars(thing)] if hasattr(thing, "__dict__") else []
    return sys.getsizeof(thing) + sum(weight(part, seen) for part in parts)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/hit/heads", {}),
        ("/hit/heads?n=" + "n" * 7000, {}),
        ("/hit/heads/" + "%F0%9F%98%80" + "n" * 7000, {}),
        ("/hit/heads", {"X-Long": "h" * 7000}),
        ("/hit/heads", {"Cache-Tag": ",".join(f"t{number}" for number in range(120))}),
    ],
    ids=["short", "long", "wide", "head", "tags"],
)
def test_all_that_clients_decide_is_in_the_bound(
    lane: Instance, origin: Origin, path: str, headers: dict[str, str]
) -> None:
    """Heads of 30 kB, and URLs, are counted or not kept."""
    plain = path.partition("?")[0]
    origin.on(plain, reply(200, {**FRESH, "ETag": '"1"', **headers}, "x"))
    lane.get(path)
    assert lane.gets_hit(path)
    for number in range(20):
        padding = {f"X_Pad_{part}": f"{number}" + "p" * 7000 for part in range(4)}
        assert lane.gets_hit(path, If_None_Match=f'"{number}"', **padding)
    kept = next(reversed(lane.hits._shelf._kept.items()))
    assert weight(kept, set()) < 1.5 * (len(kept[0][1]) + kept[1].size)
    assert kept[1].size < 400_000
