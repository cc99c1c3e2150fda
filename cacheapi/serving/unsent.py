"""How much of its answers a client has not got yet."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import sys
import termios


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
