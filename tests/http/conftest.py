"""The service on each driver, in this process and behind gunicorn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cacheapi import create_app, load
from tests.http.client import (
    ALL,
    API_KEY,
    Api,
    AppApi,
    FileStore,
    LiveApi,
    MemcachedStore,
    RedisStore,
    Store,
)
from tests.support.processes import SASL_PASSWORD, SASL_USER, service

# Time limits that a busy machine does not exceed: here they are not the fault.
PATIENT = {"MEMCACHED_TIMEOUT_MS": "3000", "REDIS_TIMEOUT_MS": "3000"}


class Driver(NamedTuple):
    """A driver with what it stores in; the file's store is where the service's data is."""

    name: str
    settings: dict[str, str]
    store: Store | None


def make_app_api(driver: str, store: Store, data_dir: Path, **more: str):
    settings = {
        "CACHE_DRIVER": driver,
        "CACHEAPI_API_KEY": API_KEY,
        "CACHEAPI_DATA_DIR": str(data_dir),
        **more,
    }
    return AppApi(driver, store, create_app(load(settings, None)))


def _file(request: pytest.FixtureRequest) -> Driver:
    return Driver("file", {}, None)


def _memcached(request: pytest.FixtureRequest) -> Driver:
    server = request.getfixturevalue("memcached_server")
    settings = {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(server.port)}
    return Driver("memcached", settings, MemcachedStore(server))


def _pool(request: pytest.FixtureRequest) -> Driver:
    servers = request.getfixturevalue("memcached_pool")
    hosts = ",".join(
        f"127.0.0.1:{server.port}:{weight}" for weight, server in enumerate(servers, 1)
    )
    return Driver("memcached", {"MEMCACHED_HOST": hosts}, MemcachedStore(*servers))


def _sasl(request: pytest.FixtureRequest) -> Driver:
    server = request.getfixturevalue("sasl_server")
    settings = {
        "MEMCACHED_HOST": "127.0.0.1",
        "MEMCACHED_PORT": str(server.port),
        "MEMCACHED_USERNAME": SASL_USER,
        "MEMCACHED_PASSWORD": SASL_PASSWORD,
    }
    return Driver("memcached", settings, MemcachedStore(server))


def _redis(request: pytest.FixtureRequest) -> Driver:
    server = request.getfixturevalue("redis_one")
    return Driver("redis", server.settings, RedisStore(server))


def _sentinel(request: pytest.FixtureRequest) -> Driver:
    group = request.getfixturevalue("redis_sentinels")
    return Driver("redis", group.settings, RedisStore(group))


def _cluster(request: pytest.FixtureRequest) -> Driver:
    nodes = request.getfixturevalue("redis_nodes")
    return Driver("redis", nodes.settings, RedisStore(nodes))


MakeDriver = Callable[[pytest.FixtureRequest], Driver]


def _app(make: MakeDriver):
    @pytest.fixture(scope="session")
    def app_api(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[AppApi]:
        directory = tmp_path_factory.mktemp("app")
        driver = make(request)
        store = driver.store or FileStore(directory)
        api = make_app_api(driver.name, store, directory, **PATIENT, **driver.settings)
        yield api
        api.close()

    return app_api


def _live(make: MakeDriver, *arguments: str):
    @pytest.fixture(scope="session")
    def live_api(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[LiveApi]:
        directory = tmp_path_factory.mktemp("live")
        driver = make(request)
        settings = {
            "CACHE_DRIVER": driver.name,
            "WEB_CONCURRENCY": "2",
            **PATIENT,
            **driver.settings,
        }
        with service(directory, *arguments, **settings) as live:
            yield LiveApi(driver.name, driver.store or FileStore(directory / "data"), live.port)

    return live_api


file_app, file_live = _app(_file), _live(_file)
# Without the lane, under a worker of gunicorn's own.
file_gthread = _live(_file, "-k", "gthread")
memcached_app, memcached_live = _app(_memcached), _live(_memcached)
pool_app, pool_live = _app(_pool), _live(_pool)
sasl_app, sasl_live = _app(_sasl), _live(_sasl)
redis_app, redis_live = _app(_redis), _live(_redis)
sentinel_app, sentinel_live = _app(_sentinel), _live(_sentinel)
cluster_app, cluster_live = _app(_cluster), _live(_cluster)


def _empty(request: pytest.FixtureRequest, kind: str) -> Api:
    api: Api = request.getfixturevalue(kind.replace(" ", "_"))
    assert api.call("DELETE", ALL).status == 200
    return api


def _both_ways(*kinds: str) -> list[str]:
    return [f"{kind} {way}" for kind in kinds for way in ("app", "live")]


FILE = [*_both_ways("file"), "file gthread"]
MEMCACHED = _both_ways("memcached", "pool", "sasl")
REDIS = _both_ways("redis", "sentinel", "cluster")


@pytest.fixture(params=FILE + MEMCACHED + REDIS)
def api(request: pytest.FixtureRequest) -> Api:
    """The service, empty, on every driver and over both ways."""
    return _empty(request, request.param)


@pytest.fixture(params=FILE)
def file_api(request: pytest.FixtureRequest) -> Api:
    return _empty(request, request.param)


@pytest.fixture(params=MEMCACHED)
def memcached_api(request: pytest.FixtureRequest) -> Api:
    return _empty(request, request.param)


@pytest.fixture(params=REDIS)
def redis_api(request: pytest.FixtureRequest) -> Api:
    return _empty(request, request.param)


@pytest.fixture(params=FILE + MEMCACHED)
def short_key_api(request: pytest.FixtureRequest) -> Api:
    """The service on the drivers whose longest key fits into a request line."""
    return _empty(request, request.param)


@pytest.fixture(params=FILE + REDIS)
def listing_api(request: pytest.FixtureRequest) -> Api:
    """The service on the drivers that list keys, and take any text as one."""
    return _empty(request, request.param)
