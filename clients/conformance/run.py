"""Run the cases of the table on a client of Python; `async` as an argument takes the other one."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import sys
import time
from typing import Any

from cacheapi_client import AsyncCache, Cache, CacheError


class Failed(Exception):
    pass


async def result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def do(cache: Any, name: str, arguments: list[Any]) -> Any:
    options = arguments.pop() if name == "remember" and len(arguments) == 4 else {}
    arguments = [0 if argument == "forever" else argument for argument in arguments]
    if name == "get":
        return await result(cache.get(*arguments, "<absent>"))
    if name == "last_error":
        return cache.last_error
    if name == "perform":
        for operation in arguments[0]:
            for what in operation.values():
                if isinstance(what, dict) and what.get("ttl") == "forever":
                    what["ttl"] = 0
    if name in {"until_absent", "until_present"}:
        until = time.monotonic() + 60
        wanted = name == "until_present"
        while await result(cache.has(*arguments)) != wanted and time.monotonic() < until:
            time.sleep(0.1)
        return time.monotonic() < until
    if name == "ttl_within":
        key, least, most = arguments
        left = await result(cache.ttl(key))
        return left is not None and least <= left <= most
    if name == "ttl":
        left = await result(cache.ttl(*arguments))
        return "forever" if left == 0 else left
    if name == "remember_failing":
        raise_it = compute(Failed())
        return await result(cache.remember(*arguments, raise_it))
    if name == "remember_slowly":
        key, ttl, path = arguments

        def slowly() -> str:
            with open(path, "a") as runs:
                runs.write("run\n")
            time.sleep(1)
            return "computed"

        return await result(cache.remember(key, ttl, slowly))
    if name == "remember":
        computed: list[Any] = []
        value = await result(
            cache.remember(*arguments[:2], compute(arguments[2], computed), **options)
        )
        return {"value": value, "computed": len(computed)}
    return await result(getattr(cache, name.removesuffix("_tagged"))(*arguments))


def compute(value: Any, computed: list[Any] | None = None) -> Any:
    def plain() -> Any:
        if isinstance(value, Exception):
            raise value
        if computed is not None:
            computed.append(value)
        return value

    async def awaited() -> Any:
        return plain()

    return awaited if "async" in sys.argv else plain


async def run(case: dict[str, Any]) -> list[dict[str, Any]]:
    outcomes = []
    make = AsyncCache if "async" in sys.argv else Cache
    cache = make(
        case["url"],
        case["key"],
        connect_timeout=60,
        timeout=case.get("timeout", 60),
        strict=case.get("strict", False),
        on_error=lambda message: None,
    )
    async with contextlib.AsyncExitStack() as stack:
        if isinstance(cache, AsyncCache):
            await stack.enter_async_context(cache)
        else:
            stack.enter_context(cache)
        for step in case["steps"]:
            try:
                outcomes.append({"gives": await do(cache, step["do"], list(step["with"]))})
            except CacheError:
                outcomes.append({"raises": "CacheError"})
            except Failed:
                outcomes.append({"raises": "Failed"})
            except ValueError:
                outcomes.append({"raises": "Invalid"})
    return outcomes


async def main() -> None:
    print(json.dumps([await run(case) for case in json.load(sys.stdin)]))


asyncio.run(main())
