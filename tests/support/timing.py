"""Promises of time, judged on a machine that may be busy with other work."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

_PRESSURE = Path("/proc/pressure/cpu")


def starved() -> float:
    """Return for how many seconds so far some task of this machine waited for a processor.

    Linux counts it (Documentation/accounting/psi.rst); where it does not, it is 0.
    """
    with contextlib.suppress(OSError):
        return int(_PRESSURE.read_text().split("\n")[0].rpartition("total=")[2]) / 1e6
    return 0.0


class Stopwatch:
    """Measures time since it was made, less the time in which the machine was too busy to tell."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._starved = starved()

    def __call__(self) -> float:
        return time.monotonic() - self._started - (starved() - self._starved)
