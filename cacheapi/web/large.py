"""Large answers, which are made few at a time.

A value is bytes, then a text, then a part of an answer, and bytes again: in between a thread
holds several times its size. All threads of a process together shall not.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from cacheapi.responses.budget import CROWDED
from cacheapi.web.errors import RETRY_AFTER_SECONDS, ApiError

# What is more, in bytes, waits for its turn.
LARGE: Final = 1024 * 1024
# How many are made at a time in a process.
MOST_LARGE: Final = 2
# The name, in the environment of a WSGI request, of whether that is so, and was for long.
NO_ROOM: Final = "cacheapi.no_room"

_turns = threading.BoundedSemaphore(MOST_LARGE)


def no_room() -> ApiError:
    """Return the answer to who asks for a large value while too many wait for their clients."""
    return ApiError(503, CROWDED, headers={"Retry-After": RETRY_AFTER_SECONDS})


class Turn:
    """The turn of one request, which it waits for once it is known to need it.

    :param may_wait: whether it may; who holds up an event loop, and all that the loop serves, may
        not. It is one, and does one thing at a time.
    :ivar is_ours: whether it came.
    """

    def __init__(self, *, may_wait: bool) -> None:
        self.is_ours = False
        self._may_wait = may_wait
        # Whether others wait for its end.
        self._is_held = False

    def take(self, size: int) -> bool:
        """Return whether so many bytes may be worked on now: they are not large, or nobody else is.

        If not, :meth:`wait`, and hold little meanwhile.
        """
        if size > LARGE and not self.is_ours:
            self.is_ours = self._is_held = _turns.acquire(blocking=False)
            return self.is_ours
        return True

    def wait(self) -> None:
        """Wait for others, if it may; who has a turn asks a cache at most, which has a limit."""
        if self._may_wait:
            _turns.acquire()
            self._is_held = True
        self.is_ours = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_held:
            _turns.release()
        self.is_ours = self._is_held = False
