"""Charts of the last hour: what the samples of a service's figures say, and nothing else.

Servers count from their start, so a rate is the difference of two samples. Where a server
started anew, or a sample is missing, the line has a gap.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from cacheapi.observing.sample_files import KEPT_SECONDS, Sample

WIDTH: Final = 600
HEIGHT: Final = 120
# Samples further apart say nothing of what was between them.
LONGEST_SECONDS: Final = 300
ROW_SECONDS: Final = 600
# Per second, with nothing to show.
LOWEST_TOP: Final = 1.0


class Rate(NamedTuple):
    """How often something happened, between two samples."""

    time: float
    times: int
    seconds: float

    @property
    def per_second(self) -> float:
        """The mean."""
        return self.times / self.seconds


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a chart.

    :ivar parts: the points of each part, as SVG has them.
    :ivar latest: per second, if it is known.
    """

    name: str
    parts: list[str]
    latest: float | None


@dataclasses.dataclass(frozen=True)
class Chart:
    """Lines over the last hour.

    :ivar top: what the upper edge stands for, per second.
    :ivar points: of the line that has the most.
    """

    title: str
    top: float
    lines: list[Line]
    points: int


class Row(NamedTuple):
    """Sums of some minutes; ``None``: not known."""

    begin: str
    end: str
    hits: int | None
    misses: int | None
    evictions: int | None


_LINES: Final = {
    "Hits and misses": {"Hits": "get_hits", "Misses": "get_misses"},
    "Evictions": {"Evictions": "evictions"},
}


def charts(samples: Sequence[Sample], now: float) -> list[Chart]:
    """Return the charts of the samples; none where there are too few."""
    made = []
    for title, names in _LINES.items():
        rates = {name: list(_rates(samples, field)) for name, field in names.items()}
        known = [rate for found in rates.values() for rate in found if rate is not None]
        if known:
            top = max(LOWEST_TOP, *(rate.per_second for rate in known))
            lines = [_line(name, found, top, now) for name, found in rates.items()]
            points = max(sum(rate is not None for rate in found) for found in rates.values())
            made.append(Chart(title, top, lines, points))
    return made


def table(samples: Sequence[Sample], now: float) -> list[Row]:
    """Return the same in numbers, the latest first."""
    columns = [
        [rate for rate in _rates(samples, field) if rate is not None]
        for field in ("get_hits", "get_misses", "evictions")
    ]
    rows = []
    for index in range(KEPT_SECONDS // ROW_SECONDS):
        end = now - index * ROW_SECONDS
        begin = end - ROW_SECONDS
        sums = [[rate.times for rate in column if begin < rate.time <= end] for column in columns]
        rows.append(Row(_clock(begin), _clock(end), *(sum(s) if s else None for s in sums)))
    return rows


def _rates(samples: Sequence[Sample], field: str) -> Iterator[Rate | None]:
    """Yield a rate for each two samples that follow each other; ``None`` is a gap."""
    for before, after in itertools.pairwise(samples):
        first, last = getattr(before.figures, field), getattr(after.figures, field)
        seconds = after.time - before.time
        if first is None or last is None or last < first or not 0 < seconds <= LONGEST_SECONDS:
            yield None
        else:
            yield Rate(after.time, last - first, seconds)


def _line(name: str, rates: Sequence[Rate | None], top: float, now: float) -> Line:
    parts: list[list[str]] = [[]]
    for rate in rates:
        if rate is None:
            parts.append([])
            continue
        x = WIDTH * (1 - (now - rate.time) / KEPT_SECONDS)
        y = HEIGHT * (1 - rate.per_second / top)
        parts[-1].append(f"{min(max(x, 0), WIDTH):.1f},{y:.1f}")
    drawn = [" ".join(part if len(part) > 1 else part * 2) for part in parts if part]
    latest = rates[-1] if rates else None
    return Line(name, drawn, None if latest is None else latest.per_second)


def _clock(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%H:%M")
