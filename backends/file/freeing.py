"""Freeing what a large file took: in steps, so that nobody's write waits for it.

The system frees a file when the last one who has it open closes it. Of a gigabyte that takes some
tenths of a second, in which others cannot write to the same disk. So whoever replaces a file holds
it open until nobody else does, and then shortens it step by step.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Final

# Smaller ones are freed at once.
LITTLE: Final = 32 * 1024 * 1024
STEP: Final = 4 * 1024 * 1024
PAUSE_SECONDS: Final = 0.005
# Who has had no work for so long has none that could wait.
WAIT_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.05


def hold(path: Path) -> int | None:
    """Open a file that will be replaced; ``None`` where there is none, or only a little."""
    try:
        # To close it again here would give up the locks that SQLite has in this process.
        if path.stat().st_size > LITTLE:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        pass
    return None


def free(descriptor: int) -> None:
    """Free, on a thread of its own, the file that :func:`hold` opened and that has no name now."""
    threading.Thread(target=_free, args=(descriptor,), name="freeing", daemon=True).start()


def _free(descriptor: int) -> None:
    try:
        until = time.monotonic() + WAIT_SECONDS
        while not _is_alone(descriptor):
            if time.monotonic() > until:
                return
            time.sleep(LOOK_SECONDS)
        size = os.fstat(descriptor).st_size
        while size > 0:
            size = max(0, size - STEP)
            os.ftruncate(descriptor, size)
            time.sleep(PAUSE_SECONDS)
    finally:
        os.close(descriptor)


def _is_alone(descriptor: int) -> bool:
    """Return whether nobody else has the file open, in any process."""
    if os.fstat(descriptor).st_nlink:
        return False
    try:
        # Such a lease is given where that is so, and nowhere else.
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    return True
