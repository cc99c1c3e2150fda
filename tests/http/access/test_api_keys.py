"""``/api/v2/system/api_key``: keys made, limited, changed and revoked; what each may do."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi import load
from tests.http.client import ALL, Answer, Api, AppApi, FileStore, LiveApi, close_app
from tests.http.conftest import make_app_api
from tests.support.apps import lane_alone
from tests.support.inside import inside
from tests.support.processes import eventually, service

KEYS = "/api/v2/system/api_key"
SERVICES = "/api/v2/system/service"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def add_services(api: Api) -> None:
    """Make two services, ``one`` and ``two``."""
    resource = [{"name": name, "type": "cache_local"} for name in ("one", "two")]
    assert api.call("POST", SERVICES, body={"resource": resource}).status == 201


@pytest.fixture(scope="module")
def app_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppApi]:
    directory = tmp_path_factory.mktemp("keys")
    made = make_app_api("file", FileStore(directory), directory)
    add_services(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def live_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApi]:
    directory = tmp_path_factory.mktemp("keys")
    with service(directory, WEB_CONCURRENCY="1") as live:
        made = LiveApi("file", FileStore(directory / "data"), live.port)
        add_services(made)
        yield made


@pytest.fixture(params=["app", "live"])
def api(request: pytest.FixtureRequest) -> Api:
    made: Api = request.getfixturevalue(f"{request.param}_api")
    return made


def make(api: Api, *rules: dict[str, Any], **fields: Any) -> tuple[int, str]:
    """Make a key; return its id and the key."""
    body = {"resource": [{"name": "test", "rules": list(rules), **fields}]}
    answer = api.call("POST", KEYS, body=body)
    assert answer.status == 201, answer
    (made,) = answer.json["resource"]
    assert list(made) == ["id", "name", "api_key", "warnings"]
    return made["id"], made["api_key"]


def rule(name: str, *verbs: str, **fields: str) -> dict[str, Any]:
    return {"service": name, "verbs": list(verbs), **fields}


def call(api: Api, key: str, method: str, path: str, body: Any = None, **more: Any) -> Answer:
    headers = {"X-DreamFactory-API-Key": key, **more.pop("headers", {})}
    return api.call(method, f"/api/v2{path}", headers, body, **more)


def plant(api: Api, name: str, *keys: str) -> None:
    """Leave exactly these keys in a service."""
    assert api.call("DELETE", f"/api/v2/{name}").status == 200
    resource = [{"key": key, "value": 1} for key in keys]
    assert api.call("POST", f"/api/v2/{name}", body={"resource": resource}).status == 201


def keys_of(api: Api, name: str) -> list[str]:
    listed = api.call("GET", f"/api/v2/{name}").json["resource"]
    return [entry["key"] for entry in listed]


# The keys themselves


def test_a_key_is_shown_once(api: Api) -> None:
    number, key = make(api, rule("one", "GET", "PUT", keys="user:*"), rule("*", "GET"))
    assert len(key) >= 43
    shown = api.call("GET", f"{KEYS}/{number}")
    assert key.encode() not in shown.body
    assert key.encode() not in api.call("GET", KEYS).body
    document = shown.json
    assert list(document) == [
        *("id", "name", "prefix", "administrator", "rules", "created", "expires"),
        *("rate_limit", "last_used", "warnings"),
    ]
    assert key.startswith(document["prefix"])
    assert len(document["prefix"]) < 10
    assert document["rules"] == [
        {"service": "one", "verbs": ["GET", "PUT"], "keys": "user:*"},
        {"service": "*", "verbs": ["GET"], "keys": "*"},
    ]
    assert document["administrator"] is False
    assert document["expires"] is document["last_used"] is document["rate_limit"] is None
    created = dt.datetime.fromisoformat(document["created"])
    assert abs(created.timestamp() - time.time()) < 60
    assert document in api.call("GET", KEYS).json["resource"]


def test_a_rule_for_a_service_that_does_not_exist_is_told(api: Api) -> None:
    rules = [rule("on", "GET"), rule("one", "GET"), rule("*", "GET"), rule("cache", "GET")]
    made = api.call("POST", KEYS, body={"name": "k", "rules": rules}).json["resource"][0]
    warnings = [
        "Service 'on' does not exist yet: its rule waits for it. Did you mean 'one'?",
    ]
    assert made["warnings"] == warnings
    path = f"{KEYS}/{made['id']}"
    assert api.call("GET", path).json["warnings"] == warnings
    assert api.call("PATCH", path, body={"rules": rules[1:]}).json["warnings"] == []
    rules[0]["service"] = "later"
    changed = api.call("PATCH", path, body={"rules": rules}).json["warnings"]
    assert changed == ["Service 'later' does not exist yet: its rule waits for it."]


def test_only_a_digest_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api = make_app_api("file", FileStore(tmp_path), tmp_path)
    _, key = make(api, rule("*", "GET"))
    assert call(api, key, "GET", "/cache/k").status == 404
    api.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key.encode() not in kept
    assert hashlib.sha256(key.encode()).hexdigest().encode() in kept
    assert key not in caplog.text
    again = make_app_api("file", FileStore(tmp_path), tmp_path)
    assert call(again, key, "GET", "/cache/k").status == 404
    again.close()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": 1}, "name"),
        ({"administrator": "yes"}, "administrator"),
        ({"administrator": 1}, "administrator"),
        ({"expires": "tomorrow"}, "expires"),
        ({"expires": "2030-01-01T00:00:00"}, "expires"),
        ({"expires": 1}, "expires"),
        ({"expires": "2020-01-01T00:00:00Z"}, "expires"),
        ({"digest": "x"}, "digest"),
        ({"rate_limit": {"requests": 1}}, "rate_limit.seconds"),
        ({"rate_limit": {"requests": 0, "seconds": 1}}, "rate_limit.requests"),
        ({"rate_limit": {"requests": 1.5, "seconds": 1}}, "rate_limit.requests"),
        ({"rate_limit": {"requests": 1, "seconds": 86401}}, "rate_limit.seconds"),
        ({"rules": {}}, "rules"),
        ({"rules": [{"verbs": ["GET"]}]}, "rules.0.service"),
        ({"rules": [rule("One", "GET")]}, "rules.0.service"),
        ({"rules": [rule("system", "GET")]}, "rules.0.service"),
        ({"rules": [rule("one", "get")]}, "rules.0.verbs.0"),
        ({"rules": [rule("one", "HEAD")]}, "rules.0.verbs.0"),
        ({"rules": [rule("one", "GET", keys="user")]}, "rules.0.keys"),
        ({"rules": [rule("one", "FLUSH", keys="user:*")]}, "rules.0.verbs"),
        ({"rules": [rule("one", "GET", prefix="user:")]}, "rules.0.prefix"),
        ({"rules": [5]}, "rules.0"),
    ],
    ids=str,
)
def test_a_bad_field_is_named_and_nothing_is_made(
    app_api: AppApi, fields: dict[str, Any], field: str
) -> None:
    before = app_api.call("GET", KEYS).json
    body = {"resource": [{"name": "good"}, {"name": "bad", **fields}]}
    answer = app_api.call("POST", KEYS, body=body)
    assert answer.status == 400
    (error,) = answer.error["context"]["errors"]
    assert (error["index"], error["field"]) == (1, field)
    # Words, and no part of the program.
    assert "{" not in error["message"]
    assert app_api.call("GET", KEYS).json == before
    number, _ = make(app_api)
    change = app_api.call("PATCH", f"{KEYS}/{number}", body=fields)
    assert change.status == 400
    assert app_api.call("GET", f"{KEYS}/{number}").json["rules"] == []


@pytest.mark.parametrize("number", ["0", "99999", "9" * 30])
def test_an_unknown_key_is_a_404(app_api: AppApi, number: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        answer = app_api.call(method, f"{KEYS}/{number}", body={"name": "x"})
        assert (answer.status, answer.message) == (404, f"API key {number} does not exist.")


def test_a_change_is_in_force_at_once(api: Api) -> None:
    number, key = make(api, rule("one", "GET"))
    assert call(api, key, "GET", "/one/k").status == 404
    assert call(api, key, "GET", "/two/k").status == 403
    change = {"rules": [rule("two", "GET")], "name": "other"}
    answer = api.call("PATCH", f"{KEYS}/{number}", body=change)
    assert answer.status == 200
    assert answer.json["name"] == "other"
    assert call(api, key, "GET", "/one/k").status == 403
    assert call(api, key, "GET", "/two/k").status == 404


def test_a_revoked_key_is_worth_nothing_at_once(api: Api) -> None:
    number, key = make(api, rule("*", "GET"))
    assert call(api, key, "GET", "/one/k").status == 404
    assert api.call("DELETE", f"{KEYS}/{number}").json == {"success": True}
    for path in ("/one/k", "/one/k?x=1", "/"):
        answer = call(api, key, "GET", path)
        assert answer.status == 401
        assert answer.message == "The API key is not valid."
        assert answer.headers["WWW-Authenticate"]


def test_a_key_ends_when_it_expires(api: Api) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    number, key = make(api, rule("*", "GET"), expires=soon.isoformat())
    assert call(api, key, "GET", "/one/k").status == 404
    eventually(lambda: call(api, key, "GET", "/one/k").status == 401, 5)
    # One text of the lane and of Flask.
    for path in ("/one/k", "/one/k?x=1", "/"):
        answer = call(api, key, "GET", path)
        assert answer.status == 401
        ended = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert answer.message == (
            f"The API key expired at {ended}; an administrator can extend it."
        )
    # Of who does not have it whole nothing is told.
    assert call(api, key[:-1], "GET", "/one/k").message == "The API key is not valid."
    for end in (soon.isoformat(), "1969-01-01T00:00:00Z"):
        answer = api.call("PATCH", f"{KEYS}/{number}", body={"expires": end})
        assert answer.status == 400
        assert "is over: the key would be worth nothing." in answer.message
    assert api.call("PATCH", f"{KEYS}/{number}", body={"expires": None}).status == 200
    assert call(api, key, "GET", "/one/k").status == 404


def test_the_last_use_is_noted(app_api: AppApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cacheapi.registry.uses.SECONDS", 0.0)
    number, key = make(app_api, rule("*", "GET"))
    call(app_api, key, "GET", "/one/k")
    used = eventually(lambda: app_api.call("GET", f"{KEYS}/{number}").json["last_used"])
    assert abs(dt.datetime.fromisoformat(used).timestamp() - time.time()) < 60


# A day, so that no test is likely to meet the turn of two windows.
RATE = {"requests": 5, "seconds": 86400}


def test_a_rate_limit_is_kept_and_told(api: Api) -> None:
    number, key = make(api, rule("*", "GET"), rate_limit=RATE)
    _, other = make(api, rule("*", "GET"))
    assert api.call("GET", f"{KEYS}/{number}").json["rate_limit"] == RATE
    plant(api, "one", "k")
    for left in (4, 3, 2, 1, 0):
        answer = call(api, key, "GET", "/one/k", query="x=1" if left % 2 else None)
        assert answer.status == 200
        assert answer.headers["RateLimit-Limit"] == "5"
        assert answer.headers["RateLimit-Remaining"] == str(left)
        assert 0 < int(answer.headers["RateLimit-Reset"]) <= 86400
    for path in ("/one/k", "/one/k?x=1", "/"):
        answer = call(api, key, "GET", path)
        assert answer.status == 429
        assert answer.message == "This API key may make 5 requests in 86400 s."
        assert answer.headers["RateLimit-Remaining"] == "0"
        assert answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"]
    unlimited = call(api, other, "GET", "/one/k")
    assert unlimited.status == 200
    assert "RateLimit-Limit" not in unlimited.headers
    assert api.call("PATCH", f"{KEYS}/{number}", body={"rate_limit": None}).status == 200
    assert call(api, key, "GET", "/one/k").status == 200


def test_a_new_window_has_new_requests(app_api: AppApi) -> None:
    _, key = make(app_api, rule("*", "GET"), rate_limit={"requests": 1, "seconds": 1})
    eventually(lambda: call(app_api, key, "GET", "/two/never").status == 429)
    eventually(lambda: call(app_api, key, "GET", "/two/never").status == 404)


def test_what_cannot_be_counted_is_let_through(
    app_api: AppApi, caplog: pytest.LogCaptureFixture
) -> None:
    _, key = make(app_api, rule("*", "GET"), rate_limit={"requests": 1, "seconds": 86400})
    call(app_api, key, "GET", "/two/never")
    assert call(app_api, key, "GET", "/two/never").status == 429
    counts = app_api.app.extensions["cacheapi"].counts.backend
    counters, _ = counts.list_keys("cacheapi:rate:", 1000, None)
    assert counters
    for counter in counters:
        counts.set(counter, b"no number", None)
    assert call(app_api, key, "GET", "/two/never").status == 404
    assert "could not be counted" in caplog.text


def test_changes_are_in_the_audit_log(app_api: AppApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cacheapi.audit")
    number, key = make(app_api, administrator=True, name='deploy "x"')
    headers = {"X-DreamFactory-API-Key": key}
    app_api.call("PATCH", f"{KEYS}/{number}", headers, {"name": "new"})
    rate = {"requests": 5, "seconds": 60}
    app_api.call("PATCH", f"{KEYS}/{number}", headers, {"name": "new", "rate_limit": rate})
    assert app_api.call("PATCH", f"{KEYS}/{number}", headers, {"name": "new"}).status == 200
    app_api.call("DELETE", f"{KEYS}/{number}")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f'API key "CACHEAPI_API_KEY" created API key {number} "deploy \\"x\\""',
        f'API key {number} "deploy \\"x\\"" changed API key {number} "new" (name)',
        f'API key {number} "new" changed API key {number} "new" (rate_limit)',
        f'API key "CACHEAPI_API_KEY" revoked API key {number} "new"',
    ]
    assert key not in caplog.text


# What a key may do


@pytest.mark.parametrize("lane", [True, False], ids=["plain", "with a parameter"])
@pytest.mark.parametrize("allowed", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_key_for_one_service_verb_and_prefix_may_nothing_else(
    api: Api, allowed: str, lane: bool
) -> None:
    _, key = make(api, rule("one", allowed, keys="user:*"))
    bodies = {"POST": {"value": 2}, "PUT": {"value": 2}, "PATCH": {"ttl": 60}}
    for name in ("one", "two", "cache", "local", "nothing"):
        if name != "nothing":
            plant(api, name, "user:1", "user", "other")
        for target in ("user:1", "user:new", "user", "USER:1", "other", "a/user:1"):
            for method in METHODS:
                answer = call(
                    api,
                    key,
                    method,
                    f"/{name}/{target}",
                    bodies.get(method),
                    query=None if lane else "x=1",
                )
                verb = "GET" if method == "HEAD" else method
                may = name == "one" and verb == allowed and target.startswith("user:")
                assert (answer.status != 403) == may, (method, name, target)
                if not may and method != "HEAD":
                    assert "may not" in answer.message
        if name not in ("one", "nothing"):
            assert sorted(keys_of(api, name)) == ["other", "user", "user:1"]


def test_batches_are_checked_by_every_key(api: Api) -> None:
    verbs = ("GET", "POST", "DELETE")
    _, key = make(api, rule("one", *verbs, keys="user:*"))
    plant(api, "one", "user:1", "other")
    good = {"resource": [{"key": "user:2", "value": 1}]}
    bad = {"resource": [*good["resource"], {"key": "alien", "value": 1}, {"key": "x", "value": 1}]}
    answer = call(api, key, "POST", "/one", bad)
    assert answer.status == 403
    assert answer.message == "This API key may not POST the key 'alien' of service 'one'."
    assert sorted(keys_of(api, "one")) == ["other", "user:1"]
    assert call(api, key, "POST", "/one", good).status == 201
    assert call(api, key, "GET", "/one", query="keys=user:1,user:9").status == 200
    assert call(api, key, "GET", "/one", query="keys=user:1,other").status == 403
    assert call(api, key, "DELETE", "/one", query="keys=user:1,other").status == 403
    assert call(api, key, "DELETE", "/one", {"resource": ["user:1", "other"]}).status == 403
    assert sorted(keys_of(api, "one")) == ["other", "user:1", "user:2"]
    assert call(api, key, "DELETE", "/one", query="keys=user:1").status == 200
    assert call(api, key, "GET", "/two", query="keys=user:1").status == 403
    assert call(api, key, "POST", "/two", good).status == 403


def test_only_what_a_key_may_read_is_listed(api: Api) -> None:
    _, key = make(api, rule("one", "GET", keys="user:*"), rule("two", "POST"))
    plant(api, "one", "user:1", "user:2", "other")
    for query in (None, "prefix=", "prefix=use", "prefix=other", "limit=1"):
        answer = call(api, key, "GET", "/one", query=query)
        assert answer.status == 403, query
    listed = call(api, key, "GET", "/one", query="prefix=user:").json["resource"]
    assert [entry["key"] for entry in listed] == ["user:1", "user:2"]
    assert call(api, key, "GET", "/one", query="prefix=user:2").status == 200
    page = call(api, key, "GET", "/one", query="prefix=user:&limit=1").json
    query = f"prefix=user:&cursor={page['meta']['next']}"
    listed = call(api, key, "GET", "/one", query=query).json["resource"]
    assert [entry["key"] for entry in listed] == ["user:2"]
    assert call(api, key, "GET", "/two").status == 403
    services = call(api, key, "GET", "/").json["services"]
    assert [service["name"] for service in services] == ["one", "two"]
    _, nobody = make(api)
    assert call(api, nobody, "GET", "/").json == {"services": []}


def test_flushing_is_a_right_of_its_own(api: Api) -> None:
    all_but_flush = ("GET", "POST", "PUT", "PATCH", "DELETE")
    _, without = make(api, rule("*", *all_but_flush))
    _, with_it = make(api, rule("two", "FLUSH"))
    plant(api, "one", "a")
    plant(api, "two", "a")
    answer = call(api, without, "DELETE", "/one")
    assert (answer.status, answer.message) == (403, "This API key may not flush service 'one'.")
    assert call(api, with_it, "DELETE", "/one").status == 403
    assert call(api, with_it, "DELETE", "/two/a").status == 403
    assert keys_of(api, "one") == keys_of(api, "two") == ["a"]
    assert call(api, with_it, "DELETE", "/two").status == 200
    assert keys_of(api, "two") == []


def test_reading_and_deleting_needs_both(api: Api) -> None:
    _, reader = make(api, rule("one", "GET"))
    _, taker = make(api, rule("one", "GET", "DELETE"))
    plant(api, "one", "k")
    for query in ("clear=true", "pull=true"):
        answer = call(api, reader, "GET", "/one/k", query=query)
        assert answer.status == 403
        assert "DELETE" in answer.message
    assert call(api, reader, "GET", "/one/k", query="clear=false").status == 200
    assert call(api, taker, "GET", "/one/k", query="pull=true").status == 200
    assert keys_of(api, "one") == []


def test_the_tunnelled_method_counts(api: Api) -> None:
    _, poster = make(api, rule("one", "POST"))
    _, deleter = make(api, rule("one", "DELETE"))
    plant(api, "one", "k")
    headers = {"X-HTTP-Method": "DELETE"}
    assert call(api, poster, "POST", "/one/k", headers=headers).status == 403
    body = {"resource": ["k"]}
    assert call(api, poster, "POST", "/one", body, headers=headers).status == 403
    assert call(api, poster, "POST", "/one", body, headers={"X-HTTP-Method": "GET"}).status == 403
    assert keys_of(api, "one") == ["k"]
    assert call(api, deleter, "POST", "/one/k", headers=headers).status == 200


def test_the_system_is_for_administrators(api: Api) -> None:
    _, key = make(api, rule("*", "GET", "POST", "PUT", "PATCH", "DELETE", "FLUSH"))
    before = api.call("GET", SERVICES).json
    for path in (
        *("/service", "/service/one", "/service/one/test", "/service/test", "/service_type"),
        *("/api_key", "/api_key/1"),
    ):
        for method in METHODS:
            mine = call(api, key, method, f"/system{path}", {"name": "x"}).status
            assert mine in (403, 405), (method, path)
            if mine == 405:
                assert api.call(method, f"/api/v2/system{path}", body={"name": "x"}).status == 405
    assert api.call("GET", SERVICES).json == before
    assert call(api, key, "GET", "/docs/openapi.json").status == 200


def test_an_administrator_from_the_database_may_everything(api: Api) -> None:
    number, key = make(api, administrator=True)
    assert call(api, key, "GET", "/system/service").status == 200
    assert call(api, key, "GET", "/system/service_type").status == 200
    assert call(api, key, "DELETE", "/one").status == 200
    assert api.call("PATCH", f"{KEYS}/{number}", body={"administrator": False}).status == 200
    assert call(api, key, "GET", "/system/service").status == 403
    assert call(api, key, "GET", "/one/k").status == 403


def test_capabilities_are_for_who_may_use_the_service(api: Api) -> None:
    _, key = make(api, rule("one", "GET", keys="user:*"))
    assert call(api, key, "GET", "/system/service/one/capabilities").status == 200
    assert call(api, key, "GET", "/system/service/two/capabilities").status == 403
    assert call(api, key, "GET", "/system/service/nothing/capabilities").status == 403


def test_what_there_is_cannot_be_found_out_without_a_right_to_it(api: Api) -> None:
    _, key = make(api, rule("one", "GET"))
    there, absent = (call(api, key, "GET", f"/{name}/k") for name in ("two", "nothing"))
    assert there.status == absent.status == 403
    assert there.message.replace("two", "nothing") == absent.message
    _, every = make(api, rule("*", "GET"))
    assert call(api, every, "GET", "/nothing/k").status == 404


def test_the_lane_serves_such_a_key(tmp_path: Path) -> None:
    """What the lane does not take is a 418 here: so both sides of the rule are the lane's."""
    settings = {"CACHEAPI_API_KEY": Api.api_key, "CACHEAPI_DATA_DIR": str(tmp_path)}
    app = lane_alone(load(settings, None))
    made = make_app_api("file", FileStore(tmp_path), tmp_path)
    add_services(made)
    plant(made, "one", "user:1", "other")
    _, key = make(made, rule("one", "GET", "POST", keys="user:*"))
    _, reader = make(made, rule("one", "GET"))
    _, limited = make(made, rule("one", "GET"), rate_limit=RATE)
    with inside(app, tmp_path) as live:
        lane = LiveApi("file", FileStore(tmp_path), live.port)
        eventually(lambda: call(lane, limited, "GET", "/").status == 418)
        eventually(lambda: call(lane, key, "GET", "/one/user:1").status == 200, 2)
        assert call(lane, key, "GET", "/one/user:2").status == 404
        assert call(lane, key, "GET", "/one", query="keys=user:1,user:2").status == 200
        assert call(lane, reader, "GET", "/one/other").status == 200
        assert call(lane, key, "POST", "/one", {"key": "user:3", "value": 1}).status == 201
        left = [
            ("GET", "/one/other", None),
            ("GET", "/two/user:1", None),
            ("GET", "/cache/user:1", None),
            ("GET", "/one?keys=user:1,other", None),
            ("POST", "/one", {"key": "other", "value": 2}),
            ("POST", "/two", {"key": "user:1", "value": 2}),
            (
                "POST",
                "/one",
                {"resource": [{"key": "user:1", "value": 2}, {"key": "a", "value": 2}]},
            ),
            ("PUT", "/one/user:1", {"value": 1}),
        ]
        for method, path, body in left:
            assert call(lane, key, method, path, body).status == 418, path
        assert call(lane, reader, "POST", "/one", {"key": "user:4", "value": 1}).status == 418
        # Who has a limit is counted there too.
        assert call(lane, limited, "GET", "/one/user:1").status == 200
        assert lane.call("GET", f"{ALL}/k").status == 404
    assert sorted(keys_of(made, "one")) == ["other", "user:1", "user:3"]
    assert made.call("GET", "/api/v2/one/user:1").json["value"] == 1
    close_app(app)
    made.close()
