"""Requests that are cut short, too large or malformed: refused in the one shape, none stored."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.http.client import Answer
from tests.support.live import CACHE, Connection, Wire, call, chunk, head
from tests.support.processes import Service, eventually, service

MIB = 1024 * 1024
KEY = Service.api_key
BODY = json.dumps({"key": "sent", "value": "whole"}).encode()
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("bodies")
    settings = {"CACHEAPI_MAX_BODY_MB": "1", "WEB_CONCURRENCY": "1"}
    with service(directory, "--access-logfile", "-", **settings) as live:
        yield live


@pytest.fixture
def live(running: Service) -> Iterator[Service]:
    """The service, empty; whatever a test sends, it answers afterwards and logs no key."""
    assert call(running.port, "DELETE", CACHE).status == 200
    before = running.workers()
    logged = running.log.stat().st_size
    yield running
    with Connection(running.port) as connection:
        body = {"key": "after", "value": 1}
        assert connection.call("POST", CACHE, body).status == 201
        assert connection.call("GET", f"{CACHE}/after").json["value"] == 1
    assert running.workers() == before
    log = running.log.read_bytes()[logged:].decode()
    assert KEY not in log
    assert "Traceback" not in log


def stored_keys(live: Service) -> list[str]:
    return [entry["key"] for entry in call(live.port, "GET", CACHE).json["resource"]]


def exchange(live: Service, *parts: bytes, end: bool = False) -> Answer:
    with Wire(live.port) as wire:
        for part in parts:
            wire.send(part)
        if end:
            wire.end()
        return wire.answer()


def large_body(size: int) -> bytes:
    value = "x" * (size - len(json.dumps({"key": "large", "value": ""})))
    return json.dumps({"key": "large", "value": value}).encode()


def test_a_body_shorter_than_announced_is_refused_and_not_stored(live: Service) -> None:
    fields = f"Content-Length: {len(BODY) + 1}"
    answer = exchange(live, head(f"POST {CACHE}", fields), BODY, end=True)
    assert answer.status == 400
    assert str(len(BODY) + 1) in answer.message
    assert stored_keys(live) == []


def test_an_announced_body_that_never_comes_is_refused(live: Service) -> None:
    answer = exchange(live, head(f"POST {CACHE}", "Content-Length: 10"), end=True)
    assert answer.status == 400
    assert answer.error


@pytest.mark.parametrize("size", [1, 7, len(BODY)])
def test_a_chunked_body_is_stored(live: Service, size: int) -> None:
    parts = [chunk(BODY[start : start + size]) for start in range(0, len(BODY), size)]
    answer = exchange(live, head(f"POST {CACHE}", CHUNKED), *parts, chunk(b""))
    assert answer.status == 201
    assert call(live.port, "GET", f"{CACHE}/sent").json["value"] == "whole"


def test_a_chunk_may_have_an_extension_and_a_body_a_trailer(live: Service) -> None:
    sent = b"%x;name=value\r\n%s\r\n0\r\nX-Trailer: yes\r\n\r\n" % (len(BODY), BODY)
    answer = exchange(live, head(f"POST {CACHE}", CHUNKED), sent)
    assert answer.status == 201
    assert stored_keys(live) == ["sent"]


def test_a_body_at_the_limit_is_stored(live: Service) -> None:
    body = large_body(MIB)
    assert len(body) == MIB
    answer = exchange(live, head(f"POST {CACHE}", f"Content-Length: {MIB}"), body)
    assert answer.status == 201
    answer = exchange(live, head(f"POST {CACHE}", CHUNKED), chunk(body), chunk(b""))
    assert answer.status == 201


@pytest.mark.parametrize("size", [MIB + 1, 4 * MIB])
def test_a_chunked_body_over_the_limit_is_413(live: Service, size: int) -> None:
    body = large_body(size)
    parts = [chunk(body[start : start + 65536]) for start in range(0, size, 65536)]
    answer = exchange(live, head(f"POST {CACHE}", CHUNKED), *parts, chunk(b""))
    assert answer.status == 413
    assert "CACHEAPI_MAX_BODY_MB" in answer.message
    assert stored_keys(live) == []


@pytest.mark.parametrize("size", [MIB + 1, 4 * MIB])
def test_a_body_over_the_limit_is_413(live: Service, size: int) -> None:
    answer = exchange(live, head(f"POST {CACHE}", f"Content-Length: {size}"), large_body(size))
    assert answer.status == 413
    assert "CACHEAPI_MAX_BODY_MB" in answer.message
    assert stored_keys(live) == []


@pytest.mark.parametrize("size", [MIB + 1, 2**40])
def test_a_body_announced_over_the_limit_is_413_before_it_is_sent(live: Service, size: int) -> None:
    answer = exchange(live, head(f"POST {CACHE}", f"Content-Length: {size}"))
    assert answer.status == 413
    assert answer.error


def test_a_refused_body_is_not_taken_for_the_next_request(live: Service) -> None:
    smuggled = head(f"DELETE {CACHE}")
    call(live.port, "POST", CACHE, {"key": "kept", "value": 1})
    with Wire(live.port) as wire:
        wire.send(head(f"POST {CACHE}", f"Content-Length: {64 * MIB}") + smuggled)
        wire.end()
        assert wire.answer().status == 413
        assert wire.is_closed()
    assert stored_keys(live) == ["kept"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"%x\r\n%s" % (len(BODY) + 5, BODY), id="half a chunk"),
        pytest.param(chunk(BODY), id="no last chunk"),
        pytest.param(chunk(BODY) + b"0\r\n", id="no end of the trailer"),
        pytest.param(b"%x\r\n" % len(BODY), id="a size alone"),
    ],
)
def test_a_truncated_chunked_body_is_refused_and_not_stored(live: Service, sent: bytes) -> None:
    answer = exchange(live, head(f"POST {CACHE}", CHUNKED), sent, end=True)
    assert answer.status == 400
    assert answer.error
    assert stored_keys(live) == []


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"zz\r\n" + BODY + b"\r\n0\r\n\r\n", id="no number"),
        pytest.param(b"-5\r\n" + BODY + b"\r\n0\r\n\r\n", id="negative"),
        pytest.param(b"0x10\r\n" + BODY + b"\r\n0\r\n\r\n", id="0x"),
        pytest.param(b"\r\n" + BODY + b"\r\n0\r\n\r\n", id="empty"),
        pytest.param(b"%x\r\n%s" % (len(BODY) - 3, BODY) + b"\r\n0\r\n\r\n", id="too small"),
        pytest.param(b"%x;\x01\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), id="bad extension"),
        pytest.param(chunk(BODY) + b"0\r\nno trailer\r\n\r\n", id="bad trailer"),
    ],
)
def test_a_badly_framed_chunk_is_refused_and_not_stored(live: Service, sent: bytes) -> None:
    answer = exchange(live, head(f"POST {CACHE}", CHUNKED), sent, end=True)
    assert answer.status == 400
    assert answer.error
    assert stored_keys(live) == []


def test_a_client_that_waits_to_continue_is_told_to(live: Service) -> None:
    fields = (f"Content-Length: {len(BODY)}", "Expect: 100-continue")
    with Wire(live.port) as wire:
        wire.send(head(f"POST {CACHE}", *fields))
        assert wire.answer().status == 100
        wire.send(BODY)
        assert wire.answer().status == 201
    assert stored_keys(live) == ["sent"]


def many(name: str, count: int) -> list[str]:
    return [f"{name}-{number}: x" for number in range(count)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GARBAGE\r\n\r\n", 400, id="no request line"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400, id="TLS"),
        pytest.param(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, id="unknown version"),
        pytest.param(b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="bad method"),
        pytest.param(head(f"GET {CACHE}/" + "k" * 9000), 414, id="URI too long"),
        pytest.param(head("GET /", "X-Large: " + "x" * 9000), 431, id="header too large"),
        pytest.param(head("GET /", *many("X", 100)), 431, id="too many headers"),
        pytest.param(head("GET /", "no colon"), 400, id="header without a colon"),
        pytest.param(head("GET /", "X-Name : x"), 400, id="space before the colon"),
        pytest.param(head("GET /", "X-Name: a\0b"), 400, id="NUL in a header"),
        pytest.param(head("GET /", " folded"), 400, id="folded header"),
        pytest.param(head("GET /", "Expect: miracles"), 417, id="unknown expectation"),
        pytest.param(
            head(f"POST {CACHE}", f"Content-Length: {len(BODY)}", CHUNKED)
            + chunk(BODY)
            + chunk(b""),
            400,
            id="a length and chunks",
        ),
        pytest.param(
            head(f"POST {CACHE}", f"Content-Length: {len(BODY)}", "Content-Length: 5") + BODY,
            400,
            id="two lengths",
        ),
        pytest.param(
            head(f"POST {CACHE}", *[f"Content-Length: {len(BODY)}"] * 2) + BODY,
            400,
            id="the same length twice",
        ),
        pytest.param(head(f"POST {CACHE}", "Content-Length: -1") + BODY, 400, id="length -1"),
        pytest.param(head(f"POST {CACHE}", "Content-Length: 1e1") + BODY, 400, id="length 1e1"),
        pytest.param(head(f"POST {CACHE}", "Content-Length: ") + BODY, 400, id="empty length"),
        pytest.param(
            head(f"POST {CACHE}", "Transfer-Encoding: chunked, gzip") + chunk(BODY) + chunk(b""),
            400,
            id="chunked not last",
        ),
        pytest.param(
            head(f"POST {CACHE}", "Transfer-Encoding: \x0bchunked") + chunk(BODY) + chunk(b""),
            400,
            id="chunked after a control character",
        ),
        pytest.param(head(f"DELETE {CACHE}/a#b"), 400, id="fragment in the path"),
        pytest.param(head(f"GET {CACHE}?key=a#b"), 400, id="fragment in the query"),
        pytest.param(
            head(f"GET {CACHE}/a", "Script_Name: /api"), 404, id="mount point from a client"
        ),
        pytest.param(head(f"GET {CACHE}/%FF"), 400, id="path that is not UTF-8"),
        pytest.param(head(f"PROPFIND {CACHE}/key"), 405, id="unknown method"),
        pytest.param(head("GET /nowhere"), 404, id="unknown path"),
    ],
)
def test_a_malformed_request_gets_the_one_shape_of_an_error(
    live: Service, sent: bytes, status: int
) -> None:
    answer = exchange(live, sent, end=True)
    assert answer.status == status
    assert answer.error["code"] == status
    assert KEY not in answer.body.decode()
    assert stored_keys(live) == []


def test_gunicorns_option_switches_the_access_log_on(live: Service) -> None:
    lines = [f"GET {CACHE}/logged?api_key={KEY} HTTP/1.1", "Host: a", "X-Request-ID: one", "", ""]
    answer = exchange(live, "\r\n".join(lines).encode())
    assert answer.status == 404
    line = "request_id={} client=127.0.0.1 method=GET route=/api/v2/{{service}}/{{key}}"
    eventually(lambda: line.format("one") in live.log.read_text())
    assert exchange(live, head(f"GET {CACHE}/by-the-lane", "X-Request-ID: two")).status == 404
    eventually(lambda: line.format("two") in live.log.read_text())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(f"GET {CACHE}?api_key={KEY} HTTP/9.9\r\n\r\n", id="unknown version"),
        pytest.param(f"GET {CACHE}?api_key={KEY}\r\n\r\n", id="no version"),
        pytest.param(f"GET {CACHE}?api%5Fkey={KEY}\r\n\r\n", id="encoded name"),
        pytest.param(f"GET {CACHE}?api_key={KEY}&x={'x' * 9000} HTTP/1.1\r\n\r\n", id="too long"),
        pytest.param(
            f"GET / HTTP/1.1\r\nX-DreamFactory-API-Key: {KEY}\0\r\n\r\n", id="NUL in the header"
        ),
        pytest.param(
            f"GET / HTTP/1.1\r\nX-DreamFactory-API-Key : {KEY}\r\n\r\n", id="space before the colon"
        ),
        pytest.param(f"GET / HTTP/1.1\r\nX-DreamFactory-API-Key {KEY}\r\n\r\n", id="no colon"),
        pytest.param(f"GET / HTTP/1.1\r\nAuthorization: Bearer\r\n {KEY}\r\n\r\n", id="folded"),
        pytest.param(
            f"GET / HTTP/1.1\r\nAuthorization: Bearer {KEY}{'x' * 9000}\r\n\r\n", id="too large"
        ),
    ],
)
def test_a_request_that_cannot_be_read_does_not_repeat_its_key(live: Service, sent: str) -> None:
    answer = exchange(live, sent.encode(), end=True)
    assert 400 <= answer.status < 500
    assert answer.error
    assert KEY not in answer.body.decode()


def test_pipelined_requests_are_answered_in_order(live: Service) -> None:
    requests = [
        head(f"POST {CACHE}", f"Content-Length: {len(BODY)}") + BODY,
        head(f"GET {CACHE}/sent"),
        head(f"GET {CACHE}/absent"),
        head(f"POST {CACHE}/chunked", CHUNKED) + chunk(b'{"value":') + chunk(b"2}") + chunk(b""),
        head(f"GET {CACHE}?keys=sent,chunked"),
        head(f"DELETE {CACHE}/sent"),
    ]
    with Wire(live.port) as wire:
        wire.send(b"".join(requests))
        answers = [wire.answer() for _ in requests]
    assert [answer.status for answer in answers] == [201, 200, 404, 201, 200, 200]
    assert answers[1].json["value"] == "whole"
    assert [entry["value"] for entry in answers[4].json["resource"]] == ["whole", 2]
    assert stored_keys(live) == ["chunked"]


@pytest.mark.parametrize("path", [f"{CACHE}/absent", "/nowhere", f"{CACHE}?limit=x"])
def test_a_body_that_no_view_reads_does_not_disturb_the_next_request(
    live: Service, path: str
) -> None:
    with Wire(live.port) as wire:
        wire.send(head(f"GET {path}", f"Content-Length: {len(BODY)}") + BODY)
        assert wire.answer().status in (400, 404)
        wire.send(head("GET /api/v2/"))
        assert wire.answer().status == 200
