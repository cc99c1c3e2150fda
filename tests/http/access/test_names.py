"""The system cache has two names in URLs and is one service: for rights, audit and figures."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi.registry.database import tables
from tests.http.client import Api, AppApi, FileStore, LiveApi
from tests.http.conftest import make_app_api
from tests.support.processes import Memcached, service
from tests.support.redis import redis_server

KEYS = "/api/v2/system/api_key"
ALL_VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "FLUSH"]
EVERYTHING = {"service": "*", "verbs": ALL_VERBS}


@contextlib.contextmanager
def on_redis() -> Iterator[dict[str, str]]:
    with redis_server() as server:
        yield server.settings


DRIVERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "file": ("local", lambda _: contextlib.nullcontext({})),
    "memcached": (
        "memcache",
        lambda server: contextlib.nullcontext(
            {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(server.port)}
        ),
    ),
    "redis": ("redis", lambda _: on_redis()),
}


@pytest.fixture(params=[(driver, way) for driver in DRIVERS for way in ("app", "live")])
def named(
    request: pytest.FixtureRequest, tmp_path: Path, memcached_server: Memcached
) -> Iterator[tuple[Api, str]]:
    """An application, and the other name of its system cache."""
    driver, way = request.param
    alias, settings = DRIVERS[driver]
    store = FileStore(tmp_path)
    with settings(memcached_server) as found, contextlib.ExitStack() as stack:
        api: Api
        if way == "app":
            api = make_app_api(driver, store, tmp_path, **found)
            stack.callback(api.close)
        else:
            live = service(tmp_path, CACHE_DRIVER=driver, WEB_CONCURRENCY="1", **found)
            api = LiveApi(driver, store, stack.enter_context(live).port)
        yield api, alias


def key_with(api: Api, *rules: dict[str, Any]) -> dict[str, str | None]:
    """Make an API key; return the header that shows it."""
    answer = api.call("POST", KEYS, body={"name": "test", "rules": list(rules)})
    return {"X-DreamFactory-API-Key": answer.json["resource"][0]["api_key"]}


@pytest.mark.parametrize("ruled", ["cache", "other"])
def test_a_rule_for_one_name_holds_for_both(named: tuple[Api, str], ruled: str) -> None:
    api, alias = named
    mine = "cache" if ruled == "cache" else alias
    api.call("POST", "/api/v2/cache", body={"key": "k", "value": 1})
    header = key_with(api, {"service": mine, "verbs": ["GET"]}, EVERYTHING)
    pair = {"key": "k", "value": 2}
    for name in ("cache", alias):
        path = f"/api/v2/{name}"
        assert api.call("GET", f"{path}/k", header).status == 200
        assert api.call("GET", path, header, query="keys=k").status == 200
        assert api.call("POST", path, header, pair).status == 403
        assert api.call("PUT", f"{path}/k", header, {"value": 2}).status == 403
        assert api.call("DELETE", f"{path}/k", header).status == 403
        assert api.call("DELETE", path, header).status == 403
    nothing = key_with(api, {"service": mine, "verbs": []}, EVERYTHING)
    for name in ("cache", alias):
        assert api.call("GET", f"/api/v2/{name}/k", nothing).status == 403
        assert api.call("GET", f"/api/v2/system/service/{name}/capabilities", nothing).status == 403
    assert api.call("GET", "/api/v2/", nothing).json == {"services": []}
    assert api.call("GET", "/api/v2/cache/k").json["value"] == 1


def test_a_key_for_one_name_may_use_both(named: tuple[Api, str]) -> None:
    api, alias = named
    header = key_with(api, {"service": alias, "verbs": ["GET", "POST"]})
    for name in ("cache", alias):
        pair = {"key": name, "value": 1}
        assert api.call("POST", f"/api/v2/{name}", header, pair).status == 201
        assert api.call("GET", f"/api/v2/{name}/{name}", header).status == 200
    (shown,) = api.call("GET", KEYS).json["resource"]
    assert [rule["service"] for rule in shown["rules"]] == ["cache"]
    (listed,) = api.call("GET", "/api/v2/", header).json["services"]
    assert (listed["name"], listed["aliases"]) == ("cache", [alias])


@pytest.fixture
def api(tmp_path: Path) -> Iterator[AppApi]:
    made = make_app_api("file", FileStore(tmp_path), tmp_path)
    yield made
    made.close()


def test_a_rule_from_before_holds_for_both(api: AppApi) -> None:
    # As an earlier version stored it.
    header = key_with(api, {"service": "cache", "verbs": ["GET"]})
    registry = api.app.extensions["cacheapi"]
    with registry.store.change() as transaction:
        (row,) = transaction.all(tables.api_keys)
        rules = row["rules"].replace('"cache"', '"local"')
        transaction.put(tables.api_keys, row["id"], {"rules": rules})
    registry.refresh()
    api.store_one("k", 1)
    for name in ("cache", "local"):
        assert api.call("GET", f"/api/v2/{name}/k", header).status == 200


def test_audit_and_metrics_know_one_name(api: AppApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cacheapi.audit")
    api.call("POST", "/api/v2/local", body={"key": "k", "value": 1})
    api.call("GET", "/api/v2/local/k")
    api.call("DELETE", "/api/v2/local")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith('flushed service "cache"')
    text = api.call("GET", "/metrics").body.decode()
    assert 'service="cache"' in text
    assert 'service="local"' not in text


def test_lists_show_the_two_names_as_one(api: AppApi) -> None:
    (found,) = api.call("GET", "/api/v2/system/service").json["resource"]
    assert (found["name"], found["aliases"]) == ("cache", ["local"])
    assert api.call("GET", "/api/v2/system/service/local").json == found
    taken = {"name": "local", "type": "cache_local"}
    answer = api.call("POST", "/api/v2/system/service", body=taken)
    assert answer.status == 400
    told = "There is a service 'local' already: it is another name of 'cache'."
    assert told in answer.message


def test_a_key_whose_service_was_deleted_does_not_open_the_next_of_its_name(
    api: AppApi,
) -> None:
    services = "/api/v2/system/service"
    tenant = {"name": "tenant", "type": "cache_local"}
    api.call("POST", services, body=tenant)
    whole = key_with(api, {"service": "tenant", "verbs": ALL_VERBS})
    part = key_with(
        api,
        {"service": "other", "verbs": ["GET"]},
        {"service": "tenant", "verbs": ["GET"], "keys": "a*"},
        {"service": "tenant", "verbs": ["GET"], "keys": "b*"},
        EVERYTHING,
    )
    path = "/api/v2/tenant/a"
    assert api.call("GET", path, whole).status == api.call("GET", path, part).status == 404
    assert api.call("DELETE", f"{services}/tenant").status == 200
    api.call("POST", services, body=tenant)
    for header in (whole, part):
        assert api.call("GET", path, header).status == 403
        assert api.call("DELETE", "/api/v2/tenant", header).status == 403
    # What else they might do, they may.
    assert api.call("GET", "/api/v2/cache/a", part).status == 404
    rules = [each["rules"] for each in api.call("GET", KEYS).json["resource"]]
    closed = {"service": "tenant", "verbs": [], "keys": "*"}
    assert rules[0] == [closed]
    assert [rule["service"] for rule in rules[1]] == ["other", "tenant", "*"]
    assert closed in rules[1]


def test_rights_follow_a_service_that_gets_another_name(api: AppApi) -> None:
    services = "/api/v2/system/service"
    api.call("POST", services, body={"name": "old", "type": "cache_local"})
    header = key_with(api, {"service": "old", "verbs": ["GET"]})
    assert api.call("PATCH", f"{services}/old", body={"name": "new"}).status == 200
    assert api.call("GET", "/api/v2/new/k", header).status == 404
    api.call("POST", services, body={"name": "old", "type": "cache_local"})
    assert api.call("GET", "/api/v2/old/k", header).status == 403
