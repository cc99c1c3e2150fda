"""What a backend tells of its entries to who wants to know what fills it."""

from __future__ import annotations

from typing import NamedTuple


class Measured(NamedTuple):
    """An entry, as :meth:`~backends.base.Backend.analyze` met it.

    :ivar key: as callers name it; where it is no UTF-8, with a sign in place of what is not.
    :ivar size: what it takes, about, as its server counts it, in bytes.
    :ivar ttl: seconds that it has left; ``None``: for ever.
    """

    key: str
    size: int
    ttl: float | None


class Portion(NamedTuple):
    """A part of what was looked through.

    :ivar entries: those of this backend.
    :ivar looked_at: how many were looked at for them, other programs' too.
    :ivar held: how many there are in all servers that answer, other programs' too, about.
    :ivar whole: all have been looked at, with this portion.
    :ivar notes: what the figures lack, in a sentence each.
    """

    entries: list[Measured]
    looked_at: int
    held: int
    whole: bool = False
    notes: tuple[str, ...] = ()


def name_of(stored: bytes, prefix: int) -> str:
    """Return what callers name a key that is stored with a prefix of so many bytes."""
    return stored[prefix:].decode(errors="replace")
