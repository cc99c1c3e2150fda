"""The kinds of backend by name, and their servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.soak.failovers import ClusterKind, SentinelKind
from tests.soak.faults import File, Kind, OneMemcached, OneRedis, Pool
from tests.support.processes import memcached
from tests.support.redis import redis_server
from tests.support.redis_groups import redis_cluster, sentinel_group

# In the order in which they run.
KINDS = ("memcached", "pool", "redis", "sentinel", "cluster", "file")


@contextlib.contextmanager
def running(name: str) -> Iterator[Kind]:
    """Run the servers of a kind."""
    with contextlib.ExitStack() as stack:
        match name:
            case "memcached":
                yield OneMemcached(stack.enter_context(memcached()))
            case "pool":
                yield Pool([stack.enter_context(memcached()) for _ in range(Pool.stores)])
            case "redis":
                yield OneRedis(stack.enter_context(redis_server()))
            case "sentinel":
                yield SentinelKind(stack.enter_context(sentinel_group(down_ms=1000)))
            case "cluster":
                yield ClusterKind(stack.enter_context(redis_cluster(timeout_ms=1000)))
            case "file":
                yield File()
            case _:
                raise ValueError(f"there is no kind {name!r}; there are {', '.join(KINDS)}")
