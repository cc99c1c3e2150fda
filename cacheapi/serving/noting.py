"""What is noted of an answer of a service in front of an HTTP API, as of Flask's.

The counts, what who watches is told, and the line in the log.
"""

from __future__ import annotations

import contextlib
import time
from http import HTTPStatus
from typing import Any, Final

from cacheapi.observing.metrics.families import METHODS, OTHER_METHOD, REASONS
from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.request_log import Answered, RequestLog
from cacheapi.observing.tail.watch import Tail
from cacheapi.responses.answers import Outgoing
from cacheapi.serving.access_log import LANE
from cacheapi.web.errors import ApiError
from cacheapi.web.remotes import Sought

ROUTE: Final = "/api/v2/{service}/{path}"
_HITS: Final = frozenset({"hit", "stale", "collapsed"})
_MISSES: Final = frozenset({"miss", "validated"})


class Notes:
    """Where it is noted.

    :param log: where lines go.
    :param tally: where requests are counted, if anywhere.
    :param tail: what who watches is told by.
    """

    def __init__(self, log: RequestLog, tally: Tally | None, tail: Tail) -> None:
        self._log = log
        self._tally = tally
        self._tail = tail

    def note(
        self,
        sought: Sought,
        scope: dict[str, Any],
        out: Outgoing,
        size: int,
        started: float,
        request_id: str,
    ) -> None:
        """Note what became of a request.

        :param size: the bytes of the body that were sent.
        :param started: when it was there, by ``time.monotonic()``.
        :param request_id: empty: lines have none.
        """
        name = sought.remote.name
        method = sought.method if sought.method in METHODS else OTHER_METHOD
        seconds = time.monotonic() - started
        if self._tally is not None:
            _count(self._tally, name, method, out, size, seconds)
        if self._tail.takes(seconds):
            with contextlib.suppress(ApiError):
                key = sought.key
                self._tail.note(method, ROUTE, name, key, out.status, seconds, size, LANE)
        if self._log.takes(out.status, is_for_cache=out.status == HTTPStatus.NOT_FOUND):
            client = scope.get("client")
            with contextlib.suppress(ApiError):
                self._log.note(
                    Answered(
                        request_id,
                        method,
                        ROUTE,
                        name,
                        sought.key,
                        out.status,
                        size,
                        started,
                        LANE,
                        "-" if client is None else client[0],
                    )
                )


def _count(tally: Tally, service: str, method: str, out: Outgoing, size: int, took: float) -> None:
    """Count an answer."""
    tally.answered(service, method, out.status, size)
    tally.took(service, took)
    tally.read(service, out.result in _HITS, out.result in _MISSES)
    tally.response(service, out.result)
    if out.status in REASONS and out.result == "error":
        tally.refused(REASONS[out.status])
