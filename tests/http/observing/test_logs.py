"""The log of a live service: a line a request, the same for both lanes, and no secret in it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.apps import UNHURRIED
from tests.support.live import CACHE, Connection, Wire, call, head
from tests.support.processes import Service, eventually, service
from tests.support.redis import PASSWORD, locked_redis

API_KEY = Service.api_key
VALUE = "a-planted-value-3141"
ENTRY = "a-planted-key-2718"
OTHER = "a-planted-header-1618"
SECRETS = (API_KEY, VALUE, ENTRY, OTHER, PASSWORD, "sEcReT-key")


def lines(live: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in live.log.read_text().splitlines() if line[:1] == "{"]


def encoded(text: str) -> str:
    """Return a text with every character percent-encoded."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def test_both_lanes_write_the_same_line_and_give_the_id_back(tmp_path: Path) -> None:
    settings = {"CACHEAPI_ACCESS_LOG": "all", "CACHEAPI_LOG_FORMAT": "json"}
    settings |= {"CACHEAPI_LOG_KEYS": "hash", "WEB_CONCURRENCY": "1"}
    with (
        service(tmp_path, app=UNHURRIED, **settings) as live,
        Connection(live.port) as connection,
    ):
        body = {"key": "k", "value": 1}
        answers = [
            connection.call("POST", CACHE, body, {"X-Request-ID": "store"}),
            connection.call("GET", f"{CACHE}/k", headers={"X-Request-ID": "fast"}),
            connection.call("GET", f"{CACHE}/k?ttl=false", None, {"X-Request-ID": "flask"}),
            connection.call("GET", f"{CACHE}/k"),
            connection.call("GET", f"{CACHE}/k"),
            connection.call("GET", f"{CACHE}?keys=k", headers={"X-Request-ID": "no plain id"}),
        ]
        ids = [answer.headers["X-Request-ID"] for answer in answers]
        assert ids[:3] == ["store", "fast", "flask"]
        assert len({*ids}) == 6
        found = eventually(lambda: len(lines(live)) == 6 and lines(live), 20)
        assert [line["request_id"] for line in found] == ids
        store, fast, flask, *_, several = found
        assert (store["status"], store["lane"], store["method"]) == (201, "fast", "POST")
        assert (fast.pop("lane"), flask.pop("lane")) == ("fast", "flask")
        for line in (fast, flask):
            for name in ("time", "request_id", "ms"):
                assert line.pop(name)
        assert fast == flask
        assert fast == {
            "client": "127.0.0.1",
            "method": "GET",
            "route": "/api/v2/{service}/{key}",
            "service": "cache",
            "status": 200,
            "bytes": len(answers[1].body),
            "key": fast["key"],
        }
        assert several["route"] == "/api/v2/{service}"
        assert "key" not in several
        call(live.port, "GET", "/api/v2/system/service/cache")
        call(live.port, "GET", "/nothing")
        found = eventually(lambda: len(lines(live)) == 8 and lines(live), 20)
        assert found[6]["route"] == "/api/v2/system/service/{reference}"
        assert (found[6]["service"], found[7]["route"]) == ("", "")


def test_reads_that_come_again_have_lines_of_their_own(tmp_path: Path) -> None:
    settings = {"CACHEAPI_ACCESS_LOG": "all", "CACHEAPI_LOG_FORMAT": "json"}
    settings |= {"CACHEAPI_LOG_KEYS": "hash", "WEB_CONCURRENCY": "1"}
    turns = [["a"], ["b"], ["c", "d"], ["e"], ["f"] * 3]
    keys = [key for turn in turns for key in turn]
    with service(tmp_path, app=UNHURRIED, **settings) as live, Wire(live.port) as wire:
        ids = []
        for turn in turns:
            wire.send(b"".join(head(f"GET {CACHE}/{key}") for key in turn))
            ids += [wire.answer().headers["X-Request-ID"] for _ in turn]
        found = eventually(lambda: len(lines(live)) == len(keys) and lines(live), 20)
        hashes = [line["key"] for line in found]
        assert [hashes.index(text) for text in hashes] == [keys.index(key) for key in keys]
        assert [line["request_id"] for line in found] == ids
        assert {line["lane"] for line in found} == {"fast"}


def test_while_no_line_is_written_no_id_is_given(tmp_path: Path) -> None:
    with service(tmp_path, WEB_CONCURRENCY="1") as live, Connection(live.port) as connection:
        for path in (f"{CACHE}/k", f"{CACHE}/k?check_exist=true"):
            answer = connection.call("GET", path, headers={"X-Request-ID": "one"})
            assert "X-Request-ID" not in answer.headers
        assert "status=" not in live.log.read_text()


def planted() -> list[bytes]:
    """Return requests that have a secret wherever one can be, and must be answered."""
    pair = json.dumps({"key": ENTRY, "value": VALUE, "ttl": 60})
    wrong = json.dumps({"key": ENTRY, "value": VALUE, "ttl": VALUE})
    basic = base64.b64encode(f"user:{API_KEY}".encode()).decode()
    fields = [f"User-Agent: {OTHER}", f"Referer: http://a/?k={OTHER}", f"Cookie: a={OTHER}"]

    def stored(text: str, target: str = CACHE, *more: str) -> bytes:
        length = f"Content-Length: {len(text)}"
        return head(f"POST {target}", *fields, length, *more) + text.encode()

    keyless = "GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n"
    return [
        stored(pair),
        stored(wrong),
        stored(pair[:-1]),
        stored(pair, f"{CACHE}?ttl={OTHER}"),
        stored(pair, f"{CACHE}/{ENTRY}", f"X-HTTP-Method: {OTHER}"),
        head(f"GET {CACHE}/{ENTRY}", *fields, f"X-Request-ID: {API_KEY}"),
        head(f"GET {CACHE}/{ENTRY}?default={VALUE}", *fields, f"X-Request-ID: {API_KEY}"),
        head(f"GET {CACHE}/{encoded(ENTRY)}", f"If-None-Match: {OTHER}"),
        head(f"GET {CACHE}?keys={ENTRY},{quote(VALUE)}", f"X-Forwarded-For: {OTHER}"),
        head(f"GET {CACHE}?prefix={ENTRY}&cursor={OTHER}"),
        head(f"DELETE {CACHE}?misspelt={ENTRY}"),
        head(f"GET /api/v2/{API_KEY}/{ENTRY}"),
        head(f"GET /{API_KEY}/{ENTRY}?{VALUE}"),
        head(f"GET /api/v2/system/service/{ENTRY}"),
        keyless.format(f"{CACHE}/{ENTRY}?api_key={API_KEY}", "").encode(),
        keyless.format(f"{CACHE}/{ENTRY}?api%5Fkey={encoded(API_KEY)}", "").encode(),
        keyless.format(f"{CACHE}/{ENTRY}?API_KEY={API_KEY}", "").encode(),
        keyless.format(f"{CACHE}/{ENTRY}", f"Authorization: Bearer {API_KEY}\r\n").encode(),
        keyless.format(f"{CACHE}/{ENTRY}", f"Authorization: Basic {basic}\r\n").encode(),
        keyless.format(f"{CACHE}/{ENTRY}", "X-DreamFactory-API-Key: sEcReT-key\r\n").encode(),
        keyless.format(f"{CACHE}/{API_KEY}{'x' * 9000}", "").encode(),
        keyless.format(f"{CACHE}/{ENTRY}", f"X-Large: {API_KEY}{'x' * 9000}\r\n").encode(),
        keyless.format(f"{CACHE}/{API_KEY}#{ENTRY}", "").encode(),
        f"{API_KEY} {CACHE}/{ENTRY} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
        f"GET {CACHE}?api_key={API_KEY}\r\n\r\n".encode(),
    ]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("arguments", [(), ("-k", "gthread")], ids=["our worker", "gthread"])
def test_no_line_has_a_value_a_password_or_an_api_key(
    tmp_path: Path, arguments: tuple[str, ...], form: str
) -> None:
    settings = {"CACHEAPI_ACCESS_LOG": "all", "CACHEAPI_LOG_FORMAT": form, "WEB_CONCURRENCY": "1"}
    settings |= {"CACHE_DRIVER": "redis", "CACHEAPI_LOG_KEYS": "hash", "REDIS_TIMEOUT_MS": "3000"}
    gunicorns_own = ("--access-logfile", "-") if arguments else ()
    with (
        locked_redis() as server,
        service(tmp_path, *arguments, *gunicorns_own, **settings, **server.settings) as live,
    ):
        for sent in planted():
            with Wire(live.port) as wire:
                wire.send(sent)
                assert wire.answer().status >= 200
        server.kill()
        for sent in planted():
            with Wire(live.port) as wire:
                wire.send(sent)
                assert wire.answer().status >= 200
        live.stop()
        log = live.log.read_text()
        assert "Connection refused" in log
        assert log.count("status" if form == "text" else '"status"') >= 40
        for secret in SECRETS:
            assert secret not in log
            assert encoded(secret) not in log
            assert base64.b64encode(secret.encode()).decode() not in log


def test_errors_alone_get_a_line(tmp_path: Path) -> None:
    settings = {"CACHEAPI_ACCESS_LOG": "errors", "CACHEAPI_LOG_FORMAT": "json"}
    with (
        service(tmp_path, WEB_CONCURRENCY="1", **settings) as live,
        Connection(live.port) as connection,
    ):
        for _ in range(20):
            assert connection.call("GET", f"{CACHE}/absent").status == 404
            assert connection.call("GET", f"{CACHE}/absent?check_exist=true").status == 200
        with Wire(live.port) as wire:
            wire.send(b"NONSENSE\r\n\r\n")
            assert wire.answer().status == 400
        assert connection.call("POST", CACHE, []).status == 400
        assert call(live.port, "GET", f"{CACHE}/k", key="wrong").status == 401
        found = eventually(lambda: len(lines(live)) >= 3 and lines(live), 20)
        assert [(line["status"], line["lane"]) for line in found] == [
            (400, ""),
            (400, "flask"),
            (401, "flask"),
        ]
