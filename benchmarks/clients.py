"""``python -m benchmarks.clients``: each client asks for one value, on one kept connection.

Round by round, beside a client that does no more than it must: the requests written in advance, and
the answers counted.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.support.live import CACHE, call, head
from tests.support.processes import REPOSITORY, Service, service

BENCH = REPOSITORY / "clients" / "bench"
PROGRAMS: dict[str, list[str]] = {
    "PHP, curl": ["php", f"{BENCH}/bench.php", "curl"],
    "PHP, streams": ["php", f"{BENCH}/bench.php", "stream"],
    "JavaScript, Node": ["node", f"{BENCH}/bench.js"],
    "Python": [sys.executable, f"{BENCH}/bench.py", "sync"],
    "Python, async": [sys.executable, f"{BENCH}/bench.py", "async"],
}
PLAIN = "a plain socket"


class Result(NamedTuple):
    """Requests a second, and seconds of the client's processor a request."""

    rate: float
    used: float


def main() -> None:
    """Run the benchmark and print one table: medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    options = parser.parse_args()
    found: dict[str, list[Result]] = {name: [] for name in (PLAIN, *PROGRAMS)}
    with (
        tempfile.TemporaryDirectory() as path,
        service(Path(path), CACHE_DRIVER="file", WEB_CONCURRENCY="1") as live,
    ):
        assert call(live.port, "POST", CACHE, {"key": "bench", "value": "v" * 230}).status == 201
        for _ in range(options.rounds):
            found[PLAIN].append(plain(live.port, options.seconds))
            for name, command in PROGRAMS.items():
                found[name].append(ask(command, live, options.seconds))
    print("| Client | requests/s | µs of processor a request | requests/s, to the first |")
    print("|---|---|---|---|")
    best = statistics.median(result.rate for result in found[PLAIN])
    for name, results in found.items():
        rate = statistics.median(result.rate for result in results)
        used = statistics.median(result.used for result in results)
        print(f"| {name} | {rate:,.0f} | {used * 1e6:.0f} | {rate / best:.2f} |")
    print(f"\nLoad of the machine: {os.getloadavg()}")


def ask(command: list[str], live: Service, seconds: float) -> Result:
    """Let a client's program ask."""
    done = subprocess.run(
        [*command, f"{live.url}{CACHE}", live.api_key, str(seconds)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "clients" / "python")},
        check=True,
        stdout=subprocess.PIPE,
    )
    count, took, used = map(float, done.stdout.split())
    return Result(count / took, used / count)


def plain(port: int, seconds: float) -> Result:
    """Return what a client reaches that neither makes requests nor reads answers."""
    request = head(f"GET {CACHE}/bench")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        time.sleep(0.2)
        size = len(connection.recv(65536))
        count, started, used = 0, time.monotonic(), time.process_time()
        while time.monotonic() < started + seconds:
            connection.sendall(request)
            got = 0
            while got < size:
                got += len(connection.recv(65536))
            count += 1
        took = time.monotonic() - started
        return Result(count / took, (time.process_time() - used) / count)


if __name__ == "__main__":
    main()
