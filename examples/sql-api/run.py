"""A small API over SQL, and cacheapi in front of it: ``python examples/sql-api/run.py``.

The API answers ``/sales/{region}`` with a sum over 300,000 rows and says that it may be kept for
a minute, with a tag; ``PUT /sales/{region}`` with a number adds a sale. cacheapi is started
beside it with the service ``shop``, everything in a temporary directory. Both are measured, then
they run until Ctrl-C (with ``--measure``, they end).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY = "demo"
REGIONS = ("north", "south", "east", "west")
ROWS = 300_000
READS = 20


class Api(BaseHTTPRequestHandler):
    """The API that is slow; ``database`` is a file of SQLite."""

    protocol_version = "HTTP/1.1"
    database = ""

    def do_GET(self) -> None:
        """Answer with the sum of a region."""
        region = self.path.partition("?")[0].rpartition("/")[2]
        with contextlib.closing(sqlite3.connect(self.database)) as sqlite:
            found = sqlite.execute(
                "SELECT count(*), sum(amount), avg(amount * amount) FROM sales WHERE region = ?",
                (region,),
            ).fetchone()
        body = {"region": region, "sales": found[0], "amount": found[1], "mean_square": found[2]}
        self._send(200, body, {"Cache-Control": "max-age=60", "Surrogate-Key": "sales"})

    def do_PUT(self) -> None:
        """Add a sale to a region."""
        amount = int(self.rfile.read(int(self.headers["Content-Length"])))
        region = self.path.rpartition("/")[2]
        with contextlib.closing(sqlite3.connect(self.database)) as sqlite, sqlite:
            sqlite.execute("INSERT INTO sales VALUES (?, ?)", (region, amount))
        self._send(200, {"success": True}, {})

    def _send(self, status: int, document: object, headers: dict[str, str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fill(database: str) -> None:
    """Make the table."""
    with contextlib.closing(sqlite3.connect(database)) as sqlite, sqlite:
        sqlite.execute("CREATE TABLE sales (region TEXT, amount INTEGER)")
        rows = ((REGIONS[number % 4], number % 997) for number in range(ROWS))
        sqlite.executemany("INSERT INTO sales VALUES (?, ?)", rows)


def milliseconds(url: str) -> tuple[float, str]:
    """Return the median of a few reads, and what ``Cache-Status`` says of the last."""
    took = []
    status = ""
    for _ in range(READS):
        started = time.perf_counter()
        request = urllib.request.Request(url, headers={"X-DreamFactory-API-Key": KEY})  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            answer.read()
            status = answer.headers["Cache-Status"] or "-"
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took), status


def wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when cacheapi listens."""
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            sys.exit("cacheapi did not start.")
        time.sleep(0.1)
    sys.exit("cacheapi does not listen.")


def main() -> None:
    """Start both, measure, and run on."""
    parser = argparse.ArgumentParser(description="An API over SQL with cacheapi in front of it.")
    parser.add_argument("--measure", action="store_true", help="measure, and end")
    measure = parser.parse_args().measure
    with tempfile.TemporaryDirectory(prefix="sql-api.") as directory:
        Api.database = str(Path(directory, "sales.sqlite3"))
        fill(Api.database)
        api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
        threading.Thread(target=api.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{api.server_address[1]}"
        services = Path(directory, "services.toml")
        services.write_text(
            f'[[service]]\nname = "shop"\ntype = "rws"\n[service.config]\nbase_url = "{origin}"\n'
        )
        port = free_port()
        environ = os.environ | {
            "CACHE_DRIVER": "file",
            "CACHEAPI_API_KEY": KEY,
            "CACHEAPI_DATA_DIR": directory,
            "CACHEAPI_SERVICES_FILE": str(services),
            "PORT": str(port),
        }
        cache = subprocess.Popen(
            [sys.executable, "-m", "cacheapi", "serve"],
            env=environ,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait(port, cache)
            shop = f"http://127.0.0.1:{port}/api/v2/shop"
            direct, _ = milliseconds(f"{origin}/sales/north")
            cached, status = milliseconds(f"{shop}/sales/north")
            print(f"the API itself:  {direct:8.2f} ms a read\nthrough cacheapi:{cached:8.2f} ms")
            print(f"Cache-Status:    {status}", flush=True)
            if not measure:
                print(
                    f"\ncurl -i -H 'X-DreamFactory-API-Key: {KEY}' {shop}/sales/north", flush=True
                )
                cache.wait()
        except KeyboardInterrupt:
            pass
        finally:
            cache.terminate()
            cache.wait()


if __name__ == "__main__":
    main()
