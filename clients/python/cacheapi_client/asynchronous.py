"""The cache for asyncio and trio."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from copy import copy
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import anyio
import httpx
from anyio.lowlevel import RunVar

from cacheapi_client import lease as leases
from cacheapi_client.connection import BROKEN, Connection
from cacheapi_client.messages import Answer, Call, Request, Sleep, Steps, answer
from cacheapi_client.operations import TTL, Operations

T = TypeVar("T")
_AT_ONCE = 20
"""Requests under way at once: all in one loop, which many at once would keep from their answers."""


class _Loop:
    """What a cache has in one event loop: connections are not for another one."""

    def __init__(self, connection: Connection[httpx.AsyncClient]) -> None:
        self.connection = connection
        self.turns = anyio.Semaphore(_AT_ONCE)
        self.filled: dict[str, anyio.Event] = {}


# Tells a loop from others, without holding it.
_RUN: RunVar[object] = RunVar("cacheapi_client")


class AsyncCache:
    """As :class:`~cacheapi_client.Cache`, to be awaited, in one event loop or in several.

    ``timeout`` bounds a whole request. 20 are under way at once; others wait for their turn, which
    does not count. What :meth:`remember` is given may be awaitable or not.
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
        self._connection = Connection(url, key, connect_timeout, timeout, httpx.AsyncClient)
        self._thread = threading.local()

    @property
    def _loop(self) -> _Loop:
        """What there is in the loop that runs."""
        run = _RUN.get(None)
        if run is None:
            run = object()
            _RUN.set(run)
        # A thread has one loop after the other; what is left of the one before goes.
        if getattr(self._thread, "run", None) is not run:
            # The connection that is copied stays unused.
            self._thread.loop = _Loop(copy(self._connection))
            self._thread.run = run
        found: _Loop = self._thread.loop
        return found

    @property
    def last_error(self) -> str | None:
        """What went wrong last, or None while the cache works."""
        return self.operations.last_error

    async def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        return await self.run(self.operations.get(key, default))

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values that are there, in one request."""
        found: dict[str, Any] = await self.run(self.operations.get_many(keys))
        return found

    async def set(self, key: str, value: Any, ttl: TTL = None, tags: Collection[str] = ()) -> bool:
        """Store a value; return whether it was stored.

        :raises TypeError, ValueError: JSON cannot carry it.
        """
        return await self.set_many({key: value}, ttl, tags)

    async def set_many(
        self, values: Mapping[str, Any], ttl: TTL = None, tags: Collection[str] = ()
    ) -> bool:
        """Store several values, in one request; return whether all were stored."""
        return all((await self.run(self.operations.set_many(values, ttl, tags))).values())

    async def add(self, key: str, value: Any, ttl: TTL = None, tags: Collection[str] = ()) -> bool:
        """Store a value unless the key has one, in one step; return whether it was stored."""
        return bool(await self.run(self.operations.add(key, value, ttl, tags)))

    async def delete(self, key: str) -> bool:
        """Delete a value and its stale copy; return True where there is none left."""
        return await self.delete_many([key])

    async def delete_many(self, keys: Iterable[str]) -> bool:
        """Delete several values, in one request; return True where there are none left."""
        return await self.run(self.operations.delete_many(keys)) is not None

    async def delete_tags(self, tags: Iterable[str]) -> bool:
        """Delete every value that has one of some tags, in one step."""
        return bool(await self.run(self.operations.delete_tags(tags)))

    async def clear(self) -> bool:
        """Delete every value of the service."""
        return bool(await self.run(self.operations.clear()))

    async def has(self, key: str) -> bool:
        """Return whether there is a value."""
        return bool(await self.run(self.operations.has(key)))

    async def ttl(self, key: str) -> int | None:
        """Return the seconds that a value has left, 0 for ever; None where there is none."""
        left: int | None = await self.run(self.operations.ttl(key))
        return left

    async def perform(self, operations: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
        """Do several different operations, in one request and in order; return an outcome each.

        :param operations: as the API has them: ``{"get": "a"}``, ``{"set": {"key": "b", "value":
            1, "ttl": 60}}``, ``{"delete": "c"}`` and so on; a ttl as everywhere here.
        :return: each with ``key``, ``success`` and what else there is; None if the cache is away.
        """
        done: list[dict[str, Any]] | None = await self.run(self.operations.perform(operations))
        return done

    async def increment(self, key: str, by: int = 1, ttl: TTL = None) -> int | None:
        """Count, in one step, from 0 where there is nothing; None if the cache is away."""
        counted = await self.run(self.operations.increment(key, by, by, ttl))
        return counted.document["value"] if counted.status == 200 else None

    async def touch(self, key: str, ttl: TTL = None) -> bool:
        """Give a value a new lifetime; return whether there is one."""
        return bool(await self.run(self.operations.touch(key, ttl)))

    @overload
    async def remember(
        self,
        key: str,
        ttl: TTL,
        compute: Callable[[], Awaitable[T]],
        *,
        lease: int = 30,
        wait: float | None = None,
        stale: int = 0,
    ) -> T: ...

    @overload
    async def remember(
        self,
        key: str,
        ttl: TTL,
        compute: Callable[[], T],
        *,
        lease: int = 30,
        wait: float | None = None,
        stale: int = 0,
    ) -> T: ...

    async def remember(
        self,
        key: str,
        ttl: TTL,
        compute: Callable[[], Any],
        *,
        lease: int = 30,
        wait: float | None = None,
        stale: int = 0,
    ) -> Any:
        """Return a value; of all who miss it together, one computes it.

        :param compute: returns it, or what is to be awaited for it.
        """
        filled, all_filled = anyio.Event(), self._loop.filled

        def begin() -> Any:
            all_filled[key] = filled
            return compute()

        try:
            return await self.run(
                leases.remember(
                    self.operations, key, ttl, begin, lease=lease, wait=wait, stale=stale
                )
            )
        finally:
            if all_filled.get(key) is filled:
                del all_filled[key]
            filled.set()

    async def aclose(self) -> None:
        """Close the connections of this loop."""
        await self._loop.connection.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def run(self, steps: Steps) -> Any:
        """Do what an operation asks for, to its end."""
        ends = False
        try:
            step = next(steps)
            while True:
                try:
                    # Who cancels a task does not keep it from letting its lease go.
                    with anyio.CancelScope(shield=ends):
                        done = await self._do(step)
                except BaseException as error:  # noqa: BLE001 - the operation decides
                    ends = True
                    step = steps.throw(error)
                else:
                    step = steps.send(done)
        except StopIteration as end:
            return end.value

    async def _do(self, step: Request | Sleep | Call) -> Any:
        if isinstance(step, Request):
            return await self._ask(step)
        if isinstance(step, Sleep):
            return await self._sleep(step)
        result = step.function()
        return await result if inspect.isawaitable(result) else result

    async def _sleep(self, step: Sleep) -> None:
        """Wait; for a value that is computed in this loop until it is there, without asking.

        Many that ask again and again would keep the one that they wait for from storing it.
        """
        filled = self._loop.filled.get(step.key)
        if filled is None:
            await anyio.sleep(step.seconds)
            return
        with anyio.move_on_after(step.longest):
            await filled.wait()

    async def _ask(self, request: Request) -> Answer:
        """Ask in a task of its own.

        A task that asyncio cancels leaves a connection of httpx in use for ever, once in a while;
        one that anyio cancels does not.
        """
        content = request.content()
        asked: list[Answer | Exception] = []

        async def ask() -> None:
            try:
                asked.append(await self._in_turn(request, content))
            except Exception as error:  # noqa: BLE001 - the group would wrap it
                asked.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
        (said,) = asked
        if isinstance(said, Exception):
            raise said
        return said

    async def _in_turn(self, request: Request, content: bytes | None) -> Answer:
        async with self._loop.turns:
            # Asked when it is its turn: those before it may have found out.
            if self.operations.is_away():
                return self.operations.still_away()
            try:
                with anyio.fail_after(self._connection.timeout):
                    try:
                        return await self._send(request, content)
                    except BROKEN:
                        # The server may close a connection that it kept just as we ask.
                        if not request.again:
                            raise
                        return await self._send(request, content)
            except (httpx.HTTPError, TimeoutError) as error:
                return self.operations.went_away(error)

    async def _send(self, request: Request, content: bytes | None) -> Answer:
        async with self._loop.connection.stream(request, content) as response:
            text = b"".join([part async for part in response.aiter_raw()])
        return answer(response.status_code, text, response.headers.get("ETag", ""))
