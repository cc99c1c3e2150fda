"""``make bench GROWTH=1``: what costs how much where there is much, beside what it may cost."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from backends.file.backend import FileBackend
from benchmarks import growing
from benchmarks.servers import cpu_seconds
from cacheapi.web.plain import plain_pairs
from tests.support.live import Connection
from tests.support.processes import REPOSITORY, Service
from tests.support.redis import redis_server

SERVICES = "/api/v2/system/service"
KEYS = "/api/v2/system/api_key"
TURNS = 15


class Figure(NamedTuple):
    """A row of the table.

    :ivar goal: what it may be at most; ``None``: it stands there to compare with.
    """

    what: str
    figure: float
    unit: str
    goal: float | None


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(prog="make bench GROWTH=1", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all")
    options = parser.parse_args()
    scale = 20 if options.quick else 1
    print("| What | Measured | At most | |\n| --- | --- | --- | --- |")
    for name in options.rows or ROWS:
        with tempfile.TemporaryDirectory() as path:
            for found in ROWS[name](Path(path), scale):
                goal = "-" if found.goal is None else f"{found.goal:g} {found.unit}"
                is_met = found.goal is None or found.figure <= found.goal
                cells = (found.what, f"{found.figure:.3g} {found.unit}", goal)
                print(f"| {' | '.join(cells)} | {'' if is_met else 'MISSED'} |", flush=True)
    print(f"\nLoad of the machine: {os.getloadavg()}")


def batch(_: Path, __: int) -> Iterator[Figure]:
    """Read bodies of pairs of which one more would not have been plain once."""
    pair = {"key": "user:12345:name", "value": {"name": "John Doe", "age": 30}, "ttl": 3600}
    for pairs in (510, 511, 1000):
        body = json.dumps({"resource": [pair] * pairs}).encode()
        took = []
        for _turn in range(TURNS):
            began = time.process_time()
            assert plain_pairs(body, lambda _key: None, None, pairs) is not None
            took.append((time.process_time() - began) / pairs * 1e6)
        if pairs == 510:
            best = min(took)
        goal = None if pairs == 510 else round(1.5 * best, 1)
        yield Figure(f"a batch of {pairs} pairs, to read one", min(took), "µs", goal)


def services(directory: Path, scale: int) -> Iterator[Figure]:
    """Start with many services, and make, change and delete one more."""
    fields = {"type": "cache_memcached", "config": {"host": "127.0.0.1"}}
    names = [f"new{turn}" for turn in range(TURNS)]
    for many, most_cpu, most_ms in ((1000, 1, 50), (5000, 3, 100)):
        with (
            growing.live(directory / f"{many}", services=many // scale) as live,
            Connection(live.port) as connection,
        ):
            _took(connection, "GET", SERVICES)
            (worker,) = live.workers()
            cpu = cpu_seconds(worker)
            yield Figure(f"start with {many:,} services, of a worker", cpu, "s of CPU", most_cpu)
            for word, method, path, body in (
                ("more", "POST", SERVICES, fields),
                ("changed", "PATCH", f"{SERVICES}/", {"label": "x"}),
                ("less", "DELETE", f"{SERVICES}/", None),
            ):
                took = [
                    _took(connection, method, path, {"name": name, **fields})
                    if method == "POST"
                    else _took(connection, method, path + name, body)
                    for name in names
                ]
                what = f"one service {word}, of {many:,}"
                yield Figure(what, statistics.median(took), "ms", most_ms)


def keys(directory: Path, scale: int) -> Iterator[Figure]:
    """Change API keys of which there are many, while others read."""
    for many in (10_000, 50_000):
        with growing.live(directory / f"{many}", keys=many // scale) as live:
            with growing.Reader(live.port) as idle:
                time.sleep(2)
            with Connection(live.port) as connection, growing.Reader(live.port) as reader:
                made = connection.call("POST", KEYS, {"name": "new"}).json["resource"][0]
                took = []
                for turn in range(TURNS):
                    body = {"name": f"changed {turn}"}
                    took.append(_took(connection, "PATCH", f"{KEYS}/{made['id']}", body))
                    time.sleep(0.1)
            what = f"one change of an API key, of {many:,}"
            yield Figure(what, statistics.median(took), "ms", 50)
            yield Figure("- the latest of the reads meanwhile", max(reader.waits), "ms", 20)
            yield Figure("- the latest where nothing changes", max(idle.waits), "ms", None)
            if many == 50_000:
                megabytes = _megabytes(live)
                yield Figure(f"memory of a worker with {many:,} API keys", megabytes, "MB", 100)


def lists(directory: Path, scale: int) -> Iterator[Figure]:
    """Ask for the first and the last page of long lists."""
    many = 50_000 // scale
    with (
        growing.live(directory / "0", services=5000 // scale, keys=many) as live,
        Connection(live.port) as connection,
    ):
        for what, path in (
            (f"a page of {many:,} API keys", KEYS),
            ("- the last one", f"{KEYS}?cursor={many - 100}"),
            ("- those that a search finds", f"{KEYS}?search=9{many // 100}"),
            (f"a page of {5000 // scale:,} services", SERVICES),
            ("- the last one", f"{SERVICES}?cursor=s98"),
        ):
            took = [_took(connection, "GET", path) for _ in range(TURNS)]
            yield Figure(what, statistics.median(took), "ms", 20)


def listing(directory: Path, scale: int) -> Iterator[Figure]:
    """List the keys of large files, from the start and near the end."""
    for many in (1_000_000, 3_000_000):
        (directory / f"{many}").mkdir()
        backend = growing.file(directory / f"{many}", many // scale)
        first = _page_ms(backend, None)
        yield Figure(f"the first page of a file of {many:,} keys", first, "ms", None)
        # A cursor is the last key of its page.
        key = b"key:%09d" % (many // scale * 9 // 10)
        last = _page_ms(backend, base64.urlsafe_b64encode(key).decode().rstrip("="))
        yield Figure("- the page at 90 %", last, "ms", max(1.0, round(2 * first, 2)))
        if many == 3_000_000:
            yield from _flushed(backend, many)
        backend.close()


def _page_ms(backend: FileBackend, cursor: str | None) -> float:
    assert len(backend.list_keys("", 100, cursor)[0]) == 100
    return min(_timed(lambda: backend.list_keys("", 100, cursor)) for _ in range(TURNS))


def _flushed(backend: FileBackend, many: int) -> Iterator[Figure]:
    waits: list[float] = []
    ends = threading.Event()

    def write() -> None:
        number = 0
        while not ends.is_set():
            number += 1
            key = f"beside:{number % 100}"
            waits.append(_timed(partial(backend.set, key, b"1", None)))
            time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.2)
    took = _timed(backend.flush)
    time.sleep(0.2)
    ends.set()
    writer.join()
    yield Figure(f"flush of a file of {many:,} entries", took, "ms", None)
    yield Figure("- the latest of the writes meanwhile", max(waits), "ms", 50)


def local(directory: Path, scale: int) -> Iterator[Figure]:
    """Use many services that each have a file, within 1,024 descriptors."""
    many = 300 // min(scale, 3)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard[1]))
    try:
        with growing.live(directory / "0", services=2 * many) as live, contextlib.ExitStack() as on:
            resource.setrlimit(resource.RLIMIT_NOFILE, hard)
            connection = on.enter_context(Connection(live.port))
            before, failed = _megabytes(live), 0
            for number in range(0, 2 * many, 2):
                body = {"resource": [{"key": f"k{n}", "value": "v" * 1000} for n in range(1000)]}
                path = f"/api/v2/s{number}"
                failed += connection.call("POST", path, body).status != 201
                for _ in range(4):
                    asked = ",".join(f"k{n}" for n in range(800))
                    failed += connection.call("GET", f"{path}?keys={asked}").status != 200
            (worker,) = live.workers()
            descriptors = len(os.listdir(f"/proc/{worker}/fd"))
            yield Figure(f"{many} local services in use: requests that failed", failed, "", 0)
            yield Figure("- descriptors of the worker", descriptors, "", 700)
            yield Figure("- memory that they take", _megabytes(live) - before, "MB", 150)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, hard)


# Each has something of its own to import; "doctor" has the most.
PROGRAM = (
    *("set k 1", "services", "services types", "api-key list", "tail -s cache --slowest"),
    *("audit", "stats --once", "doctor"),
)


# The system cache there is Redis, and so is one of the services; by what is set.
ON_REDIS = (
    *(("set k 1", "redis"), ("get k", "redis"), ("ttl k", "redis")),
    *(("services", "file"), ("set k 1 --service rd", "file"), ("get k --service rd", "file")),
)


def program(directory: Path, _: int) -> Iterator[Figure]:
    """Run commands of the program: one about a key, and those that look at the most."""
    environ = {**os.environ, "CACHE_DRIVER": "file", "CACHEAPI_DATA_DIR": str(directory / "data")}
    yield from _commands(((words, "file") for words in PROGRAM), environ)
    with redis_server() as server:
        at = f"host=127.0.0.1:{server.port}"
        command = ["services", "create", "rd", "--type", "cache_redis", "--set", at]
        _command(command, environ)
        yield from _commands(ON_REDIS, {**environ, **server.settings})


def _commands(them: Iterable[tuple[str, str]], environ: Mapping[str, str]) -> Iterator[Figure]:
    """Run commands, each with a driver of the system cache."""
    for words, driver in them:
        took = []
        for _turn in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            _command(words.split(), {**environ, "CACHE_DRIVER": driver})
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        where = "" if driver == "file" else f", CACHE_DRIVER={driver}"
        yield Figure(f"cacheapi {words}{where}", min(took), "s of CPU", 0.25)


def _command(words: Iterable[str], environ: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "cacheapi", *words]
    subprocess.run(command, env=environ, cwd=REPOSITORY, check=True, capture_output=True)


ROWS: dict[str, Callable[[Path, int], Iterator[Figure]]] = {
    each.__name__: each for each in (batch, services, keys, lists, listing, local, program)
}


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _took(connection: Connection, method: str, path: str, body: Any = None) -> float:
    """Return the milliseconds that a request takes."""
    began = time.perf_counter()
    answer = connection.call(method, path, body)
    took = (time.perf_counter() - began) * 1000
    assert answer.status in (200, 201), answer.body
    return took


def _megabytes(live: Service) -> float:
    (worker,) = live.workers()
    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
