"""What is taken of bodies: nothing of a stranger's, at a least rate, within a sum."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheapi import create_app, load
from cacheapi.serving import ending, site
from tests.http.client import close_app
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Wire, call, chunk, head
from tests.support.processes import Service, eventually
from tests.support.timing import Stopwatch

KEY = Service.api_key
MIB = 1024 * 1024
CHUNKED = "Transfer-Encoding: chunked"


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Inside]:
    app = create_app(load({"CACHEAPI_API_KEY": KEY, "CACHEAPI_DATA_DIR": str(directory)}, None))
    with inside(app, directory) as made:
        yield made
    close_app(app)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with served(tmp_path_factory.mktemp("strangers")) as made:
        yield made


@pytest.mark.parametrize("framing", ["Content-Length: 40", "Content-Length: 8000000", CHUNKED])
@pytest.mark.parametrize(
    "line", [f"POST {CACHE}", f"PUT {CACHE}/k", f"DELETE {CACHE}", "POST /api/v2/system/service"]
)
def test_a_body_without_a_known_key_is_refused_from_the_head(
    live: Inside, line: str, framing: str
) -> None:
    for key in ("unknown", ""):
        with Wire(live.port) as wire:
            # Nothing of the body is ever sent.
            wire.send(head(line, framing, key=key))
            answer = wire.answer()
            assert answer.status == 401
            assert answer.error
            assert "WWW-Authenticate" in answer.headers


def form(size: int) -> bytes:
    return (b"csrf_token=x&key=y&" + b"&".join([b"a=b"] * (size // 4)))[:size]


@pytest.mark.parametrize("size", [20_000, 8_000_000])
@pytest.mark.parametrize(("path", "status"), [("sign-in", 413), ("sign-out", 303)])
def test_a_strangers_form_is_small(live: Inside, path: str, status: int, size: int) -> None:
    taken = Stopwatch()
    sent = head(f"POST /console/{path}", f"Content-Length: {size}").replace(
        b"application/json", b"application/x-www-form-urlencoded"
    )
    with Wire(live.port) as wire:
        wire.send(sent + form(size))
        assert wire.answer().status == status
    assert taken() < 2


def test_a_body_has_a_least_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(ending, "BODY_RATE", 1000)
    monkeypatch.setattr(site, "SWEEP_SECONDS", 0.1)
    with served(tmp_path) as live:
        for path in (CACHE, f"{CACHE}?ttl=60"):
            with Wire(live.port) as wire:
                wire.send(head(f"POST {path}", "Content-Length: 100000"))
                started = time.monotonic()
                while time.monotonic() - started < 2:
                    wire.send(b" ")
                    time.sleep(0.1)
                answer = wire.answer()
                assert answer.status == 408
                assert "slower" in answer.message
                assert wire.is_closed()


def test_bodies_on_their_way_have_a_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "MOST_BODIES", 1)
    with served(tmp_path) as live, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(live.port)) for _ in range(4)]
        for number, wire in enumerate(wires[:3], 1):
            wire.send(head(f"POST {CACHE}", f"Content-Length: {3 * MIB}") + b" " * (5 * MIB // 2))
            eventually(lambda number=number: live.site.bodies >= number * (5 * MIB // 2), 20)
        # The one that made it too much.
        wires[3].send(head(f"POST {CACHE}", f"Content-Length: {3 * MIB}") + b" " * (5 * MIB // 2))
        answer = wires[3].answer()
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        # Small ones are taken all the same, by the lane and by Flask.
        for path in (CACHE, f"{CACHE}?ttl=60"):
            assert call(live.port, "POST", path, {"key": "k", "value": 1}).status == 201
        for wire in wires[:3]:
            wire.send(b" " * (MIB // 2))
            assert wire.answer().status == 400
        # All is given back.
        pair = {"key": "k", "value": "x" * (7 * MIB)}
        for _ in range(3):
            assert call(live.port, "POST", CACHE, pair).status == 201


@pytest.mark.parametrize("where", ["extension", "trailer"])
def test_what_comes_beside_a_chunked_body_has_a_bound(live: Inside, where: str) -> None:
    body = b'{"key":"k","value":1}'
    start = b"%x;" % len(body) if where == "extension" else chunk(body) + b"0\r\nX: "
    with Wire(live.port) as wire:
        wire.send(head(f"POST {CACHE}", CHUNKED) + start)
        for _ in range(20):
            wire.send(b"x" * 32 * 1024)
            time.sleep(0.01)
        answer = wire.answer()
        assert answer.status in (400, 431)
        assert wire.is_closed()


def test_a_body_in_single_bytes_is_taken(live: Inside) -> None:
    body = b'{"key":"bytes","value":"%b"}' % (b"x" * 50_000)
    with Wire(live.port) as wire:
        wire.send(
            head(f"POST {CACHE}", CHUNKED)
            + b"".join(chunk(body[n : n + 1]) for n in range(len(body)))
        )
        wire.send(chunk(b""))
        assert wire.answer().status == 201
