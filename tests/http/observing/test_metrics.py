"""``/metrics``: that it counts exactly, also over workers that come and go."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from cacheapi.observing.metrics import place
from cacheapi.observing.metrics.files import GONE, ProcessFiles, fold
from cacheapi.observing.metrics.meter import DIRECTORY, METER
from cacheapi.observing.metrics.tally import Tally
from tests.http.client import API_KEY, AppApi, application
from tests.support.apps import UNHURRIED
from tests.support.live import CACHE, Connection, Wire, call, head
from tests.support.metrics import Metrics, metrics
from tests.support.nutcracker import nutcracker
from tests.support.processes import (
    Memcached,
    Server,
    Service,
    eventually,
    free_port,
    memcached,
    service,
)
from tests.support.redis import Redis, redis_server

NAMES = {
    "cacheapi_requests": "counter",
    "cacheapi_request_seconds": "histogram",
    "cacheapi_hits": "counter",
    "cacheapi_misses": "counter",
    "cacheapi_backend_errors": "counter",
    "cacheapi_backend_up": "gauge",
    "cacheapi_batch_size": "histogram",
    "cacheapi_request_bytes": "counter",
    "cacheapi_response_bytes": "counter",
    "cacheapi_refused": "counter",
    "cacheapi_build_info": "gauge",
    "cacheapi_backend_items": "gauge",
    "cacheapi_backend_bytes": "gauge",
    "cacheapi_backend_limit_bytes": "gauge",
    "cacheapi_backend_evictions": "counter",
    "cacheapi_backend_get_hits": "counter",
    "cacheapi_backend_get_misses": "counter",
    "cacheapi_backend_connections": "gauge",
    "cacheapi_backend_max_connections": "gauge",
    "cacheapi_backend_uptime_seconds": "gauge",
}


def read(api: AppApi) -> Metrics:
    answer = api.call("GET", "/metrics")
    assert answer.status == 200
    return Metrics(answer.body.decode())


def test_the_names_and_types_are_those_that_dashboards_know(tmp_path: Path) -> None:
    with application(tmp_path, CACHE_DRIVER="redis", REDIS_PORT=str(free_port())) as api:
        assert api.call("GET", f"{CACHE}/key").status == 500
        assert api.call("GET", f"{CACHE}?keys=a").status == 500
        assert api.call("POST", CACHE, body=[]).status == 400
        assert api.call("GET", CACHE, {"X-DreamFactory-API-Key": None}).status == 401
        found = read(api)
    there = {name: family.type for name, family in found.families.items()}
    # Nothing was read.
    expected = {k: v for k, v in NAMES.items() if k not in ("cacheapi_hits", "cacheapi_misses")}
    assert there == expected
    assert all(family.documentation for family in found.families.values())


def test_what_flask_serves_is_counted(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        for number in range(100):
            body = {"key": f"k{number}", "value": "x" * 10}
            assert api.call("POST", CACHE, body=body).status == 201
        for number in range(80):
            assert api.call("GET", f"{CACHE}/k{number}").status == 200
        for number in range(20):
            assert api.call("GET", f"{CACHE}/absent{number}").status == 404
        assert api.call("GET", f"{CACHE}?keys=k1,k2,absent,k1").status == 200
        assert api.call("HEAD", f"{CACHE}/k1").status == 200
        tag = api.etag("k1")
        assert api.call("GET", f"{CACHE}/k1", {"If-None-Match": tag}).status == 304
        assert api.call("DELETE", f"{CACHE}?keys=k1,k2").status == 200
        found = read(api)
    requests = "cacheapi_requests_total"
    flask = {"service": "cache", "lane": "flask"}
    assert found.sum(requests, method="POST", status="201", **flask) == 100
    assert found.sum(requests, method="GET", status="200", **flask) == 80 + 2
    assert found.sum(requests, method="GET", status="404", **flask) == 20
    assert found.sum(requests, method="HEAD", status="200", **flask) == 1
    assert found.sum(requests, method="GET", status="304", **flask) == 1
    assert found.sum("cacheapi_hits_total", service="cache") == 80 + 2 + 1 + 1 + 1
    assert found.sum("cacheapi_misses_total", service="cache") == 20 + 1
    assert found.sum("cacheapi_request_seconds_count", **flask) == 205
    assert found.sum("cacheapi_batch_size_count", method="GET") == 1
    # Of a key that is named twice, once.
    assert found.sum("cacheapi_batch_size_sum", method="GET") == 3
    assert found.sum("cacheapi_batch_size_sum", method="POST") == 100
    assert found.sum("cacheapi_batch_size_bucket", method="DELETE", le="2.0") == 1
    size = len('{"key": "k1", "value": "xxxxxxxxxx"}')
    assert found.sum("cacheapi_request_bytes_total") == 100 * size + 90
    assert found.sum("cacheapi_response_bytes_total", service="cache") > 0
    assert found.sum("cacheapi_backend_items", service="cache") == 98
    assert found.sum("cacheapi_backend_up") == 1
    assert found.sum("cacheapi_build_info") == 1


def test_labels_are_bounded_and_no_key_is_one(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        for number in range(50):
            api.call("GET", f"/api/v2/nothing{number}/secret-key{number}")
            api.call("GET", f"/nothing{number}")
            api.call("GET", f"{CACHE}/secret-key{number}")
            api.call(f"METHOD{number}", f"{CACHE}/secret-key{number}")
        found = read(api)
    assert found.labels("service") == {"cache", ""}
    assert found.labels("method") == {"GET", "other"}
    assert found.labels("lane") == {"flask"}
    assert "secret" not in found.text
    assert "nothing" not in found.text


def test_refusals_are_counted_by_reason(tmp_path: Path) -> None:
    with application(tmp_path, CACHEAPI_MAX_BODY_MB="1") as api:
        assert api.call("GET", CACHE, {"X-DreamFactory-API-Key": "wrong"}).status == 401
        body = {"name": "x", "rules": [{"service": "cache", "verbs": ["GET"]}]}
        body["rate_limit"] = {"requests": 1, "seconds": 3600}
        key = api.call("POST", "/api/v2/system/api_key", body=body).json["resource"][0]["api_key"]
        weak = {"X-DreamFactory-API-Key": key}
        assert api.call("DELETE", CACHE, weak).status == 403
        assert api.call("GET", CACHE, weak).status == 429
        assert api.call("POST", CACHE, body=b"x" * 1_100_000).status == 413
        found = read(api)
    refused = "cacheapi_refused_total"
    for reason in ("unauthorized", "forbidden", "rate_limit", "body_too_large"):
        assert found.sum(refused, reason=reason) == 1
    assert found.sum("cacheapi_request_bytes_total", service="cache") < 1000


@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_behind_a_proxy_that_tells_nothing_it_is_up(
    tmp_path: Path, memcached_server: Memcached, redis_one: Redis, kind: str
) -> None:
    server: Server = memcached_server if kind == "memcached" else redis_one
    with nutcracker([server], redis=kind == "redis") as proxy:
        waiting = {f"{kind.upper()}_TIMEOUT_MS": "3000"}
        with application(tmp_path, CACHE_DRIVER=kind, **proxy.settings, **waiting) as api:
            for _ in range(2):
                found = read(api)
                assert found.sum("cacheapi_backend_up", service="cache") == 1
                assert found.sum("cacheapi_backend_max_connections") == 0
            for method, path in (("GET", "/api/v2/system/service/cache/stats"), ("DELETE", CACHE)):
                answer = api.call(method, path)
                assert answer.status == 400, answer.json
                assert answer.json["error"]["message"].startswith("A proxy is in front of ")
            # Another test may have left it there.
            api.call("DELETE", f"{CACHE}/k")
            assert api.call("POST", f"{CACHE}/k", body={"value": 1}).status == 201
            proxy.kill()
            assert read(api).sum("cacheapi_backend_up", service="cache") == 0


def test_failures_of_the_server_are_counted_and_it_is_down(tmp_path: Path) -> None:
    with redis_server() as server:
        settings = {"CACHE_DRIVER": "redis", "REDIS_TIMEOUT_MS": "3000", **server.settings}
        with application(tmp_path, **settings) as api:
            assert read(api).sum("cacheapi_backend_up", service="cache") == 1
            assert read(api).sum("cacheapi_backend_max_connections") > 0
            server.kill()
            for _ in range(3):
                assert api.call("GET", f"{CACHE}/key").status == 500
                assert api.call("POST", CACHE, body={"key": "k", "value": 1}).status == 500
            api.app.extensions["cacheapi-samples"]._latest._readings.clear()
            found = read(api)
    errors = {"service": "cache", "error": "Unavailable"}
    assert found.sum("cacheapi_backend_errors_total", **errors) == 6
    assert found.sum("cacheapi_backend_up", service="cache") == 0
    assert "cacheapi_backend_items{" not in found.text


def test_a_server_that_hangs_takes_no_others_figures_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    with application(tmp_path) as api:
        body = {"name": "other", "type": "cache_local"}
        assert api.call("POST", "/api/v2/system/service", body=body).status == 201
        backend = api.app.extensions["cacheapi"].find("cache").backend
        monkeypatch.setattr(backend, "stats", lambda section=None: go_on.wait(60) and [])
        monkeypatch.setattr("cacheapi.observing.metrics.servers.WAIT_SECONDS", 0.2)
        found = read(api)
        go_on.set()
    assert found.sum("cacheapi_backend_up", service="cache") == 0
    assert found.sum("cacheapi_backend_up", service="other") == 1


# Who may ask


def test_by_default_it_is_for_administrators(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        assert api.call("GET", "/metrics", {"X-DreamFactory-API-Key": None}).status == 401
        bearer = {"X-DreamFactory-API-Key": None, "Authorization": f"Bearer {API_KEY}"}
        assert api.call("GET", "/metrics", bearer).status == 200
        body = {"name": "x", "rules": [{"service": "*", "verbs": ["GET"]}]}
        key = api.call("POST", "/api/v2/system/api_key", body=body).json["resource"][0]["api_key"]
        assert api.call("GET", "/metrics", {"X-DreamFactory-API-Key": key}).status == 403


def test_it_may_be_open_or_off(tmp_path: Path) -> None:
    nobody = {"X-DreamFactory-API-Key": None}
    with application(tmp_path, CACHEAPI_METRICS="open") as api:
        assert api.call("GET", "/metrics", nobody).status == 200
        assert api.call("GET", "/api/v2/", nobody).status == 401
    with application(tmp_path, CACHEAPI_METRICS="off") as api:
        assert api.call("GET", "/metrics").status == 404
        assert api.app.extensions[METER] is None


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("application/openmetrics-text; version=x", "text/plain"),
    ],
)
def test_prometheus_gets_the_format_that_it_asks_for(
    tmp_path: Path, accept: str, kind: str
) -> None:
    with application(tmp_path) as api:
        answer = api.call("GET", "/metrics", {"Accept": accept})
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(kind)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here")
def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        assert api.call("GET", f"{CACHE}?keys=a").status == 200
        text = api.call("GET", "/metrics").body
    ended = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


# The files of several processes


def filled(number: int) -> Tally:
    tally = Tally("fast")
    for _ in range(number):
        tally.took_part({("cache", 200): 1}, {}, {"cache": 5}, {})
    tally.took("cache", 0.0002, number)
    tally.took("cache", 99)
    return tally


def collected(directory: Path) -> dict[str, float]:
    return {
        f"{sample.name}{sample.labels.get('le', '')}": sample.value
        for metric in MultiProcessCollector(None, str(directory)).collect()
        for sample in metric.samples
    }


def test_prometheus_clients_collector_adds_up_the_files(tmp_path: Path) -> None:
    ProcessFiles(tmp_path).write([*filled(3).samples()])
    files = ProcessFiles(tmp_path)
    files.write([*filled(1).samples()])
    files.write([*filled(4).samples()])
    found = collected(tmp_path)
    assert found["cacheapi_requests_total"] == 7
    assert found["cacheapi_hits_total"] == 7
    assert found["cacheapi_response_bytes_total"] == 35
    assert found["cacheapi_request_seconds_bucket0.0001"] == 0
    assert found["cacheapi_request_seconds_bucket0.00025"] == 7
    assert found["cacheapi_request_seconds_bucket5.0"] == 7
    assert found["cacheapi_request_seconds_bucket+Inf"] == 9
    assert found["cacheapi_request_seconds_count"] == 9
    assert found["cacheapi_request_seconds_sum"] == pytest.approx(198 + 7 * 0.0002)


def test_those_that_are_gone_become_one_and_the_sums_stay(tmp_path: Path) -> None:
    for number in range(5):
        ProcessFiles(tmp_path).write([*filled(number).samples()])
        before = collected(tmp_path)
        fold(tmp_path, os.getpid())
        assert collected(tmp_path) == before
    names = {path.name for path in tmp_path.glob("*.db")}
    assert names == {f"counter_{GONE}.db", f"histogram_{GONE}.db"}


def test_a_master_makes_a_directory_and_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "_parent", lambda: tmp_path)
    monkeypatch.delenv(DIRECTORY, raising=False)
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    left = tmp_path / f"cacheapi-metrics-{int(ended.stdout)}-x"
    left.mkdir()
    parents = tmp_path / f"cacheapi-metrics-{os.getppid()}-x"
    parents.mkdir()
    # The new master of an upgrade has the variable of the old one.
    monkeypatch.setenv(DIRECTORY, str(parents))
    place.begin()
    own = Path(os.environ[DIRECTORY])
    assert own not in (left, parents)
    assert sorted(tmp_path.iterdir()) == sorted([own, parents])
    ProcessFiles(own).write([*filled(1).samples()])
    place.child_is_gone(os.getpid())
    assert (own / f"counter_{GONE}.db").exists()
    place.end()
    assert list(tmp_path.iterdir()) == [parents]
    place.child_is_gone(os.getpid())


def test_a_directory_that_was_set_is_emptied_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "of-the-operator"
    monkeypatch.setenv(DIRECTORY, str(directory))
    place.begin()
    ProcessFiles(directory).write([*filled(1).samples()])
    place.begin()
    assert list(directory.iterdir()) == []
    place.end()
    assert directory.is_dir()


@contextlib.contextmanager
def sharing(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[AppApi, Path]]:
    """An application that has answered one miss, and the directory where it shares its counts."""
    directory = place / "shared"
    directory.mkdir()
    monkeypatch.setenv(DIRECTORY, str(directory))
    with application(place / "data") as api:
        api.app.extensions["cacheapi"].watch()
        assert api.call("GET", f"{CACHE}/key").status == 404
        eventually(lambda: list(directory.glob("*.db")))
        yield api, directory


def test_a_directory_that_was_cleaned_up_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sharing(tmp_path, monkeypatch) as (api, directory):
        shutil.rmtree(directory, ignore_errors=True)
        answer = api.call("GET", "/metrics")
        assert answer.status == 200
        assert Metrics(answer.body.decode()).sum("cacheapi_misses_total", service="cache") == 1
        assert directory.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_costs_metrics_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with sharing(tmp_path, monkeypatch) as (api, directory):
        meter = api.app.extensions[METER]
        eventually(lambda: put_in_the_way(directory))
        assert api.call("GET", f"{CACHE}/key").status == 404
        meter.hand_over()
        meter.hand_over()
    assert caplog.text.count("cannot be kept") == 1


def put_in_the_way(directory: Path) -> bool:
    """Put a file where a directory is; it may take several times, since a thread writes there."""
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):
        directory.write_text("")
    return directory.is_file()


# Live


def traffic(live: Service) -> None:
    """Make 100 stores, 80 hits and 20 misses, over many connections, so to all workers."""
    for number in range(0, 100, 10):
        with Connection(live.port) as connection:
            for one in range(number, number + 10):
                body = {"key": f"k{one}", "value": one}
                assert connection.call("POST", CACHE, body).status == 201
    for number in range(0, 100, 10):
        with Connection(live.port) as connection:
            for one in range(number, number + 10):
                key = f"k{one}" if one < 80 else f"absent{one}"
                assert connection.call("GET", f"{CACHE}/{key}").status == (200 if one < 80 else 404)


def counted(live: Service, times: int) -> Metrics:
    """Return the metrics once they tell of all that was asked."""

    def found() -> Metrics | None:
        now = metrics(live.port)
        requests = now.sum("cacheapi_requests_total", service="cache")
        assert requests <= 200 * times
        return now if requests == 200 * times else None

    return eventually(found, 20)


@pytest.mark.parametrize("driver", ["file", "memcached"])
def test_two_workers_count_exactly_what_was_asked(tmp_path: Path, driver: str) -> None:
    with contextlib.ExitStack() as stack:
        settings = {"CACHE_DRIVER": driver, "WEB_CONCURRENCY": "2"}
        if driver == "memcached":
            server = stack.enter_context(memcached())
            settings |= {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(server.port)}
        settings |= {"MEMCACHED_TIMEOUT_MS": "3000"}
        live = stack.enter_context(service(tmp_path, app=UNHURRIED, **settings))
        traffic(live)
        found = counted(live, 1)
        own = {"service": "cache"}
        requests = "cacheapi_requests_total"
        assert found.sum(requests, method="POST", status="201", **own) == 100
        assert found.sum(requests, method="GET", status="200", **own) == 80
        assert found.sum(requests, method="GET", status="404", **own) == 20
        assert found.sum(requests, lane="fast", **own) > 0
        assert found.sum("cacheapi_hits_total", **own) == 80
        assert found.sum("cacheapi_misses_total", **own) == 20
        assert found.sum("cacheapi_request_seconds_count", **own) == 200
        assert found.sum("cacheapi_request_seconds_bucket", le="+Inf", **own) == 200
        assert found.sum("cacheapi_batch_size_sum", method="POST", **own) == 100
        size = sum(len(f'{{"key": "k{one}", "value": {one}}}') for one in range(100))
        assert found.sum("cacheapi_request_bytes_total", **own) == size


def test_the_sums_stay_when_workers_are_killed_and_reloaded(tmp_path: Path) -> None:
    with service(tmp_path, WEB_CONCURRENCY="2") as live:
        traffic(live)
        counted(live, 1)
        before = live.workers()
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(live.workers()) == 2 and before[0] not in live.workers(), 30)
        counted(live, 1)
        traffic(live)
        counted(live, 2)
        killed = set(live.workers())
        live.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(live.workers()) == 2 and not killed & set(live.workers()), 60)
        # What a worker that ends in peace has counted to its last moment is there.
        traffic(live)
        live.process.send_signal(signal.SIGHUP)
        found = counted(live, 3)
        assert found.sum("cacheapi_hits_total", service="cache") == 240
        assert found.sum("cacheapi_batch_size_count", service="cache") == 300


def test_what_no_application_sees_is_counted_too(tmp_path: Path) -> None:
    with service(tmp_path, WEB_CONCURRENCY="1") as live:
        for sent, status in [
            (head(f"GET {CACHE}/{'x' * 9000}"), 414),
            (head(f"GET {CACHE}/k", f"X-Large: {'x' * 9000}"), 431),
            (b"NONSENSE\r\n\r\n", 400),
        ]:
            with Wire(live.port) as wire:
                wire.send(sent)
                assert wire.answer().status == status
        assert call(live.port, "GET", f"{CACHE}?keys=k,l").status == 200
        assert call(live.port, "GET", f"{CACHE}/k", key="wrong").status == 401
        found = metrics(live.port)
        for reason in ("target_too_long", "head_too_large", "malformed", "unauthorized"):
            assert found.sum("cacheapi_refused_total", reason=reason) == 1
        batches = {"service": "cache", "method": "GET"}
        assert found.sum("cacheapi_batch_size_sum", **batches) == 2
        assert found.sum("cacheapi_misses_total", service="cache") == 2


def test_failures_in_the_lane_are_counted(tmp_path: Path) -> None:
    settings = {"CACHE_DRIVER": "redis", "REDIS_PORT": str(free_port()), "WEB_CONCURRENCY": "1"}
    with service(tmp_path, **settings) as live, Connection(live.port) as connection:
        for _ in range(20):
            assert connection.call("GET", f"{CACHE}/key").status == 500
        for _ in range(5):
            body = {"key": "key", "value": 1}
            assert connection.call("POST", CACHE, body).status == 500
        found = metrics(live.port)
        errors = {"service": "cache", "error": "Unavailable"}
        assert found.sum("cacheapi_backend_errors_total", **errors) == 25
        assert found.sum("cacheapi_requests_total", status="500", lane="fast") > 0


@pytest.mark.parametrize("arguments", [("-k", "gthread"), ("--preload",)], ids=str)
def test_other_ways_to_serve_count_too_and_nothing_is_left(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with service(tmp_path, *arguments, WEB_CONCURRENCY="2") as live:
        traffic(live)
        found = counted(live, 1)
        assert ("fast" in found.labels("lane")) is (arguments == ("--preload",))
        (directory,) = place._parent().glob(f"cacheapi-metrics-{live.process.pid}-*")
        assert directory.is_dir()
        live.process.terminate()
        # gunicorn's own workers take their time.
        assert live.process.wait(60) == 0
        assert not directory.exists()
