"""Ask for one value, one request after the other, on one connection.

Print the number of requests, the seconds, and the seconds of the processor.
"""

from __future__ import annotations

import asyncio
import sys
import time

from cacheapi_client import AsyncCache, Cache


async def main(kind: str, url: str, key: str, seconds: float) -> None:
    make = AsyncCache if kind == "async" else Cache
    cache = make(url, key, timeout=60, connect_timeout=60, strict=True)
    # The first ones are slower everywhere.
    for _ in range(500):
        got = cache.get("bench")
        assert (await got if isinstance(cache, AsyncCache) else got) == "v" * 230
    count, started, used = 0, time.monotonic(), time.process_time()
    while time.monotonic() < started + seconds:
        got = cache.get("bench")
        assert (await got if isinstance(cache, AsyncCache) else got) == "v" * 230
        count += 1
    print(count, time.monotonic() - started, time.process_time() - used)
    if isinstance(cache, AsyncCache):
        await cache.aclose()
    else:
        cache.close()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
