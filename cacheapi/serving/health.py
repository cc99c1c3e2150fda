"""What the lane knows of a service's backend: whether a call would hold up the event loop.

The lane calls a backend on the thread that serves every connection. After a call that
failed, or took long, that service is let alone for a pause that grows from one failure to
the next. Then one request goes through Flask, on a thread of its own, and its outcome
decides: back to the lane, or another pause. So does that of any other request that Flask
serves meanwhile.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Final

from backends.errors import Failed

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
# What a call of the lane may take; a round trip is under a millisecond.
SLOW_SECONDS: Final = 0.1
# And beside that for the values that it brings: a cache that sends so many bytes a second is well.
BYTES_A_SECOND: Final = 32 * 1024 * 1024

# Statuses that Flask gives only after the backend has answered.
_ANSWERED: Final = frozenset({200, 201, 304, 404, 412})


class Way(enum.Enum):
    """Where a read goes now."""

    LANE = "the lane calls the backend"
    AT_ONCE = "the lane answers with the last failure"
    FLASK = "Flask calls the backend"


class Health:
    """The state of one service's backend; for one thread.

    Times are seconds of any one clock that does not go back.

    :ivar failure: what the last call raised; ``None`` where it was only slow.
    """

    def __init__(self) -> None:
        self.failure: Failed | None = None
        self._pause = 0.0
        self._until = 0.0

    def way(self, now: float) -> Way:
        """Return where a read goes."""
        if not self._pause:
            return Way.LANE
        if now >= self._until:
            # This one is let through; the next one, should its outcome never be known, later.
            self._until = now + LONGEST_PAUSE
            return Way.FLASK
        return Way.FLASK if self.failure is None else Way.AT_ONCE

    def failed(self, now: float, failure: Failed | None) -> None:
        """Note that a call of the lane failed; ``None``: that it took too long."""
        self.failure = failure
        self._pause = min(self._pause * 2, LONGEST_PAUSE) or FIRST_PAUSE
        self._until = now + self._pause

    def heard(self, now: float, seconds: float, status: int) -> None:
        """Note what became of a request that Flask served: its duration and its status."""
        if status >= 500:
            self.failed(now, self.failure)
        elif status in _ANSWERED and seconds > SLOW_SECONDS:
            self.failed(now, None)
        elif status in _ANSWERED:
            self.failure = None
            self._pause = 0.0


class Troubles:
    """The services whose backend would hold up the lane, each for reads and for stores.

    False where there is none.
    """

    def __init__(self) -> None:
        # By a service's name, and whether it is about its stores.
        self._troubled: dict[tuple[str, bool], Health] = {}

    def __bool__(self) -> bool:
        return bool(self._troubled)

    def way(self, name: str, *, stores: bool) -> Way:
        """Return where a request for a service goes now."""
        if not self._troubled:
            return Way.LANE
        health = self._troubled.get((name, stores))
        if health is None:
            return Way.LANE
        way = health.way(time.monotonic())
        if way is Way.LANE:
            del self._troubled[name, stores]
        return way

    def is_slow(self, name: str) -> bool:
        """Return whether requests for a service go to Flask since a call took long."""
        some = (self._troubled.get((name, stores)) for stores in (False, True))
        return any(health is not None and health.failure is None for health in some)

    def failure(self, name: str, *, stores: bool) -> Failed | None:
        """Return with what the last call failed, if that is all there is to answer now."""
        health = self._troubled.get((name, stores))
        return None if health is None else health.failure

    def look(
        self,
        name: str,
        started: float,
        failure: Failed | None,
        *,
        stores: bool,
        brought: Callable[[], int] = lambda: 0,
    ) -> None:
        """Note a call that failed, or that took long since it was started.

        :param brought: says how many bytes its values have; asked only where it took long.
        """
        ended = time.monotonic()
        took = ended - started
        if failure is not None or (
            took > SLOW_SECONDS and took - brought() / BYTES_A_SECOND > SLOW_SECONDS
        ):
            health = self._troubled.setdefault((name, stores), Health())
            health.failed(ended, failure)

    def hear(self, name: str, stores: bool, seconds: float, status: int) -> None:
        """Note what became of a request that Flask served."""
        now = time.monotonic()
        own, reads = self._troubled.get((name, stores)), self._troubled.get((name, False))
        if own is not None:
            own.heard(now, seconds, status)
        # A service that stores can be read; one that is read may be locked for stores.
        if stores and reads is not None and status < 500:
            reads.heard(now, seconds, status)
