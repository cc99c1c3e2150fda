"""The cache for plain code; threads may share one."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from cacheapi_client import lease as leases
from cacheapi_client.connection import BROKEN, Connection
from cacheapi_client.messages import Answer, Call, Request, Sleep, Steps, answer
from cacheapi_client.operations import TTL, Operations

T = TypeVar("T")


class Cache:
    """A service of cacheapi. A cache that is away is a miss, and a write that returns False.

    Values are what JSON carries. A ``ttl`` is None (the service's default), 0 (for ever), seconds
    from now or a timedelta.

    :param url: of a service, such as ``http://127.0.0.1:8000/api/v2/cache``.
    :param key: an API key that may GET, POST, PUT, PATCH and DELETE there; FLUSH for :meth:`clear`.
    :param connect_timeout: seconds to wait for a connection.
    :param timeout: seconds to wait for an answer to begin, and for all of it to come.
    :param strict: raise :class:`~cacheapi_client.CacheError` where the cache is away or refuses.
    :param on_error: called with what went wrong, once until it changes; by default the logger
        ``cacheapi_client`` warns.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        connect_timeout: float = 0.5,
        timeout: float = 2.0,
        strict: bool = False,
        on_error: Callable[[str], object] | None = None,
    ) -> None:
        self.operations = Operations(strict, on_error)
        self._connection = Connection(url, key, connect_timeout, timeout, httpx.Client)
        self._connection.open()

    @property
    def last_error(self) -> str | None:
        """What went wrong last, or None while the cache works."""
        return self.operations.last_error

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        return self.run(self.operations.get(key, default))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values that are there, in one request."""
        found: dict[str, Any] = self.run(self.operations.get_many(keys))
        return found

    def set(self, key: str, value: Any, ttl: TTL = None, tags: Collection[str] = ()) -> bool:
        """Store a value; return whether it was stored.

        :raises TypeError, ValueError: JSON cannot carry it.
        """
        return self.set_many({key: value}, ttl, tags)

    def set_many(
        self, values: Mapping[str, Any], ttl: TTL = None, tags: Collection[str] = ()
    ) -> bool:
        """Store several values, in one request; return whether all were stored."""
        return all(self.run(self.operations.set_many(values, ttl, tags)).values())

    def add(self, key: str, value: Any, ttl: TTL = None, tags: Collection[str] = ()) -> bool:
        """Store a value unless the key has one, in one step; return whether it was stored."""
        return bool(self.run(self.operations.add(key, value, ttl, tags)))

    def delete(self, key: str) -> bool:
        """Delete a value and its stale copy; return True where there is none left."""
        return self.delete_many([key])

    def delete_many(self, keys: Iterable[str]) -> bool:
        """Delete several values, in one request; return True where there are none left."""
        return self.run(self.operations.delete_many(keys)) is not None

    def delete_tags(self, tags: Iterable[str]) -> bool:
        """Delete every value that has one of some tags, in one step."""
        return bool(self.run(self.operations.delete_tags(tags)))

    def clear(self) -> bool:
        """Delete every value of the service."""
        return bool(self.run(self.operations.clear()))

    def has(self, key: str) -> bool:
        """Return whether there is a value."""
        return bool(self.run(self.operations.has(key)))

    def ttl(self, key: str) -> int | None:
        """Return the seconds that a value has left, 0 for ever; None where there is none."""
        left: int | None = self.run(self.operations.ttl(key))
        return left

    def perform(self, operations: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
        """Do several different operations, in one request and in order; return an outcome each.

        :param operations: as the API has them: ``{"get": "a"}``, ``{"set": {"key": "b", "value":
            1, "ttl": 60}}``, ``{"delete": "c"}`` and so on; a ttl as everywhere here.
        :return: each with ``key``, ``success`` and what else there is; None if the cache is away.
        """
        done: list[dict[str, Any]] | None = self.run(self.operations.perform(operations))
        return done

    def increment(self, key: str, by: int = 1, ttl: TTL = None) -> int | None:
        """Count, in one step, from 0 where there is nothing; None if the cache is away."""
        counted = self.run(self.operations.increment(key, by, by, ttl))
        return counted.document["value"] if counted.status == 200 else None

    def touch(self, key: str, ttl: TTL = None) -> bool:
        """Give a value a new lifetime; return whether there is one."""
        return bool(self.run(self.operations.touch(key, ttl)))

    def remember(
        self,
        key: str,
        ttl: TTL,
        compute: Callable[[], T],
        *,
        lease: int = 30,
        wait: float | None = None,
        stale: int = 0,
    ) -> T:
        """Return a value; of all who miss it together, one computes it.

        :param lease: seconds for which the one who computes keeps the others waiting: longer than
            it takes.
        :param wait: seconds that another waits before it computes, too; by default ``lease``.
        :param stale: seconds after its end for which the last value is served to all but the one
            who computes a new one; needs a ``ttl``.
        """
        value: T = self.run(
            leases.remember(self.operations, key, ttl, compute, lease=lease, wait=wait, stale=stale)
        )
        return value

    def close(self) -> None:
        """Close the connections."""
        self._connection.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, steps: Steps) -> Any:
        """Do what an operation asks for, to its end."""
        try:
            step = next(steps)
            while True:
                try:
                    done = self._do(step)
                except BaseException as error:  # noqa: BLE001 - the operation decides
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            return end.value

    def _do(self, step: Request | Sleep | Call) -> Any:
        if isinstance(step, Request):
            return self._ask(step)
        if isinstance(step, Sleep):
            return time.sleep(step.seconds)
        return step.function()

    def _ask(self, request: Request) -> Answer:
        content = request.content()
        if self.operations.is_away():
            return self.operations.still_away()
        try:
            try:
                return self._send(request, content)
            except BROKEN:
                # The server may close a connection that it kept just as we ask.
                if not request.again:
                    raise
                return self._send(request, content)
        except httpx.HTTPError as error:
            return self.operations.went_away(error)

    def _send(self, request: Request, content: bytes | None) -> Answer:
        until = time.monotonic() + self._connection.timeout
        text = bytearray()
        with self._connection.stream(request, content) as response:
            for part in response.iter_raw():
                text += part
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("not all of it came in time")
        return answer(response.status_code, text, response.headers.get("ETag", ""))
