"""What there is much of: made as fast as it can be, not as anybody would make it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from sqlalchemy import insert

from backends.file.backend import FileBackend
from cacheapi.registry.database import metadata
from cacheapi.registry.database.connecting import connect
from cacheapi.registry.database.migrate import migrate
from tests.support.live import CACHE, Connection
from tests.support.processes import Service, service

ROWS_AT_ONCE = 10_000


def registry(data_dir: Path, *, services: int = 0, keys: int = 0) -> None:
    """Make the database of so many services and API keys, each with rules of its own."""
    database = connect(None, data_dir)
    migrate(database)
    rows = (
        {
            "name": f"s{number}",
            "label": "",
            "description": "",
            "type": "cache_memcached" if number % 2 else "cache_local",
            "is_active": True,
            "config": json.dumps({"prefix": f"s{number}:"} if number % 2 else {}),
            "secrets": "",
        }
        for number in range(services)
    )
    callers = (
        {
            "name": f"customer {number}",
            "digest": hashlib.sha256(f"key {number}".encode()).hexdigest(),
            "prefix": "ca_123456",
            "administrator": False,
            "rules": json.dumps(
                [{"service": "cache", "verbs": ["GET", "PUT"], "prefix": f"customer:{number}:"}]
            ),
            "created": 1,
        }
        for number in range(keys)
    )
    with database.engine().begin() as connection:
        for table, made in ((metadata.services, rows), (metadata.api_keys, callers)):
            while part := list(itertools.islice(made, ROWS_AT_ONCE)):
                connection.execute(insert(table), part)


def file(directory: Path, entries: int) -> FileBackend:
    """Make a cache file of so many small entries."""
    backend = FileBackend(data_dir=str(directory), max_mb=1024)
    backend.set("first", b"1", None)
    backend.close()
    with contextlib.closing(sqlite3.connect(directory / "cache.sqlite3")) as sqlite:
        for number in range(0, entries, ROWS_AT_ONCE):
            keys = [b"key:%09d" % each for each in range(number, number + ROWS_AT_ONCE)]
            sqlite.executemany(
                "INSERT INTO entries (key, expires, used, checksum, value) VALUES (?, ?, 1, ?, ?)",
                [(key, math.inf, crc32(b"1", crc32(key)), b"1") for key in keys],
            )
        sqlite.commit()
    return backend


@contextlib.contextmanager
def live(directory: Path, *, services: int = 0, keys: int = 0) -> Iterator[Service]:
    """Run the service with one worker, on so many services and keys."""
    (directory / "data").mkdir(parents=True)
    registry(directory / "data", services=services, keys=keys)
    with service(directory, CACHE_DRIVER="file", WEB_CONCURRENCY="1") as running:
        yield running


class Reader(threading.Thread):
    """Small reads, one after the other, while something else is done.

    :ivar waits: how long each took, in ms.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.waits: list[float] = []
        self._connection = Connection(port)
        self._connection.call("POST", CACHE, {"key": "small", "value": 1, "ttl": 0})
        self._ends = threading.Event()

    def run(self) -> None:
        while not self._ends.is_set():
            began = time.perf_counter()
            assert self._connection.call("GET", f"{CACHE}/small").status == 200
            self.waits.append((time.perf_counter() - began) * 1000)
            time.sleep(0.001)

    def __enter__(self) -> Reader:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self.join()
        self._connection.__exit__(None, None, None)
