"""What who watches is told of the lane's answers."""

from __future__ import annotations

from collections.abc import Sequence

from cacheapi.observing.tail.watch import Tail
from cacheapi.serving.access_log import LANE, ONE_KEY, SERVICE
from cacheapi.serving.answers import Answered, Read, Store, Taken


def tell(tail: Tail, taken: Sequence[Taken], answered: Sequence[Answered], seconds: float) -> None:
    """Tell of what was answered in a turn; all of it took as long.

    Of a turn that was slow, one request a service is one of the slowest: the others waited for
    the same.
    """
    slow: set[str] = set()
    for request, (status, size) in zip(taken, answered, strict=True):
        name, key = request.service.name, _key(request)
        is_slow = name not in slow
        if not (tail.wanted or is_slow):
            continue
        slow.add(name)
        route = SERVICE if key is None else ONE_KEY
        tail.note(
            request.method, route, name, key, status, seconds, size, LANE, is_slow=is_slow
        )  # fmt: skip


def _key(request: Taken) -> str | None:
    if isinstance(request, Read):
        return request.key
    if isinstance(request, Store) or request.lists:
        return None
    return request.keys[0]
