"""Rate limits of API keys: counted where the system cache is, so for all workers and machines.

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
from collections.abc import Sequence
from typing import NamedTuple

from flask import Response, g

from backends.errors import BackendError
from cacheapi.caching.reserved import RATE
from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Caller, Rate
from cacheapi.web.errors import ApiError

log = logging.getLogger(__name__)


class Standing(NamedTuple):
    """Where a caller stands in the present window.

    :ivar reset: seconds until the next one.
    """

    rate: Rate
    number: int
    reset: int

    @property
    def is_over(self) -> bool:
        """Whether this is one too many."""
        return self.number > self.rate.requests

    @property
    def headers(self) -> dict[str, str]:
        """The header fields that tell it."""
        return {
            "RateLimit-Limit": str(self.rate.requests),
            "RateLimit-Remaining": str(max(0, self.rate.requests - self.number)),
            "RateLimit-Reset": str(self.reset),
        }


def count(caller: Caller, counts: CacheService) -> None:
    """Count a request of a caller who has a limit.

    :raises ApiError: 429; it is one too many.
    """
    if caller.rate is None:
        return
    standing = count_as(name_of(caller.digest), caller.rate, counts)
    if standing is None:
        return
    g.standing = standing
    if standing.is_over:
        raise refusal(standing)


def name_of(digest: bytes) -> str:
    """Return under which name the requests of an API key are counted."""
    return digest.hex()[:32]


def refusal(standing: Standing) -> ApiError:
    """Return the answer to a request that is one too many."""
    rate = standing.rate
    return ApiError(
        429,
        f"This API key may make {rate.requests} requests in {rate.seconds} s.",
        headers={"Retry-After": str(standing.reset)},
    )


def count_as(name: str, rate: Rate, counts: CacheService) -> Standing | None:
    """Count one more under a name in the present window; ``None`` where that cannot be done."""
    (standing,) = count_many([(name, rate)], counts)
    return standing


def count_many(requests: Sequence[tuple[str, Rate]], counts: CacheService) -> list[Standing | None]:
    """Count requests, by name and limit, in order; as :func:`count_as`."""
    now = time.time()
    operations = []
    for name, rate in requests:
        window = int(now // rate.seconds)
        # It may be gone only after the window, whatever the clocks of other machines say.
        operations.append(counts.make.increment(f"{RATE}{name}:{window}", 1, 1, 2 * rate.seconds))
    standings: list[Standing | None] = []
    for (_, rate), number in zip(requests, counts.perform(operations), strict=True):
        if isinstance(number, BackendError):
            log.error("A rate limit could not be counted: %s", number)
            standings.append(None)
            continue
        reset = max(1, math.ceil((int(now // rate.seconds) + 1) * rate.seconds - now))
        standings.append(Standing(rate, number, reset))
    return standings


def tell(response: Response) -> Response:
    """Tell a caller who has a limit where it stands, with every answer."""
    standing: Standing | None = g.get("standing")
    if standing is not None:
        response.headers.update(standing.headers)
    return response
