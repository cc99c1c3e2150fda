"""``make bench``: measure side by side, round by round, and print one table."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import saving
from benchmarks.servers import Server, running
from benchmarks.work import KEYS, LARGE_KEYS, SIZES, WORK, Result, Work, measure
from cacheapi.commands.diagnosis import interpreter
from tests.support.live import call
from tests.support.processes import Service

# A second, for what takes each key once.
TAKEN = 20_000
PROGRAMS = {"nginx": "nginx-light", "redis-server": "redis-server", "webdis": "webdis"}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, fewer rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("The load comes from wrk: please install the package wrk.")
    missing = {name for name in PROGRAMS if shutil.which(name) is None}
    for name in sorted(missing):
        print(f"Left out: {name} (package {PROGRAMS[name]})")
    rounds, seconds = (1, 1) if options.quick else (options.rounds, options.seconds)
    work = [row for row in WORK if row.quick or not options.quick]
    with tempfile.TemporaryDirectory() as path:
        directory = Path(path)
        with running(directory, missing, quick=options.quick) as servers:
            servers = [limited(server) for server in servers]
            for server in servers:
                fill(server, values())
            results = run(servers, work, rounds, seconds, directory)
            memory = {server.name: megabytes(server) for server in servers if server.workers}
    print(table(servers, work, results))
    for (row_name, server_name), found in results.items():
        if wrong := sum(result.wrong for result in found):
            print(f"{wrong} wrong answers: {row_name}, {server_name}")
    print("\nMemory of a worker, MB: " + ", ".join(f"{k} {v:.0f}" for k, v in memory.items()))
    save(results, memory)


def limited(server: Server) -> Server:
    """Return a server with an API key that has a rate limit, where it knows such."""
    if server.kind != "cacheapi":
        return server
    rules = [{"service": "cache", "verbs": ["GET"]}]
    limit = {"requests": 10**9, "seconds": 60}
    body = {"name": "limited", "rules": rules, "rate_limit": limit}
    answer = call(server.port, "POST", "/api/v2/system/api_key", body)
    # All workers know it within a second.
    time.sleep(1)
    return server._replace(limited=answer.json["resource"][0]["api_key"])


def values() -> dict[str, str]:
    """Return what is read."""
    return {
        f"{prefix}:key:{number}" if prefix else f"key:{number}": "v" * (size - 2)
        for prefix, size in SIZES.items()
        for number in range(LARGE_KEYS if size > 10_000 else KEYS)
    }


def fill(server: Server, values: dict[str, str]) -> None:
    """Store something, through the server where it can."""
    pairs = list(values.items())
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for start in range(0, len(pairs), 50):
        part = pairs[start : start + 50]
        if server.kind == "cacheapi":
            body = json.dumps({"resource": [{"key": k, "value": v, "ttl": 0} for k, v in part]})
            target = "/api/v2/cache"
        elif server.kind == "webdis":
            body = "MSET/" + "/".join(f'{k}/"{v}"' for k, v in part)
            target = "/"
        else:
            return
        fields = {
            "X-DreamFactory-API-Key": Service.api_key,
            "Content-Type": "application/json",
        }
        connection.request("POST", target, body, fields)
        response = connection.getresponse()
        response.read()
        if response.status not in (200, 201):
            raise RuntimeError(f"{server.name} answers {response.status}")
    connection.close()


def run(
    servers: list[Server], work: list[Work], rounds: int, seconds: int, directory: Path
) -> dict[tuple[str, str], list[Result]]:
    """Measure every row on every server, in turns."""
    results: dict[tuple[str, str], list[Result]] = {}
    for number in range(rounds):
        for row in work:
            for server in servers:
                if server.kind in row.requests:
                    print(f"{number + 1}/{rounds} {row.name}, {server.name}", file=sys.stderr)
                    if row.takes:
                        fill(server, {f"once:{n}": "v" * 228 for n in range(TAKEN * seconds)})
                    result = measure(server, row, seconds, directory)
                    results.setdefault((row.name, server.name), []).append(result)
    return results


def median(results: list[Result]) -> tuple[float, ...]:
    return tuple(statistics.median(column) for column in zip(*results, strict=True))


def table(
    servers: list[Server], work: list[Work], results: dict[tuple[str, str], list[Result]]
) -> str:
    """Return the medians: requests per second, p50 and p99 in ms, µs of the processor a request.

    In brackets are the ratios to Webdis. The load shares the cores, so it is the processor's time
    that says what a request costs.
    """
    head = "requests/s (x Webdis) p50/p99 ms, CPU µs a request (x Webdis)"
    lines = [[head, *(server.name for server in servers)]]
    for row in work:
        other = results.get((row.name, "Webdis"))
        cells = [row.name]
        for server in servers:
            own = results.get((row.name, server.name))
            if own is None:
                cells.append("-")
                continue
            cells.append(_cell(median(own), None if other is None else median(other)))
        lines.append(cells)
    rule = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [lines[0], rule, *lines[1:]])


def _cell(own: tuple[float, ...], other: tuple[float, ...] | None) -> str:
    rate, p50, p99, _, cpu = own
    if other is None:
        return f"{rate:,.0f} {p50:.2f}/{p99:.2f}, {cpu:.0f} µs"
    # A short round may be too short for the clock of the system.
    ratio = f" (x{cpu / other[-1]:.2f})" if other[-1] else ""
    return f"{rate:,.0f} (x{rate / other[0]:.2f}) {p50:.2f}/{p99:.2f}, {cpu:.0f} µs{ratio}"


def megabytes(server: Server) -> float:
    """Return the mean of the memory that the workers hold."""
    sizes = [
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for pid in server.workers
    ]
    return statistics.mean(sizes) / 1e6


def save(results: dict[tuple[str, str], list[Result]], memory: dict[str, float]) -> None:
    """Write all of it as JSON."""
    built = "" if interpreter.optimised() else ", built without optimisations"
    document: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}{built}",
        "memory of a worker in MB": memory,
        "results": [
            {"work": work, "server": server, "rounds": [result._asdict() for result in found]}
            for (work, server), found in results.items()
        ],
    }
    saving.save(document)


if __name__ == "__main__":
    main()
