"""A service whose name nobody looks up fails alone: its worker and all else go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.live import Connection, call
from tests.support.processes import Service
from tests.support.resolver import NotPermitted, dead_addresses, silent_resolver
from tests.support.timing import Stopwatch

SERVICES = "/api/v2/system/service"
HOPELESS = {
    "memcached-silent": ("cache_memcached", {"host": "silent.test", "timeout_ms": 250}),
    "redis-silent": ("cache_redis", {"host": "silent.test", "timeout_ms": 250}),
    "memcached-dead": ("cache_memcached", {"host": "dead.test", "timeout_ms": 250}),
    "redis-dead": ("cache_redis", {"host": "dead.test", "timeout_ms": 250}),
}
# The limit is a quarter of a second, and two of them where it is asked again; the machine of
# the tests may be busy. The resolver's own is 15 seconds here.
SOON = 2.0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("names")
    with dead_addresses(4) as (dead, port):
        try:
            with silent_resolver(directory, {"dead.test": dead}) as within:
                kind = type("Within", (Service,), {"within": within})
                running = kind(directory, WEB_CONCURRENCY="1", CACHE_DRIVER="file")
                try:
                    for name, (type_, config) in HOPELESS.items():
                        body = {"name": name, "type": type_, "config": {**config, "port": port}}
                        assert call(running.port, "POST", SERVICES, body).status == 201
                    yield running
                finally:
                    running.stop()
        except NotPermitted as error:
            pytest.skip(f"no mount namespace here: {error}")


@pytest.mark.parametrize("name", HOPELESS)
def test_a_read_fails_within_its_limit(live: Service, name: str) -> None:
    for path in (f"/api/v2/{name}/k", f"/api/v2/{name}/k?default=1", f"/api/v2/{name}?keys=a,b"):
        taken = Stopwatch()
        answer = call(live.port, "GET", path)
        assert taken() < SOON
        assert answer.status == 500
        assert "Connection timed out" in answer.message
        if "silent" in name:
            assert "was not looked up in time" in answer.message
    taken = Stopwatch()
    assert call(live.port, "POST", f"/api/v2/{name}", {"key": "k", "value": 1}).status == 500
    assert taken() < SOON


def test_the_worker_and_all_else_go_on_meanwhile(live: Service) -> None:
    workers = live.workers()
    stop = threading.Event()
    statuses: set[int] = set()

    def ask(name: str) -> None:
        with Connection(live.port) as connection:
            while not stop.is_set():
                statuses.add(connection.call("GET", f"/api/v2/{name}/k").status)

    threads = [threading.Thread(target=ask, args=(name,)) for name in HOPELESS for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert call(live.port, "POST", "/api/v2/cache", {"key": "k", "value": 1}).status == 201
        end = time.monotonic() + 4
        slowest = 0.0
        with Connection(live.port) as connection:
            while time.monotonic() < end:
                for path in ("/health/live", "/api/v2/cache/k"):
                    taken = Stopwatch()
                    assert connection.call("GET", path).status == 200
                    slowest = max(slowest, taken())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert slowest < SOON
    assert statuses == {500}
    assert live.workers() == workers
