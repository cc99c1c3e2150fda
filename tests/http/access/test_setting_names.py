"""A message names a setting as who runs that service knows it: a variable, or a field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.naming import in_names
from backends.registry import backend_class
from cacheapi.registry import forms
from cacheapi.registry.errors import Invalid
from tests.http.live.test_faults import Client
from tests.support.processes import Service, memcached, service
from tests.support.program import run
from tests.support.redis import Redis

THEIRS = "/api/v2/theirs"
STORE = {"resource": [{"key": "a", "value": 1}]}
OPERATIONS = {"operations": [{"set": {"key": "a", "value": 1}}, {"get": "b"}]}
# Of the fast lane, and of Flask.
REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/a", None),
    ("GET", "/a?ttl=true", None),
    ("GET", "?keys=a,b", None),
    ("PUT", "/a", {"value": 1}),
    ("PATCH", "/a", {"increment": 1}),
    ("POST", "", STORE),
    ("POST", "", OPERATIONS),
    ("DELETE", "/a", None),
    ("DELETE", "?keys=a,b", None),
]
VARIABLE = re.compile(r"\b(?:REDIS|MEMCACHED|CACHE)_[A-Z_]+\b")


@contextmanager
def both(
    directory: Path, driver: str, config: dict[str, Any], **settings: str
) -> Iterator[tuple[Service, Client]]:
    """Run a service whose system cache, and a service made over HTTP, have the same settings."""
    more = {"CACHE_DRIVER": driver, "WEB_CONCURRENCY": "1", "CACHEAPI_READY_SERVICES": "*"}
    with service(directory, **more, **settings) as live, Client(live.port) as client:
        resource = [{"name": "theirs", "type": f"cache_{driver}", "config": config}]
        made = client.call("POST", "/api/v2/system/service", {"resource": resource})
        assert made.status == 201, made.body
        yield live, client


def said(client: Client, path: str, requests: list[tuple[str, str, Any]] = REQUESTS) -> list[str]:
    """Return all that errors say, the whole of each."""
    found = []
    for method, rest, body in requests:
        answer = client.call(method, f"{path}{rest}", body)
        assert answer.status == 500, (method, rest, answer.body)
        found.append(json.dumps(answer.json, ensure_ascii=False))
    return found


def told_elsewhere(live: Service, client: Client, name: str) -> list[str]:
    """Return what else is told of a service that does not work."""
    figures = client.call("GET", f"/api/v2/system/service/{name}/stats")
    ready = client.call("GET", "/health/ready").json["error"]["context"]["services"]
    tried = client.call("POST", f"/api/v2/system/service/{name}/test")
    shell = run(live.directory, "get", "a", "--service", name, **live.environ)
    doctor = run(live.directory, "doctor", "--json", **live.environ)
    assert shell.returncode == 3, shell
    findings = json.loads(doctor.stdout)["findings"]
    return [
        figures.body.decode(),
        *[json.dumps(each) for each in ready if each["name"] == name],
        tried.body.decode(),
        shell.stderr.decode(),
        *[json.dumps(each) for each in findings if each["where"].startswith(f"service {name}")],
    ]


def test_of_redis(tmp_path: Path, redis_locked: Redis) -> None:
    where = {"host": "127.0.0.1", "port": redis_locked.port}
    settings = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_locked.port)}
    with both(tmp_path, "redis", where, **settings) as (live, client):
        for text in said(client, "/api/v2/cache"):
            assert "none is set (REDIS_PASSWORD)" in text
        for text in said(client, THEIRS):
            assert "none is set (password)" in text
            assert not VARIABLE.search(text)
        for text in told_elsewhere(live, client, "theirs"):
            assert not VARIABLE.search(text)
        assert any("REDIS_PASSWORD" in text for text in told_elsewhere(live, client, "cache"))


def test_of_memcached(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("user:password\n")
    with memcached("-Y", str(tmp_path / "users")) as server:
        where = {"host": "127.0.0.1", "port": server.port}
        settings = {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(server.port)}
        with both(tmp_path, "memcached", where, **settings) as (live, client):
            for text in said(client, "/api/v2/cache"):
                assert "set MEMCACHED_AUTH=text" in text
            for text in said(client, THEIRS):
                assert "set auth=text" in text
                assert not VARIABLE.search(text)
            for text in told_elsewhere(live, client, "theirs"):
                assert not VARIABLE.search(text)


def test_of_the_file(tmp_path: Path) -> None:
    kind = {"type": "cache_local", "config": {"max_mb": 16}}
    large = "x" * (2 * 1024 * 1024)
    requests: list[tuple[str, str, Any]] = [
        ("POST", "", {"key": "a", "value": large}),
        ("POST", "/a", {"value": large}),
        ("POST", "", {"operations": [{"set": {"key": "a", "value": large}}]}),
    ]
    more = {"CACHE_FILE_MAX_MB": "16", "WEB_CONCURRENCY": "1"}
    with service(tmp_path, **more) as live, Client(live.port) as client:
        resource = [{"name": "theirs", **kind}]
        made = client.call("POST", "/api/v2/system/service", {"resource": resource})
        assert made.status == 201, made.body
        for text in said(client, "/api/v2/cache", requests):
            assert "an eighth of CACHE_FILE_MAX_MB" in text
        for text in said(client, THEIRS, requests):
            assert "an eighth of max_mb" in text


def test_what_is_in_quotes_is_somebodys_and_stays() -> None:
    called = forms.called(backend_class("redis"))
    assert in_names(called, "'REDIS_PORT': set REDIS_TLS=true (REDIS_SENTINEL_TLS).") == (
        "'REDIS_PORT': set tls=true (sentinel_tls)."
    )
    assert in_names({}, "set REDIS_TLS=true") == "set REDIS_TLS=true"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:a#b@127.0.0.1", "set password"),
        ("redis://127.0.0.1?timeout=5", "Set timeout_ms"),
        ("redis://127.0.0.1?password=x", "set password"),
    ],
)
def test_a_url_that_is_refused_is_told_of_fields(url: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        forms.check(backend_class("redis"), {"url": url}, {})
    assert why in str(refused.value)
    assert not VARIABLE.search(str(refused.value))
