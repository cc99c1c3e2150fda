"""The hit ratio as a line of bars, for a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from cacheapi.observing.sample_files import Sample

# As wide as it is told apart on a small terminal.
PLOTTED: Final = 60
_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = "_.-:=+*#"


def ratios(samples: Sequence[Sample]) -> Iterator[float | None]:
    """Yield the hit ratio of the reads from each sample to the next; ``None``: there were none."""
    for (_, before), (_, after) in itertools.pairwise(samples):
        if None in (before.get_hits, before.get_misses, after.get_hits, after.get_misses):
            yield None
            continue
        hits = (after.get_hits or 0) - (before.get_hits or 0)
        misses = (after.get_misses or 0) - (before.get_misses or 0)
        # Less than before: the server began anew.
        yield hits / (hits + misses) if min(hits, misses) >= 0 and hits + misses else None


def plot(
    each: Sequence[float | None], width: int = PLOTTED, *, encoding: str | None = "utf-8"
) -> str:
    """Return a line of bars, one for each of the last ratios, and the last one as a number.

    :param width: how many bars at most.
    :param encoding: of what it is printed to.
    """
    known = [ratio for ratio in each if ratio is not None]
    if not known:
        return "no reads while this was looked at"
    bars = _BARS if (encoding or "ascii").lower().startswith("utf") else _PLAIN_BARS
    drawn = "".join(
        " " if ratio is None else bars[min(int(ratio * len(bars)), len(bars) - 1)]
        for ratio in each[-max(1, width) :]
    )
    return f"{drawn} {known[-1]:.1%}"
