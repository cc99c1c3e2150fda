"""``cacheapi stats``: how a service is used, once or as a table that refreshes."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from backends.statistics import Figures, ServerStatistics
from cacheapi.caching.service import CacheService
from cacheapi.commands.answers import Answers
from cacheapi.commands.failures import Exit
from cacheapi.commands.here import data_dir
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import NARROW, Trimmed, columns, emit, printable, stdout
from cacheapi.commands.plotting import PLOTTED, plot, ratios
from cacheapi.commands.session import Cache, emptied
from cacheapi.moments import time_text
from cacheapi.observing import statistics
from cacheapi.observing.advice import Advice
from cacheapi.observing.sample_files import Sample, SampleFiles
from cacheapi.observing.statistics import Statistics

# What stands beside the bars.
_LATELY: Final = "hits lately"
_BESIDE_BARS: Final = len(_LATELY) + len("  ") + len(" 100.0%")
_HEADINGS: Final = (
    *("SERVER", "ITEMS", "HITS", "READS", "READS/S", "EVICTED"),
    *("MEMORY", "CLIENTS", "UP"),
)


@click.command()
@of_service
@click.option("--once", is_flag=True, help="Show it once; so it is where no terminal is.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often it refreshes.",
)
@click.option("--section", metavar="NAME", help="With --json: what the raw figures are of.")
@as_json
def stats(name: str, once: bool, every: float, section: str | None, as_json: bool) -> int:
    r"""Show how the servers of a service are used; q or Ctrl-C ends it.

    Items, hits, reads, evictions, memory and connections of each server since it began (UP),
    and advice. HITS is the part of all reads that found something. They are those of all that
    use the servers, not of this service alone. Below, "hits lately" is the same of the reads
    from one look to the next, the last one in figures, and before, where a service runs on
    this machine, of its last hour. Of a service in front of an HTTP API it is what the service
    counted until half a minute ago: hits are answers that did not wait for the API. The exit
    code is 3 where no server answers.

    \b
    Examples:
      cacheapi stats
      cacheapi stats --service sessions --every 10
      cacheapi stats --once --json | jq .stats.hit_ratio
    """
    if section is not None and not as_json:
        raise click.UsageError("--section goes with --json.")
    with emptied(name) as (target, _):
        if isinstance(target, Answers) and section is not None:
            raise click.UsageError("A service in front of an HTTP API has no sections.")
        if as_json:
            found, told = _read(target, section)
            emit(told)
            return _code(found)
        samples: Sequence[Sample] = ()
        if isinstance(target, CacheService | Answers):
            samples = _samples(target.name)
        view = _View(target, samples)
        view.look()
        if once or not sys.stdout.isatty():
            view.console.print(view.shown())
            return _code(view.now)
        _follow(view, every)
    return Exit.DONE


def _samples(name: str) -> list[Sample]:
    return SampleFiles(data_dir() / "samples").read(name)


def _read(target: Cache | Answers, section: str | None = None) -> tuple[Statistics, dict[str, Any]]:
    """Ask the servers of a service, here or elsewhere; return it as the API tells it, too."""
    if isinstance(target, CacheService):
        found = statistics.read(target, section)
        return found, statistics.shown(target, found)
    if isinstance(target, Answers):
        # The processes of the service count, and one of them notes the sums.
        samples = _samples(target.name)
        figures = samples[-1].figures if samples else Figures()
        told = statistics.counted_shown(target.name, target.type, figures)
        return Statistics(figures, [], []), told
    told = target.statistics(section)
    servers = [
        ServerStatistics(each["server"], _figures(each["stats"]), each["raw"], each["error"])
        for each in told["servers"]
    ]
    advice = [Advice(each["rule"], each["message"]) for each in told["advice"]]
    return Statistics(_figures(told["stats"]) or Figures(), servers, advice), told


def _figures(told: Mapping[str, Any] | None) -> Figures | None:
    if told is None:
        return None
    # A service of another version may not know each of them.
    return Figures(**{name: told.get(name) for name in Figures._fields})


def _code(found: Statistics) -> Exit:
    """Return whether any server answered."""
    down = [each for each in found.servers if each.error]
    return Exit.FAILED if down and len(down) == len(found.servers) else Exit.DONE


def _follow(view: _View, every: float) -> None:
    """Refresh until somebody has seen enough."""
    with _keys() as pressed, Live(view.shown(), console=view.console, auto_refresh=False) as live:
        try:
            while True:
                live.refresh()
                if "q" in pressed(every).lower():
                    return
                view.look()
                live.update(view.shown())
        except KeyboardInterrupt:
            return


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Give what waits so many seconds, or for a key of a terminal, and returns it."""
    if not sys.stdin.isatty():

        def wait(seconds: float) -> str:
            time.sleep(seconds)
            return ""

        yield wait
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def press(seconds: float) -> str:
        ready, _, _ = select.select([terminal], [], [], seconds)
        return os.read(terminal, 64).decode(errors="replace") if ready else ""

    try:
        # Each key at once; Ctrl-C stays what it is.
        tty.setcbreak(terminal)
        yield press
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


class _View:
    """What is shown, and what was before.

    :ivar console: what it is shown on.
    """

    def __init__(self, target: Cache | Answers, samples: Sequence[Sample]) -> None:
        self._target = target
        # What rich's Live puts into the place of stdout says neither.
        self.console, self._encoding = stdout(), sys.stdout.encoding
        self._seen = list(samples)
        self._looked_at = time.time()
        self.now = Statistics(Figures(), [], [])
        self._before: dict[str, Sample] = {}
        self._last: dict[str, Sample] = {}

    def look(self) -> None:
        """Ask the servers."""
        self.now, _ = _read(self._target)
        now = self._looked_at = time.time()
        self._seen.append(Sample(now, self.now.total))
        self._before = self._last
        self._last = {
            each.server: Sample(now, each.figures)
            for each in self.now.servers
            if each.figures is not None
        }

    def shown(self) -> Group:
        """Return what there is to see now."""
        rows = [
            self._row(each.server, each.figures) if each.figures is not None else (each.server, "-")
            for each in self.now.servers
        ]
        if len(rows) > 1:
            rows.append(self._row("all", self.now.total))
        if not rows:
            # In front of an API: what is counted of its answers.
            rows.append(self._row("answers", self.now.total))
        heading = f"{self._target.name} ({self._target.type})  {time_text(self._looked_at)}"
        width = self.console.width
        tables = map(_below, rows) if width < NARROW else [columns(_HEADINGS, rows)]
        bars = plot(
            list(ratios(self._seen)), min(PLOTTED, width - _BESIDE_BARS), encoding=self._encoding
        )
        return Group(
            Text(heading, style="bold"),
            *tables,
            *(
                Text(f"{printable(each.server)}: {printable(each.error)}", style="bold red")
                for each in self.now.servers
                if each.error
            ),
            *([Text(f"{_LATELY}  {bars}")] if self._knows_lately() else []),
            *(Text(f"-> {printable(advice.message)}") for advice in self.now.advice),
        )

    def _knows_lately(self) -> bool:
        """Return whether there is a look now, and may be an earlier one.

        The samples of a machine stay there.
        """
        if _code(self.now) is Exit.FAILED:
            return False
        return len(self._seen) > 1 or isinstance(self._target, CacheService | Answers)

    def _row(self, server: str, figures: Figures) -> tuple[object, ...]:
        before, last = self._before.get(server), self._last.get(server)
        reads = _reads(figures)
        rate = None
        if before is not None and last is not None and last.time > before.time:
            earlier = _reads(before.figures)
            if reads is not None and earlier is not None:
                rate = f"{max(0, reads - earlier) / (last.time - before.time):.1f}"
        ratio = figures.hit_ratio
        return (
            server,
            figures.curr_items,
            None if ratio is None else f"{ratio:.1%}",
            reads,
            rate,
            figures.evictions,
            memory(figures.bytes, figures.limit_bytes),
            _of(figures.curr_connections, figures.max_connections),
            None if figures.uptime is None else _duration(figures.uptime),
        )


def _below(row: tuple[object, ...]) -> Trimmed:
    """Return the figures of a server one below the other, for a small terminal."""
    if len(row) == 2:
        return columns(("SERVER", ""), [row])
    return columns((str(row[0]), ""), zip(_HEADINGS[1:], row[1:], strict=True))


def _reads(figures: Figures) -> int | None:
    if figures.get_hits is None or figures.get_misses is None:
        return None
    return figures.get_hits + figures.get_misses


def memory(used: int | None, limit: int | None) -> str | None:
    """Return memory and its limit in words."""
    if used is None:
        return None
    shown = f"{used / 2**20:.1f}"
    return f"{shown} MiB" if limit is None else f"{shown}/{limit / 2**20:.0f} MiB"


def _of(number: int | None, most: int | None) -> str | None:
    if number is None or most is None:
        return None if number is None else str(number)
    return f"{number}/{most}"


def _duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d {hours % 24}h"
    return f"{hours}h {minutes % 60}m" if hours else f"{minutes}m {seconds % 60}s"
