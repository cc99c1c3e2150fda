"""Services on one server: apart by default, and a warning where they share keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi.commands.diagnosis.examination import Examination
from cacheapi.registry import administration
from cacheapi.registry.database import tables
from tests.http.client import ALL, API_KEY, AppApi, FileStore
from tests.http.conftest import make_app_api
from tests.support.processes import Memcached
from tests.support.redis import Redis, redis_server

SERVICES = "/api/v2/system/service"
KEYS = "/api/v2/system/api_key"
ALL_VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "FLUSH"]


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as made:
        yield made


@pytest.fixture
def api(tmp_path: Path, server: Redis) -> Iterator[AppApi]:
    made = make_app_api("redis", FileStore(tmp_path), tmp_path, **server.settings)
    made.call("DELETE", ALL)
    yield made
    made.close()


def place(server: Redis) -> dict[str, Any]:
    return {"host": "localhost", "port": int(server.settings["REDIS_PORT"])}


def make(api: AppApi, name: str, **config: Any) -> dict[str, Any]:
    body = {"name": name, "type": "cache_redis", "config": config}
    answer = api.call("POST", SERVICES, body=body)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json["resource"][0]
    return made


def shown(api: AppApi, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.call("GET", f"{SERVICES}/{name}").json
    return found


def test_a_new_service_shares_no_keys(api: AppApi, server: Redis) -> None:
    assert make(api, "tenant", **place(server))["warnings"] == []
    assert shown(api, "tenant")["config"]["prefix"] == "tenant:"
    rules = [{"service": "tenant", "verbs": ALL_VERBS}]
    made = api.call("POST", KEYS, body={"name": "tenant", "rules": rules}).json["resource"][0]
    header = {"X-DreamFactory-API-Key": made["api_key"]}
    api.store_one("k", "the system's")
    assert api.call("GET", "/api/v2/tenant/k", header).status == 404
    assert api.call("DELETE", "/api/v2/tenant", header).status == 200
    assert api.call("GET", f"{ALL}/k").json["value"] == "the system's"


def test_what_is_given_counts_and_null_is_the_default(api: AppApi, server: Redis) -> None:
    make(api, "given", **place(server), prefix="mine:")
    assert shown(api, "given")["config"]["prefix"] == "mine:"
    make(api, "empty", **place(server), prefix="")
    assert shown(api, "empty")["config"]["prefix"] == ""
    make(api, "null", **place(server), prefix=None)
    assert shown(api, "null")["config"]["prefix"] == "null:"
    changed = api.call("PATCH", f"{SERVICES}/given", body={"config": {"prefix": None}}).json
    assert changed["config"]["prefix"] == "given:"


def test_a_new_service_on_memcached_is_apart_too(api: AppApi, memcached_server: Memcached) -> None:
    body = {"type": "cache_memcached", "config": {"port": memcached_server.port}}
    for name in ("one", "two"):
        answer = api.call("POST", SERVICES, body={**body, "name": name})
        assert answer.json["resource"][0]["warnings"] == []
        assert shown(api, name)["config"]["prefix"] == f"{name}:"
        pair = {"key": "k", "value": name}
        assert api.call("POST", f"/api/v2/{name}", body=pair).status == 201
    assert api.call("GET", "/api/v2/one/k").json["value"] == "one"


def test_a_service_from_before_stays_as_it_is(api: AppApi, server: Redis) -> None:
    make(api, "old", **place(server))
    registry = api.app.extensions["cacheapi"]
    # As an earlier version stored it: without a prefix, which was then that of the type.
    with registry.store.change() as transaction:
        (row,) = transaction.all(tables.services)
        config = row["config"].replace(', "prefix": "old:"', "")
        assert config != row["config"]
        transaction.put(tables.services, row["id"], {"config": config})
    registry.refresh()
    for method, body in (
        ("PATCH", {"label": "Old"}),
        ("PATCH", {"config": {"timeout_ms": 400}}),
        ("PUT", {"name": "old", "type": "cache_redis", "config": place(server)}),
    ):
        assert api.call(method, f"{SERVICES}/old", body=body).status == 200
        assert shown(api, "old")["config"]["prefix"] == "cacheapi:"
    api.store_one("k", 1)
    assert api.call("GET", "/api/v2/old/k").json["value"] == 1


def test_a_change_leaves_the_prefix(api: AppApi, server: Redis) -> None:
    make(api, "first", **place(server))
    body = {"name": "second", "type": "cache_redis", "config": place(server)}
    assert api.call("PUT", f"{SERVICES}/first", body=body).status == 200
    assert shown(api, "second")["config"]["prefix"] == "first:"


def test_a_declared_service_keeps_its_default(tmp_path: Path, server: Redis) -> None:
    file = tmp_path / "services.toml"
    port = server.settings["REDIS_PORT"]
    file.write_text(
        f'[[service]]\nname = "declared"\ntype = "cache_redis"\n[service.config]\nport = {port}\n'
        'host = "127.0.0.1"\n'
    )
    settings = {"CACHEAPI_SERVICES_FILE": str(file), **server.settings}
    api = make_app_api("redis", FileStore(tmp_path), tmp_path, **settings)
    found = shown(api, "declared")
    assert found["config"]["prefix"] == "cacheapi:"
    assert "shares keys with the service 'cache'" in found["warnings"][0]
    api.close()


def test_saving_what_overlaps_warns(api: AppApi, server: Redis) -> None:
    (told,) = make(api, "inside", **place(server), prefix="cacheapi:t:")["warnings"]
    assert "shares keys with the service 'cache'" in told
    assert "'cacheapi:t:' and 'cacheapi:'" in told
    (told,) = shown(api, "cache")["warnings"]
    assert "shares keys with the service 'inside'" in told
    # Another database of the server is another place.
    body = {"config": {"database": 1}}
    assert api.call("PATCH", f"{SERVICES}/inside", body=body).json["warnings"] == []
    body = {"config": {"database": 0, "prefix": ""}}
    assert api.call("PATCH", f"{SERVICES}/inside", body=body).json["warnings"] != []
    listed = api.call("GET", SERVICES).json["resource"]
    assert all(each["warnings"] for each in listed)


def test_the_console_warns_on_the_page_and_before_a_flush(api: AppApi, server: Redis) -> None:
    make(api, "whole", **place(server), prefix="")
    browser = api.app.test_client()
    page = browser.get("/console/sign-in").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "key": API_KEY}
    assert browser.post("/console/sign-in", data=form).status_code == 303
    page = browser.get("/console/service/cache").text
    before, flush, after = page.partition("Flush this service")
    assert flush
    for part in (before, after):
        assert "It shares keys with the service &#39;whole&#39;" in part


def test_the_doctor_warns(
    api: AppApi, server: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(api, "whole", **place(server), prefix="")
    for name, value in {
        **server.settings,
        "CACHE_DRIVER": "redis",
        "CACHEAPI_DATA_DIR": str(api.app.extensions["cacheapi"].data_dir),
    }.items():
        monkeypatch.setenv(name, value)
    examination = Examination()
    examination.run()
    found = [each for each in examination.findings if "shares keys" in each.message]
    # A pair is told once.
    assert [each.where for each in found] == ["service cache"]


def test_only_what_is_near_overlaps(api: AppApi, server: Redis) -> None:
    for name in ("a", "b", "ab"):
        make(api, name, **place(server))
    registry = api.app.extensions["cacheapi"]
    assert registry.snapshot.overlaps.all() == {}
    assert administration.told(registry, administration.find(registry, "a"))[0]["warnings"] == []
