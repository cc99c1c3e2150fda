"""What a database fails with: no error of a driver leaves this room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class DatabaseUnusable(Exception):
    """The setting names no database that can be used; one line, without the password."""


class DatabaseFailed(Exception):
    """It cannot be reached, or does not do what it is asked; one line that says why."""

    def __init__(self, error: Exception) -> None:
        # SQLAlchemy's own would add the statement.
        super().__init__(" ".join(str(getattr(error, "orig", None) or error).split()))


@contextmanager
def failing(kind: type[Exception]) -> Iterator[None]:
    """Raise what a driver raises, an exception of this kind, as what it is to the others."""
    try:
        yield
    except kind as error:
        raise DatabaseFailed(error) from error
