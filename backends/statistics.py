"""How a backend is used: one set of names for the figures of every kind of server.

They are a server's, counted since it started: of all that use it, not of one service alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_DECIMAL: Final = re.compile(r"-?[0-9]+\.[0-9]+", re.ASCII)


class Figures(NamedTuple):
    """The figures that every backend has a word for. ``None`` is: it does not say.

    :ivar curr_items: entries that it holds.
    :ivar get_hits: reads of a key that was there.
    :ivar get_misses: reads of a key that was not.
    :ivar evictions: entries that went before their time, to make room.
    :ivar bytes: memory or disk that the entries take.
    :ivar limit_bytes: the most that they may take; ``None``: no limit of its own.
    :ivar bytes_read: what came in over the network; to a file, the values stored.
    :ivar bytes_written: what went out; of a file, the values read.
    :ivar curr_connections: clients that are connected, this service among them.
    :ivar max_connections: the most that may be.
    :ivar uptime: seconds since it started.
    """

    curr_items: int | None = None
    get_hits: int | None = None
    get_misses: int | None = None
    evictions: int | None = None
    bytes: int | None = None
    limit_bytes: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    curr_connections: int | None = None
    max_connections: int | None = None
    uptime: int | None = None

    @property
    def hit_ratio(self) -> float | None:
        """The part of the reads that found something; ``None`` where nothing was read."""
        if self.get_hits is None or self.get_misses is None:
            return None
        reads = self.get_hits + self.get_misses
        return self.get_hits / reads if reads else None


@dataclasses.dataclass(frozen=True, slots=True)
class Signs:
    """What advice needs beside the figures. ``None`` is: the server cannot tell.

    :ivar keys_without_ttl: entries that never expire.
    :ivar starved_slabs: memcached's slab classes that evict while others have memory unused.
    :ivar largest_value: bytes of about the largest values.
    :ivar max_value: bytes of the largest value that it takes.
    :ivar process: its process id, and the Unix time of its start.
    :ivar cas: whether it numbers what it stores, so that a write can depend on that.
    """

    keys_without_ttl: int | None = None
    starved_slabs: tuple[int, ...] = ()
    largest_value: int | None = None
    max_value: int | None = None
    cas: bool | None = None
    process: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ServerStatistics:
    """What one server says of itself.

    :ivar server: its address, or what it is.
    :ivar figures: ``None`` where it did not answer.
    :ivar raw: its figures by its own names, of the section that was asked for.
    :ivar error: why it did not answer; safe to show to a client.
    :ivar cause: what is likely wrong then, in plain words; empty: it is not known.
    """

    server: str
    figures: Figures | None
    raw: Mapping[str, Any]
    error: str | None = None
    signs: Signs = Signs()
    cause: str = ""


def number_or_text(text: str) -> int | float | str:
    """Return what a server's figure means: a number if it is written as one."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
