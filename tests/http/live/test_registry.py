"""Several services on one database: changes go round, and the caches outlive it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import UNHURRIED
from tests.support.live import Connection, call
from tests.support.postgresql import PASSWORD, PostgreSQL, postgresql
from tests.support.processes import (
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    Service,
    eventually,
    service,
)
from tests.support.timing import Stopwatch

SERVICES = "/api/v2/system/service"
KEYS = "/api/v2/system/api_key"
SECRET_KEY = "of all machines, and 32 characters"
# What is promised is a second; the machine of the tests may be busy.
SOON = 3.0


@pytest.mark.parametrize("arguments", [(), ("-k", "gthread")], ids=["lane", "gthread"])
def test_the_answer_to_a_change_comes_when_every_worker_has_it(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    settings = {"app": UNHURRIED, "WEB_CONCURRENCY": "2"}
    with service(tmp_path, *arguments, **settings) as live, contextlib.ExitStack() as kept:
        connections = [kept.enter_context(Connection(live.port)) for _ in range(8)]
        for number in range(20):
            body: dict[str, Any] = {"name": "n", "rules": [{"service": "*", "verbs": ["GET"]}]}
            made = call(live.port, "POST", KEYS, body).json["resource"][0]
            shown = {"X-DreamFactory-API-Key": made["api_key"]}
            make(live, f"s{number}", "cache_local")
            for connection in connections:
                answer = connection.call("GET", f"/api/v2/s{number}/k", headers=shown)
                assert answer.message == "Key 'k' does not exist.", number
            assert call(live.port, "DELETE", f"{KEYS}/{made['id']}").status == 200
            for connection in connections:
                assert connection.call("GET", "/api/v2/cache/k", headers=shown).status == 401


@contextlib.contextmanager
def instances(directory: Path, url: str, count: int = 2) -> Iterator[list[Service]]:
    """Run services of two workers each, as on machines of their own, started together."""
    running: list[Service] = []
    with contextlib.ExitStack() as stack:

        def start(name: str) -> None:
            settings = {
                "CACHEAPI_DATABASE_URL": url,
                "CACHEAPI_SECRET_KEY": SECRET_KEY,
                "WEB_CONCURRENCY": "2",
            }
            running.append(stack.enter_context(service(directory / name, **settings)))

        threads = [threading.Thread(target=start, args=(str(number),)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(running) == count
        yield running


@pytest.fixture(scope="module")
def pair(
    postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Service]]:
    with instances(tmp_path_factory.mktemp("pair"), postgresql_server.new_database()) as running:
        yield running


def everywhere(running: list[Service], check: Callable[[Service], bool]) -> float:
    """Wait until something is so in every worker; return how long that took."""
    started = time.monotonic()
    for live in running:
        # Connections spread over the workers: many new ones in a row meet all.
        eventually(lambda live=live: all(check(live) for _ in range(24)), SOON)
    return time.monotonic() - started


def status(live: Service, path: str, key: str = Service.api_key) -> int:
    return call(live.port, "GET", f"/api/v2{path}", key=key).status


def make(live: Service, name: str, kind: str = "cache_memcached", **config: Any) -> None:
    body = {"name": name, "type": kind, "config": config}
    assert call(live.port, "POST", SERVICES, body).status == 201


def make_key(live: Service, **fields: Any) -> tuple[int, str]:
    answer = call(live.port, "POST", KEYS, {"name": "test", **fields})
    assert answer.status == 201
    (made,) = answer.json["resource"]
    return made["id"], made["api_key"]


@pytest.mark.parametrize("query", ["", "?x=1"], ids=["lane", "flask"])
def test_a_change_in_one_is_live_in_the_other(
    pair: list[Service], memcached_server: Memcached, query: str
) -> None:
    first, second = pair
    name = "lane" if not query else "flask"
    make(first, name, port=memcached_server.port, prefix=f"{name}:")
    memcached_server.plant(f"{name}:k", b'"there"', 0)
    everywhere(pair, lambda live: status(live, f"/{name}/k{query}") == 200)
    change = {"config": {"prefix": "elsewhere:"}}
    assert call(second.port, "PATCH", f"{SERVICES}/{name}", change).status == 200
    everywhere(pair, lambda live: status(live, f"/{name}/k{query}") == 404)
    gone = f"Service '{name}' does not exist;"
    assert call(second.port, "DELETE", f"{SERVICES}/{name}").status == 200
    everywhere(
        pair,
        lambda live: gone in call(live.port, "GET", f"/api/v2/{name}/k{query}").body.decode(),
    )


def test_a_connection_that_is_kept_feels_the_end_of_its_key(pair: list[Service]) -> None:
    rule = {"service": "cache", "verbs": ["GET"]}
    number, key = make_key(pair[0], rules=[rule])
    everywhere(pair, lambda live: status(live, "/cache/user:1", key) == 404)
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(Connection(live.port, key)) for live in pair for _ in range(4)]

        def all_get(expected: int) -> bool:
            answers = [client.call("GET", "/api/v2/cache/user:1") for client in kept]
            return {answer.status for answer in answers} == {expected}

        assert all(all_get(404) for _ in range(3))
        rule["keys"] = "other*"
        assert call(pair[1].port, "PATCH", f"{KEYS}/{number}", {"rules": [rule]}).status == 200
        eventually(lambda: all_get(403), SOON)
        rule["keys"] = "*"
        assert call(pair[1].port, "PATCH", f"{KEYS}/{number}", {"rules": [rule]}).status == 200
        eventually(lambda: all_get(404), SOON)
        assert call(pair[1].port, "DELETE", f"{KEYS}/{number}").status == 200
        eventually(lambda: all_get(401), SOON)


@pytest.mark.parametrize("query", ["", "?x=1"], ids=["lane", "flask"])
def test_a_key_goes_round_and_its_end_too(pair: list[Service], query: str) -> None:
    first, second = pair
    rule = {"service": "cache", "verbs": ["GET"], "keys": "user:*"}
    number, key = make_key(first, rules=[rule])
    path = f"/cache/user:1{query}"
    everywhere(pair, lambda live: status(live, path, key) == 404)
    assert {status(live, "/cache/other", key) for live in pair} == {403}
    rule["keys"] = "other*"
    assert call(second.port, "PATCH", f"{KEYS}/{number}", {"rules": [rule]}).status == 200
    everywhere(pair, lambda live: status(live, path, key) == 403)
    assert call(second.port, "DELETE", f"{KEYS}/{number}").status == 200
    everywhere(pair, lambda live: status(live, path, key) == 401)


def test_another_machines_change_may_be_asked_for_again(pair: list[Service]) -> None:
    """What is not known here yet may be so within a second: the refusal says when to ask."""
    unknown = call(pair[0].port, "GET", "/api/v2/surely-absent/k")
    stranger = call(pair[0].port, "GET", "/api/v2/cache/k", key="surely-unknown")
    assert (unknown.status, stranger.status) == (404, 401)
    assert unknown.headers["Retry-After"] == stranger.headers["Retry-After"] == "1"
    # Where nothing can change, it does not.
    assert call(pair[0].port, "GET", "/api/v2/cache/k", key="").headers["Retry-After"] is None
    assert call(pair[0].port, "GET", "/api/v2/cache/surely-absent").headers["Retry-After"] is None


def test_a_rate_limit_holds_over_workers(pair: list[Service]) -> None:
    rate = {"requests": 100, "seconds": 86400}
    rules = [{"service": "*", "verbs": ["GET"]}]
    _, key = make_key(pair[0], rules=rules, rate_limit=rate)
    left = 100

    def count_down() -> bool:
        nonlocal left
        answer = call(pair[0].port, "GET", "/api/v2/cache/k", key=key)
        # A worker that does not know the key yet counts nothing.
        if answer.status != 401:
            assert answer.status == 404
            left -= 1
            assert int(answer.headers["RateLimit-Remaining"]) == left
        return not left

    eventually(count_down, 30)
    everywhere(pair[:1], lambda live: status(live, "/cache/k", key) == 429)
    for _ in range(16):
        answer = call(pair[0].port, "GET", "/api/v2/cache/k", key=key)
        assert (answer.status, answer.headers["RateLimit-Remaining"]) == (429, "0")


def test_a_secret_works_on_every_machine(pair: list[Service], sasl_server: Memcached) -> None:
    make(pair[0], "sasl", port=sasl_server.port, username=SASL_USER, password=SASL_PASSWORD)
    everywhere(pair, lambda live: status(live, "/sasl/k") == 404)
    for live in pair:
        log = live.log.read_text()
        assert SASL_PASSWORD not in log
        assert PASSWORD not in log
        assert SECRET_KEY not in log
    assert "created service" in pair[0].log.read_text()


def test_other_services_feel_nothing_of_a_change(pair: list[Service]) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def read(port: int) -> None:
        with Connection(port) as client:
            while not stop.is_set():
                seen.append(client.call("GET", "/api/v2/cache/absent").status)

    readers = [threading.Thread(target=read, args=(live.port,)) for live in pair]
    for reader in readers:
        reader.start()
    try:
        for number in range(5):
            name = f"busy-{number}"
            make(pair[number % 2], name, "cache_local")
            # Also by an instance that has not heard of it yet.
            assert call(pair[1].port, "DELETE", f"{SERVICES}/{name}").status == 200
        eventually(lambda: len(seen) > 50, 20)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert set(seen) == {404}


def test_changes_at_once_on_both_are_all_made_or_refused(pair: list[Service]) -> None:
    outcomes: list[int] = []

    def create(live: Service) -> None:
        body = {"name": "contested", "type": "cache_local"}
        outcomes.append(call(live.port, "POST", SERVICES, body).status)

    threads = [threading.Thread(target=create, args=(live,)) for live in pair * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [201] + [400] * 5
    assert call(pair[0].port, "DELETE", f"{SERVICES}/contested").status in (200, 404)


def test_without_the_database_the_caches_go_on(tmp_path: Path) -> None:
    with postgresql() as server, instances(tmp_path, server.new_database(), 1) as (live,):
        make(live, "kept", "cache_local")
        number, key = make_key(live, rules=[{"service": "kept", "verbs": ["GET"]}])
        # A worker that starts late is not asked before, and learns within a second.
        eventually(lambda: live.log.read_text().count("Started server process") == 2, 20)
        time.sleep(1)
        everywhere([live], lambda live: status(live, "/kept/k", key) == 404)
        server.stop()
        time.sleep(1)
        taken = Stopwatch()
        for _ in range(10):
            assert status(live, "/kept/k", key) == 404
            assert status(live, "/kept/k?x=1", key) == 404
            assert status(live, "/cache/k") == 404
        assert taken() < 2
        assert call(live.port, "GET", SERVICES).status == 200
        for answer in (
            call(live.port, "POST", SERVICES, {"name": "new", "type": "cache_local"}),
            call(live.port, "DELETE", f"{KEYS}/{number}"),
            call(live.port, "GET", KEYS),
        ):
            assert answer.status == 500
            assert answer.headers["Retry-After"] == "1"
            assert "database" in answer.message
            assert PASSWORD not in answer.message
        # A worker that starts now knows no key of the database, and does not say that it is wrong.
        live.stop()
        live.start()
        assert status(live, "/cache/k") == 404
        assert status(live, "/kept/k", key) == 500
        assert status(live, "/kept/k") == 500
        server.start()
        everywhere([live], lambda live: status(live, "/kept/k", key) == 404)
        assert call(live.port, "DELETE", f"{KEYS}/{number}").status == 200
        everywhere([live], lambda live: status(live, "/kept/k", key) == 401)
        log = live.log.read_text()
        assert "Traceback" not in log
        assert PASSWORD not in log
        # Once a process, and not every look: the master's, and two workers' twice.
        assert log.count("cannot be used") <= 6
        assert "can be used again" in log


@pytest.mark.parametrize(
    "arguments", [(), ("--preload",), ("-k", "gthread")], ids=["lane", "preload", "gthread"]
)
def test_the_workers_of_one_machine_share_a_file(tmp_path: Path, arguments: list[str]) -> None:
    with service(tmp_path, *arguments, WEB_CONCURRENCY="2") as live:
        make(live, "mine", "cache_local")
        everywhere([live], lambda live: status(live, "/mine/k") == 404)
        number, key = make_key(live, rules=[{"service": "mine", "verbs": ["GET"]}])
        everywhere([live], lambda live: status(live, "/mine/k", key) == 404)
        assert call(live.port, "DELETE", f"{KEYS}/{number}").status == 200
        everywhere([live], lambda live: status(live, "/mine/k", key) == 401)
        assert call(live.port, "DELETE", f"{SERVICES}/mine").status == 200
        everywhere(
            [live],
            lambda live: (
                "does not exist" in call(live.port, "GET", "/api/v2/mine/k").message
                and "Service" in call(live.port, "GET", "/api/v2/mine/k").message
            ),
        )
