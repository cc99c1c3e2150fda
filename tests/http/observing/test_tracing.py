"""Traces, and Server-Timing: what is told of a request's way, and that no key is in it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cacheapi.observing import tracing
from cacheapi.observing.tracing.spans import Tracing
from tests.http.client import API_KEY, AppApi, application
from tests.support.live import CACHE, Connection
from tests.support.processes import REPOSITORY, eventually, free_port, service

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
TIMED = {"X-Server-Timing": "1"}
TIMING = re.compile(r'total;dur=(\d+\.\d{3}), cache;dur=(\d+\.\d{3});desc="(\d+) calls?"')


@contextlib.contextmanager
def traced(directory: Path, **settings: str) -> Iterator[tuple[AppApi, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with application(directory, **settings) as api:
        api.app.wsgi_app.tracing = Tracing(provider)
        yield api, exporter
    provider.shutdown()


def by_kind(spans: Sequence[ReadableSpan], kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in spans if span.kind is kind]


def test_a_request_is_a_span_with_one_for_each_call_of_its_cache(tmp_path: Path) -> None:
    with traced(tmp_path) as (api, exporter):
        body = {"value": 1}
        assert api.call("POST", f"{CACHE}/secret-key", PARENT, body).status == 201
        (request,) = by_kind(exporter.get_finished_spans(), SpanKind.SERVER)
        (call,) = by_kind(exporter.get_finished_spans(), SpanKind.CLIENT)
    assert request.name == "POST /api/v2/{service}/{key}"
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "http.route": "/api/v2/{service}/{key}",
        "cacheapi.service": "cache",
    }
    assert request.status.status_code is StatusCode.UNSET
    assert call.name == "cache add"
    assert call.parent is not None
    assert call.parent.span_id == request.context.span_id
    assert dict(call.attributes or {}) == {
        "db.system.name": "file",
        "db.operation.name": "add",
        "cacheapi.service": "cache",
    }


def test_a_request_without_a_trace_begins_one_and_probes_begin_none(tmp_path: Path) -> None:
    with traced(tmp_path) as (api, exporter):
        assert api.call("GET", "/health/ready").status == 200
        assert api.call("GET", "/metrics").status == 200
        assert exporter.get_finished_spans() == ()
        assert api.call("GET", "/nothing").status == 404
        (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert span.name == "GET"


def test_a_failure_of_the_server_is_an_error_without_its_words(tmp_path: Path) -> None:
    settings = {"CACHE_DRIVER": "redis", "REDIS_PORT": str(free_port())}
    with traced(tmp_path, **settings) as (api, exporter):
        assert api.call("GET", f"{CACHE}/key", PARENT).status == 500
        spans = exporter.get_finished_spans()
    for span in spans:
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert span.events == ()
    (call,) = by_kind(spans, SpanKind.CLIENT)
    assert (call.attributes or {})["error.type"] == "Unavailable"
    assert "127.0.0.1" not in "".join(span.to_json() for span in spans)


def test_a_refusal_of_the_backend_is_no_error_of_the_cache(tmp_path: Path) -> None:
    with traced(tmp_path) as (api, exporter):
        api.store_one("text", "no number")
        exporter.clear()
        body = {"increment": 1}
        assert api.call("PATCH", f"{CACHE}/text", body=body).status == 400
        calls = by_kind(exporter.get_finished_spans(), SpanKind.CLIENT)
    # Behind it there is a look whether what is no number has tags.
    (call,) = [call for call in calls if call.name == "cache increment"]
    assert (call.attributes or {})["error.type"] == "NotAnInteger"
    assert call.status.status_code is StatusCode.UNSET


def test_no_span_has_a_key_a_value_or_a_secret(tmp_path: Path) -> None:
    secret = "planted-3141"
    with traced(tmp_path) as (api, exporter):
        named = {"User-Agent": secret, "Referer": secret, "Cookie": secret}
        api.call("POST", CACHE, named, {"key": secret, "value": secret})
        api.call("POST", CACHE, named, {"key": secret, "value": secret, "ttl": secret})
        api.call("GET", f"{CACHE}/{secret}?default={secret}", named)
        api.call("GET", f"{CACHE}?keys={secret}&api_key={API_KEY}", named)
        api.call("GET", f"/{secret}/{API_KEY}", named)
        api.call("PATCH", f"{CACHE}/{secret}", named, {"increment": 1})
        api.call("DELETE", f"{CACHE}/{secret}", named)
        text = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "cache get" in text
    assert secret not in text
    assert API_KEY not in text


# When it is on


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
    ],
)
def test_it_is_off_unless_it_is_asked_for(
    caplog: pytest.LogCaptureFixture, environ: dict[str, str]
) -> None:
    assert tracing.start(environ, "1.0") is None
    assert caplog.text == ""


def test_an_unknown_exporter_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert tracing.start({"OTEL_TRACES_EXPORTER": "zipkin"}, "1.0") is None
    assert "OTEL_TRACES_EXPORTER must be one of otlp, console, none." in caplog.text


def test_without_the_packages_it_is_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cacheapi.observing.tracing.spans", None)
    assert tracing.start({"OTEL_TRACES_EXPORTER": "otlp"}, "1.0") is None
    assert "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http" in caplog.text


def test_while_it_is_off_nothing_of_it_is_imported(tmp_path: Path) -> None:
    script = (
        "import sys; from cacheapi import create_app; create_app(); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    environ = {name: value for name, value in os.environ.items() if "OTEL" not in name}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={**environ, "CACHEAPI_API_KEY": "k", "CACHEAPI_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize(
    ("environ", "name"), [({}, "cacheapi"), ({"OTEL_SERVICE_NAME": "shop"}, "shop")]
)
def test_the_console_shows_spans_by_the_name_of_the_service(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environ: dict[str, str],
    name: str,
) -> None:
    for variable, value in {**environ, "OTEL_TRACES_EXPORTER": "console"}.items():
        monkeypatch.setenv(variable, value)
    with application(tmp_path) as api:
        assert api.call("GET", f"{CACHE}/key").status == 404
    shown = capsys.readouterr().out
    assert '"name": "GET /api/v2/{service}/{key}"' in shown
    assert f'"service.name": "{name}"' in shown


class Collector:
    """A receiver of OTLP over HTTP.

    :ivar spans: the names of those that came, each with its trace and the service's name.
    """

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str]] = []
        self.sent = b""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                outer.take(self.path, data)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, path: str, data: bytes) -> None:
        assert path == "/v1/traces"
        self.sent += data
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            fields = {field.key: field.value.string_value for field in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append((span.name, span.trace_id.hex(), fields["service.name"]))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_a_collector_gets_the_spans_of_a_live_service(tmp_path: Path) -> None:
    collector = Collector()
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "WEB_CONCURRENCY": "2",
    }
    try:
        with service(tmp_path, **settings) as live, Connection(live.port) as connection:
            plain = connection.call("GET", f"{CACHE}/secret-key")
            # The lane leaves to Flask what is part of a trace, and the answer is the same.
            traced = connection.call("GET", f"{CACHE}/secret-key", headers=PARENT)
            assert (plain.status, plain.body) == (traced.status, traced.body)
            eventually(lambda: len(collector.spans) >= 2, 30)
            # What is left is sent when a worker ends.
            assert connection.call("DELETE", f"{CACHE}/secret-key?x=1").status == 404
            live.stop()
            assert "Traceback" not in live.log.read_text()
    finally:
        collector.stop()
    names = sorted(name for name, trace, _ in collector.spans if trace == TRACE)
    assert names == ["GET /api/v2/{service}/{key}", "cache get"]
    others = sorted(name for name, trace, _ in collector.spans if trace != TRACE)
    # Whether the service has tags may be asked in between.
    assert [one for one in others if one != "cache get"] == [
        "DELETE /api/v2/{service}/{key}",
        "cache delete",
    ]
    assert {service for _, _, service in collector.spans} == {"cacheapi"}
    assert b"secret-key" not in collector.sent
    assert live.api_key.encode() not in collector.sent


def test_a_collector_that_is_away_fails_no_request(tmp_path: Path) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    with (
        service(tmp_path, WEB_CONCURRENCY="1", **settings) as live,
        Connection(live.port) as connection,
    ):
        for _ in range(20):
            assert connection.call("GET", f"{CACHE}/key", headers=PARENT).status == 404


# Server-Timing


def test_who_asks_for_it_is_told_how_long_it_took(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        answer = api.call("POST", CACHE, TIMED, {"key": "k", "value": 1})
        match = TIMING.fullmatch(answer.headers["Server-Timing"])
        assert match is not None
        assert float(match[1]) >= float(match[2]) > 0
        assert match[3] == "1"
        answer = api.call("GET", "/api/v2/", TIMED)
        assert 'cache;dur=0.000;desc="0 calls"' in answer.headers["Server-Timing"]
        for headers in ({}, {"X-Server-Timing": "0"}):
            assert "Server-Timing" not in api.call("GET", f"{CACHE}/k", headers).headers


def test_it_is_told_beside_a_trace_too(tmp_path: Path) -> None:
    with traced(tmp_path) as (api, exporter):
        answer = api.call("PATCH", f"{CACHE}/k", {**PARENT, **TIMED}, {"increment": 1})
        assert answer.status == 404
        assert TIMING.fullmatch(answer.headers["Server-Timing"])
        assert len(by_kind(exporter.get_finished_spans(), SpanKind.CLIENT)) == 1


def test_the_lane_leaves_such_a_request_to_flask(tmp_path: Path) -> None:
    with service(tmp_path, WEB_CONCURRENCY="1") as live, Connection(live.port) as connection:
        plain = connection.call("GET", f"{CACHE}/k")
        assert "Server-Timing" not in plain.headers
        timed = connection.call("GET", f"{CACHE}/k", headers=TIMED)
        assert TIMING.fullmatch(timed.headers["Server-Timing"])
        assert (plain.status, plain.body) == (timed.status, timed.body)


def test_a_failed_call_is_counted_in_the_time(tmp_path: Path) -> None:
    settings = {"CACHE_DRIVER": "redis", "REDIS_PORT": str(free_port())}
    with application(tmp_path, **settings) as api:
        answer = api.call("GET", f"{CACHE}/k", TIMED)
        assert answer.status == 500
        assert 'desc="1 call"' in answer.headers["Server-Timing"]
