"""Samples on disk: a small file of lines for each service, that any process may read any time.

A line is only ever appended, or the whole file replaced by a shorter one. One that is damaged
is left out.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final, NamedTuple

from backends import owned
from backends.statistics import Figures

KEPT_SECONDS: Final = 3600
_SUFFIX: Final = ".samples"


class Sample(NamedTuple):
    """The figures of a service at one moment, as a Unix time.

    Of a service that could not be read, all figures are ``None``.
    """

    time: float
    figures: Figures


class SampleFiles:
    """The samples of the last hour, by the names of services.

    :param directory: made by the first that keeps something.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self, name: str) -> list[Sample]:
        """Return the samples of a service, the oldest first."""
        return _fresh(self._lines(name))

    def add(self, name: str, sample: Sample) -> None:
        """Keep one more sample, and now and then no longer those that are older than an hour."""
        lines = self._lines(name)
        known = _fresh(lines)
        if len(lines) <= 2 * len(known) + 10:
            self._write(self._file(name), os.O_APPEND, [sample])
            return
        draft = self.directory / f"{name}.draft"
        self._write(draft, os.O_TRUNC, [*known, sample])
        os.replace(draft, self._file(name))

    def newest(self) -> float | None:
        """Return when the last sample of any service was kept."""
        return max((file.stat().st_mtime for file in self._files()), default=None)

    def tidy(self) -> None:
        """Remove the files of services that have had no sample for an hour."""
        oldest = time.time() - KEPT_SECONDS
        for file in self._files():
            if file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)

    def _lines(self, name: str) -> list[str]:
        try:
            return self._file(name).read_text("ascii").split()
        except (OSError, UnicodeDecodeError):
            return []

    def _write(self, file: Path, flag: int, samples: list[Sample]) -> None:
        # A line that a crash has cut short does not take the next with it.
        text = "".join(f"\n{_line(sample)}" for sample in samples)
        descriptor = owned.opened(file, os.O_WRONLY | flag)
        with os.fdopen(descriptor, "w") as kept:
            kept.write(text)

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}{_SUFFIX}"

    def _files(self) -> list[Path]:
        return list(self.directory.glob(f"*{_SUFFIX}"))


def _line(sample: Sample) -> str:
    return json.dumps([sample.time, *sample.figures], separators=(",", ":"))


def _fresh(lines: list[str]) -> list[Sample]:
    """Return the samples of lines, without those of more than an hour ago."""
    oldest = time.time() - KEPT_SECONDS
    samples = (sample for line in lines if (sample := _sample(line)) is not None)
    return [sample for sample in samples if sample.time >= oldest]


def _sample(line: str) -> Sample | None:
    try:
        moment, *figures = json.loads(line)
        if not all(figure is None or type(figure) is int for figure in figures):
            return None
        return Sample(float(moment), Figures(*figures))
    except (ValueError, TypeError):
        return None
