"""What a worker holds of bodies that are on their way from an API or the cache to clients.

Each is bounded by its service's ``max_body_kb``; this bounds all of them together. Where there is
no room, an answer goes to its client piece by piece as the API sends it, and is not stored: proxies
do so too with what they cannot buffer. Nobody is refused for it, and small bodies always have room.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

CROWDED: Final = "Too many large answers wait for their clients; try again in a second."
MOST_HELD: Final = 64 * 1024 * 1024
# A body of this size is held however many others are.
SMALL: Final = 64 * 1024
# How often somebody who waits for room looks for it.
PAUSE_SECONDS: Final = 0.1


class Crowded(Exception):
    """There is no room for a body."""


class Budget:
    """The bytes of all bodies; for one event loop, but what was held may be given back anywhere.

    :param most: how many may be held.
    """

    def __init__(self, most: int = MOST_HELD) -> None:
        self._most = most
        self._held = 0
        # What was given back, by whichever thread, and is not yet counted so.
        self.returned: deque[int] = deque()

    @property
    def held(self) -> int:
        """How many bytes are held."""
        while self.returned:
            self._held -= self.returned.popleft()
        return self._held

    def hold(self, size: int) -> Hold:
        """Return the right to hold so many bytes.

        :raises Crowded: there is no room.
        """
        hold = Hold(self)
        if hold.grow_to(size):
            return hold
        # Who gets the error would hold it else.
        del hold
        raise Crowded

    async def wait(self, size: int, seconds: float) -> Hold:
        """Return it once there is room.

        :raises Crowded: there is none for so long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            try:
                return self.hold(size)
            except Crowded:
                if loop.time() >= deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    def take(self, size: int, whole: int) -> bool:
        """Count more bytes of a body; return whether there was room for them.

        :param whole: how many bytes of it are held then.
        """
        self._held += size
        return self.held <= self._most or whole <= SMALL


class Hold:
    """The bytes of one body, which count for as long as somebody has this."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    def grow_to(self, size: int) -> bool:
        """Count so many bytes from now on; return whether there is room for them."""
        more, self._size = max(0, size - self._size), max(size, self._size)
        return self._budget.take(more, size)

    def __del__(self) -> None:
        self._budget.returned.append(self._size)
