"""Signals that reach a worker before it is one.

Until a worker has set its own handlers it has those of gunicorn's master, which note a signal for
a master that it is not: it would be lost, and the service end only once the time is over in which
a worker may finish its work.
"""

from __future__ import annotations

import functools
import os
import signal
from typing import Any, Final

# What the master ends a worker with.
ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def heed_signals_from_the_start() -> None:
    """Have the processes that this one forks end by a signal that comes before they know better."""
    os.register_at_fork(
        before=functools.partial(signal.pthread_sigmask, signal.SIG_BLOCK, ENDING),
        after_in_parent=functools.partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, ENDING),
        after_in_child=_begin,
    )


def _begin() -> None:
    for number in ENDING:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _end(_number: int, _frame: Any) -> None:
    # It has done nothing yet, and what is on its stack is the master's.
    os._exit(0)
