"""What a client offers beside its request is ignored; what a flush announces is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live import CACHE, Wire, call, chunk, head
from tests.support.processes import Service, service

OFFER = (
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA",
    "TE: trailers",
)
PAIR = json.dumps({"key": "sent", "value": "whole"}).encode()
LIST = json.dumps({"resource": ["a", "b"]}).encode()
CHUNKED = "Transfer-Encoding: chunked"
KEPT = "kept"


@pytest.fixture(scope="module", params=["own worker", "gthread"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    arguments = [] if request.param == "own worker" else ["-k", "gthread"]
    with service(tmp_path_factory.mktemp("offers"), *arguments, WEB_CONCURRENCY="1") as live:
        yield live


@pytest.fixture
def live(running: Service) -> Service:
    assert call(running.port, "DELETE", CACHE).status == 200
    for key in ("a", "b", KEPT):
        assert call(running.port, "POST", CACHE, {"key": key, "value": 1}).status == 201
    return running


def keys(live: Service) -> list[str]:
    return sorted(entry["key"] for entry in call(live.port, "GET", CACHE).json["resource"])


def framed(data: bytes, framing: str) -> tuple[str, bytes]:
    if framing == "length":
        return f"Content-Length: {len(data)}", data
    half = len(data) // 2
    return CHUNKED, chunk(data[:half]) + chunk(data[half:]) + chunk(b"")


@pytest.mark.parametrize("apart", [False, True], ids=["one segment", "several"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("path", [CACHE, f"{CACHE}?ttl=60"], ids=["lane", "Flask"])
def test_an_offer_is_ignored_and_the_body_read(
    live: Service, path: str, framing: str, apart: bool
) -> None:
    field, body = framed(PAIR, framing)
    store = head(f"POST {path}", *OFFER, field)
    read = head(f"GET {CACHE}/sent", *OFFER)
    with Wire(live.port) as wire:
        for _ in range(3):
            if apart:
                for part in (store[:40], store[40:], body[:7], body[7:]):
                    wire.send(part)
                    time.sleep(0.02)
            else:
                wire.send(store + body)
            assert wire.answer().status == 201
            # The connection is kept.
            wire.send(read)
            assert wire.answer().json["value"] == "whole"


def test_offers_that_are_pipelined_are_answered_in_order(live: Service) -> None:
    field, body = framed(PAIR, "chunks")
    with Wire(live.port) as wire:
        wire.send(
            (head(f"GET {CACHE}/a", *OFFER) * 3 + head(f"POST {CACHE}", *OFFER, field) + body)
            + head(f"GET {CACHE}/sent", *OFFER)
        )
        assert [wire.answer().status for _ in range(5)] == [200, 200, 200, 201, 200]


def test_an_offer_leaves_the_rules_as_they_are(live: Service) -> None:
    both = head(f"POST {CACHE}", *OFFER, f"Content-Length: {len(PAIR)}", CHUNKED)
    for sent, statuses in (
        (both + chunk(PAIR) + chunk(b""), {400}),
        (head(f"GET {CACHE}/a", *OFFER, "X: " + "x" * 100_000), {431, 400}),
    ):
        with Wire(live.port) as wire:
            wire.send(sent + head(f"DELETE {CACHE}"))
            assert wire.answer().status in statuses
            assert wire.is_closed()
    assert KEPT in keys(live)


@pytest.mark.parametrize("offer", [(), OFFER], ids=["plain", "offer"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_delete_with_a_list_deletes_that(
    live: Service, framing: str, offer: tuple[str, ...]
) -> None:
    field, body = framed(LIST, framing)
    with Wire(live.port) as wire:
        wire.send(head(f"DELETE {CACHE}", *offer, field))
        time.sleep(0.05)
        wire.send(body)
        assert wire.answer().status == 200
    assert keys(live) == [KEPT]


@pytest.mark.parametrize("offer", [(), OFFER], ids=["plain", "offer"])
@pytest.mark.parametrize(
    "sent",
    [
        (CHUNKED, chunk(b"")),
        (f"Content-Length: {len(LIST)}", b""),
        (f"Content-Length: {len(LIST)}", LIST[:-1]),
        (CHUNKED, chunk(LIST)),
        *(framed(body, "length") for body in (b"{}", b"null", b" ", b"[]", b'{"resource":[]}')),
        *(framed(body, "chunks") for body in (b"{}", b"[1]", b'{"resource":"a"}')),
    ],
    ids=lambda sent: repr(sent)[:50],
)
def test_a_delete_that_announces_a_body_never_flushes(
    live: Service, sent: tuple[str, bytes], offer: tuple[str, ...]
) -> None:
    field, body = sent
    with Wire(live.port) as wire:
        wire.send(head(f"DELETE {CACHE}", *offer, field) + body)
        wire.end()
        answer = wire.answer()
        assert answer.status == 400, answer
        assert answer.error
    assert keys(live) == ["a", "b", KEPT]


@pytest.mark.parametrize("offer", [(), OFFER], ids=["plain", "offer"])
def test_a_length_of_0_announces_no_body(live: Service, offer: tuple[str, ...]) -> None:
    with Wire(live.port) as wire:
        # Java's client sends it with each DELETE.
        wire.send(head(f"DELETE {CACHE}/a", *offer, "Content-Length: 0"))
        assert wire.answer().status == 200
        for _ in range(2):
            wire.send(head(f"GET {CACHE}/{KEPT}", *offer, "Content-Length: 0"))
            answer = wire.answer()
            assert (answer.status, answer.json["value"]) == (200, 1)
        assert keys(live) == ["b", KEPT]
        wire.send(head(f"DELETE {CACHE}", *offer, "Content-Length: 0"))
        assert wire.answer().status == 200
    assert keys(live) == []


def test_javas_own_client(live: Service) -> None:
    java = shutil.which("java")
    if java is None or shutil.which("javac") is None:
        pytest.skip("there is no JDK here")
    done = subprocess.run(
        [java, Path(__file__).with_name("Client.java"), live.url + CACHE, live.api_key],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    statuses = [int(line.split()[0]) for line in lines]
    assert statuses == [201, 201, 201, 200, 200, 200, 200, 400, 200, 200, 404], done.stdout
    assert json.loads(lines[4].split(maxsplit=1)[1])["value"] == 4
    missing = json.loads(lines[6].split(maxsplit=1)[1])["meta"]["missing"]
    assert missing == ["a", "b"]
