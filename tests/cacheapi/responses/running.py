"""An engine to ask, without a service around it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backends.base import Backend
from cacheapi.responses.addresses import parse_base
from cacheapi.responses.answers import Outgoing
from cacheapi.responses.asking import Incoming, NoAnswer
from cacheapi.responses.budget import Budget
from cacheapi.responses.calls import THREADS
from cacheapi.responses.config import Config
from cacheapi.responses.engine import Engine
from cacheapi.responses.messages import Fields, every
from cacheapi.responses.store import Store

MOUNT = "/api/v2/shop"


@dataclasses.dataclass
class Got:
    """What a client got."""

    status: int
    fields: dict[str, str]
    body: bytes
    result: str
    lines: Fields = ()

    def all(self, name: str) -> list[str]:
        """Return each line of a field."""
        return every(self.lines, name)

    @property
    def cache(self) -> str:
        """What ``Cache-Status`` says, without numbers that depend on time."""
        return re.sub(r"; ttl=-?\d+", "", self.fields["cache-status"].partition("; ")[2])


@contextlib.asynccontextmanager
async def running(
    cache: Backend,
    url: str,
    *,
    clock: Any = None,
    name: str = "shop",
    budget: Budget | None = None,
    **settings: Any,
) -> AsyncIterator[Engine]:
    """Run one in the event loop."""
    clocked = {} if clock is None else {"clock": clock}
    config = Config(parse_base(url), **settings)
    threads = ThreadPoolExecutor(THREADS)
    store = Store(name, cache, config.counts, **clocked)
    made = Engine(name, config, store, mount=MOUNT, threads=threads, budget=budget, **clocked)
    try:
        yield made
    finally:
        await made.end()
        # A call that its client did not wait for may still have a connection of the cache.
        threads.shutdown()


async def get(engine: Engine, path: str, method: str = "GET", body: bytes = b"", **fields) -> Got:
    """Ask; an error of the service's own has no fields but ``Cache-Status``.

    Underscores in the names of fields stand for hyphens.
    """
    path, _, query = path.partition("?")
    sent = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    try:
        out = await engine.answer(Incoming(method, path.encode(), query.encode(), sent, body))
    except NoAnswer as error:
        status = {} if error.cache_status is None else {"cache-status": error.cache_status}
        return Got(error.status, status, str(error).encode(), "error")
    return await taken(out)


async def taken(out: Outgoing) -> Got:
    """Read an answer to its end."""
    body = b"".join([chunk async for chunk in out.chunks()])
    return Got(out.status, dict(out.fields), body, out.result, out.fields)


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)
