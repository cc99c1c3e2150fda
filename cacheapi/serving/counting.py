"""What the metrics are told of a turn of the lane: its sums, and not each request.

To tell a metric of one request costs some 1.4 µs, a tenth of a read; of a turn of 32 it is 0.36
each. So they are added up here in plain numbers, by what their labels are to be. Apart from
:mod:`~cacheapi.serving.answering`, since a turn is answered, and answered in the same way, whether
anybody counts; and an answer that is made beside its turn is counted here too, as a turn of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from cacheapi.caching.service import CacheService
from cacheapi.observing.metrics.families import REASONS
from cacheapi.observing.metrics.tally import Tally
from cacheapi.serving.answers import Act, Answered, Found, Read, Store, Taken
from cacheapi.serving.health import Troubles
from cacheapi.web.errors import ApiError


def count(
    tally: Tally,
    troubles: Troubles,
    taken: Sequence[Taken],
    answered: Sequence[Answered],
    found: Mapping[CacheService, Found],
    seconds: float,
) -> None:
    """Count what was answered in a turn; all of it took as long.

    :param found: what was read.
    """
    # By service, method (none: a read of one key, which most are) and status: how many, and the
    # bytes of their bodies, sent and received.
    alike: dict[tuple[str, str, int], list[int]] = {}
    for request, (status, size) in zip(taken, answered, strict=True):
        received = 0
        if isinstance(request, Read):
            of = request.service.name, request.method if request.key is None else "", status
            if request.key is None and request.refusal is None:
                _count_list(tally, request, status, found)
        else:
            of, received = (request.service.name, request.method, status), request.size
            _count_change(tally, request)
        same = alike.get(of)
        if same is None:
            alike[of] = [1, size, received]
        else:
            same[0] += 1
            same[1] += size
            same[2] += received
        if request.refusal is not None and status in REASONS:
            # Not that there is no room for an answer, as where Flask says so.
            tally.refused(REASONS[status])
    _tell(tally, alike, seconds)
    if troubles:
        _count_failures(tally, troubles, taken, answered)


def _tell(tally: Tally, alike: Mapping[tuple[str, str, int], list[int]], seconds: float) -> None:
    ones: dict[tuple[str, int], int] = {}
    others: dict[tuple[str, str, int], int] = {}
    numbers: dict[str, int] = {}
    sent: dict[str, int] = {}
    received: dict[str, int] = {}
    for (name, method, status), (number, out, into) in alike.items():
        if method:
            others[name, method, status] = number
        else:
            ones[name, status] = number
        numbers[name] = numbers.get(name, 0) + number
        sent[name] = sent.get(name, 0) + out
        if into:
            received[name] = received.get(name, 0) + into
    tally.took_part(ones, others, sent, received)
    for name, number in numbers.items():
        tally.took(name, seconds, number)


def _count_list(tally: Tally, read: Read, status: int, found: Mapping[CacheService, Found]) -> None:
    name = read.service.name
    tally.batch(name, "GET", len(read.keys))
    values = found[read.service]
    if status == HTTPStatus.OK and not isinstance(values, ApiError):
        hits = sum(map(values.__contains__, read.keys))
        tally.read(name, hits, len(read.keys) - hits)


def _count_change(tally: Tally, request: Store | Act) -> None:
    name = request.service.name
    if request.refusal is not None:
        return
    if isinstance(request, Store):
        tally.batch(name, "POST", len(request.pairs))
    elif request.lists:
        tally.batch(name, request.method, len(request.keys))
    elif request.hit is not None:
        tally.read(name, request.hit, not request.hit)


def _count_failures(
    tally: Tally, troubles: Troubles, taken: Sequence[Taken], answered: Sequence[Answered]
) -> None:
    for request, (status, _) in zip(taken, answered, strict=True):
        name = request.service.name
        writes = isinstance(request, Store) or (isinstance(request, Act) and not request.reads)
        failure = troubles.failure(name, stores=writes)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and failure is not None:
            tally.failed(name, type(failure).__name__)
