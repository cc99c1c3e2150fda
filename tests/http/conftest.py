"""The service on each driver, in this process and behind gunicorn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
)
from tests.support.processes import Memcached, service


def make_app_api(driver: str, store: FileStore | MemcachedStore, data_dir: Path, **more: str):
    settings = {
        "CACHE_DRIVER": driver,
        "CACHEAPI_API_KEY": API_KEY,
        "CACHEAPI_DATA_DIR": str(data_dir),
        **more,
    }
    return AppApi(driver, store, create_app(load(settings, None)))


@pytest.fixture(scope="session")
def file_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppApi]:
    directory = tmp_path_factory.mktemp("file")
    api = make_app_api("file", FileStore(directory), directory)
    yield api
    api.close()


@pytest.fixture(scope="session")
def memcached_app(
    memcached_server: Memcached, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AppApi]:
    api = make_app_api(
        "memcached",
        MemcachedStore(memcached_server),
        tmp_path_factory.mktemp("memcached"),
        MEMCACHED_HOST="127.0.0.1",
        MEMCACHED_PORT=str(memcached_server.port),
    )
    yield api
    api.close()


@pytest.fixture(scope="session")
def file_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApi]:
    directory = tmp_path_factory.mktemp("live")
    with service(directory, CACHE_DRIVER="file", WEB_CONCURRENCY="2") as live:
        yield LiveApi("file", FileStore(directory / "data"), live.port)


@pytest.fixture(scope="session")
def memcached_live(
    memcached_server: Memcached, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApi]:
    settings = {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": "127.0.0.1",
        "MEMCACHED_PORT": str(memcached_server.port),
        "WEB_CONCURRENCY": "2",
    }
    with service(tmp_path_factory.mktemp("live"), **settings) as live:
        yield LiveApi("memcached", MemcachedStore(memcached_server), live.port)


@pytest.fixture(scope="session")
def file_gthread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApi]:
    """The service without the lane, under a worker of gunicorn's own."""
    directory = tmp_path_factory.mktemp("gthread")
    with service(directory, "-k", "gthread", CACHE_DRIVER="file", WEB_CONCURRENCY="2") as live:
        yield LiveApi("file", FileStore(directory / "data"), live.port)


def _empty(request: pytest.FixtureRequest, kind: str) -> Api:
    api: Api = request.getfixturevalue(kind.replace(" ", "_"))
    assert api.call("DELETE", ALL).status == 200
    return api


FILE = ["file app", "file live", "file gthread"]
MEMCACHED = ["memcached app", "memcached live"]


@pytest.fixture(params=FILE + MEMCACHED)
def api(request: pytest.FixtureRequest) -> Api:
    """The service, empty, on every driver and over both ways."""
    return _empty(request, request.param)


@pytest.fixture(params=FILE)
def file_api(request: pytest.FixtureRequest) -> Api:
    return _empty(request, request.param)


@pytest.fixture(params=MEMCACHED)
def memcached_api(request: pytest.FixtureRequest) -> Api:
    return _empty(request, request.param)
