"""Looking does not count: readiness, the doctor and the console leave hits and misses alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.errors import Unsupported
from cacheapi import create_app, load
from cacheapi.commands.diagnosis import services as diagnosis
from cacheapi.console import states
from cacheapi.observing import statistics
from cacheapi.observing.readiness import READINESS
from cacheapi.registry import administration, trial
from cacheapi.registry.live import Registry
from tests.http.client import API_KEY
from tests.support.processes import SASL_PASSWORD, SASL_USER, memcached, sasl_memcached
from tests.support.redis import redis_server

DRIVERS = ("file", "memcached", "memcached-sasl", "redis")


@pytest.fixture(params=DRIVERS)
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """A cache that nobody else uses."""
    if request.param == "file":
        yield {}
        return
    if request.param == "redis":
        with redis_server() as server:
            yield {"CACHE_DRIVER": "redis", "REDIS_TIMEOUT_MS": "3000", **server.settings}
        return
    login = request.param == "memcached-sasl"
    with sasl_memcached() if login else memcached() as server:
        user = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": SASL_PASSWORD}
        yield {
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": f"127.0.0.1:{server.port}",
            "MEMCACHED_TIMEOUT_MS": "3000",
            **(user if login else {}),
        }


@pytest.fixture
def registry(tmp_path: Path, settings: dict[str, str]) -> Iterator[Registry]:
    """What a process has."""
    given = {"CACHEAPI_API_KEY": API_KEY, "CACHEAPI_DATA_DIR": str(tmp_path), **settings}
    app = create_app(load(given, None))
    registry: Registry = app.extensions["cacheapi"]
    registry.watch()
    app.extensions[READINESS].check()
    yield registry
    registry.close()


# Of a lifetime, of what a list tells, and of the analysis; as docs/limits.md says.
LOOKS = {
    "file": (0, 0, 0),
    "memcached": (0, None, 0),
    "memcached-sasl": (None, None, None),
    "redis": (1, 2, 1),
}


def test_looks_at_an_entry_count_as_is_said(
    registry: Registry, request: pytest.FixtureRequest
) -> None:
    service = registry.find("cache")
    assert service is not None
    backend = service.backend
    backend.set("a", b"1", 3600)
    hits: list[int | None] = []
    for look in (
        lambda: service.remaining_ttl("a"),
        lambda: service.list_keys("", 10, None) and service.describe_many(["a"]),
        lambda: list(backend.analyze(10)),
    ):
        before = statistics.read(service).total
        try:
            assert look()
        except Unsupported:
            hits.append(None)
            continue
        after = statistics.read(service).total
        assert after.get_misses == before.get_misses
        hits.append((after.get_hits or 0) - (before.get_hits or 0))
    assert tuple(hits) == LOOKS[request.node.callspec.params["settings"]]


def test_no_look_is_a_hit_or_a_miss(registry: Registry) -> None:
    service = registry.find("cache")
    assert service is not None
    before = statistics.read(service).total
    assert states.read(service).is_up
    assert diagnosis.look(["cache"], service).success
    assert trial.run(registry, administration.find(registry, "cache"), saved=True).success
    told = statistics.read(service).total
    assert (told.get_hits, told.get_misses) == (before.get_hits, before.get_misses) == (0, 0)
    assert told.curr_items == 0
    service.get("absent")
    assert statistics.read(service).total.get_misses == 1
