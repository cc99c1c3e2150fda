"""Settings as data: one :class:`Option` a setting, with its type, default and help.

A backend lists the options that its constructor takes; the service adds its own. The
table of all of them checks the environment at start and is what the README shows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final


class NotAllowed(ValueError):
    """A value that is not allowed; ``str()`` says what of it, and repeats no secret."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting.

    :ivar allowed: what a value may be, as an error message says it.
    :ivar parse: text to value; raises :class:`ValueError` for what is not allowed.
    :ivar json: what a value is in JSON: ``string``, ``integer`` or ``boolean``.
    :ivar unit: what it is a number of, by its symbol, such as ``s`` or ``MiB``; empty: of nothing.
    :ivar words: where it is one of a few words, these.
    """

    allowed: str
    parse: Callable[[str], Any]
    json: str = "string"
    unit: str = ""
    words: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One setting: a variable of the environment, and a field in the ``config`` of a service.

    :ivar variable: its name in the environment.
    :ivar default: its text when it is not set; ``None`` where it has none.
    :ivar name: the argument of the backend's constructor that takes it; empty for the
        service's own settings.
    :ivar secret: never shown, logged or echoed.
    :ivar may_be_empty: an empty text is a value; else it is the same as none.
    :ivar required: the backend cannot be made without it.
    :ivar public_name: its name in a service's ``config``, where that is not ``name``.
    :ivar public_default: its default there, where that is not ``default``.
    :ivar title: its name in a form, where that is not the public name as words.
    """

    variable: str
    kind: Kind
    default: str | None
    help: str
    name: str = ""
    secret: bool = False
    may_be_empty: bool = False
    required: bool = False
    public_name: str = ""
    public_default: str | None = None
    title: str = ""

    @property
    def field(self) -> str:
        """Its name in a service's ``config``; part of the API, so it stays."""
        return self.public_name or self.name

    @property
    def label(self) -> str:
        """Its name in a form, with the unit that a number has."""
        unit = f" ({self.kind.unit})" if self.kind.unit else ""
        return (self.title or self.field.replace("_", " ").capitalize()) + unit

    @property
    def field_default(self) -> str | None:
        """Its text where a service's ``config`` has none."""
        return self.default if self.public_default is None else self.public_default


TEXT = Kind("any text", str)

# A host with or without a port, as lists of servers have it; IPv6 stands in brackets.
HOST_AND_PORT = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:,/@]+)(?::(?P<port>\d{1,5}))?"


# The symbols of units (SI; IEC 80000-13 for bytes, which are written as in words).
SYMBOLS: Final = {"milliseconds": "ms", "seconds": "s", "minutes": "min"}


def integer(lowest: int, highest: int, unit: str = "") -> Kind:
    """Make the kind of whole numbers from ``lowest`` to ``highest``.

    :param unit: what they count, such as ``minutes``; who is refused is told.
    """

    def parse(text: str) -> int:
        number = int(text)
        if not lowest <= number <= highest:
            raise ValueError(text)
        return number

    of = f" of {unit}" if unit else ""
    allowed = f"a whole number{of} from {lowest} to {highest}"
    return Kind(allowed, parse, json="integer", unit=SYMBOLS.get(unit, unit))


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"


BOOLEAN = Kind("true or false", _boolean, json="boolean")


def choice(*words: str) -> Kind:
    """Make the kind of one word of several."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Kind(f"one of {', '.join(words)}", parse, words=words)


def _directory(text: str) -> str:
    if "\0" in text:
        raise ValueError(text)
    return text


DIRECTORY = Kind("the path of a directory", _directory)

DATA_DIR = Option(
    variable="CACHEAPI_DATA_DIR",
    kind=DIRECTORY,
    default="var",
    help="Directory of the embedded caches, of the database of services and API keys, and of the "
    "generated secrets; made if missing.",
    name="data_dir",
)
