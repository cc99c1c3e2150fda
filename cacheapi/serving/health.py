"""What the lane knows of a service's backend: whether a call would hold up the event loop.

The lane calls a backend on the thread that serves every connection. After a call that
failed, or took long, that service is let alone for a pause that grows from one failure to
the next. Then one request goes through Flask, on a thread of its own, and its outcome
decides: back to the lane, or another pause. So does that of any other request that Flask
serves meanwhile.
"""

from __future__ import annotations

import enum
from typing import Final

from backends.errors import Failed

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
# What a call of the lane may take; a round trip is under a millisecond.
SLOW_SECONDS: Final = 0.1

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
