"""Requests about values that are known to be large: a few bytes of them at a time.

On a thread a value is bytes, then a text, then a part of an answer, and bytes again. So those
that are worked on at the same time have a bound in bytes together, and go in the order in which
they came. Who has not taken earlier answers waits beside that, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import Final

from cacheapi.serving.unsent import MOST_CROWDED_SECONDS, Client, Room, Waiting

# The bytes of the values that are worked on at a time; one value may be more.
MOST_HEAVY: Final = 8 * 1024 * 1024
# How many of one service are. Python lets one thread run at a time: more of them are no faster, and
# each is one more that the event loop waits for.
MOST_OF_SERVICE: Final = 1
# How long the event loop waits for a thread that works on one, each time that it wants to run.
SWITCH_SECONDS: Final = 0.0005
# Nobody waits for them for longer: a cache that hangs shall not hold up those that do not.
PATIENCE_SECONDS: Final = 10.0
# How long what can be asked again waits for earlier answers to leave.
CROWDED_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.01


class _Waiter:
    """A request that waits.

    :param service: the name of what it is about.
    :param client: to whom the value goes.
    :param crowded_seconds: for how long it waits for earlier answers to leave.
    :param gives: whether it has to.
    """

    def __init__(
        self, weight: int, service: str, client: Client, crowded_seconds: float, *, gives: bool
    ) -> None:
        self.weight = weight
        self.service = service
        # Whether there is room for its answer.
        self.enters: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._client = client
        self._gives = gives
        now = time.monotonic()
        self._crowded_until = now + crowded_seconds
        self._until = now + PATIENCE_SECONDS

    def has_patience(self, now: float) -> bool:
        return now < self._until

    def has_room(self, room: Room) -> bool:
        return not self._gives or room.has(self._client)

    def waits_for_room(self, now: float, room: Room) -> bool:
        return now < self._crowded_until and not self.has_room(room)


class Heavy:
    """The requests of a worker that are worked on and are about large values.

    :param waiting: the answers that wait for their clients.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._inside = 0
        # How many of each service are.
        self._of: Counter[str] = Counter()
        # How long one waits for a thread where none is large.
        self._usual = sys.getswitchinterval()
        # In the order in which they came.
        self._queue: list[_Waiter] = []
        self._timer: asyncio.TimerHandle | None = None

    async def enter(
        self, weight: int, service: str, client: Client, *, gives: bool, takes: bool
    ) -> bool:
        """Wait until there is room; then :meth:`leave`.

        :param weight: the bytes of the value.
        :param service: the name of what it is about: a cache that hangs holds up no other.
        :param gives: whether that is the answer, which has to be kept until the client has it.
        :param takes: whether it is taken out of its cache, and not there to be asked for again.
        :return: whether there is room for the answer now: nobody waits for ever.
        """
        crowded_seconds = MOST_CROWDED_SECONDS if takes else CROWDED_SECONDS
        waiter = _Waiter(weight, service, client, crowded_seconds, gives=gives)
        self._queue.append(waiter)
        self._let_in()
        try:
            return await waiter.enters
        except asyncio.CancelledError:
            if waiter in self._queue:
                self._queue.remove(waiter)
            else:
                self.leave(weight, service)
            raise

    def leave(self, weight: int, service: str) -> None:
        """Make room for others."""
        self._inside -= weight
        self._of[service] -= 1
        if not self._of[service]:
            del self._of[service]
        if not self._of:
            sys.setswitchinterval(self._usual)
        self._let_in()

    def _let_in(self) -> None:
        """Let in who may go, and look again soon where others wait."""
        now, room = time.monotonic(), self._waiting.room()
        left: list[_Waiter] = []
        is_full = False
        for waiter in self._queue:
            if waiter.has_patience(now):
                if waiter.waits_for_room(now, room) or self._of[waiter.service] >= MOST_OF_SERVICE:
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
            if not self._of:
                sys.setswitchinterval(SWITCH_SECONDS)
            self._of[waiter.service] += 1
            if not waiter.enters.done():
                waiter.enters.set_result(waiter.has_room(room))
        self._queue = left
        if left and self._timer is None:
            # Answers leave, and patience ends, without a word.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_PAUSE_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._let_in()
