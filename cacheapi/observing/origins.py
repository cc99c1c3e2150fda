"""How the origins do, as it is counted and kept: by whoever asks them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.troubles import Troubles
from cacheapi.responses.listening import Listener

# Kinds of failure, as the metrics name them.
TIMEOUT: Final = "timeout"
FAILED: Final = "failed"
STATUS: Final = "status"

# Gives the tally of whoever asks, to one thread at a time.
Counting = Callable[[], AbstractContextManager[Tally]]


class OriginListener(Listener):
    """Counts what is told of one service, and keeps its failures.

    :param counting: ``None``: nothing is counted.
    """

    def __init__(self, name: str, counting: Counting | None, troubles: Troubles) -> None:
        self._name = name
        self._counting = counting
        self._troubles = troubles

    def answered(self, method: str, target: str, status: int, seconds: float) -> None:
        failed = status >= 500
        if self._counting is not None:
            with self._counting() as tally:
                tally.origin(self._name, seconds)
                if failed:
                    tally.origin_failed(self._name, STATUS)
        if failed:
            self._troubles.add(self._name, method, target, status, f"The origin answered {status}.")

    def failed(
        self, method: str, target: str, status: int, message: str, seconds: float | None
    ) -> None:
        if self._counting is not None:
            with self._counting() as tally:
                if seconds is not None:
                    tally.origin(self._name, seconds)
                tally.origin_failed(self._name, TIMEOUT if status == 504 else FAILED)
        self._troubles.add(self._name, method, target, status, message)

    def purged(self, scope: str) -> None:
        if self._counting is not None:
            with self._counting() as tally:
                tally.purged(self._name, scope)
