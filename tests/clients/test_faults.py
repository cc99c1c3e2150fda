"""What no table has: caches that hang, break off and come back, and clients that come together."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conformance import finish, give, node, php, python, run, start
from tests.support.live import CACHE, call
from tests.support.processes import Service, service
from tests.support.timing import Stopwatch

pytestmark = pytest.mark.timeout(600)

PROGRAMS: dict[str, Callable[[], list[object]]] = {
    "php with curl": lambda: php("curl"),
    "php with streams": lambda: php("stream"),
    "python": lambda: python("sync"),
    "python, async": lambda: python("async"),
    "node": node,
}
Speak = Callable[[socket.socket, list[bytes]], None]
HIT = b'{"key":"k","value":1}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> list[object]:
    return PROGRAMS[request.param]()


@contextlib.contextmanager
def speaker(speak: Speak) -> Iterator[tuple[str, list[bytes]]]:
    """Let a function speak on each connection; give the address, and what it noted."""
    noted: list[bytes] = []
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(60)
                speak(connection, noted)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threads.append(threading.Thread(target=talk, args=[listening.accept()[0]]))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{CACHE}", noted
        listening.shutdown(socket.SHUT_RDWR)
        for thread in (accepting, *threads):
            thread.join()


def request(connection: socket.socket) -> bytes:
    """Return the next request, body included."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    fields = head.lower().split(b"\r\n")
    lengths = [int(line[15:]) for line in fields if line.startswith(b"content-length:")]
    while len(body) < sum(lengths):
        body += connection.recv(65536)
    return head


def case(url: str, *steps: tuple[str, list[Any]], **more: Any) -> dict[str, Any]:
    shown = [{"do": name, "with": arguments} for name, arguments in steps]
    return {"url": url, "key": Service.api_key, "steps": shown, **more}


def hang(connection: socket.socket, noted: list[bytes]) -> None:
    noted.append(request(connection))
    connection.recv(1)


def drip(connection: socket.socket, noted: list[bytes]) -> None:
    """Send a body byte by byte: something always comes, and it never ends."""
    noted.append(request(connection))
    connection.sendall(HEAD % 100_000)
    while True:
        connection.sendall(b" ")
        time.sleep(0.1)


@pytest.mark.parametrize("speak", [hang, drip])
def test_a_cache_that_does_not_end_its_answer_costs_the_time_limit_once(
    program: list[object], speak: Speak
) -> None:
    watch = Stopwatch()
    with speaker(speak) as (url, noted):
        steps = [("get", ["k"])] + [("set", ["k", 1, 60])] * 20
        (found,) = run(program, [case(url, *steps, timeout=3)])
        assert found == [{"gives": "<absent>"}] + [{"gives": False}] * 20
    # 20 waits would be 60 seconds; each client takes some time to start.
    assert watch() < 30
    assert len(noted) == 1


def twice(connection: socket.socket, noted: list[bytes]) -> None:
    """Answer one request on a connection, and close it on the second one without an answer."""
    noted.append(request(connection))
    connection.sendall(HEAD % len(HIT) + HIT)
    noted.append(request(connection))


def test_a_kept_connection_that_breaks_is_not_noticed(program: list[object]) -> None:
    with speaker(twice) as (url, noted):
        (found,) = run(program, [case(url, *[("get", ["k"])] * 5)])
        assert found == [{"gives": 1}] * 5
    # One connection was kept, or there was nothing to break.
    assert len(noted) > 5


def test_a_count_is_never_sent_twice(program: list[object]) -> None:
    with speaker(twice) as (url, noted):
        run(program, [case(url, ("get", ["k"]), ("increment", ["n"]), ("get", ["k"]))])
    assert sum(head.startswith(b"PATCH ") for head in noted) == 1


def cut(connection: socket.socket, noted: list[bytes]) -> None:
    """Close in the midst of an answer."""
    noted.append(request(connection))
    connection.sendall(HEAD % len(HIT) + HIT[:-1])


def test_half_an_answer_is_none(program: list[object]) -> None:
    with speaker(cut) as (url, _):
        (found,) = run(program, [case(url, ("get", ["k"]))])
    assert found == [{"gives": "<absent>"}]


def test_connections_are_kept(program: list[object]) -> None:
    connections: list[int] = []

    def keep(connection: socket.socket, noted: list[bytes]) -> None:
        connections.append(connection.fileno())
        while True:
            noted.append(request(connection))
            connection.sendall(HEAD % len(HIT) + HIT)

    with speaker(keep) as (url, noted):
        run(program, [case(url, *[("get", ["k"])] * 20)])
    # Node asks for the next before it has put back the last one.
    assert (len(connections) <= 2, len(noted)) == (True, 20)


def test_redirects_are_not_followed(program: list[object]) -> None:
    """They would lead the API key elsewhere."""

    def lead(connection: socket.socket, noted: list[bytes]) -> None:
        noted.append(request(connection))
        place = b"Location: /api/v2/cache/other\r\n"
        connection.sendall(b"HTTP/1.1 307 Elsewhere\r\nContent-Length: 0\r\n%s\r\n" % place)
        noted.append(request(connection))

    with speaker(lead) as (url, noted):
        (found,) = run(program, [case(url, ("get", ["k"]), ("last_error", []))])
    told = (
        "What answers with HTTP 307 leads elsewhere, which is not followed: "
        "give the address that it leads to."
    )
    assert found == [{"gives": "<absent>"}, {"gives": told}]
    assert len(noted) == 1


def test_a_page_of_another_site_is_told(program: list[object]) -> None:
    """As where the address lacks the path that the service is mounted under."""

    def speak(connection: socket.socket, noted: list[bytes]) -> None:
        noted.append(request(connection))
        page = b"<h1>Not Found</h1>"
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(page))
        connection.sendall(page)

    with speaker(speak) as (url, _):
        (found,) = run(program, [case(url, ("get", ["k"]), ("last_error", []))])
    told = "What answers with HTTP 404 is no cacheapi."
    assert found == [{"gives": "<absent>"}, {"gives": told}]


def test_a_cache_that_comes_back_is_used_again(tmp_path: Path) -> None:
    steps = [("get", ["k"]), ("until_present", ["k"]), ("get", ["k"])]
    with service(tmp_path / "back", CACHE_DRIVER="file", WEB_CONCURRENCY="1") as live:
        assert call(live.port, "POST", CACHE, {"key": "k", "value": 7}).status == 201
        for pause in (3, 10, 30):
            live.stop()
            processes = [start(make()) for make in PROGRAMS.values()]
            for process in processes:
                give(process, [case(f"{live.url}{CACHE}", *steps)])
            # Most have asked by then; where the machine is busy, perhaps none.
            time.sleep(pause)
            live.start()
            found = [finish(process, None) for process in processes]
            for (outcomes,) in found:
                assert outcomes[1:] == [{"gives": True}, {"gives": 7}]
            if {"gives": "<absent>"} in [outcomes[0] for (outcomes,) in found]:
                return
    raise AssertionError("none asked before it came back")


def test_of_all_that_miss_together_in_all_languages_one_computes(
    live: Service, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    url = f"{live.url}{CACHE}"
    given = [case(url, ("remember_slowly", ["herd", 60, str(runs)]))]
    processes = [start(make()) for _ in range(2) for make in PROGRAMS.values()]
    # All of them wait for their cases; what they are given at once, they do at once.
    for process in processes:
        give(process, given)
    found = [finish(process, None) for process in processes]
    assert found == [[[{"gives": "computed"}]]] * len(processes)
    assert runs.read_text() == "run\n"
    assert call(live.port, "GET", f"{CACHE}/herd:lease").status == 404
