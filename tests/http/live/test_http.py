"""HTTP as strangers send it: slow, large, broken off, pipelined, encrypted."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheapi import create_app, load
from cacheapi.serving import ending, site
from tests.http.client import close_app
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Connection, Wire, call, chunk, head
from tests.support.processes import Service, eventually, service
from tests.support.timing import Stopwatch

KEY = Service.api_key
AUTH = f"X-DreamFactory-API-Key: {KEY}"
BODY = json.dumps({"key": "sent", "value": "whole"}).encode()
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
# More than there are threads for the application.
MANY = 40


@contextlib.contextmanager
def in_this_process(directory: Path, **options: int) -> Iterator[Inside]:
    app = create_app(load({"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(directory)}, None))
    with inside(app, directory, **options) as live:
        yield live
    close_app(app)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with in_this_process(tmp_path_factory.mktemp("http")) as live:
        yield live


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Inside]:
    """The service with time limits of half a second, and of one between requests.

    For one test alone: every other service of this process has these limits meanwhile.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HEAD_SECONDS", "STALL_SECONDS", "LINGER_SECONDS"):
            patch.setattr(ending, name, 0.5)
        patch.setattr(site, "SWEEP_SECONDS", 0.1)
        with in_this_process(tmp_path, keep_alive=1) as live:
            yield live


@pytest.fixture
def live(running: Inside) -> Iterator[Inside]:
    """The service with one key; whatever a test sends, its worker goes on without a complaint."""
    with Connection(running.port) as connection:
        assert connection.call("DELETE", CACHE).status == 200
        assert connection.call("POST", CACHE, {"key": "k", "value": 1}).status == 201
    before = running.workers()
    yield running
    assert call(running.port, "GET", f"{CACHE}/k").json["value"] == 1
    assert running.workers() == before
    assert "Traceback" not in running.log.read_text()


def well(live: Inside) -> None:
    """Check that others are served, by the lane and by Flask, and at once."""
    taken = Stopwatch()
    assert call(live.port, "GET", f"{CACHE}/absent").status == 404
    assert call(live.port, "POST", CACHE, {"key": "well", "value": 1}).status == 201
    assert taken() < 2


@contextlib.contextmanager
def stalled(live: Inside, sent: bytes, count: int = MANY) -> Iterator[list[Wire]]:
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(live.port)) for _ in range(count)]
        for wire in wires:
            wire.send(sent)
        yield wires


# Slow clients

SLOW_HEAD = f"GET {CACHE}/k HTTP/1.1\r\nHost: h\r\nX-Slow: ".encode()
SLOW_BODY = head(f"POST {CACHE}", LENGTH) + BODY[:5]
SLOW_CHUNK = head(f"POST {CACHE}", CHUNKED) + b"%x\r\n" % len(BODY) + BODY[:5]


@pytest.mark.parametrize("sent", [SLOW_HEAD, SLOW_BODY, SLOW_CHUNK], ids=["head", "body", "chunk"])
def test_slow_requests_hold_up_nobody_and_end_at_a_limit(impatient: Inside, sent: bytes) -> None:
    with stalled(impatient, sent) as wires:
        well(impatient)
        answer = wires[0].answer()
        assert answer.status == 408
        assert answer.error
        assert wires[0].is_closed()
        well(impatient)


def test_a_head_that_comes_byte_by_byte_ends_at_the_limit(impatient: Inside) -> None:
    with Wire(impatient.port) as wire:
        for byte in SLOW_HEAD * 2:
            wire.send(bytes([byte]))
            time.sleep(0.02)
        assert wire.answer().status == 408


def test_a_slow_body_that_moves_is_taken(impatient: Inside) -> None:
    with Wire(impatient.port) as wire:
        wire.send(head(f"POST {CACHE}", LENGTH))
        for byte in BODY:
            wire.send(bytes([byte]))
            time.sleep(0.03)
        assert wire.answer().status == 201


def test_an_idle_connection_is_closed_after_the_keep_alive_time(impatient: Inside) -> None:
    for path in (f"{CACHE}/absent", "/api/v2/"):
        with Wire(impatient.port) as wire:
            wire.send(head(f"GET {path}"))
            wire.answer()
            time.sleep(0.5)
            wire.send(head(f"GET {path}"))
            wire.answer()
            started, taken = time.monotonic(), Stopwatch()
            assert wire.is_closed()
            assert time.monotonic() - started > 0.7
            assert taken() < 3


def test_clients_that_do_not_read_hold_up_nobody_and_are_let_go(
    impatient: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    value = "x" * 500_000
    assert call(impatient.port, "POST", CACHE, {"key": "large", "value": value}).status == 201
    (worker,) = impatient.workers()
    for path in (f"{CACHE}/large", f"{CACHE}/large?"):
        before = memory(worker)
        with stalled(impatient, head(f"GET {path}") * 300, 10) as wires:
            well(impatient)
            assert memory(worker) - before < 10 * 40 * 1024 * 1024
            time.sleep(1.5)
            well(impatient)
            assert wires
        assert impatient.workers() == [worker]
    assert "Exception" not in caplog.text


def memory(pid: int) -> int:
    """Return a process's memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_ten_thousand_idle_connections_hold_up_nobody(tmp_path: Path) -> None:
    count = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count + 500:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    try:
        with service(tmp_path, WEB_CONCURRENCY="1") as live, contextlib.ExitStack() as stack:
            (worker,) = eventually(live.workers)
            before = memory(worker)
            for _ in range(count):
                stack.enter_context(socket.create_connection(("127.0.0.1", live.port), 10))
            well(live)
            assert memory(worker) - before < count * 20 * 1024
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# What is too much, or broken off


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head("GET /", "X-Large: " + "x" * 100_000), 431),
        (head("GET /")[:-2] + b"X-Large: " + b"x" * 100_000, 431),
        (b"GET /" + b"x" * 100_000, 414),
        (b"G" * 100_000, 400),
        (head("GET /", *[f"X-{number}: {'x' * 7000}" for number in range(60)]), 431),
        (head(f"POST {CACHE}", CHUNKED) + chunk(BODY) + b"0\r\n" + b"X: y\r\n" * 20_000, 431),
    ],
    ids=["field", "endless field", "target", "method", "fields", "trailer"],
)
def test_what_is_too_large_is_refused(live: Inside, sent: bytes, status: int) -> None:
    with Wire(live.port) as wire:
        wire.send(sent)
        answer = wire.answer()
        assert answer.status == status
        assert answer.error
        assert wire.is_closed()


def test_a_request_that_ends_within_its_head_is_400(live: Inside) -> None:
    with Wire(live.port) as wire:
        wire.send(SLOW_HEAD)
        wire.end()
        assert wire.answer().status == 400
        assert wire.is_closed()


def test_a_client_that_has_ended_its_side_gets_its_answers(live: Inside) -> None:
    sent = [head(f"GET {CACHE}/k"), head(f"GET {CACHE}/k?"), head(f"GET {CACHE}/k")]
    for requests in (sent, sent[:1], sent[1:2], sent[:2]):
        with Wire(live.port) as wire:
            wire.send(b"".join(requests))
            wire.end()
            assert [wire.answer().status for _ in requests] == [200] * len(requests)
            assert wire.is_closed()


def test_a_client_that_goes_away_is_not_missed(live: Inside) -> None:
    for sent in (head(f"GET {CACHE}/k"), head(f"GET {CACHE}/k?"), SLOW_BODY, SLOW_HEAD):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", live.port), 10) as connection:
                connection.sendall(sent)
    well(live)


# Framing


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\nHost: h\n\n", id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", id="bare LF in the head"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", id="bare CR"),
        pytest.param(head("GET /", "X: a\r\n b"), id="folded"),
        pytest.param(head(f"POST {CACHE}", CHUNKED, LENGTH) + chunk(BODY), id="both, chunks first"),
        pytest.param(head(f"POST {CACHE}", LENGTH, CHUNKED) + chunk(BODY), id="both"),
        pytest.param(head(f"POST {CACHE}", LENGTH, LENGTH) + BODY, id="two lengths"),
        pytest.param(head(f"POST {CACHE}", f"{LENGTH}, {len(BODY)}") + BODY, id="list of lengths"),
        pytest.param(head(f"POST {CACHE}", f"Content-Length: +{len(BODY)}") + BODY, id="+"),
        pytest.param(head(f"POST {CACHE}", CHUNKED, CHUNKED) + chunk(BODY), id="chunked twice"),
        pytest.param(
            head(f"POST {CACHE}", CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0") + chunk(BODY),
            id="chunks in HTTP/1.0",
        ),
        pytest.param(head(f"POST {CACHE}", CHUNKED) + b"5\nabcde\n0\n\n", id="bare LF in chunks"),
        pytest.param(head(f"GET {CACHE}/k").replace(b"HTTP/1.1", b"HTTP/2.0"), id="HTTP/2"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 preface"),
        pytest.param(b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", id="CONNECT"),
    ],
)
def test_what_others_may_read_otherwise_is_refused(live: Inside, sent: bytes) -> None:
    smuggled = head(f"DELETE {CACHE}")
    with Wire(live.port) as wire:
        wire.send(sent + smuggled)
        answer = wire.answer()
        assert answer.status == 400
        assert answer.error
        assert wire.is_closed()


def test_another_transfer_encoding_is_501(live: Inside) -> None:
    with Wire(live.port) as wire:
        wire.send(head(f"POST {CACHE}", "Transfer-Encoding: gzip, chunked") + chunk(BODY))
        assert wire.answer().status == 501
        assert wire.is_closed()


def test_a_trailer_is_not_a_header(live: Inside) -> None:
    sent = head(f"POST {CACHE}/new", CHUNKED) + chunk(b'{"value":1}')
    with Wire(live.port) as wire:
        wire.send(sent + b"0\r\nX-HTTP-Method: DELETE\r\nIf-None-Match: *\r\n\r\n")
        assert wire.answer().status == 201


def test_a_name_with_an_underscore_is_not_one_with_a_hyphen(live: Inside) -> None:
    with Wire(live.port) as wire:
        wire.send(head(f"POST {CACHE}", "X_HTTP_Method: DELETE", LENGTH) + BODY)
        assert wire.answer().status == 201


def test_a_hundred_pipelined_requests_are_answered_in_order(live: Inside) -> None:
    with Connection(live.port) as connection:
        for number in range(10):
            pair = {"key": f"n{number}", "value": number}
            assert connection.call("POST", CACHE, pair).status == 201
    asked = [number * 7 % 10 for number in range(100)]
    for paths in (
        [f"{CACHE}/n{number}" for number in asked],
        [f"{CACHE}/n{number}{'?' * (number % 2)}" for number in asked],
    ):
        with Wire(live.port) as wire:
            wire.send(b"".join(head(f"GET {path}") for path in paths))
            assert [wire.answer().json["value"] for _ in paths] == asked


@pytest.mark.parametrize("first", [f"{CACHE}/k", f"{CACHE}/k?"])
def test_garbage_behind_a_request_is_refused_after_its_answer(live: Inside, first: str) -> None:
    with Wire(live.port) as wire:
        wire.send(head(f"GET {first}") * 3 + b"GARBAGE\r\n\r\n")
        assert [wire.answer().status for _ in range(4)] == [200, 200, 200, 400]
        assert wire.is_closed()


def test_a_broken_body_behind_a_request_is_refused_after_its_answer(live: Inside) -> None:
    broken = head(f"POST {CACHE}", CHUNKED) + b"zz\r\n"
    with Wire(live.port) as wire:
        wire.send(head(f"GET {CACHE}/k?") * 2 + broken)
        assert [wire.answer().status for _ in range(3)] == [200, 200, 400]
        assert wire.is_closed()


@pytest.mark.parametrize("path", [f"{CACHE}/k", f"{CACHE}/k?"])
def test_nothing_is_read_behind_the_last_request(live: Inside, path: str) -> None:
    with Wire(live.port) as wire:
        wire.send(head(f"GET {path}", "Connection: close") + head(f"DELETE {CACHE}"))
        answer = wire.answer()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert wire.is_closed()


@pytest.mark.parametrize("path", [f"{CACHE}/k", f"{CACHE}/k?"])
def test_http_1_0_is_answered_and_closed(live: Inside, path: str) -> None:
    with Wire(live.port) as wire:
        wire.send(head(f"GET {path}").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert wire.answer().status == 200
        assert wire.is_closed()


@pytest.mark.parametrize("path", [f"{CACHE}/k", f"{CACHE}/k?", f"{CACHE}/a%2Fb"])
def test_an_absolute_target_is_its_path(live: Inside, path: str) -> None:
    plain = call(live.port, "GET", path)
    with Wire(live.port) as wire:
        wire.send(head(f"GET http://other.example{path}"))
        answer = wire.answer()
    assert (answer.status, answer.body) == (plain.status, plain.body)


def test_head_has_the_fields_of_get_and_no_body(live: Inside) -> None:
    with Connection(live.port) as connection:
        got = connection.call("GET", f"{CACHE}/k")
        asked = connection.call("HEAD", f"{CACHE}/k")
        assert asked.status == 200
        assert asked.body == b""
        for name in ("ETag", "Content-Type", "Content-Length"):
            assert asked.headers[name] == got.headers[name]
        assert connection.call("GET", f"{CACHE}/k").status == 200


def test_expect_without_a_body_that_is_wanted(live: Inside) -> None:
    with Wire(live.port) as wire:
        wire.send(head(f"GET {CACHE}/k", "Expect: 100-continue"))
        answers = [wire.answer()]
        if answers[0].status == 100:
            answers.append(wire.answer())
        assert answers[-1].status == 200


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_over_the_limit_is_refused_to_a_client_that_goes_on_sending(
    live: Inside, framing: str
) -> None:
    limit = 8 * 1024 * 1024
    with Wire(live.port) as wire:
        if framing == "length":
            wire.send(head(f"POST {CACHE}", f"Content-Length: {limit + 1}") + b"x" * (limit + 1))
        else:
            wire.send(head(f"POST {CACHE}", CHUNKED) + chunk(b"x" * (limit + 1)) + chunk(b""))
        answer = wire.answer()
        assert answer.status == 413
        assert answer.error
        assert answer.headers["Connection"] == "close"
        assert wire.is_closed()


def test_a_service_that_stops_finishes_and_tells_who_stays(tmp_path: Path) -> None:
    with in_this_process(tmp_path) as live, contextlib.ExitStack() as stack:
        asking, by_flask, idle, sending, storing = (
            stack.enter_context(Wire(live.port)) for _ in range(5)
        )
        for wire in (asking, by_flask, idle):
            wire.send(head(f"GET {CACHE}/absent"))
            assert wire.answer().status == 404
        sending.send(head(f"POST {CACHE}/new", "Content-Length: 11") + b'{"val')
        storing.send(head(f"POST {CACHE}", LENGTH) + BODY[:5])
        well(live)
        live.begin_to_stop()
        time.sleep(0.3)
        for wire, request in ((asking, f"{CACHE}/absent"), (by_flask, f"{CACHE}/absent?")):
            wire.send(head(f"GET {request}"))
            answer = wire.answer()
            assert (answer.status, answer.headers["Connection"]) == (404, "close")
            assert wire.is_closed()
        assert idle.is_closed()
        sending.send(b'ue":1}')
        storing.send(BODY[5:])
        for wire in (sending, storing):
            answer = wire.answer()
            assert (answer.status, answer.headers["Connection"]) == (201, "close")
            assert wire.is_closed()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-days", "2", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


def test_tls_is_gunicorns_own_option(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    key, certificate_file = certificate
    options = ["--certfile", str(certificate_file), "--keyfile", str(key)]
    context = ssl.create_default_context(cafile=str(certificate_file))
    with service(tmp_path, *options, WEB_CONCURRENCY="1") as live:
        with contextlib.closing(
            http.client.HTTPSConnection("localhost", live.port, timeout=10, context=context)
        ) as connection:
            fields = {"X-DreamFactory-API-Key": KEY, "Content-Type": "application/json"}
            for method, path, body, status in [
                ("POST", CACHE, BODY, 201),
                ("GET", f"{CACHE}/sent", None, 200),
                ("GET", f"{CACHE}/sent?", None, 200),
                ("GET", f"{CACHE}/absent", None, 404),
            ]:
                connection.request(method, path, body, fields)
                response = connection.getresponse()
                response.read()
                assert response.status == status
        with Wire(live.port) as wire:
            wire.send(head(f"GET {CACHE}/sent"))
            assert wire.is_closed()
        raw = socket.create_connection(("127.0.0.1", live.port), 10)
        with context.wrap_socket(raw, server_hostname="localhost") as wire:
            wire.sendall(b"GARBAGE\r\n\r\n")
            assert wire.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert live.stop() == 0
        eventually(lambda: live.process.poll() is not None)
        assert "Traceback" not in live.log.read_text()
