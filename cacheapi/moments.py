"""Moments as all write them: in UTC, with ``Z`` behind."""

from __future__ import annotations

import datetime as dt
from typing import Final

# The last second of the year 9999: no calendar of Python's goes on.
LATEST: Final = 253402300799


def moment_text(when: float) -> str:
    """Return a Unix time as the API has it, in whole seconds: ``2030-01-31T12:00:00Z``."""
    return f"{_calendar(when):%Y-%m-%dT%H:%M:%SZ}"


def moment_or_none(when: float | None) -> str | None:
    """Return that of a moment that there may never be."""
    return None if when is None else moment_text(when)


def time_text(when: float) -> str:
    """Return the time of day of a Unix time, in whole seconds: ``12:00:00Z``."""
    return f"{_calendar(when):%H:%M:%SZ}"


def time_ms_text(when: float) -> str:
    """Return the time of day of a Unix time, in milliseconds: ``12:00:00.125Z``."""
    return f"{_calendar(when):%H:%M:%S.%f}"[:-3] + "Z"


def _calendar(when: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(min(when, LATEST), dt.UTC)
