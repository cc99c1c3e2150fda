"""Requests about values that are known to be large: a few bytes of them at a time.

On a thread a value is bytes, then a text, then a part of an answer, and bytes again. So those
that are worked on at the same time have a bound in bytes together, and go in the order in which
they came. Who has not taken earlier answers waits beside that, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from cacheapi.serving.unsent import MOST_CROWDED_SECONDS, Client, Room, Waiting

# The bytes of the values that are worked on at a time; one value may be more.
MOST_HEAVY: Final = 8 * 1024 * 1024
# Nobody waits for them for longer: a cache that hangs shall not hold up those that do not.
PATIENCE_SECONDS: Final = 10.0
# How long what can be asked again waits for earlier answers to leave.
CROWDED_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.01


class _Waiter:
    """A request that waits.

    :param client: to whom the value goes; not looked at where that has to wait for nobody.
    :param crowded_seconds: for how long it waits for earlier answers to leave.
    """

    def __init__(self, weight: int, client: Client, crowded_seconds: float) -> None:
        self.weight = weight
        self.enters: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._client = client
        now = time.monotonic()
        self._crowded_until = now + crowded_seconds
        self._until = now + PATIENCE_SECONDS

    def has_patience(self, now: float) -> bool:
        return now < self._until

    def is_crowded(self, now: float, room: Room) -> bool:
        return now < self._crowded_until and not room.has(self._client)


class Heavy:
    """The requests of a worker that are worked on and are about large values.

    :param waiting: the answers that wait for their clients.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._inside = 0
        # In the order in which they came.
        self._queue: list[_Waiter] = []
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, weight: int, client: Client, *, gives: bool, takes: bool) -> None:
        """Wait until there is room; then :meth:`leave`.

        :param weight: the bytes of the value.
        :param gives: whether that is the answer, which has to be kept until the client has it.
        :param takes: whether it is taken out of its cache, and not there to be asked for again.
        """
        crowded_seconds = MOST_CROWDED_SECONDS if takes else CROWDED_SECONDS
        waiter = _Waiter(weight, client, crowded_seconds if gives else 0.0)
        self._queue.append(waiter)
        self._let_in()
        try:
            await waiter.enters
        except asyncio.CancelledError:
            if waiter in self._queue:
                self._queue.remove(waiter)
            else:
                self.leave(weight)
            raise

    def leave(self, weight: int) -> None:
        """Make room for others."""
        self._inside -= weight
        self._let_in()

    def _let_in(self) -> None:
        """Let in who may go, and look again soon where others wait."""
        now, room = time.monotonic(), self._waiting.room()
        left: list[_Waiter] = []
        is_full = False
        for waiter in self._queue:
            if waiter.has_patience(now):
                if waiter.is_crowded(now, room):
                    left.append(waiter)
                    continue
                is_full = is_full or (
                    self._inside > 0 and self._inside + waiter.weight > MOST_HEAVY
                )
                if is_full:
                    # Nor does anybody who came later, however little that is.
                    left.append(waiter)
                    continue
            self._inside += waiter.weight
            if not waiter.enters.done():
                waiter.enters.set_result(None)
        self._queue = left
        if left and self._timer is None:
            # Answers leave, and patience ends, without a word.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_PAUSE_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._let_in()
