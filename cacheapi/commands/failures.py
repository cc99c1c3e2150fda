"""How a command ends: its exit codes, and one line on stderr for what is expected to fail."""

from __future__ import annotations

import enum
import errno
from typing import Final

import click

from backends.errors import BackendError, DriverMissing, Refused, Unavailable
from cacheapi.commands import misspelt
from cacheapi.registry.errors import Invalid, NotFound, ReadOnly, RegistryUnavailable
from cacheapi.settings import SettingsError


class Exit(enum.IntEnum):
    """The exit codes; documented in ``docs/commands.md``."""

    DONE = 0
    # The answer is no: no such key, one that exists already, a doctor's warning.
    NO = 1
    # The command, or what it was given, is wrong; nothing was done.
    USAGE = 2
    # Settings, a cache, the database or a file are not as they must be.
    FAILED = 3
    INTERRUPTED = 130
    # Who read the output has seen enough; as the shell tells of a program that SIGPIPE ends.
    CLOSED = 141


class OutputClosed(Exception):
    """Nobody reads the output any more."""


class Failure(Exception):
    """A command cannot do its work; one line says why.

    :ivar code: what it exits with.
    """

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


# The first that fits. Everything else is a bug, and shows where.
_CODES: Final[tuple[tuple[type[Exception], Exit], ...]] = (
    (Refused, Exit.USAGE),
    (BackendError, Exit.FAILED),
    # One that is found, and cannot be imported when it is asked.
    (DriverMissing, Exit.FAILED),
    (SettingsError, Exit.FAILED),
    (NotFound, Exit.NO),
    (Invalid, Exit.USAGE),
    (ReadOnly, Exit.USAGE),
    (RegistryUnavailable, Exit.FAILED),
)


# Where output goes has no room, or breaks; such an error names no file.
_OF_OUTPUT: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
)  # fmt: skip
# What click calls them.
_WORDS: Final = {
    "a valid integer range": "a whole number",
    "a valid integer": "a whole number",
    "a valid float range": "a number",
    "a valid float": "a number",
}


def is_of_output(error: Exception) -> bool:
    """Return whether what was written could not be, for want of room or a broken disk."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _OF_OUTPUT


def code_of(error: Exception) -> Exit | None:
    """Return the exit code for an error; ``None``: nobody expected it."""
    if isinstance(error, Failure):
        return error.code
    if isinstance(error, click.UsageError):
        return Exit.USAGE
    if isinstance(error, click.ClickException):
        return Exit.FAILED
    if isinstance(error, OSError) and error.filename is not None:
        return Exit.FAILED
    if is_of_output(error):
        return Exit.FAILED
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def line_of(error: Exception) -> str:
    """Return what an expected error says, in one line."""
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "cacheapi"
        said = misspelt.told(error) if isinstance(error, click.NoSuchOption) else _sentence(error)
        return f"{said} See '{path} --help'."
    if isinstance(error, click.ClickException):
        return _sentence(error)
    if isinstance(error, Invalid) and error.faults[0].field:
        return f"{error.faults[0].field}: {' '.join(str(error).split())}"
    if is_of_output(error):
        assert isinstance(error, OSError)
        return f"The output cannot be written: {error.strerror}."
    if isinstance(error, OSError):
        return f"{str(error.filename)!r}: {error.strerror}."
    said = " ".join(str(error).split())
    # What a service elsewhere answers is no such error: a doctor here knows nothing of that one.
    hint = " 'cacheapi doctor' says what it may be." if isinstance(error, Unavailable) else ""
    return f"{said}{hint}"


def _sentence(error: click.ClickException) -> str:
    """Return what click says as a sentence in one line."""
    said = " ".join(error.format_message().split())
    for words, better in _WORDS.items():
        said = said.replace(f"is not {words}", f"is not {better}")
    return said if said.endswith((".", "?", "!")) else f"{said}."
