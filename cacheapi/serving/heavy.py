"""Requests about values that are known to be large: a few bytes of them at a time.

On a thread a value is bytes, then a text, then a part of an answer, and bytes again. So those
that are worked on at the same time have a bound in bytes together.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from cacheapi.serving.unsent import MOST_CROWDED_SECONDS, MOST_WAITING_FOR, Waiting

# The bytes of the values that are worked on at a time; one value may be more.
MOST_HEAVY: Final = 8 * 1024 * 1024
# Nobody waits for them for longer: a cache that hangs shall not hold up those that do not.
PATIENCE_SECONDS: Final = 10.0
# How long what can be asked again waits for others' answers to leave.
CROWDED_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.01


class Heavy:
    """The requests of a worker that are worked on and are about large values.

    :param waiting: the answers that wait for their clients.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._inside = 0

    async def enter(self, weight: int, *, gives: bool, takes: bool) -> None:
        """Wait until there is room; then :meth:`leave`.

        :param weight: the bytes of the value.
        :param gives: whether that is the answer, which has to be kept until the client has it.
        :param takes: whether it is taken out of its cache, and not there to be asked for again.
        """
        began = time.monotonic()
        seconds = MOST_CROWDED_SECONDS if takes else CROWDED_SECONDS
        while time.monotonic() < began + PATIENCE_SECONDS:
            is_crowded = gives and not self._waiting.has_room(MOST_WAITING_FOR)
            if is_crowded and time.monotonic() > began + seconds:
                break
            if not is_crowded and (not self._inside or self._inside + weight <= MOST_HEAVY):
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        self._inside += weight

    def leave(self, weight: int) -> None:
        """Make room for others."""
        self._inside -= weight
