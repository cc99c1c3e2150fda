"""The API key that is shown to a service elsewhere, and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from cacheapi.commands.output import printable

# Where it may be given: on the command line, and in the environment.
OPTION = "--key"
VARIABLE = "CACHEAPI_KEY"


class GivenKey(NamedTuple):
    """An API key.

    :ivar origin: where it came from, which is told where it is refused.
    """

    text: str
    origin: str


def read_key(given: str | None, place: str = OPTION) -> GivenKey:
    """Return the API key that somebody gave.

    :param given: the key, or ``@`` and the file that has it.
    :param place: where that stood, :data:`OPTION` or :data:`VARIABLE`.
    :raises click.UsageError: there is none.
    :raises OSError: the file cannot be read.
    """
    if given is None:
        raise click.UsageError(
            f"The service elsewhere wants an API key: set {VARIABLE}, or say {OPTION} @FILE."
        )
    if not given.startswith("@"):
        return GivenKey(_checked(given.strip(), place), f"It is the one of {place}.{_meant(given)}")
    path = given[1:]
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        text = ""
    shown = repr(printable(path))
    key = _checked(text, f"The file {shown}")
    return GivenKey(key, f"It is the one in the file {shown}, which {place} names.")


def _checked(key: str, where: str) -> str:
    if not (key and key.isascii() and key.isprintable()):
        raise click.UsageError(f"{where} has no API key: one line of ASCII.")
    return key


def _meant(given: str) -> str:
    """Return a hint where a file is named, as if it were the key; nobody reads it."""
    try:
        is_file = Path(given).is_file()
    # No name of a file is so.
    except (OSError, ValueError):
        return ""
    shown = printable(given)
    return f" There is a file of this name: did you mean @{shown}?" if is_file else ""
