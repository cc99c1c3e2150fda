"""The fast lane: what it takes, and that its answers are Flask's, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backends.errors import Failed
from cacheapi import create_app, load
from cacheapi.serving import health
from cacheapi.serving.beside import MOST_NEAR, NEAR_AT_ONCE
from cacheapi.serving.lane import MOST_AT_ONCE, Lane
from cacheapi.web.access import ACCESS
from cacheapi.web.auth import HEADER
from tests.http.client import FileStore, close_app
from tests.support.apps import lane_alone as lane_alone_app
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Connection, Wire, head
from tests.support.processes import Service, service

KEY = Service.api_key
AUTH = f"X-DreamFactory-API-Key: {KEY}"
# The order of methods in "Allow" depends on Python's hashes.
ALIKE = {"WEB_CONCURRENCY": "1", "PYTHONHASHSEED": "0"}
DATE = re.compile(rb"date: [^\r]*\r\n")
FIELDS = [(b"host", b"h"), (HEADER.lower().encode(), KEY.encode())]

VALUES = {
    "k": b'{"a": [1, 2.50, "\xc3\xa9"]}',
    "null": b"null",
    "spaced": b" \t[1,  2]\n",
    "text": "plain täxt".encode(),
    "number": b"12345678901234567890123",
    "constant": b"NaN",
    "infinite": b"1e999",
    "surrogate": b'"\\ud800"',
    "bytes": b"\xff\x00\xfe",
    "empty": b"",
    "quote": b'say "hi"',
    "deep": b"[" * 3000,
    "a b": b"1",
    "a/b": b"2",
    "a//b": b"3",
    "./..": b"4",
    "/": b"5",
    "é\u2028\U0001f600": b"6",
    "a+b&c=d;e": b"7",
    "%41": b"8",
    'q"\\': b"9",
}


def fill(directory) -> None:
    store = FileStore(directory)
    for key, value in VALUES.items():
        store.plant(key, value)
        # For those that change them.
        store.plant(f"changed/{key}", value)


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("lane"), **ALIKE) as live:
        fill(live.directory / "data")
        yield live


@pytest.fixture(scope="module")
def flask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    app = "tests.support.apps:flask_alone()"
    with service(tmp_path_factory.mktemp("flask"), app=app, **ALIKE) as live:
        fill(live.directory / "data")
        yield live


@pytest.fixture(scope="module")
def lane_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """The lane with an application that answers 418 to all that the lane leaves."""
    directory = tmp_path_factory.mktemp("alone")
    settings = {"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(directory)}
    app = lane_alone_app(load(settings, None))
    fill(directory)
    # A busy machine is not the backend's fault here.
    with pytest.MonkeyPatch.context() as patch, inside(app, directory) as live:
        patch.setattr(health, "SLOW_SECONDS", 60)
        yield live
    close_app(app)


def request(target: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def all_answers(live: Service, sent: bytes) -> bytes:
    """Return all that comes until the server closes, without dates."""
    with socket.create_connection(("127.0.0.1", live.port), 10) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65536):
            received += part
    return DATE.sub(b"", received)


# What the lane takes


def store(body: object, *fields: str, method: str = "POST", target: str = CACHE) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(f"{method} {target}", f"Content-Length: {len(text)}", *fields) + text


PAIR = {"key": "stored", "value": {"a": 1}, "ttl": 60}

TAKEN = [
    (head(f"GET {CACHE}?keys=k,absent,k"), 200),
    (head(f"GET {CACHE}?key=a%2Cb&keys=k"), 200),
    (store(PAIR), 201),
    (store({"resource": [PAIR, {"key": "b", "value": None}]}), 201),
    (head(f"GET {CACHE}/k"), 200),
    (head("GET /api/v2/local/k"), 200),
    (head(f"GET {CACHE}/absent"), 404),
    (head(f"GET {CACHE}/a%20b"), 200),
    (head(f"GET {CACHE}/a//b"), 200),
    (head(f"GET {CACHE}/bytes"), 200),
    (head(f"GET {CACHE}/k", "If-None-Match: *"), 304),
    (head(f"GET {CACHE}/k", 'If-None-Match: "other"'), 200),
    (head(f"GET {CACHE}/k", "User-Agent: x", "Accept-Encoding: gzip", "Cookie: a=b"), 200),
    # As Java's client sends each.
    (head(f"GET {CACHE}/k", "Content-Length: 0"), 200),
    (head(f"GET {CACHE}/k", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"), 200),
    (request(f"{CACHE}/k", "HOST: a", f"authorization: bearer {KEY}"), 200),
    (request(f"{CACHE}/k", "Host: a:80", AUTH, version="1.0"), 200),
    (head(f"HEAD {CACHE}/k"), 200),
    (head(f"HEAD {CACHE}/absent"), 404),
    (head(f"GET {CACHE}/k?check_exist=true"), 200),
    (head(f"GET {CACHE}/absent?default=x"), 200),
    (head(f"GET {CACHE}/absent?pull=true"), 404),
    (head(f"DELETE {CACHE}/absent"), 404),
    (head(f"DELETE {CACHE}/absent", "Content-Length: 0"), 404),
    (head(f"DELETE {CACHE}?keys=absent,gone"), 200),
    (store({"value": 1}, target=f"{CACHE}/k"), 400),
    (store({"value": 1}, method="PUT", target=f"{CACHE}/absent"), 404),
    (store({"increment": 1, "initial": 5, "ttl": 60}, method="PATCH", target=f"{CACHE}/n"), 200),
    (store({"ttl": 60}, method="PATCH", target=f"{CACHE}/absent"), 404),
    (store({"increment": 1}, method="PATCH", target=f"{CACHE}/k"), 400),
]
LEFT = [
    head(f"GET {CACHE}?keys="),
    head(f"GET {CACHE}?keys=k", "If-None-Match: *"),
    store(PAIR, 'If-None-Match: "x"'),
    head(f"GET {CACHE}/k", "If-None-Match:"),
    head(f"GET {CACHE}/k", "If-None-Match: x"),
    head(f"GET {CACHE}?keys=k,,k"),
    head(f"GET {CACHE}?keys=k&api_key={KEY}"),
    head(f"GET {CACHE}?keys=%FF"),
    head(f"GET {CACHE}?prefix=k"),
    head(f"DELETE {CACHE}"),
    head(f"DELETE {CACHE}?keys=absent", "If-Match: *"),
    head(f"DELETE {CACHE}/absent", 'If-None-Match: "x"'),
    head(f"DELETE {CACHE}/absent?x=1"),
    head(f"DELETE {CACHE}/absent", "Content-Length: 2") + b"{}",
    head(f"HEAD {CACHE}?keys=k"),
    head(f"GET {CACHE}/k?check_exist=maybe"),
    head(f"GET {CACHE}/k?ttl=true"),
    head(f"GET {CACHE}?keys=k&details=true"),
    head(f"GET {CACHE}?keys=k&limit=2"),
    head(f"GET {CACHE}/k?check_exist=true", 'If-None-Match: "x"'),
    head(f"GET {CACHE}/k?api_key={KEY}"),
    store({"value": 1, "ttl": 1.5}, method="PUT", target=f"{CACHE}/k"),
    store({"value": 1}, method="PUT", target=f"{CACHE}/k?ttl=5"),
    store({"value": 1}, method="PUT"),
    store({"initial": 1}, method="PATCH", target=f"{CACHE}/k"),
    store({"increment": True}, method="PATCH", target=f"{CACHE}/k"),
    store({}, method="PATCH", target=f"{CACHE}/k"),
    store({"value": 1}, "If-None-Match: *", method="PUT", target=f"{CACHE}/k"),
    store(PAIR, "X-HTTP-Method: GET"),
    store(PAIR, "Content-Encoding: identity"),
    store(PAIR, target=f"{CACHE}?ttl=5"),
    store({**PAIR, "ttl": -2}),
    store({**PAIR, "more": 1}),
    store({**PAIR, "key": ""}),
    store({"resource": []}),
    store(b"{"),
    store(b""),
    store({**PAIR, "value": "x" * 300_000}),
    head(f"POST {CACHE}", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    head(f"POST {CACHE}", "Content-Length: 2").replace(b"json", b"x") + b"{}",
    head(f"GET {CACHE}"),
    head(f"GET {CACHE}/"),
    head(f"GET {CACHE}/k?"),
    head(f"GET http://127.0.0.1{CACHE}/k"),
    head(f"GET /{CACHE}/k"),
    head("GET /api/v2/nothing/k"),
    head("GET /api/v2/%63ache/k"),
    head(f"GET {CACHE}/%FF"),
    head(f"GET {CACHE}/{'k' * 1025}"),
    head(f"GET {CACHE}/k", "If-Match: *"),
    head(f"GET {CACHE}/k", "X-HTTP-Method: DELETE"),
    head(f"GET {CACHE}/k", "Content-Length: 1") + b"x",
    head(f"GET {CACHE}/k", 'If-None-Match: "a"', 'If-None-Match: "b"'),
    head(f"GET {CACHE}/k", AUTH),
    request(f"{CACHE}/k", "Host: a"),
    request(f"{CACHE}/k", "Host: a", AUTH + "x"),
    request(f"{CACHE}/k", "Host: a b", AUTH),
    request(f"{CACHE}/k", "Host: a", f"X_DreamFactory_API_Key: {KEY}"),
]


@pytest.mark.parametrize(("sent", "status"), TAKEN, ids=lambda value: str(value)[:60])
def test_a_plain_read_is_the_lanes(lane_alone: Inside, sent: bytes, status: int) -> None:
    with Wire(lane_alone.port) as wire:
        wire.send(sent)
        assert wire.answer().status == status


@pytest.mark.parametrize("sent", LEFT, ids=lambda value: str(value)[:60])
def test_all_else_is_left_to_flask(lane_alone: Inside, sent: bytes) -> None:
    with Wire(lane_alone.port) as wire:
        wire.send(sent)
        assert wire.answer().status == 418


class Taker:
    """A connection that keeps the statuses of its answers."""

    client = None

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.is_full = False
        self.reads = 0

    def flush(self) -> None:
        pass

    def end(self) -> None:
        pass

    def answer(self, status: int, fields: str, body: bytes | None, keep_alive: bool) -> None:
        self.statuses.append(status)
        self.reads = 0


@pytest.mark.usefixtures("never_slow")
@pytest.mark.parametrize("stores", [False, True])
def test_one_turn_takes_no_more_lists_than_it_can_answer_soon(tmp_path: Path, stores: bool) -> None:
    app = create_app(load({"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(tmp_path)}, None))
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        turn, taker = Lane(app.extensions[ACCESS], loop, None), Taker()
        target, fields = CACHE.encode(), FIELDS
        names = [f"{number}" for number in range(1000)]
        listed = target + b"?keys=" + ",".join(names).encode()
        pairs = json.dumps({"resource": [{"key": name, "value": 1} for name in names]}).encode()

        posted = [*fields, (b"content-length", str(len(pairs)).encode())]

        def takes_list() -> bool:
            if stores:
                taker.reads = 0
                return turn.take(taker, b"POST", target, posted, True, pairs) is not None
            return turn.take(taker, b"GET", listed, fields, True) is not None

        for _ in range(2):
            taken = 0
            while takes_list():
                taken += 1
            assert taken == MOST_AT_ONCE // 1000
            # One key costs next to nothing.
            assert turn.take(taker, b"GET", target + b"/7", fields, True) is not None
            turn.turns.answer()
            assert len(taker.statuses) == taken + 1
            taker.statuses.clear()
    close_app(app)


@pytest.mark.usefixtures("never_slow")
def test_one_turn_takes_few_large_bodies(tmp_path: Path) -> None:
    app = create_app(load({"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(tmp_path)}, None))
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        turn, taker = Lane(app.extensions[ACCESS], loop, None), Taker()
        body = json.dumps({"value": "x" * 200_000}).encode()
        fields = [*FIELDS, (b"content-length", str(len(body)).encode())]
        target, number = CACHE.encode() + b"/%d", 0
        while turn.take(taker, b"PUT", target % number, fields, True, body) is not None:
            number += 1
        assert 500_000 < number * len(body) < 1_000_000
        turn.turns.answer()
        assert len(taker.statuses) == number
        assert turn.take(taker, b"PUT", target % number, fields, True, body) is not None
        turn.turns.answer()
    close_app(app)


def test_a_write_is_seen_by_the_next_read(lane: Service) -> None:
    with Connection(lane.port) as client:
        for turn in range(50):
            assert client.call("POST", CACHE, {"key": "turn", "value": turn}).status == 201
            assert client.call("GET", f"{CACHE}/turn").json["value"] == turn
        assert client.call("DELETE", f"{CACHE}/turn").status == 200
        assert client.call("GET", f"{CACHE}/turn").status == 404


# That its answers are Flask's


def encoded(draw: st.DrawFn, key: str) -> str:
    """Return a key as clients may write it: any byte may be percent-encoded."""
    plain = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/+&=;:@!$'()*,")
    text = ""
    for byte in key.encode():
        if byte in plain and not draw(st.booleans()):
            text += chr(byte)
        else:
            text += draw(st.sampled_from(["%{:02X}", "%{:02x}"])).format(byte)
    return text


OTHER_ROOTS = """
/api/v2
/api/v2/Cache
/api/v2/docs
/api/v2/local
/api/v2/nothing
/api/v2/%63ache
/api/v2/./cache
/api//v2/cache
/API/v2/cache
//api/v2/cache
http://h/api/v2/cache
*
""".strip().splitlines()
OTHER_FIELDS = """
User-Agent: t
If-Match: *
if-match: "x"
Accept: text/html
X-HTTP-Method: GET
X-HTTP-Method-Override: DELETE
Range: bytes=0-1
If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT
If-Range: "x"
Content-Length: 0
Content-Type: text/plain
Accept-Encoding: gzip
X-Forwarded-Host: h
Forwarded: for=1
Cookie: a=b
Connection: keep-alive
Connection: close
Expect: x
Expect: 100-continue
Upgrade: h2c
Transfer-Encoding: identity
""".strip().splitlines()


@st.composite
def targets(draw: st.DrawFn) -> str:
    keys = st.one_of(
        st.sampled_from(list(VALUES)),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.lists(st.sampled_from(["", ".", "..", "a", "b"]), max_size=5).map("/".join),
    )
    key = encoded(draw, draw(keys))
    root = draw(
        st.one_of(
            st.just(CACHE),
            st.sampled_from(OTHER_ROOTS),
        )
    )
    tail = draw(
        st.one_of(
            st.just(""),
            st.sampled_from(
                ["?", "?x=1", "?default=d", "?check_exist=true", "#f", "%", "%4", "%zz"]
            )
            | st.sampled_from(
                [f"?api_key={KEY}", "%FF", "%C3", "%00", "%2e%2e", "/", "//", "?clear=0"]
            ),
        )
    )
    return f"{root}/{key}{tail}"


TAGS = ['"x"', "*", "W/*", "", '"', 'W/"x"', "x, y", '"x",*', "x" * 300]


BODIES = [
    PAIR,
    {**PAIR, "key": "k"},
    {"resource": [PAIR, {"key": "a b", "value": "é"}, {**PAIR, "value": 1e5}]},
    {"resource": [PAIR, {**PAIR, "ttl": 1.5}, {"key": "", "value": 1}]},
    {"resource": [PAIR], "ttl": 5},
    {"key": "k" * 1025, "value": 1},
    [PAIR],
    [],
    {},
    b"",
    b"{",
    b"null",
    b'{"key":"big","value":1' + b"0" * 5000 + b"}",
    b'{"key":"k","value":NaN}',
    b'{"key":"k","value":"\\ud800"}',
    b'{"key":"\xff","value":1}',
    b' \n{"value" : [1,  2],"key":"k","value":{"value": 3 }}\t',
]


@st.composite
def stores(draw: st.DrawFn) -> bytes:
    target = CACHE + draw(st.sampled_from(["", "", "", "", "/", "?ttl=100", "?forever=true", "?"]))
    body = draw(st.sampled_from(BODIES))
    fields = draw(st.lists(st.sampled_from(OTHER_FIELDS[:15]), max_size=1))
    return store(body, *fields, target=target)


VALUE_BODIES = [
    {"value": {"a": [1, 2.5]}, "ttl": 60},
    {"value": None},
    {"value": "x", "ttl": None},
    {"value": 1, "ttl": -1},
    {"value": 1, "ttl": -2},
    {"value": 1, "ttl": "5"},
    {"value": 1, "more": 2},
    {"ttl": 60},
    {"value": "aGk=", "encoding": "base64"},
    b'{"value":1,"value":2}',
    b'{"value":NaN}',
    b'{"value":1e999}',
    b'{"value":"\\ud800"}',
    b'{"value":' + b"[" * 3000 + b"]" * 3000 + b"}",
    b"{",
    b"",
    b"[1]",
]
CHANGE_BODIES = [
    {"ttl": 60},
    {"ttl": 0},
    {"ttl": None},
    {"ttl": 1.0},
    {"ttl": True},
    {"ttl": 3000000},
    {"increment": 1},
    {"increment": 0},
    {"increment": -5, "initial": 100, "ttl": 60},
    {"increment": 1, "initial": None},
    {"increment": 2**63},
    {"increment": 1, "initial": 2**63},
    {"increment": 2**70},
    {"increment": "1"},
    {"increment": 1.0},
    {"increment": False},
    {"initial": 1},
    {"initial": 1, "ttl": 5},
    {"increment": 1, "ttl": 60},
    {"increment": 1, "value": 1},
    b'{"increment":1,"increment":2}',
    b"{}",
    b"5",
]
OPTIONS = [
    *("check_exist=true", "check_exist=0", "check_exist=1&clear=true", "check_exist=x"),
    *("default=d", "default=%22", "default=d&default=e", "default=%FF", "default"),
    *("pull=true", "clear=yes", "clear=maybe", "pull=1&default=d", "x=1", "ttl=60"),
]


@st.composite
def changes(draw: st.DrawFn) -> bytes:
    """Return a request of any verb about one key, or one that deletes some."""
    own = [f"changed/{key}" for key in VALUES]
    keys = st.sampled_from([*own, "n", "n", "stored", "stored", "absent", "k" * 1025])
    target = f"{CACHE}/{encoded(draw, draw(keys))}"
    fields = draw(
        st.sampled_from(
            [[]] * 6
            + [["If-Match: *"], ['If-None-Match: "x"'], ["If-None-Match: *"], ["Content-Length: 0"]]
        )
    )
    method = draw(st.sampled_from(["PUT", "POST", "PATCH", "DELETE", "HEAD", "GET", "LIST"]))
    if method in ("PUT", "POST"):
        return store(draw(st.sampled_from(VALUE_BODIES)), *fields, method=method, target=target)
    if method == "PATCH":
        return store(draw(st.sampled_from(CHANGE_BODIES)), *fields, method=method, target=target)
    if method == "LIST":
        named = ",".join(encoded(draw, key) for key in draw(st.lists(keys, max_size=3)))
        return head(f"DELETE {CACHE}?keys={named}", *fields)
    option = draw(st.sampled_from([""] * 4 + OPTIONS))
    return head(f"{method} {target}{option and '?' + option}", *fields)


QUERIES = ["keys", "key", "Keys", "limit", "prefix", "default", "api_key"]


@st.composite
def lists(draw: st.DrawFn) -> bytes:
    keys = st.sampled_from([*VALUES, "stored", "absent", "", "k" * 1025])
    pairs = draw(st.lists(st.tuples(st.sampled_from(QUERIES[:2] * 4 + QUERIES), keys), max_size=4))
    query = "&".join(f"{name}={encoded(draw, key)}" for name, key in pairs)
    ending = draw(st.sampled_from(["", "", "", "&", ",", "&keys", "%zz", "#f", ";keys=k", "+"]))
    return head(f"GET {CACHE}?{query}{ending}", *draw(st.sampled_from([[], ["If-None-Match: *"]])))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    fields = draw(
        st.one_of(
            st.just([AUTH]),
            st.sampled_from(
                [
                    [],
                    [f"Authorization: Bearer {KEY}"],
                    [f"AUTHORIZATION:bearer   {KEY}  "],
                    [f"Authorization: Basic {KEY}"],
                    [f"X-DREAMFACTORY-API-KEY:{KEY}\t"],
                    [f"x-dreamfactory-api-key: {KEY}x"],
                    ["X-DreamFactory-API-Key:", f"Authorization: Bearer {KEY}"],
                    [AUTH, AUTH],
                    [AUTH, "X-DreamFactory-API-Key: \xe9"],
                    [f"X_DreamFactory_API_Key: {KEY}"],
                ]
            ),
        )
    )
    fields = fields + draw(
        st.lists(
            st.one_of(
                st.sampled_from(TAGS).map(lambda tag: f"If-None-Match: {tag}"),
                st.sampled_from(OTHER_FIELDS),
            ),
            max_size=3,
        )
    )
    host = draw(
        st.one_of(
            st.just(["Host: 127.0.0.1"]),
            st.sampled_from([[], ["Host:"], ["Host: a", "Host: b"], ["host: A.b:99"]])
            | st.sampled_from([["Host: a/b"], ["Host: a@b"], ["Host: [::1]:8"], ["Host: \xe9"]]),
        )
    )
    fields = draw(st.permutations(host + fields))
    version = draw(st.sampled_from(["1.1", "1.1", "1.1", "1.1", "1.0", "0.9", "2.0"]))
    method = draw(st.sampled_from(["GET"] * 6 + ["HEAD", "POST"]))
    return request(draw(targets()), *fields, method=method, version=version)


LAST = request(f"{CACHE}/last", "Host: h", AUTH, "Connection: close")


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(requests() | lists() | stores() | changes(), min_size=1, max_size=4))
@example([request(f"{CACHE}/{'k'}", "Host: h", AUTH)] * 100)
@example([head(f"GET {CACHE}/k"), head(f"DELETE {CACHE}/absent"), head(f"GET {CACHE}/k")])
def test_an_answer_of_the_lane_is_flasks(lane: Service, flask: Service, sent: list[bytes]) -> None:
    data = b"".join(sent) + LAST
    assert all_answers(lane, data) == all_answers(flask, data)


@pytest.mark.parametrize("key", VALUES)
def test_every_kind_of_value_is_answered_as_flask_does(
    lane: Service, flask: Service, key: str
) -> None:
    target = CACHE + "/" + "".join(f"%{byte:02x}" for byte in key.encode())
    plain = request(target, "Host: h", AUTH) + LAST
    answer = all_answers(lane, plain)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer == all_answers(flask, plain)
    tag = re.search(rb'etag: ("[^"]*")', answer)
    assert tag is not None
    for form in (tag[1].decode(), f"W/{tag[1].decode()}", f'"a", {tag[1].decode()}', "*"):
        conditional = request(target, "Host: h", AUTH, f"If-None-Match: {form}") + LAST
        answer = all_answers(lane, conditional)
        assert answer.startswith(b"HTTP/1.1 304 Not Modified\r\n")
        assert answer == all_answers(flask, conditional)


# Reads that come again on a connection

# What clients send behind the target, nearly alike.
TAILS = [
    ["Host: h", AUTH],
    ["Host: h", AUTH],
    ["Host: h", AUTH],
    ["Host: h", AUTH, "Accept: */*"],
    ["Host: h", AUTH, "accept: */*"],
    ["Host: h", AUTH + "x"],
    ["Host: h", AUTH, 'If-None-Match: "x"'],
    ["Host: h", AUTH, "If-None-Match: *"],
    ["Host: h", AUTH, "If-Match: *"],
    ["Host: h", AUTH, "Content-Length: 0"],
    ["Host: h", AUTH, "Connection: keep-alive"],
    ["Host: h", AUTH, f"X: {'x' * 5000}"],
    ["Host: h", AUTH, "Connection: close"],
    ["Host: h", AUTH, "X: a\r\n b"],
    ["Host: h", AUTH, "X:\x00"],
]
# Between them stands what is no plain character, or none that ends where it seems to.
NEAR = [
    "#",
    "#f",
    "\x7f",
    "\xe9",
    "\t",
    " ",
    "  ",
    " x",
    "\r",
    "\n",
    "\r\n",
    "?",
    "?x",
    "%",
    "\x00",
]
OTHER_TARGETS = [
    f"{CACHE}?keys=k,absent,k",
    f"{CACHE}?keys=k&key=a%20b",
    f"{CACHE}?prefix=",
    f"{CACHE}/{'k' * 1024}",
    f"{CACHE}/{'k' * 9000}",
    f"{CACHE}?keys={'k,' * 4050}k",
    f"{CACHE}?keys={'k,' * 4200}k",
    f"{CACHE}",
    "/api/v2/nothing/k",
    "/",
    "*",
    f"http://h{CACHE}/k",
]


@st.composite
def steps(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Return the pieces that are sent without waiting for an answer, and the methods."""
    pieces, methods = [], []
    for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2, 3]))):
        key = encoded(draw, draw(st.sampled_from([*VALUES, "absent"])))
        target = draw(
            st.sampled_from([f"{CACHE}/{key}"] * 8 + OTHER_TARGETS)
            | st.sampled_from([f"{CACHE}/k{near}{key}" for near in NEAR])
        )
        method = draw(st.sampled_from(["GET"] * 12 + ["HEAD", "get", "GET ", "DELETE", "\r\nGET"]))
        version = draw(st.sampled_from(["1.1"] * 14 + ["1.0", "1.1 ", "1.2"]))
        if method == "DELETE":
            target = f"{CACHE}/absent"
        pieces.append(
            request(target, *draw(st.sampled_from(TAILS)), method=method, version=version)
        )
        methods.append(method.strip().encode())
    data = b"".join(pieces)
    cuts = sorted(draw(st.lists(st.integers(1, len(data)), max_size=draw(st.sampled_from([0, 2])))))
    return [
        data[start:end]
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)
        if end > start
    ], methods


def dialog(live: Service, sent: list[tuple[list[bytes], list[bytes]]]) -> list[bytes]:
    """Return each answer, until the server closes; nothing more is sent before they came."""
    received = []
    with socket.create_connection(("127.0.0.1", live.port), 20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rb") as replies:
            for pieces, methods in sent:
                for number, piece in enumerate(pieces):
                    time.sleep(0.001 if number else 0)
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        connection.sendall(piece)
                for method in methods:
                    answer = one_answer(replies, method)
                    if not answer:
                        return received
                    received.append(answer)
    return received


def one_answer(replies: BinaryIO, method: bytes) -> bytes:
    lines = []
    with contextlib.suppress(ConnectionResetError):
        while (line := replies.readline()).strip():
            lines.append(line)
    head = b"".join(lines)
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    has_body = length is not None and method != b"HEAD" and b" 304 " not in lines[0]
    return DATE.sub(b"", head) + (replies.read(int(length[1])) if has_body and length else b"")


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(steps(), min_size=2, max_size=8))
@example([([request(f"{CACHE}/k", *TAILS[0]) * 40], [b"GET"] * 40)] * 3)
@example([([request(f"{CACHE}/{key}", *TAILS[0])], [b"GET"]) for key in ("k", "k", "k#", "k")])
@example([([request(f"{CACHE}/k", *fields)], [b"GET"]) for fields in TAILS])
@example([([request(target, *TAILS[0])], [b"GET"]) for target in [f"{CACHE}/k", *OTHER_TARGETS]])
def test_reads_that_come_again_are_answered_as_flask_does(
    lane: Service, flask: Service, sent: list[tuple[list[bytes], list[bytes]]]
) -> None:
    assert dialog(lane, sent) == dialog(flask, sent)


def test_reads_that_come_again_are_the_lanes(lane_alone: Inside) -> None:
    plain, other = head(f"GET {CACHE}/k"), head(f"GET {CACHE}/k", "X: y")
    none = head(f"GET {CACHE}/k", "Content-Length: 0")
    with Wire(lane_alone.port) as wire:
        for sent in (
            [plain] * 3 + [none] * 3 + [head(f"GET {CACHE}/absent"), other, plain, other, plain]
        ):
            wire.send(sent)
            assert wire.answer().status == (404 if b"absent" in sent else 200)
        for sent in (head(f"GET {CACHE}/k?"), head(f"HEAD {CACHE}/k"), store(PAIR), plain * 10):
            wire.send(plain + sent + plain)
            count = 12 if sent.startswith(plain) else 3
            statuses = [wire.answer().status for _ in range(count)]
            assert (statuses[0], statuses[-1]) == (200, 200) if count == 12 else (200, 418)


@pytest.mark.usefixtures("never_slow")
def test_flask_serves_what_is_about_one_small_key_on_the_loops_thread_but_not_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(load({"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(tmp_path)}, None))
    target = f"{CACHE}/k".encode()
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        beside = Lane(app.extensions[ACCESS], loop, None).beside

        def near(target: bytes, size: int = 0, *, stores: bool = False) -> str | None:
            return beside.near(target, FIELDS, size, stores=stores)

        assert near(b"/api/v2/other/k") is None
        assert near(b"/api/v2/system/service") is None
        assert near(target, MOST_NEAR + 1) is None
        for _ in range(2):
            found = [near(target) for _ in range(2 * NEAR_AT_ONCE)]
            assert found == ["cache"] * NEAR_AT_ONCE + [None] * NEAR_AT_ONCE
            loop.run_until_complete(asyncio.sleep(0))
        service = near(target)
        assert service is not None
        # One that took long is a sign that the next ones may.
        monkeypatch.setattr(health, "SLOW_SECONDS", 0)
        beside.note_near(service, time.monotonic() - 1, stores=True)
        assert near(target, stores=True) is None
        # But not for reads, nor for other services.
        assert near(target) is not None
        # One that Flask has served well ends that, whether the lane is ever asked or not.
        hear = beside.listener(target, stores=True)
        assert hear is not None
        hear(-1.0, 200, is_counted=False)
        assert near(target, stores=True) is not None
        assert beside.listener(target, stores=True) is None
    close_app(app)


def test_a_fault_in_a_turn_ends_its_connections_instead_of_leaving_them_without_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = lane_alone_app(load({"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(tmp_path)}, None))
    with inside(app, tmp_path) as live, Wire(live.port) as wire, Wire(live.port) as other:
        answering = live.site.lane.turns._answering

        def fail(*_: object) -> None:
            raise AssertionError("a fault")

        raised: list[object] = []
        loop = live.site.lane.turns._loop
        loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))
        with monkeypatch.context() as patch:
            patch.setattr(answering._performing, "limit", fail)
            wire.send(head(f"GET {CACHE}/k") * 2)
            assert wire.is_closed()
        assert raised
        other.send(head(f"GET {CACHE}/absent"))
        assert other.answer().status == 404
    close_app(app)


def test_a_count_that_failed_holds_up_those_alone_who_have_a_limit_until_one_is_counted(
    tmp_path: Path,
) -> None:
    app = create_app(load({"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(tmp_path)}, None))
    rules = [{"service": "*", "verbs": ["GET"]}]
    body = {
        "resource": [
            {"name": "limited", "rules": rules, "rate_limit": {"requests": 9, "seconds": 60}}
        ]
    }
    made = app.test_client().post("/api/v2/system/api_key", json=body, headers={HEADER: KEY})
    limited = [FIELDS[0], (FIELDS[1][0], made.json["resource"][0]["api_key"].encode())]
    target = f"{CACHE}/k".encode()
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        lane, access = Lane(app.extensions[ACCESS], loop, None), app.extensions[ACCESS]
        lane._troubles.look(access.counts.name, 0.0, Failed("down"), stores=True)
        near = functools.partial(lane.beside.near, target, size=0, stores=False)
        assert near(FIELDS) is not None
        assert near(limited) is None
        assert lane.take(Taker(), b"GET", target, limited, True) is None
        hear = lane.beside.listener(target, stores=False)
        assert hear is not None
        # An answer that was not counted says nothing of that.
        hear(0.0, 200, is_counted=False)
        assert near(limited) is None
        hear(0.0, 404, is_counted=True)
        assert near(limited) is not None
        assert lane.take(Taker(), b"GET", target, limited, True) is not None
    close_app(app)
