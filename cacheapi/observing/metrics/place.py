"""Where the processes of one gunicorn share their numbers.

That is ``PROMETHEUS_MULTIPROC_DIR``, as programs with prometheus_client know it; where that is
not set, gunicorn's master makes a directory and sets it for its workers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from backends import owned
from cacheapi.observing.metrics.files import clear, fold
from cacheapi.observing.metrics.meter import DIRECTORY

_PREFIX: Final = "cacheapi-metrics-"


def begin() -> None:
    """Let the children of this process share a directory, with nothing counted yet."""
    _remove_left()
    given = os.environ.get(DIRECTORY)
    # One of ours is the parent's: this is the new master of an upgrade, beside the old one.
    if given and not Path(given).name.startswith(_PREFIX):
        directory = Path(given)
        owned.folder(directory)
        clear(directory)
    else:
        os.environ[DIRECTORY] = tempfile.mkdtemp(prefix=_own(), dir=_parent())


def child_is_gone(process: int) -> None:
    """Keep what a child has counted."""
    directory = os.environ.get(DIRECTORY)
    if directory is not None:
        with contextlib.suppress(OSError):
            fold(Path(directory), process)


def end() -> None:
    """Remove the directory, if this process has made it."""
    directory = Path(os.environ.get(DIRECTORY, ""))
    if directory.name.startswith(_own()):
        shutil.rmtree(directory, ignore_errors=True)


def _own() -> str:
    return f"{_PREFIX}{os.getpid()}-"


def _parent() -> Path:
    # Written several times a second, and worth nothing after a restart.
    memory = Path("/dev/shm")  # noqa: S108
    return memory if os.access(memory, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def _remove_left() -> None:
    """Remove what masters have left that were killed."""
    for path in _parent().glob(f"{_PREFIX}*-*"):
        number = path.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and _is_gone(int(number)):
            # Another user's stays.
            shutil.rmtree(path, ignore_errors=True)


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
