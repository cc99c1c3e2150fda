"""What the product keeps for itself is nobody's but an administrator's, and not in their data."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi.caching.reserved import RATE
from tests.http.client import ALL, Api, AppApi, FileStore, LiveApi
from tests.http.conftest import make_app_api
from tests.support.processes import service
from tests.support.redis import redis_server

KEYS = "/api/v2/system/api_key"
ALL_VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "FLUSH"]
COUNT = f"{RATE}somebody:7"
LIMIT = {"requests": 1000, "seconds": 86400}


@pytest.fixture(params=["file app", "file live", "redis app", "redis live"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    driver, way = request.param.split()
    store = FileStore(tmp_path)
    with contextlib.ExitStack() as stack:
        settings = {}
        if driver == "redis":
            settings = stack.enter_context(redis_server()).settings
        made: Api
        if way == "app":
            made = make_app_api(driver, store, tmp_path, **settings)
            stack.callback(made.close)
        else:
            live = service(tmp_path, CACHE_DRIVER=driver, WEB_CONCURRENCY="1", **settings)
            made = LiveApi(driver, store, stack.enter_context(live).port)
        yield made


def key_for_all(api: Api, **fields: Any) -> dict[str, str | None]:
    rules = [{"service": "*", "verbs": ALL_VERBS}]
    answer = api.call("POST", KEYS, body={"name": "test", "rules": rules, **fields})
    return {"X-DreamFactory-API-Key": answer.json["resource"][0]["api_key"]}


def test_a_key_with_all_rights_may_not_touch_a_reserved_key(api: Api) -> None:
    header = key_for_all(api)
    for key in (COUNT, "cacheapi:trial:x", "cacheapi:probe"):
        api.store_one(key, 7)
        pair = {"key": key, "value": 0}
        other = {"key": "mine", "value": 0}
        path = f"{ALL}/{key}"
        refused = [
            api.call("GET", path, header),
            api.call("GET", path, header, query="x=1"),
            api.call("GET", ALL, header, query=f"keys=mine,{key}"),
            api.call("GET", ALL, header, query=f"key={key}&x=1"),
            api.call("GET", ALL, header, query=f"prefix={key}"),
            api.call("POST", ALL, header, {"resource": [other, pair]}),
            api.call("POST", ALL, header, pair, query="ttl=60"),
            api.call("POST", path, header, {"value": 0}),
            api.call("PUT", path, header, {"value": 0}),
            api.call("PATCH", path, header, {"increment": 1}),
            api.call("DELETE", path, header),
            api.call("DELETE", ALL, header, query=f"keys=mine,{key}"),
            api.call("POST", path, {**header, "X-HTTP-Method": "DELETE"}),
            api.call("POST", ALL, {**header, "X-HTTP-Method": "GET"}, {"resource": [key]}),
        ]
        assert [answer.status for answer in refused] == [403] * len(refused), key
        assert api.call("GET", path).json["value"] == 7
        assert api.call("GET", f"{ALL}/mine").status == 404


def test_a_list_leaves_reserved_keys_out(api: Api) -> None:
    api.store_one("mine", 1)
    api.store_one(COUNT, 1)
    for header in ({}, key_for_all(api)):
        for prefix in ("", "?prefix=", "?prefix=c"):
            query = prefix.removeprefix("?") or None
            listed = api.call("GET", ALL, header, query=query).json["resource"]
            assert [entry["key"] for entry in listed] == (["mine"] if prefix != "?prefix=c" else [])
    # An administrator who asks for them by name sees them.
    listed = api.call("GET", ALL, query=f"prefix={RATE}").json["resource"]
    assert {"key": COUNT} in listed


def test_a_limit_counts_on_and_is_not_listed(api: Api) -> None:
    header = key_for_all(api, rate_limit=LIMIT)
    for left in (999, 998):
        answer = api.call("GET", ALL, header)
        assert answer.json["resource"] == []
        assert answer.headers["RateLimit-Remaining"] == str(left)


@pytest.fixture
def file_api(tmp_path: Path) -> Iterator[AppApi]:
    made = make_app_api("file", FileStore(tmp_path), tmp_path)
    yield made
    made.close()


def test_on_the_file_counts_are_in_a_file_of_their_own(file_api: AppApi) -> None:
    header = key_for_all(file_api, rate_limit=LIMIT)
    for _ in range(3):
        file_api.call("GET", "/api/v2/", header)
    stats = file_api.call("GET", "/api/v2/system/service/cache/stats").json["stats"]
    assert (stats["curr_items"], stats["get_hits"], stats["get_misses"]) == (0, 0, 0)
    assert stats["bytes_read"] == 0
    # A flush is of the callers' data.
    assert file_api.call("DELETE", ALL).status == 200
    answer = file_api.call("GET", "/api/v2/", header)
    assert answer.headers["RateLimit-Remaining"] == "996"


def test_no_digest_of_an_address_is_in_the_cache(file_api: AppApi) -> None:
    browser = file_api.app.test_client()
    page = browser.get("/console/sign-in").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    browser.post("/console/sign-in", data={"csrf_token": token, "key": "wrong"})
    counts = file_api.app.extensions["cacheapi"].counts.backend
    ((key,), _) = counts.list_keys(f"{RATE}sign-in:", 10, None)
    for digest in ("sha256", "sha1", "md5"):
        assert hashlib.new(digest, b"127.0.0.1").hexdigest()[:32] not in key
