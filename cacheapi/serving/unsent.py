"""How much of their answers clients have not got yet."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sys
import termios
from collections import Counter
from collections.abc import Mapping
from typing import Final

# An answer of more bytes is not given while more than so many wait for those who asked for them.
LARGE_ANSWER: Final = 256 * 1024
MOST_WAITING: Final = 48 * 1024 * 1024
# Nor to who has more than so many times what is left of that: the rest is for others.
SHARE: Final = 2
# What is taken out of its cache waits for room, but not for ever: one client may wait for its
# answers in an order that is not theirs. Then it stays there, and is asked for again.
MOST_CROWDED_SECONDS: Final = 5.0


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


# Host and port of a client; ``None``: it is on this machine, and has none.
Client = tuple[str, int] | None


class Room:
    """What there was of room for large answers at one moment.

    :param waits: the bytes that wait, by the host of who is to take them.
    """

    def __init__(self, waits: Mapping[str, int]) -> None:
        self._waits = waits
        self._left = MOST_WAITING - sum(waits.values())

    def has(self, client: Client) -> bool:
        """Return whether another large answer may wait for a client.

        Who takes nothing pays for it himself: one host may have two thirds of all, the next one two
        thirds of the rest, and so on.
        """
        return self._left >= 0 and self._waits.get(_host(client), 0) <= SHARE * self._left


class Waiting:
    """The large answers of a worker that wait for their clients to take them.

    uvloop keeps what it was given whole until the kernel has the last byte of it, a list of pieces
    too. So an answer counts with all its bytes until nothing of it waits here.
    """

    def __init__(self) -> None:
        # The host of who is to take them, and their bytes.
        self._transports: dict[asyncio.Transport, tuple[str, int]] = {}
        # Of answers that are being made, the bytes by host.
        self._made: Counter[str] = Counter()

    def room(self) -> Room:
        """Return what room there is now."""
        waits: dict[str, int] = dict(self._made)
        for transport, (host, size) in list(self._transports.items()):
            if transport.get_write_buffer_size():
                waits[host] = waits.get(host, 0) + size
            else:
                del self._transports[transport]
        return Room(waits)

    def hold(self, size: int, client: Client) -> None:
        """Count the bytes of an answer that is being made; negative: it is no longer."""
        host = _host(client)
        self._made[host] += size
        if not self._made[host]:
            del self._made[host]

    def add(self, transport: asyncio.Transport, client: Client, size: int) -> None:
        """Count an answer of so many bytes that a connection was given, as far as it waits."""
        if transport.get_write_buffer_size():
            before = self._transports.get(transport, ("", 0))[1]
            self._transports[transport] = _host(client), before + size


def _host(client: Client) -> str:
    return "" if client is None else client[0]
