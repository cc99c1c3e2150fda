"""The program ``cacheapi`` as a process of its own, in a directory of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
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
        and name not in ("HOST", "PORT", "WEB_CONCURRENCY", "COLUMNS", "LINES")
    }
    return kept | {
        "PYTHONPATH": str(REPOSITORY),
        "CACHEAPI_DATA_DIR": str(directory / "data"),
        "CACHEAPI_API_KEY": Service.api_key,
        **settings,
    }


def begin(directory: Path) -> None:
    """Make what the first start of a service leaves: commands that store make none."""
    (directory / "data" / "services").mkdir(mode=0o700, parents=True)


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
        eventually(lambda: process.poll() is not None, 30)
        assert process.returncode == 0, log.read_text()


def on_terminal(
    directory: Path,
    *arguments: str,
    until: Callable[[str], bool],
    press: bytes = b"\x03",
    width: int = 120,
    program: Sequence[str] = COMMAND,
    **settings: str,
) -> tuple[int, str]:
    """Run the program on a terminal, press a key there once ``until`` holds of what it shows.

    :param press: the key; by default it is Ctrl-C.
    :param program: what is run instead, with its arguments: a shell.
    :return: its exit code, and all that it showed.
    """
    terminal, own = pty.openpty()
    fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [*program, *arguments],
        cwd=directory,
        env=environ(directory, TERM="xterm-256color", LANG="C.UTF-8", **settings),
        stdin=own,
        stdout=own,
        stderr=own,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(own)
    shown, pressed = b"", False
    deadline = time.monotonic() + 60
    # At its end, reading from the terminal fails.
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 65536)
            if not pressed and until(shown.decode(errors="replace")):
                os.write(terminal, press)
                pressed = True
    os.close(terminal)
    return process.wait(30), shown.decode()
