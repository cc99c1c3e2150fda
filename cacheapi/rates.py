"""Rate limits of API keys: counted in the system cache, so for all workers and machines.

The windows are fixed: of a window of a minute, one begins with each minute. So at the turn
of two windows there may be twice the requests of one. A count is one atomic step of the
cache, whichever backend that is; where it fails, the request is let through: a limit is
there to protect the service, not to stop it.

The header fields are those of draft 07 of *RateLimit header fields for HTTP* (IETF).
"""

from __future__ import annotations

import logging
import math
import time
from typing import Final, NamedTuple

from flask import Response, g

from backends.base import MISSING
from backends.errors import BackendError
from cacheapi.errors import ApiError
from cacheapi.registry.rights import Caller, Rate
from cacheapi.services import CacheService

log = logging.getLogger(__name__)

PREFIX: Final = "cacheapi:rate:"


class Standing(NamedTuple):
    """Where a caller stands in the present window.

    :ivar reset: seconds until the next one.
    """

    rate: Rate
    number: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """The header fields that tell it."""
        return {
            "RateLimit-Limit": str(self.rate.requests),
            "RateLimit-Remaining": str(max(0, self.rate.requests - self.number)),
            "RateLimit-Reset": str(self.reset),
        }


def count(caller: Caller, cache: CacheService | None) -> None:
    """Count a request of a caller who has a limit.

    :raises ApiError: 429; it is one too many.
    """
    if caller.rate is None or cache is None:
        return
    now = time.time()
    seconds = caller.rate.seconds
    window = int(now // seconds)
    reset = max(1, math.ceil((window + 1) * seconds - now))
    try:
        # It may be gone only after the window, whatever the clocks of other machines say.
        number = cache.increment(f"{PREFIX}{caller.digest.hex()[:32]}:{window}", 1, 1, 2 * seconds)
    except BackendError as error:
        log.error("A rate limit could not be counted: %s", error)
        return
    assert number is not MISSING
    g.standing = Standing(caller.rate, number, reset)
    if number > caller.rate.requests:
        raise ApiError(
            429,
            f"This API key may make {caller.rate.requests} requests in {seconds} s.",
            headers={"Retry-After": str(reset)},
        )


def tell(response: Response) -> Response:
    """Tell a caller who has a limit where it stands, with every answer."""
    standing: Standing | None = g.get("standing")
    if standing is not None:
        response.headers.update(standing.headers)
    return response
