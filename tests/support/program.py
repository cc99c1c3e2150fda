"""The program ``cacheapi`` as a process of its own, in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import REPOSITORY, Service, eventually, free_port

COMMAND = [sys.executable, "-m", "cacheapi"]


def environ(directory: Path, **settings: str) -> dict[str, str]:
    """Return an environment with the settings given and no others."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CACHE", "MEMCACHED_", "REDIS_"))
        and name not in ("HOST", "PORT", "WEB_CONCURRENCY")
    }
    return kept | {
        "PYTHONPATH": str(REPOSITORY),
        "CACHEAPI_DATA_DIR": str(directory / "data"),
        "CACHEAPI_API_KEY": Service.api_key,
        **settings,
    }


def run(
    directory: Path, *arguments: str, stdin: bytes = b"", timeout: float = 60, **settings: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the program to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env=environ(directory, **settings),
        input=stdin,
        capture_output=True,
        timeout=timeout,
    )


class Serving(NamedTuple):
    """A ``cacheapi serve`` that is ready; gunicorn is this very process."""

    port: int
    log: Path
    pid: int


@contextlib.contextmanager
def serving(directory: Path, *options: str, **settings: str) -> Iterator[Serving]:
    """Run ``cacheapi serve``."""
    port = free_port()
    log = directory / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, "serve", *options],
            cwd=directory,
            env=environ(directory, PORT=str(port), **settings),
            stdout=file,
            stderr=file,
        )
    try:
        eventually(lambda: process.poll() is not None or b"cacheapi is at" in log.read_bytes(), 30)
        yield Serving(port, log, process.pid)
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
