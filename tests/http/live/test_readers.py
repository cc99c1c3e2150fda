"""Clients that take their answers slowly, or not at all: what they may hold, and for how long."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cacheapi import create_app, load
from cacheapi.serving import ending, site
from cacheapi.serving.answering import Answering
from tests.http.client import close_app
from tests.http.live.test_http import memory, well
from tests.support.inside import Inside, inside
from tests.support.live import CACHE, Wire, call, head
from tests.support.processes import Memcached, Service, eventually, memcached, service

MIB = 1024 * 1024
LARGE = 7 * MIB
KEYS = 8


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with some large values."""
    settings = {"WEB_CONCURRENCY": "1", "CACHEAPI_FILE_MAX_MB": "1024"}
    with service(tmp_path_factory.mktemp("readers"), **settings) as made:
        for number in range(KEYS):
            pair = {"key": f"large{number}", "value": "x" * LARGE}
            assert call(made.port, "POST", CACHE, pair).status == 201
        assert call(made.port, "POST", CACHE, {"key": "small", "value": 1}).status == 201
        yield made


ACTS = {
    "head": ("HEAD", "", b""),
    "pulled": ("GET", "?pull=true", b""),
    "changed": ("PATCH", "", b'{"ttl":600}'),
}
AT_ONCE = 40


@pytest.fixture(scope="module")
def on_memcached(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Service, Memcached]]:
    """The service on a memcached that takes large values."""
    with memcached("-I", "8m", "-m", "600") as server:
        settings = {
            "WEB_CONCURRENCY": "1",
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": server.host,
            "MEMCACHED_PORT": str(server.port),
            "MEMCACHED_TIMEOUT_MS": "10000",
        }
        with service(tmp_path_factory.mktemp("acts"), **settings) as made:
            yield made, server


def peak(pid: int) -> int:
    """Return the most memory that a process has had since it was told to forget that."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kib) * 1024


@pytest.mark.parametrize("name", ACTS)
def test_acts_about_large_values_do_not_bring_all_at_once(
    on_memcached: tuple[Service, Memcached], name: str
) -> None:
    live, server = on_memcached
    method, query, body = ACTS[name]
    value = b'"%b"' % (b"x" * LARGE)
    with server.connect() as stored:
        for number in range(AT_ONCE):
            stored.sendall(b"set %b%d 0 0 %d\r\n" % (name.encode(), number, len(value)) + value)
            stored.sendall(b"\r\n")
            assert stored.recv(100) == b"STORED\r\n"
    (worker,) = eventually(live.workers)
    before = memory(worker)
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(live.port)) for _ in range(AT_ONCE)]
        for number, wire in enumerate(wires):
            length = [f"Content-Length: {len(body)}"] if body else []
            wire.send(head(f"{method} {CACHE}/{name}{number}{query}", *length) + body)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            sizes = list(threads.map(lambda wire: received(wire, has_body=method != "HEAD"), wires))
    large = name == "pulled"
    assert all(size > LARGE if large else size < 1000 for size in sizes)
    # All of them have 280 MiB; what one takes while it is worked on is some 25.
    assert peak(worker) - before < 100 * MIB
    # One of each is there, or gone.
    there = call(live.port, "HEAD", f"{CACHE}/{name}{AT_ONCE - 1}").status
    assert there == (404 if name == "pulled" else 200)
    with server.connect() as stored:
        stored.sendall(b"flush_all\r\n")
        assert stored.recv(100) == b"OK\r\n"


def received(wire: Wire, *, has_body: bool) -> int:
    """Take one good answer; return the size of its body."""
    if has_body:
        answer = wire.answer()
        assert answer.status == 200
        return len(answer.body)
    assert wire.status() == 200
    return 0


@pytest.mark.parametrize("tail", ["", "?"], ids=["lane", "Flask"])
def test_pipelined_reads_that_nobody_takes_hold_one_answer(live: Service, tail: str) -> None:
    (worker,) = eventually(live.workers)
    before = memory(worker)
    sent = b"".join(head(f"GET {CACHE}/large{number % KEYS}{tail}") for number in range(32))
    most = 0
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(live.port)) for _ in range(4)]
        for wire in wires:
            wire.send(sent)
        for _ in range(30):
            most = max(most, memory(worker) - before)
            time.sleep(0.05)
        well(live)
        # One answer of each, and what is being made of the next.
        assert most < 300 * MIB
        # All come, in order, to who reads after all.
        for number in range(32):
            assert wires[0].answer().json["key"] == f"large{number % KEYS}"


@pytest.mark.parametrize(
    "path", [f"{CACHE}/large0?", f"{CACHE}?keys=large0,large1,large2&api_key="]
)
def test_what_waits_for_many_has_a_bound_too(live: Service, path: str) -> None:
    (worker,) = eventually(live.workers)
    before = memory(worker)
    most = 0
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(live.port)) for _ in range(24)]
        for wire in wires:
            wire.send(head(f"GET {path}"))
        for _ in range(40):
            most = max(most, memory(worker) - before)
            time.sleep(0.05)
        eventually(lambda: call(live.port, "GET", path).status == 503, 20)
        refused = call(live.port, "GET", path)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert "wait for their clients" in refused.message
        assert most < 350 * MIB
        # What is small is answered, and what is taken out of the cache is not lost: it is given, or
        # stays where it is.
        well(live)
        pair = {"key": "pulled", "value": "x" * LARGE}
        assert call(live.port, "POST", CACHE, pair).status == 201
        pulls = [call(live.port, "GET", f"{CACHE}/pulled?%63lear=true").status]
        assert {wire.answer().status for wire in wires} == {200, 503}
    eventually(lambda: call(live.port, "GET", path).status == 200, 20)
    pulls.append(call(live.port, "GET", f"{CACHE}/pulled?%63lear=true").status)
    assert pulls in ([200, 404], [503, 200])


def test_reads_and_others_are_answered_in_order_behind_large_ones(live: Service) -> None:
    paths = [f"{CACHE}/{key}" for key in ("large0", "small", "large1?", "small", "absent?")]
    paths += [f"{CACHE}?keys=small,large1", f"{CACHE}/small?", "/nowhere", f"{CACHE}/large2"]
    with Wire(live.port) as wire:
        wire.send(b"".join(head(f"GET {path}") for path in paths) * 2 + b"GARBAGE\r\n\r\n")
        time.sleep(0.5)
        for _ in range(2):
            statuses = [wire.answer().status for _ in paths]
            assert statuses == [200, 200, 200, 200, 404, 200, 200, 404, 200]
        assert wire.answer().status == 400
        assert wire.is_closed()


def test_who_ends_its_side_gets_all_of_its_large_answers(live: Service) -> None:
    with Wire(live.port) as wire:
        wire.send(head(f"GET {CACHE}/large1") * 5)
        wire.end()
        time.sleep(0.3)
        assert [wire.answer().status for _ in range(5)] == [200] * 5
        assert wire.is_closed()


@pytest.mark.parametrize("tail", ["", "&api_key="], ids=["lane", "Flask"])
def test_the_values_of_one_answer_have_a_bound(live: Service, tail: str) -> None:
    keys = ",".join(f"large{number}" for number in range(KEYS))
    answer = call(live.port, "GET", f"{CACHE}?keys={keys}{tail}")
    assert answer.status == 400
    assert "32 MiB" in answer.message
    fewer = call(live.port, "GET", f"{CACHE}?keys=large1,large2{tail}")
    assert len(fewer.json["resource"]) == 2


def slowly(port: int, path: str, pause: float, piece: int, for_seconds: float = 60) -> int:
    """Read an answer piece by piece, after a time at once; return how many bytes of it came."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        connection.sendall(head(f"GET {path}", "Connection: close"))
        came = 0
        until = time.monotonic() + for_seconds
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(piece if time.monotonic() < until else MIB):
                came += len(part)
                time.sleep(pause if time.monotonic() < until else 0)
        return came


@pytest.mark.parametrize("tail", ["", "?"], ids=["lane", "Flask"])
def test_a_slow_but_steady_reader_gets_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str
) -> None:
    monkeypatch.setattr(ending, "STALL_SECONDS", 1.0)
    monkeypatch.setattr(site, "SWEEP_SECONDS", 0.1)
    key = Service.api_key
    app = create_app(load({"CACHEAPI_API_KEY": key, "CACHEAPI_DATA_DIR": str(tmp_path)}, None))
    with inside(app, tmp_path) as made:
        assert isinstance(made, Inside)
        pair = {"key": "k", "value": "x" * LARGE}
        assert call(made.port, "POST", CACHE, pair).status == 201
        started = time.monotonic()
        assert slowly(made.port, f"{CACHE}/k{tail}", 0.04, 64 * 1024) > LARGE
        assert time.monotonic() - started > 3
        # A trickle is none.
        assert slowly(made.port, f"{CACHE}/k{tail}", 0.1, 64, 4) < LARGE
    close_app(app)


@pytest.mark.parametrize("query", ["", "?check_exist=true"], ids=["read", "act"])
def test_a_connection_that_waits_for_us_is_not_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """Where many ask for large values, some wait for many turns of the loop."""
    monkeypatch.setattr(site, "SWEEP_SECONDS", 0.1)
    answer, until = Answering.answer, time.monotonic() + 2.5

    def later(self: Answering, taken: list[Any], since: float) -> list[Any]:
        if time.monotonic() > until:
            return answer(self, taken, since)
        time.sleep(0.01)
        return taken

    key = Service.api_key
    app = create_app(load({"CACHEAPI_API_KEY": key, "CACHEAPI_DATA_DIR": str(tmp_path)}, None))
    with inside(app, tmp_path, keep_alive=1) as made:
        assert call(made.port, "POST", f"{CACHE}/k?ttl=60", {"value": 1}).status == 201
        monkeypatch.setattr(Answering, "answer", later)
        with Wire(made.port) as wire:
            wire.send(head(f"GET {CACHE}/k{query}"))
            assert wire.answer().status == 200
            assert time.monotonic() > until
            # Now it is.
            assert wire.is_closed()
    close_app(app)
