"""The troubles of docs/operations.md, each made with a real server: what the service then says."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.http.client import Answer
from tests.http.conftest import PATIENT
from tests.support.live import CACHE, Connection, call
from tests.support.processes import (
    SASL_USER,
    Memcached,
    Service,
    free_port,
    memcached,
    sasl_memcached,
    service,
)
from tests.support.redis import PASSWORD, locked_redis, redis_server, replica

Trouble = Callable[[Path], Iterator[str]]
LARGE = "v" * 1_100_000


def on(directory: Path, driver: str, **settings: str) -> contextlib.AbstractContextManager[Service]:
    given = {"CACHE_DRIVER": driver, "WEB_CONCURRENCY": "1", **PATIENT, **settings}
    return service(directory, **given)


def on_memcached(
    directory: Path, server: Memcached, **settings: str
) -> contextlib.AbstractContextManager[Service]:
    where = {"MEMCACHED_HOST": f"127.0.0.1:{server.port}"}
    return on(directory, "memcached", **where, **settings)


def said(live: Service, method: str, path: str, body: Any = None, **more: Any) -> str:
    """Return an answer's status and message, without the address of the test's server."""
    return _told(call(live.port, method, path, body, **more))


def _told(answer: Answer) -> str:
    return f"{answer.status} {re.sub(r'(?<= at )[a-z0-9.-]+:[0-9]+', '…', answer.message)}"


def store(live: Service, value: Any = 1, key: str = "k") -> str:
    return said(live, "POST", CACHE, {"key": key, "value": value})


def read(live: Service) -> str:
    return said(live, "GET", f"{CACHE}/k")


def requests(directory: Path) -> Iterator[str]:
    """What a client does wrong, on memcached."""
    with memcached("-I", "1m") as server, on_memcached(directory, server) as live:
        yield said(live, "GET", f"{CACHE}/{'k' * 251}")
        yield said(live, "GET", f"{CACHE}/a%20{'k' * 185}")
        with Connection(live.port) as connection:
            answer = connection.call("GET", CACHE, headers={"X-DreamFactory-API-Key": ""})
            yield f"{answer.status} {answer.message}"
        yield said(live, "GET", CACHE, key="wrong")
        yield read(live)
        yield said(live, "GET", "/api/v2/absent/k")
        yield store(live, LARGE)
        yield said(live, "GET", CACHE)
        yield said(live, "POST", f"{CACHE}/k", {"value": "v" * 9_000_000})


def memcached_down(directory: Path) -> Iterator[str]:
    with on(directory, "memcached", MEMCACHED_HOST=f"127.0.0.1:{free_port()}") as live:
        yield read(live)


def memcached_hangs(directory: Path) -> Iterator[str]:
    with memcached() as server, on_memcached(directory, server) as live:
        server.pause()
        yield read(live)
        yield said(live, "PATCH", f"{CACHE}/n", {"increment": 1})


def memcached_full(directory: Path) -> Iterator[str]:
    with memcached("-M", "-m", "2") as server, on_memcached(directory, server) as live:
        yield first_refusal(live, 500_000)


def first_refusal(live: Service, size: int) -> str:
    """Store until that is refused; return what was said."""
    for number in range(100):
        item = {"key": f"k{number}", "value": "v" * size, "ttl": 0}
        answer = call(live.port, "POST", CACHE, item)
        if answer.status != 201:
            return _told(answer)
    raise AssertionError("it is not full")


def memcached_crowded(directory: Path) -> Iterator[str]:
    with (
        memcached("-c", "40") as server,
        on_memcached(directory, server) as live,
        server.full_of_clients(40),
    ):
        yield read(live)


def memcached_password(directory: Path) -> Iterator[str]:
    login = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": "wrong"}
    with sasl_memcached() as server:
        with on_memcached(directory / "wrong", server, **login) as live:
            yield read(live)
        with on_memcached(directory / "none", server) as live:
            yield read(live)


def name_unknown(directory: Path) -> Iterator[str]:
    with on(directory, "memcached", MEMCACHED_HOST="no-such-host.invalid") as live:
        yield read(live)
    with on(directory, "redis", REDIS_HOST="no-such-host.invalid") as live:
        yield read(live)


def redis_down(directory: Path) -> Iterator[str]:
    with on(directory, "redis", REDIS_HOST="127.0.0.1", REDIS_PORT=str(free_port())) as live:
        yield read(live)


def redis_hangs(directory: Path) -> Iterator[str]:
    with redis_server() as server, on(directory, "redis", **server.settings) as live:
        server.pause()
        yield read(live)


def redis_full(directory: Path) -> Iterator[str]:
    small = ("--maxmemory", "2mb")
    with redis_server(*small) as server, on(directory, "redis", **server.settings) as live:
        yield first_refusal(live, 100_000)


def redis_password(directory: Path) -> Iterator[str]:
    with locked_redis() as server:
        where = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port)}
        with on(directory / "none", "redis", **where) as live:
            yield read(live)
        with on(directory / "wrong", "redis", **where, REDIS_PASSWORD=f"not {PASSWORD}") as live:
            yield read(live)


def redis_rights(directory: Path) -> Iterator[str]:
    with redis_server() as server:
        server.call("ACL", "SETUSER", "weak", "on", ">weak", "~cacheapi:*", "+get", "+mget")
        login = {"REDIS_USERNAME": "weak", "REDIS_PASSWORD": "weak"}
        with on(directory, "redis", **server.settings, **login) as live:
            yield store(live)


def redis_replica(directory: Path) -> Iterator[str]:
    with (
        redis_server() as master,
        replica(master) as server,
        on(directory, "redis", **server.settings) as live,
    ):
        yield store(live)


def redis_crowded(directory: Path) -> Iterator[str]:
    with (
        redis_server("--maxclients", "10") as server,
        on(directory, "redis", **server.settings) as live,
        contextlib.ExitStack() as held,
    ):
        for _ in range(12):
            held.enter_context(server.connect())
        yield read(live)


TROUBLES: dict[str, Trouble] = {
    function.__name__: function
    for function in (
        requests,
        memcached_down,
        memcached_hangs,
        memcached_full,
        memcached_crowded,
        memcached_password,
        name_unknown,
        redis_down,
        redis_hangs,
        redis_full,
        redis_password,
        redis_rights,
        redis_replica,
        redis_crowded,
    )
}
