"""What a command prints: results on stdout, everything else on stderr.

Text of others, such as keys and values, is shown so that it cannot steer a terminal. rich
leaves colours out where nobody sees them, and where ``NO_COLOR`` says so.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from cacheapi.registry.audit import CONTENTS

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

# A pipe has no width; a table for one should not be cut.
WIDE: Final = 200
# On a terminal that is narrower a table of many columns would be cut to pieces.
NARROW: Final = 90
# Between columns.
_GAP: Final = "  "
NOTHING: Final = "-"


def open_streams() -> None:
    """Give what was closed at the start something in its place; else a file would be there.

    Who reads stdin finds nothing; what is printed fails, as it does everywhere.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        mode = "r" if name == "stdin" else "w"
        stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 (stays open)
        setattr(sys, name, stream)


def stdout() -> Console:
    """Return what tables are printed with."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return what progress is shown with."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # It takes a while to import, and a value is printed without it.
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def emit(document: Any) -> None:
    """Print a result for programs."""
    emit_text(json.dumps(document, ensure_ascii=False, allow_nan=False))


def emit_text(text: str) -> None:
    """Print a line as it is, whatever the encoding of the terminal."""
    click.echo(text.encode(errors="surrogatepass"))


def note(text: str) -> None:
    """Tell the person in front of it, not the program behind it."""
    click.echo(f"cacheapi: {printable(text)}", err=True)


def is_narrow() -> bool:
    """Return whether stdout is a terminal on which long lines would be cut to pieces."""
    return sys.stdout.isatty() and shutil.get_terminal_size().columns < NARROW


def is_interactive() -> bool:
    """Return whether there is somebody who can be asked."""
    return sys.stdin.isatty()


def printable(text: str) -> str:
    r"""Return text with what is not printable as ``\n``, ``\u001b`` and the like."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )


def for_terminal(text: str) -> str:
    """Return a value to show: as it is for programs, without control for a terminal."""
    if not sys.stdout.isatty():
        return text
    return "\n".join(
        "\t".join(printable(cell) for cell in line.split("\t")) for line in text.split("\n")
    )


def table(
    headings: Iterable[str], rows: Iterable[Iterable[object]], *, headed: bool = True
) -> None:
    """Print a table; where a narrow terminal has no room for it, a block for each row.

    A block is the first cell, and below it the others by their headings, but those of nothing.
    Where there are no headings, it is a line.
    """
    titles = tuple(headings)
    cells = [[_cell(cell) for cell in row] for row in rows]
    console = stdout()
    if console.width >= NARROW or _width(titles if headed else (), cells) <= console.width:
        console.print(columns(titles, cells, headed=headed))
        return
    widest = max(map(len, titles))
    for first, *others in cells:
        if not headed:
            console.print(first, *others, sep=_GAP, soft_wrap=True)
            continue
        console.print(first, style="bold", soft_wrap=True)
        for title, cell in zip(titles[1:], others, strict=True):
            if cell.plain.strip() not in ("", NOTHING):
                beside = f"  {title:<{widest}}"
                wrapped = _wrapped(console, cell, len(beside) + len(_GAP))
                console.print(beside, wrapped, sep=_GAP, soft_wrap=True)


def _wrapped(console: Console, cell: Text, indent: int) -> Text:
    """Return a sentence in lines below each other; what is longer than one stays in one piece."""
    from rich.text import Text

    room = console.width - indent
    if max(map(len, cell.plain.split()), default=0) > room:
        return cell
    lines = cell.wrap(console, room)
    for line in lines:
        line.rstrip()
    return Text(f"\n{' ' * indent}").join(lines)


def _width(titles: Sequence[str], rows: Sequence[Sequence[Text]]) -> int:
    """Return how wide a table is that nothing is cut of."""
    widest = [len(title) for title in titles] or [0] * max(map(len, rows), default=0)
    for row in rows:
        widest = [max(most, cell.cell_len) for most, cell in zip(widest, row, strict=True)]
    return sum(widest) + len(_GAP) * max(0, len(widest) - 1)


class Trimmed:
    """Something that rich shows, without the blanks that it fills each line up with."""

    def __init__(self, shown: Table) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield its lines, as rich asks for them."""
        from rich.segment import Segment

        for line in console.render_lines(self._shown, options, pad=False):
            while line and not line[-1].text.rstrip():
                line.pop()
            if line:
                line[-1] = Segment(line[-1].text.rstrip(), line[-1].style)
            yield from line
            yield Segment.line()


def columns(
    headings: Iterable[str], rows: Iterable[Iterable[object]], *, headed: bool = True
) -> Trimmed:
    """Return a table; a cell of nothing is a dash."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold", show_header=headed)
    for index, heading in enumerate(headings):
        # Of names and addresses nothing may be missing; numbers are short anyway.
        shown.add_column(heading, overflow="fold", no_wrap=index == 0)
    for row in rows:
        shown.add_row(*(_cell(cell) for cell in row))
    return Trimmed(shown)


def _cell(cell: object) -> Text:
    from rich.text import Text

    if isinstance(cell, Text):
        return cell
    return Text(NOTHING if cell is None or cell == "" else printable(str(cell)))


class _Lines(logging.Handler):
    """The log of a command: lines for the person in front of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        # What a backend has to say comes as the error of the command; and what was done to
        # the keys of a service, it tells itself.
        return not record.name.startswith("backends") and (
            getattr(record, "action", None) not in CONTENTS
        )

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@contextmanager
def log_lines() -> Iterator[None]:
    """Show on stderr what the service would log: faults, and who changed what."""
    root, audit, lines = logging.getLogger(), logging.getLogger("cacheapi.audit"), _Lines()
    level = audit.level
    root.addHandler(lines)
    audit.setLevel(logging.INFO)
    try:
        yield
    finally:
        audit.setLevel(level)
        root.removeHandler(lines)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave the lines of the log out: what they would tell is told otherwise."""
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, _Lines)]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setLevel(logging.NOTSET)
