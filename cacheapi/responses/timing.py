"""Where the time of a request went, for who asks for ``Server-Timing``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

CACHE: Final = "cache"
ORIGIN: Final = "origin"


class Timing:
    """What a request waited for: each part in seconds, and how often."""

    def __init__(self) -> None:
        self.seconds = {CACHE: 0.0, ORIGIN: 0.0}
        self.calls = {CACHE: 0, ORIGIN: 0}

    @property
    def text(self) -> str:
        """The parts, as members of ``Server-Timing``; the origin only if it was asked."""
        parts = [CACHE, *([ORIGIN] if self.calls[ORIGIN] else [])]
        return ", ".join(
            f'{part};dur={self.seconds[part] * 1000:.3f};desc="{self.calls[part]} '
            f'{"call" if self.calls[part] == 1 else "calls"}"'
            for part in parts
        )


# Of the request that a task serves; tasks that it starts have the same.
timing: Final[ContextVar[Timing | None]] = ContextVar("timing", default=None)


@contextmanager
def waiting(part: str) -> Iterator[None]:
    """Count a wait of the request that is being served, if anybody wants to know."""
    wanted = timing.get()
    if wanted is None:
        yield
        return
    started = time.monotonic()
    try:
        yield
    finally:
        wanted.seconds[part] += time.monotonic() - started
        wanted.calls[part] += 1
