"""Live instances of the service in front of a scripted origin, over one memcached."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.client import Answer
from tests.support import origin as scripted
from tests.support.live import Connection
from tests.support.origin import Origin
from tests.support.processes import Memcached, Service, memcached


@pytest.fixture(scope="session")
def origin_process() -> Iterator[Origin]:
    with scripted.origin() as server:
        yield server


@pytest.fixture
def origin(origin_process: Origin) -> Origin:
    """An origin for tests that leave it well."""
    return origin_process


@dataclasses.dataclass
class Site:
    """What a test talks to.

    :ivar instances: that share a cache.
    """

    instances: list[Service]
    cache: Memcached

    def call(self, method: str, path: str, number: int = 0, **more) -> Answer:
        with Connection(self.instances[number].port) as connection:
            return connection.call(method, f"/api/v2/shop{path}", **more)

    def get(self, path: str, number: int = 0, **headers: str) -> Answer:
        return self.call("GET", path, number, headers=headers)


@pytest.fixture(scope="session", params=["own worker", "gthread"])
def site(
    request: pytest.FixtureRequest,
    origin_process: Origin,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Two instances with two workers each."""
    instances: list[Service] = []
    with memcached() as cache:
        for number in range(2):
            directory: Path = tmp_path_factory.mktemp(f"site{number}")
            services = directory / "services.toml"
            services.write_text(
                '[[service]]\nname = "shop"\ntype = "rws"\n'
                f'[service.config]\nbase_url = "{origin_process.url}"\n'
            )
            arguments = ("-k", "gthread", "--threads", "80") if request.param == "gthread" else ()
            instances.append(
                Service(
                    directory,
                    *arguments,
                    CACHE_DRIVER="memcached",
                    MEMCACHED_HOST="127.0.0.1",
                    MEMCACHED_PORT=str(cache.port),
                    WEB_CONCURRENCY="2",
                    MEMCACHED_TIMEOUT_MS="3000",
                    CACHEAPI_SERVICES_FILE=str(services),
                )
            )
        yield Site(instances, cache)
        for instance in instances:
            instance.stop()
