"""How much of their answers clients have not got yet."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sys
import termios
from typing import Final

# An answer of more bytes is not given while more than so many wait for those who asked for them.
LARGE_ANSWER: Final = 256 * 1024
MOST_WAITING: Final = 48 * 1024 * 1024
# What the lane can as well do later is done later from so many on.
MOST_WAITING_FOR: Final = 8 * 1024 * 1024
# But not for ever: one client may wait for its answers in an order that is not theirs.
MOST_CROWDED_SECONDS: Final = 5.0
CROWDED: Final = "Too many large answers wait for their clients; try again in a second."


def count_unsent(transport: asyncio.Transport) -> int:
    """Return the bytes that wait here and in the kernel.

    The kernel takes more only once a third of its buffer is free, which may be megabytes: who
    reads slowly would seem to stand still. Where it does not tell, only those here are counted.
    """
    waits = transport.get_write_buffer_size()
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        there = fcntl.ioctl(transport.get_extra_info("socket"), termios.TIOCOUTQ, bytes(4))
        waits += int.from_bytes(there, sys.byteorder)
    return waits


class Waiting:
    """The large answers of a worker that wait for their clients to take them."""

    def __init__(self) -> None:
        self._transports: set[asyncio.Transport] = set()

    def has_room(self, most: int = MOST_WAITING) -> bool:
        """Return whether another large answer may wait: no more bytes than ``most`` do."""
        waits = 0
        for transport in list(self._transports):
            size = 0 if transport.is_closing() else transport.get_write_buffer_size()
            if not size:
                self._transports.discard(transport)
            waits += size
        return waits <= most

    def add(self, transport: asyncio.Transport) -> None:
        """Count what waits on a connection."""
        self._transports.add(transport)
