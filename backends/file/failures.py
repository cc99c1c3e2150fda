"""What SQLite says when it fails, as errors of a backend."""

from __future__ import annotations

import sqlite3
from typing import Final

from backends.errors import Failed, OutOfMemory, Timeout, Unavailable

BUSY: Final = "The cache file is busy: it stayed locked for too long."
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class Damaged(sqlite3.DatabaseError):
    """The file's content is not what was written to it."""


class Outdated(sqlite3.DatabaseError):
    """The file was written by an earlier version of this module."""


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether the file holds what was not written to it, or lacks what was."""
    if isinstance(error, Damaged):
        return True
    # A file emptied under us is a valid database without our table.
    return _primary_code(error) in _DAMAGE_CODES or "no such table" in str(error)


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether somebody else holds the lock."""
    return _primary_code(error) in _BUSY_CODES


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def translate(error: sqlite3.Error) -> Failed:
    """Return what a client is told of an error."""
    code = _primary_code(error)
    if code in _BUSY_CODES:
        return Timeout(BUSY)
    if code == sqlite3.SQLITE_FULL:
        return OutOfMemory("SERVER_ERROR out of space: the disk of the cache file is full.")
    return Unavailable(
        "Connection refused: the cache file cannot be used; the service's log says why."
    )
