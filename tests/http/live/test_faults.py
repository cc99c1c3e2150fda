"""What a client sees when the backend of a live service is hurt."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.http.client import Answer
from tests.http.conftest import PATIENT
from tests.support.live import CACHE, Connection
from tests.support.processes import (
    REPOSITORY,
    SASL_USER,
    Memcached,
    Service,
    eventually,
    memcached,
    service,
)
from tests.support.timing import Stopwatch

OPERATIONS = [
    ("GET", f"{CACHE}/key", None),
    ("HEAD", f"{CACHE}/key", None),
    ("GET", f"{CACHE}?keys=key,other", None),
    ("POST", CACHE, {"key": "key", "value": 2}),
    ("POST", f"{CACHE}/other", {"value": 2}),
    ("PUT", f"{CACHE}/key", {"value": 2}),
    ("PATCH", f"{CACHE}/key", {"increment": 1}),
    ("PATCH", f"{CACHE}/key", {"ttl": 60}),
    ("DELETE", f"{CACHE}/key", None),
    ("DELETE", f"{CACHE}?keys=key,other", None),
    ("DELETE", CACHE, None),
]


class Client(Connection):
    """A client that lets no answer pass that says what happens inside."""

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        answer = super().call(method, path, body, headers)
        text = answer.body.decode()
        for inside in ("Traceback", 'File "', ".py", ".sqlite3", str(REPOSITORY), "/tmp/"):
            assert inside not in text
        if answer.status >= 400 and method != "HEAD":
            assert answer.error
        return answer

    def store(self, key: str, value: Any) -> Answer:
        return self.call("POST", CACHE, {"key": key, "value": value})

    def get(self, key: str) -> Answer:
        return self.call("GET", f"{CACHE}/{key}")


@contextlib.contextmanager
def memcached_service(directory: Path, server: Memcached, **settings: str) -> Iterator[Service]:
    with service(
        directory,
        CACHE_DRIVER="memcached",
        MEMCACHED_HOST="127.0.0.1",
        MEMCACHED_PORT=str(server.port),
        **{"WEB_CONCURRENCY": "1", **settings},
    ) as live:
        yield live


def log(directory: Path) -> str:
    return (directory / "log").read_text()


@contextlib.contextmanager
def on_memcached(
    directory: Path, *arguments: str, **settings: str
) -> Iterator[tuple[Memcached, Client]]:
    """Run a memcached server and a service on it; give a client, and find no traceback after."""
    with (
        memcached(*arguments) as server,
        memcached_service(directory, server, **{**PATIENT, **settings}) as live,
        Client(live.port) as client,
    ):
        yield server, client
        assert "Traceback" not in live.log.read_text()


def test_a_dead_server_is_an_error_for_every_operation(tmp_path: Path) -> None:
    with on_memcached(tmp_path) as (server, client):
        assert client.store("key", 1).status == 201
        server.kill()
        for method, path, body in OPERATIONS * 2:
            answer = client.call(method, path, body)
            assert (method, path, answer.status) == (method, path, 500)
            assert int(answer.headers["Retry-After"]) >= 1
            if method != "HEAD":
                assert answer.message.startswith("Connection refused")


def test_a_server_that_returns_is_used_within_three_seconds(tmp_path: Path) -> None:
    with on_memcached(tmp_path) as (server, client):
        assert client.store("key", 1).status == 201
        server.kill()
        seen = {client.get("key").status for _ in range(20)}
        assert seen == {500}
        server.start()
        eventually(lambda: client.store("key", 2).status == 201, 3)
        assert client.get("key").json["value"] == 2


def test_a_batch_on_a_dead_server_tells_what_became_of_every_item(tmp_path: Path) -> None:
    with on_memcached(tmp_path) as (server, client):
        server.kill()
        pairs = [{"key": key, "value": 1} for key in "abc"]
        answer = client.call("POST", CACHE, {"resource": pairs})
        assert answer.status == 500
        outcomes = answer.error["context"]["resource"]
        assert [(item["key"], item["success"]) for item in outcomes] == [
            ("a", False),
            ("b", False),
            ("c", False),
        ]
        messages = [item["message"] for item in outcomes]
        assert messages[0].startswith("Connection refused")
        assert messages[1].startswith("Not tried")
        assert int(answer.headers["Retry-After"]) >= 1
        assert client.call("DELETE", f"{CACHE}?keys=a,b").status == 500
        errors = [line for line in log(tmp_path).splitlines() if "[ERROR]" in line]
        assert len(errors) == 2
        assert all("Connection refused" in line for line in errors)


def test_a_hung_server_is_an_error_within_a_second(tmp_path: Path) -> None:
    with on_memcached(tmp_path, MEMCACHED_TIMEOUT_MS="250") as (server, client):
        assert client.store("key", 1).status == 201
        server.pause()
        for method, path, body in [*OPERATIONS[:4], ("GET", f"{CACHE}/absent", None)]:
            taken = Stopwatch()
            answer = client.call(method, path, body)
            assert taken() < 1
            assert answer.status == 500
            assert int(answer.headers["Retry-After"]) >= 1
        server.resume()
        eventually(lambda: client.store("key", "resumed").status == 201, 3)
        assert client.get("key").json["value"] == "resumed"
        assert client.get("absent").status == 404


@pytest.mark.parametrize("pause", [0, 0.8])
def test_a_restart_between_requests_fails_no_get(tmp_path: Path, pause: float) -> None:
    with on_memcached(tmp_path) as (server, client):
        for turn in range(3):
            assert client.store("key", f"before {turn}").status == 201
            server.restart()
            server.plant("key", b'"after"', 0)
            time.sleep(pause)
            assert client.get("key").json["value"] == "after"
            server.restart()
            time.sleep(pause)
            assert client.get("key").status == 404
            server.restart()
            server.plant("key", b'"again"', 0)
            answer = client.call("GET", f"{CACHE}?keys=absent,key").json
            assert answer["resource"] == [{"key": "key", "value": "again"}]


def test_a_value_over_the_item_limit_is_a_server_error_and_never_half_stored(
    tmp_path: Path,
) -> None:
    with on_memcached(tmp_path, "-I", "1m") as (_, client):
        assert client.store("key", "small").status == 201
        answer = client.store("key", "x" * (2 * 1024 * 1024))
        assert answer.status == 500
        assert answer.message.startswith("SERVER_ERROR ")
        after = client.get("key")
        assert after.status == 404 or after.json["value"] == "small"
        assert client.store("key", "small again").status == 201
        assert client.get("key").json["value"] == "small again"


def test_a_full_server_refuses_writes_and_goes_on_reading(tmp_path: Path) -> None:
    value = "x" * 50_000
    with on_memcached(tmp_path, "-M", "-m", "2") as (_, client):
        stored = []
        for turn in range(200):
            answer = client.store(f"key-{turn}", value)
            if answer.status != 201:
                break
            stored.append(f"key-{turn}")
        assert answer.status == 500
        assert answer.message.startswith("SERVER_ERROR ")
        assert stored
        assert {client.get(key).json["value"] for key in stored} == {value}
        assert client.get("absent").status == 404
        assert client.call("DELETE", f"{CACHE}/{stored[0]}").status == 200


def test_a_wrong_password_is_an_error_that_does_not_repeat_it(
    tmp_path: Path, sasl_server: Memcached
) -> None:
    password = "not-the-right-one-7391"
    settings = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": password}
    with (
        memcached_service(tmp_path, sasl_server, **settings) as live,
        Client(live.port) as client,
    ):
        for method, path, body in OPERATIONS * 2:
            answer = client.call(method, path, body)
            assert (method, path, answer.status) == (method, path, 500)
            assert password not in answer.body.decode()
            if method != "HEAD":
                assert "Authentication failed" in answer.message, (method, path)
        log = live.log.read_text()
        assert "Authentication failed" in log
        assert password not in log
        assert "Traceback" not in log


@pytest.mark.parametrize("key", ["a%20" + "k" * 185, "%0D%0A" * 94, "k" * 251])
def test_a_key_that_memcached_cannot_carry_is_refused_and_the_next_request_is_fine(
    memcached_service_of_the_session: Service, key: str
) -> None:
    with Client(memcached_service_of_the_session.port) as client:
        name = f"kept-{os.getpid()}"
        assert client.store(name, "kept").status == 201
        for method, body in [
            ("GET", None),
            ("PUT", {"value": 1}),
            ("POST", {"value": 1}),
            ("PATCH", {"increment": 1}),
            ("DELETE", None),
        ]:
            assert client.call(method, f"{CACHE}/{key}", body).status == 400
            assert client.get(name).json["value"] == "kept"
        assert client.call("GET", f"{CACHE}?keys={name},{key}").status == 400
        assert client.get(name).json["value"] == "kept"


@pytest.mark.parametrize(
    "key", ["a%0D%0Aflush_all%0D%0A", "a%20b", "%0D%0A", "%00", "a%0Ab", "%7F"]
)
def test_a_key_with_a_line_end_or_a_space_is_a_key_and_no_command(
    memcached_service_of_the_session: Service, key: str
) -> None:
    with Client(memcached_service_of_the_session.port) as client:
        name = f"kept-{os.getpid()}"
        assert client.store(name, "kept").status == 201
        path = f"{CACHE}/{key}"
        for method, body, status in [
            ("DELETE", None, (200, 404)),
            ("GET", None, (404,)),
            ("PUT", {"value": 1}, (404,)),
            ("POST", {"value": 1}, (201,)),
            ("POST", {"value": 1}, (400,)),
            ("PATCH", {"increment": 1}, (200,)),
            ("PUT", {"value": 3, "ttl": 60}, (200,)),
            ("HEAD", None, (200,)),
        ]:
            assert client.call(method, path, body).status in status, method
            assert client.get(name).json["value"] == "kept"
        both = client.call("GET", f"{CACHE}?key={name}&key={key}").json["resource"]
        assert [one["value"] for one in both] == ["kept", 3]
        assert client.call("GET", f"{path}?pull=true").json["value"] == 3
        assert client.call("DELETE", path).status == 404


@pytest.fixture(scope="module")
def memcached_service_of_the_session(
    tmp_path_factory: pytest.TempPathFactory, memcached_server: Memcached
) -> Iterator[Service]:
    with memcached_service(tmp_path_factory.mktemp("keys"), memcached_server) as live:
        yield live


@pytest.fixture
def file_service(tmp_path: Path) -> Iterator[Service]:
    """The service on a file, with two workers."""
    with service(tmp_path, WEB_CONCURRENCY="2") as live:
        eventually(lambda: len(live.workers()) == 2)
        before = live.workers()
        yield live
        assert live.workers() == before
        assert "Traceback" not in live.log.read_text()


def cache_file(live: Service) -> Path:
    return live.directory / "data" / "cache.sqlite3"


def reach_both_workers(live: Service, key: str) -> list[Answer]:
    """Get a key over so many connections that both workers have answered."""
    answers = []
    for _ in range(40):
        with Client(live.port) as client:
            answers.append(client.get(key))
    return answers


def test_a_locked_file_is_read_and_writing_is_an_error(file_service: Service) -> None:
    with Client(file_service.port) as client, contextlib.ExitStack() as stack:
        assert client.store("key", "stored").status == 201
        other = sqlite3.connect(cache_file(file_service), isolation_level=None)
        stack.enter_context(contextlib.closing(other))
        other.execute("BEGIN IMMEDIATE")
        for method, path, body in [
            ("POST", CACHE, {"key": "key", "value": "new"}),
            ("PATCH", f"{CACHE}/key", {"ttl": 1}),
            ("DELETE", f"{CACHE}/key", None),
        ]:
            taken = Stopwatch()
            answer = client.call(method, path, body)
            assert answer.status == 500
            assert int(answer.headers["Retry-After"]) >= 1
            assert taken() < 3
            assert client.get("key").json["value"] == "stored"
        assert client.get("absent").status == 404
        other.execute("ROLLBACK")
        assert client.store("key", "new").status == 201
        assert client.get("key").json["value"] == "new"


def test_a_damaged_file_is_moved_aside_once_and_the_service_starts_empty(
    file_service: Service,
) -> None:
    path = cache_file(file_service)
    with Client(file_service.port) as client:
        for turn in range(50):
            assert client.store(f"key-{turn}", "x" * 1000).status == 201
        assert {answer.status for answer in reach_both_workers(file_service, "key-1")} == {200}
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path.write_bytes(b"this was a database " * 4096)
        for answer in reach_both_workers(file_service, "key-1"):
            assert answer.status == 404 or answer.json["value"] == "x" * 1000
        assert client.store("after", "stored").status == 201
        for answer in reach_both_workers(file_service, "after"):
            assert answer.json["value"] == "stored"
        assert client.get("key-1").status == 404
    log = file_service.log.read_text()
    (line,) = [line for line in log.splitlines() if "damaged" in line]
    assert f"moved to {path}.damaged" in line
    assert Path(f"{path}.damaged").read_bytes().startswith(b"this was a database ")


@pytest.mark.parametrize("pattern", ["cache.sqlite3", "cache.sqlite3*"])
def test_a_deleted_file_is_made_again(file_service: Service, pattern: str) -> None:
    with Client(file_service.port) as client:
        assert client.store("key", "before").status == 201
        assert {answer.status for answer in reach_both_workers(file_service, "key")} == {200}
        for path in cache_file(file_service).parent.glob(pattern):
            path.unlink()
        assert {answer.status for answer in reach_both_workers(file_service, "key")} == {404}
        assert client.store("key", "after").status == 201
        for answer in reach_both_workers(file_service, "key"):
            assert answer.json["value"] == "after"
