"""Counts of what all processes of the machine did with a cache file, kept across restarts.

A small file in shared memory. Each process holds a slot of it, by a lock that the kernel
ends with the process, and adds to the slot's numbers; the totals are sums over all slots. A
slot whose process is gone is the next one's, which counts on from there. So nobody waits
for anybody, a count costs no system call, and a killed process loses none.

Where the file cannot be used, nothing is counted and nothing fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import struct
import threading
import time
import weakref
from pathlib import Path
from typing import Final, NamedTuple

from backends import owned

log = logging.getLogger(__name__)

SLOTS: Final = 1024
# A slot is a cache line; the first one is the head: the layout, and when counting began.
WORDS: Final = 8
LAYOUT: Final = 1
SIZE: Final = SLOTS * WORDS * 8
# After so many calls it is seen to that the file is still there, or is there again.
CALLS_A_LOOK: Final = 1000
_MASK: Final = 2**64 - 1


class Totals(NamedTuple):
    """What was done since the file was made.

    :ivar since: when that was, in Unix time.
    :ivar hits: reads of a key that was there.
    :ivar misses: reads of a key that was not.
    :ivar stored: bytes of the values that were stored.
    :ivar read: bytes of the values that were read.
    :ivar evictions: entries that went before their time.
    """

    since: int
    hits: int
    misses: int
    stored: int
    read: int
    evictions: int


# Of all files: each has a descriptor and a page of memory.
MOST_OPEN: Final = 64

_counters: weakref.WeakSet[Counters] = weakref.WeakSet()
# Those that are open, the first one first.
_open: dict[Counters, None] = {}


def _after_fork_in_child() -> None:
    for counters in _counters:
        counters.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


class Counters:
    """The counters at a path; opened when something is first counted.

    One object serves all threads of a process. A forked child gets a slot of its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._calls_left = 0
        self._descriptor: int | None = None
        self._words: memoryview | None = None
        self._slot = 0
        self._complained = False
        _counters.add(self)

    def add(
        self, *, hits: int = 0, misses: int = 0, stored: int = 0, read: int = 0, evictions: int = 0
    ) -> None:
        """Count."""
        with self._lock:
            if not self._calls_left:
                self._look()
            self._calls_left -= 1
            words = self._words
            if words is None:
                return
            slot = self._slot
            words[slot] = (words[slot] + hits) & _MASK
            words[slot + 1] = (words[slot + 1] + misses) & _MASK
            words[slot + 2] = (words[slot + 2] + stored) & _MASK
            words[slot + 3] = (words[slot + 3] + read) & _MASK
            if evictions:
                words[slot + 4] = (words[slot + 4] + evictions) & _MASK

    def totals(self) -> Totals | None:
        """Return the sums over all processes, or ``None`` where nothing can be counted."""
        with self._lock:
            self._look()
            words = self._words
            if words is None:
                return None
            sums = [sum(words[WORDS + field :: WORDS]) for field in range(len(Totals._fields) - 1)]
            return Totals(words[1], *sums)

    def close(self) -> None:
        """Give up the slot; the next count takes one again."""
        with self._lock:
            self._close()

    def let_go(self) -> bool:
        """Close as :meth:`close` does, unless somebody counts right now."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._close()
        finally:
            self._lock.release()
        return True

    def leave_to_parent(self) -> None:
        """In a forked child: leave the slot to the parent, whatever its threads were doing."""
        self._lock = threading.Lock()
        self._close()

    def _look(self) -> None:
        """Open the file, unless it is open and is still the one at the path."""
        self._calls_left = CALLS_A_LOOK
        try:
            if self._descriptor is not None:
                if _same(os.fstat(self._descriptor), self._path):
                    return
                self._close()
                self._calls_left = CALLS_A_LOOK
            self._open()
        except (OSError, ValueError) as error:
            self._close()
            self._calls_left = CALLS_A_LOOK
            if not self._complained:
                self._complained = True
                log.warning("Reads of the cache file are not counted: %s.", error)

    def _open(self) -> None:
        self._descriptor = owned.opened(self._path, os.O_RDWR)
        # A page of the mapping that the disk has no room for would end the process.
        os.posix_fallocate(self._descriptor, 0, SIZE)
        words = memoryview(mmap.mmap(self._descriptor, SIZE)).cast("Q")
        if not words[0]:
            # Of several that begin at once, all write the same, give or take a second.
            words[0], words[1] = LAYOUT, int(time.time())
        if words[0] != LAYOUT:
            raise ValueError(f"{self._path} has a layout of its own")
        self._slot = WORDS * _claim(self._descriptor)
        self._words = words
        _open[self] = None
        if len(_open) > MOST_OPEN:
            # Its numbers stay in its slot; the next count takes one again.
            next((each for each in tuple(_open) if each is not self and each.let_go()), None)

    def _close(self) -> None:
        self._calls_left = 0
        self._words = None
        _open.pop(self, None)
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


def _claim(descriptor: int) -> int:
    """Return the number of a slot that nobody holds, and hold it while the file is open."""
    for slot in range(1, SLOTS):
        # Unlike the older kind, such a lock belongs to the open file, not to the process.
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, slot, 1, 0)
        with contextlib.suppress(BlockingIOError):
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
            return slot
    raise OSError("more processes than there are slots")


def _same(status: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(status, os.stat(path))
    except FileNotFoundError:
        return False


class Uncounted(Counters):
    """Counters that count nothing; no file is opened for them."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull))

    def add(self, **_: int) -> None:
        """Count nothing."""
