"""Programs of the system that only some tests need."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

# Debian gives those for administrators no place in a user's path.
_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin:/usr/sbin:/sbin"])


def tool(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    path = shutil.which(name, path=_PLACES)
    if path is None:
        pytest.skip(f"{name} is not installed (`make test` installs it)")
    return path


def run(*command: object, **more) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said, whatever its exit code."""
    return subprocess.run(
        [str(part) for part in command],
        **{"capture_output": True, "text": True, "timeout": 120, **more},
    )
