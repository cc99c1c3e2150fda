"""``ATTACK=1``: what costs a service most, beside normal load, for SOAK_SECONDS.

Prints the 99th percentile of a plain read and the memory of each worker; the exit code is 1 where
a read takes longer, or a worker holds more, than is promised.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.support.live import CACHE, Connection, Wire, call, chunk, head
from tests.support.processes import Service, service

MOST_SECONDS: Final = 0.05
MOST_MIB: Final = 400
LARGE: Final = 7 * 2**20
KEYS: Final = 6
# How long reads are measured before, to tell a busy machine from a slow service.
CALM_SECONDS: Final = 5.0


def read(port: int, key: str, seconds: float) -> tuple[list[float], list[str]]:
    """Be four clients that read; return how long each read took, and what failed."""
    took: list[float] = []
    failed: list[str] = []
    until = time.monotonic() + seconds

    def client() -> None:
        chosen = random.Random()
        with Connection(port, key) as connection:
            while time.monotonic() < until:
                started = time.monotonic()
                try:
                    status = connection.call("GET", f"{CACHE}/small{chosen.randrange(100)}").status
                except OSError as error:
                    failed.append(repr(error))
                    continue
                took.append(time.monotonic() - started)
                if status != 200:
                    failed.append(str(status))
                time.sleep(0.005)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took, failed


class Attack:
    """The attackers.

    :param reads: an API key that may read, and nothing else.
    """

    def __init__(self, live: Service, reads: str, seconds: float) -> None:
        self.live = live
        self.reads = reads
        self.until = time.monotonic() + seconds
        self.sent: dict[str, int] = {}
        self.memory: dict[int, int] = {}

    def run(self) -> None:
        kinds = [self.batch, self.repeated, self.slow, self.unread, self.sign_in, self.large]
        threads = [threading.Thread(target=self._keep_on, args=(kind,)) for kind in kinds]
        threads.append(threading.Thread(target=self.watch))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _keep_on(self, kind: Callable[[], None]) -> None:
        while time.monotonic() < self.until:
            # A connection that is cut is what the attacker gets.
            with contextlib.suppress(OSError, ValueError, AssertionError):
                kind()
            self.sent[kind.__name__] = self.sent.get(kind.__name__, 0) + 1
            time.sleep(0.05)

    def watch(self) -> None:
        while time.monotonic() < self.until:
            for worker in self.live.workers():
                with contextlib.suppress(OSError):
                    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
                    held = pages * os.sysconf("SC_PAGE_SIZE")
                    self.memory[worker] = max(self.memory.get(worker, 0), held)
            time.sleep(0.1)

    # What attackers send

    def batch(self) -> None:
        """Eight megabytes of faults, without the right to store them."""
        body = b'{"resource":[' + b"{}," * 2_600_000 + b"{}]}"
        with Wire(self.live.port) as wire:
            wire.send(head(f"POST {CACHE}", f"Content-Length: {len(body)}", key=self.reads) + body)
            wire.answer()

    def repeated(self) -> None:
        """One large key, named 800 times."""
        with Wire(self.live.port) as wire:
            wire.send(head(f"GET {CACHE}?keys={'large0,' * 800}large0", key=self.reads))
            wire.answer()

    def slow(self) -> None:
        """Bodies that come byte by byte, in chunks and not, of strangers and not."""
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(Wire(self.live.port)) for _ in range(20)]
            for number, wire in enumerate(wires):
                key = self.live.api_key if number % 2 else "unknown"
                field = "Content-Length: 8000000" if number % 3 else "Transfer-Encoding: chunked"
                wire.send(head(f"POST {CACHE}", field, key=key))
            for _ in range(20):
                for number, wire in enumerate(wires):
                    wire.send(b" " if number % 3 else chunk(b" "))
                time.sleep(0.1)

    def unread(self) -> None:
        """Pipelined reads of large values that nobody takes."""
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                wire = stack.enter_context(Wire(self.live.port))
                for number in range(32):
                    wire.send(head(f"GET {CACHE}/large{number % KEYS}", key=self.reads))
            time.sleep(2)

    def sign_in(self) -> None:
        """A large form of somebody who is not signed in."""
        form = b"&".join([b"a=b"] * 2_000_000)
        sent = head("POST /console/sign-in", f"Content-Length: {len(form)}")
        with Wire(self.live.port) as wire:
            wire.send(sent.replace(b"application/json", b"application/x-www-form-urlencoded"))
            wire.send(form)
            wire.answer()

    def large(self) -> None:
        """As many values as a line has room for, all large."""
        keys = ",".join(f"large{number}" for number in range(KEYS))
        with socket.create_connection(("127.0.0.1", self.live.port), 10) as connection:
            connection.sendall(head(f"GET {CACHE}?keys={keys}", key=self.reads))
            connection.recv(100)


def main() -> int:
    """Attack a service on the file; return the exit code."""
    seconds = float(os.environ.get("SOAK_SECONDS", "300"))
    with tempfile.TemporaryDirectory() as directory, service(Path(directory)) as live:
        for number in range(KEYS):
            _store(live, f"large{number}", "x" * LARGE)
        for number in range(100):
            _store(live, f"small{number}", number)
        rules = [{"service": "cache", "verbs": ["GET"]}]
        body = {"resource": [{"name": "reader", "rules": rules}]}
        made = json.loads(call(live.port, "POST", "/api/v2/system/api_key", body).body)
        # In a process of its own: what it measures is not to wait for what attacks.
        with concurrent.futures.ProcessPoolExecutor(1) as apart:
            calm = sorted(apart.submit(read, live.port, live.api_key, CALM_SECONDS).result()[0])
            reading = apart.submit(read, live.port, live.api_key, seconds)
            attack = Attack(live, made["resource"][0]["api_key"], seconds)
            attack.run()
            times, failed = reading.result()
    took = sorted(times)
    slowest = took[int(len(took) * 0.99)]
    held = [size / 2**20 for size in attack.memory.values()]
    print(f"without an attack: p99 {1000 * calm[int(len(calm) * 0.99)]:.1f} ms")
    print(f"attacks: {attack.sent}")
    print(
        f"plain reads: {len(took)}, p50 {1000 * took[len(took) // 2]:.1f} ms, p99 "
        f"{1000 * slowest:.1f} ms (< {1000 * MOST_SECONDS:.0f}), failed: {failed[:5]}"
    )
    print(f"memory of each worker, at most: {[round(size) for size in held]} MiB (< {MOST_MIB})")
    kept = slowest < MOST_SECONDS and max(held) < MOST_MIB and not failed
    print("all promises are kept" if kept else "some promises are broken")
    return 0 if kept else 1


def _store(live: Service, key: str, value: object) -> None:
    assert call(live.port, "POST", CACHE, {"key": key, "value": value}).status == 201
