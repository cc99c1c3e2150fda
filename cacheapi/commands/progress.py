"""The bar of a long command, on stderr, where somebody sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cacheapi.amounts import counted
from cacheapi.commands.output import stderr

Moved = Callable[[int, int], None]


@contextmanager
def bar(words: str, total: int | None) -> Iterator[Moved]:
    """Show a bar; give what moves it to a place, and says how many entries that are.

    :param total: the place where it ends; ``None``: nobody knows.
    """
    console = stderr()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn() if total is None else TaskProgressColumn(),
        TextColumn("{task.fields[entries]}"),
        TimeElapsedColumn() if total is None else TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        task = shown.add_task(words, total=total, entries=_told(0))
        yield lambda place, entries: shown.update(task, completed=place, entries=_told(entries))
        # Where fewer were there than it was to go on for.
        shown.update(task, total=shown.tasks[task].completed)


def _told(entries: int) -> str:
    return counted(entries, "entry", "entries")
