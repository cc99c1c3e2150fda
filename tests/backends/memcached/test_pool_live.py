"""A live service on a pool of memcached, while a server of the pool fails and returns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.memcached.member import OUT_SECONDS
from tests.support.live import CACHE, Connection
from tests.support.processes import Memcached, Service, eventually, memcached, service
from tests.support.timing import Stopwatch

KEYS = [f"key:{number}" for number in range(60)]


@contextlib.contextmanager
def on_a_pool(
    directory: Path, **settings: str
) -> Iterator[tuple[list[Memcached], Service, Connection]]:
    """Run three servers and a service on them; find the same workers after, and no traceback."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(memcached()) for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        environ = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": hosts, "WEB_CONCURRENCY": "1"}
        live = stack.enter_context(service(directory, **environ, **settings))
        client = stack.enter_context(Connection(live.port))
        assert store(client, 1) == {201}
        workers = live.workers()
        yield servers, live, client
        assert live.workers() == workers
        assert "Traceback" not in live.log.read_text()


def store(client: Connection, value: int) -> set[int]:
    return {client.call("POST", CACHE, {"key": key, "value": value}).status for key in KEYS}


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_one_of_three_servers_costs_misses_and_no_failed_request(
    fault: str, tmp_path: Path
) -> None:
    with on_a_pool(tmp_path) as (servers, live, client):
        getattr(servers[0], fault)()
        taken = Stopwatch()
        statuses = [client.call("GET", f"{CACHE}/{key}").status for key in KEYS]
        assert taken() < 3
        assert set(statuses) == {200, 404}
        assert 5 < statuses.count(404) < 40
        counted = [
            client.call("PATCH", f"{CACHE}/{key}", {"increment": 1, "initial": 1}).status
            for key in KEYS
        ]
        assert counted.count(500) <= 1
        assert store(client, 3) == {201}
        assert {client.call("GET", f"{CACHE}/{key}").json["value"] for key in KEYS} == {3}
        assert f"127.0.0.1:{servers[0].port} does not answer" in live.log.read_text()
        if fault == "kill":
            servers[0].start()
        else:
            servers[0].resume()

        def reads() -> int:
            client.call("GET", f"{CACHE}?keys={','.join(KEYS)}")
            return int(servers[0].statistics()["cmd_get"])

        before = reads()
        eventually(lambda: reads() > before, within=OUT_SECONDS + 2)
        assert store(client, 4) == {201}
        assert {client.call("GET", f"{CACHE}/{key}").json["value"] for key in KEYS} == {4}


def test_a_flush_that_misses_a_server_is_no_success(tmp_path: Path) -> None:
    with on_a_pool(tmp_path) as (servers, _, client):
        servers[1].pause()
        answer = client.call("DELETE", CACHE)
        assert answer.status == 500
        assert f"127.0.0.1:{servers[1].port}" in answer.message
        assert "flush again then" in answer.message
        servers[1].resume()
        assert client.call("DELETE", CACHE).status == 200
        assert {client.call("GET", f"{CACHE}/{key}").status for key in KEYS} == {404}


def test_with_a_prefix_a_pool_says_why_it_is_not_flushed(tmp_path: Path) -> None:
    with on_a_pool(tmp_path, MEMCACHED_PREFIX="app:") as (_, _, client):
        answer = client.call("DELETE", CACHE)
        assert answer.status == 400
        assert "the prefix 'app:' says that others use them" in answer.message
        assert {client.call("GET", f"{CACHE}/{key}").status for key in KEYS} == {200}
