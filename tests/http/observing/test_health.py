"""``/health/…``: what it says while the servers are well, hurt in each way, and well again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi import SettingsError, create_app, load
from cacheapi.observing.readiness import READINESS, SHARED_SECONDS
from tests.http.client import API_KEY, Answer, AppApi, FileStore
from tests.support.certificates import Certificates
from tests.support.live import call
from tests.support.processes import (
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    eventually,
    free_port,
    memcached,
    service,
)
from tests.support.redis import PASSWORD, Redis, locked_redis, redis_server
from tests.support.speaker import speaking

NO_KEY = {"X-DreamFactory-API-Key": None}
# A busy machine is not the fault; a server that hangs is met by the backend's own time limit.
PATIENT = {"CACHEAPI_READY_TIMEOUT_MS": "20000"}


@contextlib.contextmanager
def application(directory: Path, **settings: str) -> Iterator[AppApi]:
    given = {"CACHEAPI_API_KEY": API_KEY, "CACHEAPI_DATA_DIR": str(directory), **PATIENT}
    app = create_app(load({**given, **settings}, None))
    app.extensions["cacheapi"].watch()
    api = AppApi(settings.get("CACHE_DRIVER", "file"), FileStore(directory), app)
    try:
        yield api
    finally:
        api.close()


def on_memcached(server: Memcached, **settings: str) -> dict[str, str]:
    place = {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(server.port)}
    return {"CACHE_DRIVER": "memcached", "MEMCACHED_TIMEOUT_MS": "2000", **place, **settings}


def on_redis(server: Redis, **settings: str) -> dict[str, str]:
    return {"CACHE_DRIVER": "redis", "REDIS_TIMEOUT_MS": "2000", **server.settings, **settings}


def ready(api: AppApi) -> Answer:
    """Ask without a key, once what was found before is too old."""
    api.app.extensions[READINESS]._until = 0.0
    answer = api.call("GET", "/health/ready", NO_KEY)
    text = answer.body.decode()
    for secret in ("127.0.0.1", "localhost", API_KEY, SASL_PASSWORD, PASSWORD, "/tmp", ".sqlite3"):
        assert secret not in text
    return answer


def failed(answer: Answer) -> tuple[str, str]:
    """Return which step failed and why, of the one service."""
    assert answer.status == 503
    (found,) = answer.error["context"]["services"]
    assert found["ready"] is False
    assert found["why"] in answer.message
    assert f"Service '{found['name']}'" in answer.message
    return found["step"], found["why"]


def test_live_says_that_the_process_answers(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        answer = api.call("GET", "/health/live", NO_KEY)
        assert answer.status == 200
        assert answer.json == {"status": "live"}
        assert answer.headers["Cache-Control"] == "no-store"
        assert api.call("HEAD", "/health/live", NO_KEY).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/health/live", 405),
        ("GET", "/health/other", 404),
        ("GET", "/health/", 404),
        ("GET", "/health/ready/", 404),
        ("GET", "/healthy", 401),
        ("GET", "/other", 401),
    ],
)
def test_what_is_not_there_is_told_without_a_key(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    with application(tmp_path) as api:
        answer = api.call(method, path, NO_KEY)
        assert answer.status == status
        assert answer.json["error"]["code"] == status


def test_ready_says_how_long_each_service_took(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        answer = ready(api)
        assert answer.status == 200
        assert answer.json["status"] == "ready"
        (found,) = answer.json["services"]
        assert found.pop("ms") > 0
        assert found == {"name": "cache", "ready": True}


def test_trying_leaves_nothing(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        assert ready(api).status == 200
        assert api.call("GET", "/api/v2/cache").json["resource"] == []


Hurt = Callable[[Any], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def killed(server: Any) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextlib.contextmanager
def paused(server: Any) -> Iterator[None]:
    server.pause()
    yield
    server.resume()


HURT: dict[str, tuple[Hurt, str, str]] = {
    "stopped": (killed, "connect", "is the server running"),
    "paused": (paused, "connect", "Nothing answered in time"),
}


@pytest.mark.parametrize("hurt", HURT)
@pytest.mark.parametrize("driver", ["memcached", "redis"])
def test_a_server_that_is_away_makes_it_unready_until_it_is_back(
    tmp_path: Path, driver: str, hurt: str
) -> None:
    how, step, words = HURT[hurt]
    run, settings = (memcached, on_memcached) if driver == "memcached" else (redis_server, on_redis)
    with run() as server, application(tmp_path, **settings(server)) as api:
        assert ready(api).status == 200
        with how(server):
            answer = ready(api)
            assert answer.headers["Retry-After"] == "1"
            found, why = failed(answer)
            assert found == step
            assert words in why
            # The process is well.
            assert api.call("GET", "/health/live", NO_KEY).status == 200
        eventually(lambda: ready(api).status == 200, 20)


def test_a_full_memcached_that_may_not_evict_is_unready(tmp_path: Path) -> None:
    with memcached("-M", "-m", "2") as server, application(tmp_path, **on_memcached(server)) as api:
        assert ready(api).status == 200
        number = 0
        # Keys and values as long as those of a trial: memory is given to sizes.
        while server.say(b"set fill%027d 0 0 16\r\n0123456789abcdef\r\n" % number) == b"STORED\r\n":
            number += 1
        assert failed(ready(api)) == ("write", "The server has no room left and may not evict.")
        assert server.say(b"flush_all\r\n") == b"OK\r\n"
        eventually(lambda: ready(api).status == 200, 20)


def test_a_full_redis_that_may_not_evict_is_unready(tmp_path: Path) -> None:
    with redis_server() as server, application(tmp_path, **on_redis(server)) as api:
        assert ready(api).status == 200
        server.call("CONFIG", "SET", "maxmemory", "1")
        assert failed(ready(api)) == ("write", "The server has no room left and may not evict.")
        server.call("CONFIG", "SET", "maxmemory", "0")
        assert ready(api).status == 200


def test_a_memcached_at_its_most_connections_is_unready(tmp_path: Path) -> None:
    most = 60
    with memcached("-c", str(most)) as server:

        def found(status: int) -> Answer | None:
            # One that is connected already would go on.
            with application(tmp_path, **on_memcached(server)) as api:
                answer = ready(api)
                return answer if answer.status == status else None

        with server.full_of_clients(most):
            # memcached counts a little late, and now and then lets one more in.
            _, why = failed(eventually(lambda: found(503), 20))
            assert "has its most clients" in why or "at the first words" in why or "in time" in why
        eventually(lambda: found(200), 20)


def test_a_redis_at_its_most_clients_is_unready(tmp_path: Path) -> None:
    with redis_server() as server, application(tmp_path, **on_redis(server)) as api:
        with server.client() as held:
            held.execute_command("CONFIG", "SET", "maxclients", "1")
            step, why = failed(ready(api))
            assert step == "connect"
            assert "it has its most clients" in why
            held.execute_command("CONFIG", "SET", "maxclients", "1000")
        assert ready(api).status == 200


def test_a_wrong_password_of_memcached_is_unready(tmp_path: Path, sasl_server: Memcached) -> None:
    login = on_memcached(sasl_server, MEMCACHED_USERNAME=SASL_USER)
    with application(tmp_path, **login, MEMCACHED_PASSWORD="wrong") as api:
        step, why = failed(ready(api))
        assert step == "connect"
        assert why == "The server does not accept this user name and password."
    with application(tmp_path, **login, MEMCACHED_PASSWORD=SASL_PASSWORD) as api:
        assert ready(api).status == 200


def test_a_wrong_password_of_redis_is_unready_until_it_is_right(tmp_path: Path) -> None:
    with locked_redis() as server:
        wrong = on_redis(server, REDIS_PASSWORD="wrong")
        with application(tmp_path, **wrong) as api:
            step, why = failed(ready(api))
            assert step == "connect"
            assert why == "The server does not accept this user name and password."
            server.call("CONFIG", "SET", "requirepass", "wrong")
            eventually(lambda: ready(api).status == 200, 20)


def test_a_user_without_the_rights_is_told_apart(tmp_path: Path) -> None:
    with redis_server("--requirepass", "the-tests", password="the-tests", user="weak") as server:
        server.call("ACL", "SETUSER", "weak", "on", f">{PASSWORD}", "+mget", "+get", "~*")
        with application(tmp_path, **on_redis(server)) as api:
            step, why = failed(ready(api))
    assert step == "write"
    assert "fewer rights" in why


# Which services count


def other_service(api: AppApi, name: str, port: int, **more: Any) -> None:
    body = {"name": name, "type": "cache_memcached", "config": {"port": port}, **more}
    assert api.call("POST", "/api/v2/system/service", body=body).status == 201


def names(answer: Answer) -> dict[str, bool]:
    document = answer.json if answer.status == 200 else answer.error["context"]
    return {found["name"]: found["ready"] for found in document["services"]}


def test_by_default_only_the_system_cache_counts(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        other_service(api, "away", free_port())
        assert names(ready(api)) == {"cache": True}


def test_all_that_are_active_count_once_each(tmp_path: Path) -> None:
    with application(tmp_path, CACHEAPI_READY_SERVICES="*") as api:
        assert names(ready(api)) == {"cache": True}
        other_service(api, "away", free_port())
        other_service(api, "off", free_port(), is_active=False)
        answer = ready(api)
        assert answer.status == 503
        assert names(answer) == {"away": False, "cache": True}
        assert "Service 'away' could not connect." in answer.message
        assert "'cache'" not in answer.message


def test_those_that_are_named_count(tmp_path: Path, memcached_server: Memcached) -> None:
    with application(tmp_path, CACHEAPI_READY_SERVICES="local, away,off,missing") as api:
        other_service(api, "away", free_port())
        other_service(api, "off", free_port(), is_active=False)
        answer = ready(api)
        assert names(answer) == {"local": True, "away": False, "missing": False}
        assert "Service 'missing' is not ready. There is no such service." in answer.message
        change = {"config": {"port": memcached_server.port}}
        assert api.call("PATCH", "/api/v2/system/service/away", body=change).status == 200
        assert names(ready(api)) == {"local": True, "away": True, "missing": False}


def test_none_may_count(tmp_path: Path) -> None:
    with application(
        tmp_path,
        CACHEAPI_READY_SERVICES="",
        CACHE_DRIVER="redis",
        REDIS_PORT=str(free_port()),
    ) as api:
        assert ready(api).json == {"status": "ready", "services": []}


@pytest.mark.parametrize("text", [",", "cache,", "*,cache"])
def test_a_list_of_names_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="CACHEAPI_READY_SERVICES"):
        load({"CACHEAPI_READY_SERVICES": text}, None)


DATABASE_AWAY = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none"


@pytest.mark.parametrize(
    ("wanted", "status"), [("cache", 200), ("sessions", 503), ("*", 503), ("", 200)]
)
def test_a_database_that_is_away_matters_only_where_it_has_what_counts(
    tmp_path: Path, wanted: str, status: int
) -> None:
    settings = {
        "CACHEAPI_DATABASE_URL": DATABASE_AWAY,
        "CACHEAPI_SECRET_KEY": "x" * 32,
        "CACHEAPI_READY_SERVICES": wanted,
    }
    with application(tmp_path, **settings) as api:
        answer = ready(api)
        assert answer.status == status
        if status == 503:
            assert "The database of services cannot be read yet." in answer.message


# Bounds


class Watched:
    """The backend of the system cache, which answers a read once it may."""

    def __init__(self, api: AppApi, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        backend = api.app.extensions["cacheapi"].find("cache").backend
        self._get = backend.peek
        monkeypatch.setattr(backend, "peek", self.get)

    def get(self, key: str) -> Any:
        self.asked += 1
        assert self.may_answer.wait(60)
        return self._get(key)


# Of a trial that ends well.
READS = 3


def test_a_cache_that_hangs_is_waited_for_until_the_limit_and_by_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(tmp_path, CACHEAPI_READY_TIMEOUT_MS="50") as api:
        watched = Watched(api, monkeypatch)
        watched.may_answer.clear()
        for _ in range(3):
            step, why = failed(ready(api))
            assert step is None
            assert "Nothing answered in time" in why
        assert watched.asked == 1
        watched.may_answer.set()
        eventually(lambda: ready(api).status == 200, 20)


def test_who_asks_again_within_a_second_is_told_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(tmp_path) as api:
        readiness = api.app.extensions[READINESS]
        watched = Watched(api, monkeypatch)
        assert ready(api).status == 200
        readiness._until = time.monotonic() + 3600
        answers = [api.call("GET", "/health/ready", NO_KEY) for _ in range(50)]
        assert {answer.status for answer in answers} == {200}
        assert watched.asked == READS
        assert SHARED_SECONDS <= 1


def test_a_backend_with_a_bug_is_unready_and_its_bug_is_for_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(key: str) -> None:
        raise ZeroDivisionError("secret")

    with application(tmp_path) as api:
        backend = api.app.extensions["cacheapi"].find("cache").backend
        monkeypatch.setattr(backend, "peek", fail)
        answer = ready(api)
        assert answer.status == 503
        assert "failed unexpectedly" in answer.message
        assert "secret" not in answer.body.decode()
        assert "ZeroDivisionError" in caplog.text


# Live


def test_where_a_cache_is_an_administrator_alone_is_told(tmp_path: Path) -> None:
    port = free_port()
    settings = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{port}"}
    with application(tmp_path, **settings) as api:
        failed(ready(api))
        told = api.call("GET", "/health/ready", {"X-DreamFactory-API-Key": API_KEY})
        assert told.status == 503
        assert f"127.0.0.1:{port}" in told.error["context"]["services"][0]["said"]
        for key in (None, "", "unknown"):
            answer = api.call("GET", "/health/ready", {"X-DreamFactory-API-Key": key})
            assert answer.status == 503
            assert str(port) not in answer.body.decode()


def test_what_a_server_says_of_others_is_no_strangers(tmp_path: Path) -> None:
    said = b"SERVER_ERROR the pool at 10.11.12.13:11211 (cache.internal:11211) is down\r\n"
    with speaking() as speaker:
        speaker.parts = (said,)
        settings = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{speaker.port}"}
        with application(tmp_path, **settings) as api:
            _, why = failed(ready(api))
            assert "10.11.12.13" not in why
            assert "cache.internal" not in why
            told = api.call("GET", "/health/ready", {"X-DreamFactory-API-Key": API_KEY})
            assert "10.11.12.13" in told.body.decode()


def test_a_certificates_name_is_no_strangers(
    tmp_path: Path, redis_tls: Redis, certificates: Certificates
) -> None:
    settings = on_redis(redis_tls) | {"REDIS_HOST": "localhost.localdomain"}
    with application(tmp_path, **settings) as api:
        _, why = failed(ready(api))
        assert "localdomain" not in why


def start_lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if "Service 'cache' " in line]


def test_each_start_says_once_that_the_cache_cannot_be_used(tmp_path: Path) -> None:
    settings = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{free_port()}"}
    with service(tmp_path, WEB_CONCURRENCY="2", **settings) as live:
        eventually(lambda: start_lines(live.log), 20)
        assert call(live.port, "GET", "/health/ready", key="").status == 503
        assert live.stop() == 0
        (line,) = start_lines(live.log)
        assert "WARNING" in line
        assert "could not connect" in line
        assert "is the server running" in line
        assert "Connection refused" in line
        live.start()
        eventually(lambda: len(start_lines(live.log)) == 2, 20)


def test_a_start_without_the_sasl_plugin_says_so(tmp_path: Path, sasl_server: Memcached) -> None:
    settings = on_memcached(
        sasl_server,
        MEMCACHED_USERNAME=SASL_USER,
        MEMCACHED_PASSWORD=SASL_PASSWORD,
        SASL_PATH=str(tmp_path),
    )
    with service(tmp_path, WEB_CONCURRENCY="1", **settings) as live:
        (line,) = eventually(lambda: start_lines(live.log), 20)
        assert "libsasl2-modules" in line
        answer = call(live.port, "GET", "/health/ready", key="")
        assert answer.status == 503
        assert "libsasl2-modules" in answer.message
        assert SASL_PASSWORD not in live.log.read_text()


@pytest.mark.parametrize("arguments", [(), ("-k", "gthread")], ids=["our worker", "gthread"])
def test_a_live_service_answers_probes(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with service(tmp_path, *arguments, WEB_CONCURRENCY="2", **PATIENT) as live:
        for path in ("live", "ready"):
            answer = call(live.port, "GET", f"/health/{path}", key="")
            assert answer.status == 200
            assert answer.json["status"] == path
        live.stop()
        assert start_lines(live.log) == []


def test_probes_are_answered_while_a_cache_that_hangs_holds_all_threads(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(memcached())
        settings = on_memcached(server, MEMCACHED_TIMEOUT_MS="60000")
        limit = {"CACHEAPI_READY_TIMEOUT_MS": "1000"}
        live = stack.enter_context(service(tmp_path, WEB_CONCURRENCY="1", **limit, **settings))

        def status(path: str) -> int:
            return call(live.port, "GET", f"/health/{path}", key="").status

        eventually(lambda: status("ready") == 200, 20)
        server.pause()
        clients = [threading.Thread(target=_create, args=(live.port,)) for _ in range(16)]
        for client in clients:
            client.start()
        try:
            eventually(lambda: status("ready") == 503, 20)
            assert status("live") == 200
        finally:
            server.resume()
            for client in clients:
                client.join()
        eventually(lambda: status("ready") == 200, 20)


def _create(port: int) -> None:
    with contextlib.suppress(OSError):
        # With a parameter it is Flask's, and as large as that on a thread.
        call(port, "POST", "/api/v2/cache/key?ttl=60", {"value": "v" * 70_000})
