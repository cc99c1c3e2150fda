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
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from flask import Response, g

from backends.errors import BackendError
from backends.operations import Increment
from cacheapi.amounts import counted
from cacheapi.caching.reserved import RATE
from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Caller, Rate
from cacheapi.web import lean
from cacheapi.web.errors import ApiError

log = logging.getLogger(__name__)


_NAMES: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_LINES: Final = "".join(f"{name.lower()}: %d\r\n" for name in _NAMES)


class Standing(NamedTuple):
    """Where a caller stands in the present window.

    :ivar reset: seconds until the next one.
    """

    rate: Rate
    number: int
    reset: int

    @property
    def left(self) -> int:
        """How many more there may be in the present window, were nobody else to count."""
        return self.rate.requests - self.number

    @property
    def is_over(self) -> bool:
        """Whether this is one too many."""
        return self.number > self.rate.requests

    @property
    def _numbers(self) -> tuple[int, int, int]:
        most = self.rate.requests
        return most, max(0, most - self.number), self.reset

    @property
    def headers(self) -> dict[str, str]:
        """The header fields that tell it."""
        return dict(zip(_NAMES, map(str, self._numbers), strict=True))

    @property
    def lines(self) -> str:
        """The same as they are sent."""
        return _LINES % self._numbers


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
        f"This API key may make {counted(rate.requests, 'request')} in {rate.seconds} s.",
        headers={"Retry-After": str(standing.reset)},
    )


def count_as(name: str, rate: Rate, counts: CacheService) -> Standing | None:
    """Count one more under a name in the present window; ``None`` where that cannot be done."""
    (standing,) = count_many([(name, rate)], counts)
    return standing


def count_many(
    requests: Sequence[tuple[str, Rate]],
    counts: CacheService,
    perform: Callable[[Sequence[Increment]], Sequence[Any]] | None = None,
) -> list[Standing | None]:
    """Count requests, by name and limit, in order; as :func:`count_as`.

    Those of one name are one count: each has its place in what that added.

    :param perform: does the counts, where they are done together with something else.
    """
    now = time.time()
    places: dict[tuple[str, int], list[int]] = {}
    for index, (name, rate) in enumerate(requests):
        places.setdefault((name, rate.seconds), []).append(index)
    make = counts.make.increment
    operations = [
        # It may be gone only after the window, whatever the clocks of other machines say.
        make(
            *(f"{RATE}{name}:{int(now // seconds)}", len(indexes), len(indexes), 2 * seconds),
            own=True,
        )
        for (name, seconds), indexes in places.items()
    ]
    standings: list[Standing | None] = [None] * len(requests)
    outcomes = counts.perform(operations) if perform is None else perform(operations)
    for ((_, seconds), indexes), last in zip(places.items(), outcomes, strict=True):
        if isinstance(last, BackendError):
            log.error("A rate limit could not be counted: %s", last)
            continue
        reset = max(1, math.ceil((int(now // seconds) + 1) * seconds - now))
        for number, index in enumerate(indexes, last - len(indexes) + 1):
            standings[index] = Standing(requests[index][1], number, reset)
    return standings


def tell(response: Response) -> Response:
    """Tell a caller who has a limit where it stands, with every answer."""
    standing: Standing | None = g.get("standing")
    if standing is not None:
        for name, text in standing.headers.items():
            lean.tell(response, name, text)
    return response
