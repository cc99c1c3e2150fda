"""The fill lease: of all who miss a value together, one computes it."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cacheapi_client.messages import Call, Request, Sleep, Step, pair, path

if TYPE_CHECKING:
    from cacheapi_client.operations import Operations

_LONGEST = 200
"""The longest key, in bytes, that has its lease beside it by name; memcached takes 250."""


def beside(key: str, what: str) -> str:
    """Return the key of what belongs to another key: its lease, its stale copy."""
    data = key.encode()
    return f"{key if len(data) <= _LONGEST else hashlib.sha256(data).hexdigest()}:{what}"


def remember(
    cache: Operations,
    key: str,
    ttl: int | timedelta | None,
    compute: Callable[[], Any],
    *,
    lease: int,
    wait: float | None,
    stale: int,
) -> Generator[Step, Any, Any]:
    """Return a value, computed and stored by one of those who miss it.

    :param lease: seconds for which who computes keeps the others waiting.
    :param wait: seconds that another waits before it computes, too; None: as the lease.
    :param stale: seconds after its end for which the last value is served to the others.
    :raises ValueError: a stale copy is wanted of what has no lifetime of its own.
    """
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if stale and not seconds:
        raise ValueError("stale needs a ttl.")
    missed, found = yield from cache.read(key)
    if not missed:
        return found[0] if found else (yield Call(compute))
    names = [key, beside(key, "stale")] if stale else [key]
    etag, found = yield from _take(cache, names, lease, lease if wait is None else wait)
    try:
        if etag is not None and not found:
            # Another may have stored and let go between the two.
            _, found = yield from cache.read(key)
        if found:
            return found[0]
        value = yield Call(compute)
        yield from _store(cache, names, value, ttl, stale)
        return value
    finally:
        if etag is not None:
            fields = {"If-Match": etag} if etag else {}
            yield Request("DELETE", path(beside(key, "lease")), fields=fields)


def _take(
    cache: Operations, names: list[str], lease: int, wait: float
) -> Generator[Step, Any, tuple[str | None, list[Any]]]:
    """Take the lease, or wait for its owner; return the ETag of ours, and a value in a list."""
    until, pause = time.monotonic() + wait, 0.05
    token = secrets.token_hex(16)
    while True:
        answer = yield from cache.create(beside(names[0], "lease"), token, lease)
        if answer.status != 412:
            return (answer.etag if answer.status == 200 else None), []
        found = yield from cache.get_many(names)
        # The value itself before its stale copy.
        values = [found[name] for name in names if name in found]
        left = until - time.monotonic()
        if values or left <= 0:
            return None, values[:1]
        yield Sleep(min(pause, left), names[0], left)
        pause = min(pause * 1.5, 0.25)


def _store(
    cache: Operations, names: list[str], value: Any, ttl: int | timedelta | None, stale: int
) -> Generator[Step, Any, None]:
    pairs = [pair(names[0], value, ttl)]
    if stale:
        assert ttl is not None
        if isinstance(ttl, timedelta):
            longer: int | timedelta = ttl + timedelta(seconds=stale)
        else:
            longer = ttl + stale
        pairs.append(pair(names[1], value, longer))
    cache.succeeded((yield Request("POST", body={"resource": pairs})))
