"""``make bench LARGE=1``: small reads beside values of 1 MB that are read and written.

One worker. A client asks for small values at a constant rate, whatever becomes of them: what it
waits counts from when a request was due. Four others meanwhile read or write large ones as fast as
they can. What else the machine has to do is in these figures too; so beside them stands how late
the worker's event loop was by the time of its own process alone.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from backends import registry
from backends.base import Backend
from benchmarks import saving
from benchmarks.lagging import FILE, lags
from benchmarks.servers import redis
from cacheapi import settings
from tests.support.live import CACHE, head
from tests.support.processes import REPOSITORY, Service, memcached, service

# Small reads a second, over so many connections in turns.
RATE = 500
CONNECTIONS = 8
SIZE = 1_000_000
# Who reads and writes large values at a time.
CLIENTS = 4
# What is stored is a string, or many small objects.
TEXT = json.dumps("v" * (SIZE - 2))
OBJECTS = json.dumps([{"name": "John Doe", "age": 30, "tags": ["a", "b"]}] * (SIZE // 55))


class Result(NamedTuple):
    """Milliseconds that small reads waited; and the last two by the worker's own time alone.

    :ivar rate: requests about large values that were done meanwhile, a second.
    """

    p50: float
    p99: float
    most: float
    own_p99: float
    own_most: float
    rate: float


def main() -> None:
    """Run the benchmark and print one table."""
    parser = argparse.ArgumentParser(prog="make bench LARGE=1", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--drivers", default="memcached,redis,file")
    parser.add_argument("--rows", default=",".join(LOADS), help="names, with commas")
    parser.add_argument("--load", nargs=4, metavar=("row", "driver", "port", "seconds"))
    options = parser.parse_args()
    if options.load:
        row, driver, port, seconds = options.load
        load(row, driver, int(port), float(seconds))
        return
    rounds = 1 if options.quick else options.rounds
    rows = options.rows.split(",")
    document: dict[str, Any] = {"load": os.getloadavg()}
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for driver in options.drivers.split(","):
        with tempfile.TemporaryDirectory() as path, running(driver, Path(path)) as live:
            found: dict[str, list[Result]] = {}
            for row in [row for _ in range(rounds) for row in rows]:
                found.setdefault(row, []).append(measure(live, driver, row, options.seconds))
            for row, results in found.items():
                print(f"| {driver}: {row} | {cells(results)} |", flush=True)
            document[driver] = {row: [one._asdict() for one in of] for row, of in found.items()}
    print(f"\nLoad of the machine: {os.getloadavg()}")
    saving.save(document, "large")


HEAD = ("Beside small reads", "p50 ms", "p99", "most", "own p99", "own most", "large ones a second")


def cells(results: list[Result]) -> str:
    """Return the medians of the figures."""
    medians = (statistics.median(column) for column in zip(*results, strict=True))
    return " | ".join(f"{figure:.1f}" for figure in medians)


@contextlib.contextmanager
def running(driver: str, directory: Path) -> Iterator[Service]:
    """Run the service with one worker on a cache."""
    given = {"CACHE_DRIVER": driver}
    with contextlib.ExitStack() as stack:
        if driver == "memcached":
            port = stack.enter_context(memcached("-m", "512", "-I", "8m")).port
            given |= {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(port)}
        elif driver == "redis":
            port = stack.enter_context(redis(directory)).port
            given |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port)}
        given |= {
            "WEB_CONCURRENCY": "1",
            FILE: str(directory / "lags"),
            "PYTHONPATH": str(REPOSITORY),
            "CACHEAPI_MAX_BODY_MB": "16",
        }
        worker = ("-k", "benchmarks.lagging.Lagging")
        live = stack.enter_context(service(directory / "service", *worker, **given))
        fill(live)
        yield live


def fill(live: Service) -> None:
    """Store what is read."""
    small = [{"key": f"small:{number}", "value": "v" * 228} for number in range(100)]
    for pairs in (small, [{"key": f"large:{number}", "value": "v" * SIZE} for number in range(8)]):
        ask(live.port, "POST", CACHE, json.dumps({"resource": pairs}))


def ask(port: int, method: str, target: str, body: str | None = None) -> None:
    """Ask once; over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    send(connection, method, target, body)
    connection.close()


def send(
    connection: http.client.HTTPConnection, method: str, target: str, body: str | None = None
) -> bool:
    """Ask once; return whether it was done, and fail unless it was that or put off."""
    fields = {"X-DreamFactory-API-Key": Service.api_key, "Content-Type": "application/json"}
    connection.request(method, target, body, fields)
    response = connection.getresponse()
    told = response.read()
    if response.status not in (200, 201, 503):
        raise RuntimeError(f"{method} {target} is answered {response.status}: {told[:200]!r}")
    return response.status != 503


def measure(live: Service, driver: str, row: str, seconds: float) -> Result:
    """Read small values, beside a load."""
    done = 0.0
    with contextlib.ExitStack() as stack:
        if LOADS[row] is not None:
            command = [sys.executable, "-m", "benchmarks.large", "--load"]
            beside = subprocess.Popen(
                [*command, row, driver, str(live.port), str(seconds + 0.3)],
                cwd=REPOSITORY,
                env=live.environ,
                stdout=subprocess.PIPE,
            )
            stack.callback(beside.wait)
            assert beside.stdout is not None
            # It has begun.
            beside.stdout.readline()
            time.sleep(0.2)
        since = time.monotonic()
        waits = small_reads(live.port, seconds)
        until = time.monotonic()
        if LOADS[row] is not None:
            assert beside.stdout is not None
            done = float(beside.stdout.readline())
    own = lags(live.directory.parent / "lags", since, until)
    return Result(*spread(waits), *spread(own)[1:], done)


def spread(waits: list[float]) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the most."""
    ordered = sorted(waits)
    return statistics.median(ordered), ordered[len(ordered) * 99 // 100], ordered[-1]


def small_reads(port: int, seconds: float) -> list[float]:
    """Ask for small values at a constant rate; return what each waited, in ms."""
    requests = [head(f"GET {CACHE}/small:{number}") for number in range(100)]
    connections = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(CONNECTIONS)]
    due: dict[socket.socket, list[float]] = {one: [] for one in connections}
    buffers: dict[socket.socket, bytes] = dict.fromkeys(connections, b"")
    waits: list[float] = []
    began, sent, count = time.monotonic(), 0, int(seconds * RATE)
    while len(waits) < count:
        now = time.monotonic()
        while sent < count and began + sent / RATE <= now:
            connection = connections[sent % CONNECTIONS]
            connection.sendall(requests[sent % 100])
            due[connection].append(began + sent / RATE)
            sent += 1
        pause = began + sent / RATE - time.monotonic() if sent < count else 20
        for connection in select.select(connections, (), (), max(pause, 0.0))[0]:
            data = buffers[connection] + connection.recv(65536)
            now = time.monotonic()
            # Each answer ends with the brace of the value.
            while (end := data.find(b'"}')) >= 0:
                assert data.startswith(b"HTTP/1.1 200"), data
                waits.append((now - due[connection].pop(0)) * 1000)
                data = data[end + 2 :]
            buffers[connection] = data
    for connection in connections:
        connection.close()
    return waits


def load(row: str, driver: str, port: int, seconds: float) -> None:
    """Do something with large values for so long, over several connections."""
    one = LOADS[row]
    assert one is not None
    began, done = time.monotonic(), 0
    ends = began + seconds
    # The cache itself, to store what the service does not know of.
    backend = registry.create(driver, settings.load(os.environ, None))
    numbers = itertools.count(os.getpid() * 10_000)

    def work() -> None:
        nonlocal done
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < ends:
            one(connection, backend, next(numbers))
            done += 1

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    print("begun", flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(done / (time.monotonic() - began), flush=True)


One = Callable[[http.client.HTTPConnection, Backend, int], None]


def _reads(connection: http.client.HTTPConnection, _: Backend, __: int) -> None:
    send(connection, "GET", f"{CACHE}/large:0")


def _pairs(connection: http.client.HTTPConnection, _: Backend, number: int) -> None:
    body = f'{{"resource":[{{"key":"large:{number % 8}","value":{TEXT}}}]}}'
    send(connection, "POST", CACHE, body)


def _updates(connection: http.client.HTTPConnection, _: Backend, number: int) -> None:
    send(connection, "PUT", f"{CACHE}/large:{number % 8}", f'{{"value":{OBJECTS}}}')


def _first(connection: http.client.HTTPConnection, backend: Backend, number: int) -> None:
    backend.set(f"new:{number}", TEXT.encode(), 60)
    send(connection, "GET", f"{CACHE}/new:{number}")
    # What is small shall not be evicted for it.
    backend.delete(f"new:{number}")


def _lists(connection: http.client.HTTPConnection, _: Backend, __: int) -> None:
    send(connection, "GET", f"{CACHE}?keys=large:0,large:1,large:2,large:3")


def _pulls(connection: http.client.HTTPConnection, backend: Backend, number: int) -> None:
    backend.set(f"new:{number}", TEXT.encode(), 60)
    send(connection, "GET", f"{CACHE}/new:{number}?clear=true")


def _texts(connection: http.client.HTTPConnection, backend: Backend, number: int) -> None:
    backend.set(f"new:{number}", b"no JSON\n" * (SIZE // 8), 60)
    send(connection, "GET", f"{CACHE}/new:{number}")
    # What is small shall not be evicted for it.
    backend.delete(f"new:{number}")


LOADS: dict[str, One | None] = {
    "nothing": None,
    "reads of one value": _reads,
    "POSTs of a text": _pairs,
    "PUTs of small objects": _updates,
    "first reads": _first,
    "first reads of text that is no JSON": _texts,
    "lists of four": _lists,
    "pulls": _pulls,
}


if __name__ == "__main__":
    main()
