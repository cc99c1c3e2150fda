"""What the lane counts and logs, in this process; and that it answers the same when it does."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheapi import create_app, load
from cacheapi.observing.metrics.meter import METER
from cacheapi.observing.request_log import REQUEST_LOG
from cacheapi.web.access import ACCESS
from tests.http.client import close_app
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Connection, Wire, call, head
from tests.support.metrics import Metrics
from tests.support.processes import Service, eventually, free_port

pytestmark = pytest.mark.usefixtures("never_slow")

KEY = Service.api_key
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@contextlib.contextmanager
def observed(directory: Path, **settings: str) -> Iterator[tuple[Inside, list[str]]]:
    """Run a service that writes its lines into a list."""
    given = {"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(directory), **settings}
    app = create_app(load(given, None))
    lines: list[str] = []
    app.extensions[REQUEST_LOG].write = lines.append
    with inside(app, directory) as live:
        yield live, lines
    close_app(app)


def counted(live: Inside) -> Metrics:
    return Metrics(call(live.port, "GET", "/metrics").body.decode())


def ask(live: Inside) -> list[tuple[int, bytes]]:
    """Ask for all that the lane answers; return the answers."""
    with Connection(live.port) as connection:
        answers = [
            connection.call("POST", CACHE, {"resource": [{"key": "a", "value": 1}] * 3}),
            connection.call("GET", f"{CACHE}/a"),
            connection.call("GET", f"{CACHE}/absent"),
            connection.call("GET", f"{CACHE}?keys=a,absent,a"),
        ]
        tag = answers[1].headers["ETag"]
        answers.append(connection.call("GET", f"{CACHE}/a", headers={"If-None-Match": tag}))
    return [(answer.status, answer.body) for answer in answers]


def test_answers_are_the_same_whatever_is_observed(tmp_path: Path) -> None:
    found = []
    for name, settings in {
        "off": {"CACHEAPI_METRICS": "off"},
        "on": {"CACHEAPI_ACCESS_LOG": "all"},
        "sampled": {"CACHEAPI_ACCESS_LOG": "0.5", "CACHEAPI_LOG_KEYS": "hash"},
    }.items():
        (tmp_path / name).mkdir()
        with observed(tmp_path / name, **settings) as (live, _):
            found.append(ask(live))
    assert found[0] == found[1] == found[2]
    assert [status for status, _ in found[0]] == [201, 200, 404, 200, 304]


def test_what_the_lane_answers_is_counted(tmp_path: Path) -> None:
    with observed(tmp_path) as (live, lines):
        answers = ask(live)
        found = counted(live)
        assert lines == []
    own = {"service": "cache", "lane": "fast"}
    for method, status in [("POST", 201), ("GET", 404), ("GET", 304)]:
        count = found.sum("cacheapi_requests_total", method=method, status=str(status), **own)
        assert count == 1
    assert found.sum("cacheapi_requests_total", method="GET", status="200", **own) == 2
    # A key that is named twice in one request is answered once.
    assert found.sum("cacheapi_hits_total") == 3
    assert found.sum("cacheapi_misses_total") == 2
    assert found.sum("cacheapi_batch_size_sum") == 5
    assert found.sum("cacheapi_request_seconds_count", **own) == 5
    size = len(json.dumps({"resource": [{"key": "a", "value": 1}] * 3}))
    assert found.sum("cacheapi_request_bytes_total", service="cache") == size
    sent = sum(len(body) for _, body in answers)
    assert found.sum("cacheapi_response_bytes_total", service="cache") == sent


def test_what_the_lane_answers_has_a_line_and_an_id(tmp_path: Path) -> None:
    settings = {"CACHEAPI_ACCESS_LOG": "all", "CACHEAPI_LOG_FORMAT": "json"}
    with observed(tmp_path, **settings) as (live, lines):
        ask(live)
        with Connection(live.port) as connection:
            for given, taken in [("plain-1", True), ("not plain", False), (KEY, False)]:
                answer = connection.call("GET", f"{CACHE}/a", headers={"X-Request-ID": given})
                assert (answer.headers["X-Request-ID"] == given) is taken
        with Wire(live.port) as wire:
            wire.send(b"NONSENSE\r\n\r\n")
            assert wire.answer().status == 400
        documents = [json.loads(line) for line in eventually(lambda: len(lines) == 9 and lines)]
    assert [document["lane"] for document in documents] == ["fast"] * 8 + [""]
    assert [document["status"] for document in documents[:5]] == [201, 200, 404, 200, 304]
    assert documents[3]["route"] == "/api/v2/{service}"
    assert documents[4]["bytes"] == 0
    assert documents[5]["request_id"] == "plain-1"
    assert KEY not in "".join(lines)


def test_a_pipeline_has_its_lines_in_order(tmp_path: Path) -> None:
    settings = {"CACHEAPI_ACCESS_LOG": "all", "CACHEAPI_LOG_FORMAT": "json"}
    with observed(tmp_path, **settings) as (live, lines), Wire(live.port) as wire:
        ids = [f"id-{number}" for number in range(20)]
        wire.send(b"".join(head(f"GET {CACHE}/k", f"X-Request-ID: {given}") for given in ids))
        assert [wire.answer().headers["X-Request-ID"] for _ in ids] == ids
        eventually(lambda: len(lines) == 20)
    assert [json.loads(line)["request_id"] for line in lines] == ids


def test_errors_alone_have_a_line_where_that_is_set(tmp_path: Path) -> None:
    settings = {"CACHE_DRIVER": "redis", "REDIS_PORT": str(free_port())}
    with observed(tmp_path, CACHEAPI_ACCESS_LOG="errors", **settings) as (live, lines):
        assert call(live.port, "GET", f"{CACHE}/a").status == 500
        assert call(live.port, "GET", "/health/live").status == 200
        found = counted(live)
    (line,) = lines
    assert "status=500" in line
    assert found.sum("cacheapi_backend_errors_total", service="cache", error="Unavailable") == 1


def test_refusals_are_counted(tmp_path: Path) -> None:
    with observed(tmp_path) as (live, _):
        for sent in (head(f"GET {CACHE}/{'x' * 9000}"), b"NONSENSE\r\n\r\n"):
            with Wire(live.port) as wire:
                wire.send(sent)
                assert wire.answer().status in (400, 414)
        found = counted(live)
    assert found.sum("cacheapi_refused_total", reason="target_too_long") == 1
    assert found.sum("cacheapi_refused_total", reason="malformed") == 1


@pytest.mark.parametrize("is_on", [True, False])
def test_what_is_part_of_a_trace_is_left_to_flask_while_traces_are_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_on: bool
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console" if is_on else "none")
    with observed(tmp_path, CACHEAPI_ACCESS_LOG="all") as (live, lines):
        with Connection(live.port) as connection:
            assert connection.call("GET", f"{CACHE}/a").status == 404
            traced = {"traceparent": PARENT}
            assert connection.call("GET", f"{CACHE}/a", headers=traced).status == 404
        eventually(lambda: len(lines) == 2)
    assert [line.rpartition("lane=")[2] for line in lines] == [
        "fast",
        "flask" if is_on else "fast",
    ]


def test_an_application_without_metrics_has_no_meter(tmp_path: Path) -> None:
    settings = {"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(tmp_path)}
    app = create_app(load({**settings, "CACHEAPI_METRICS": "off"}, None))
    assert app.extensions[METER] is None
    assert app.extensions[ACCESS].left == frozenset()
    close_app(app)
