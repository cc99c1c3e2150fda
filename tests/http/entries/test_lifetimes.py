"""The table of ``ttl``, over HTTP and as the store has it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.http.client import ALL, DEFAULT_SECONDS, Api, FileStore, entry
from tests.http.conftest import make_app_api
from tests.support.processes import eventually

MONTH = 2_592_000
WAYS = ["store", "create", "update", "change"]
every_way = pytest.mark.parametrize("way", WAYS)


def give(api: Api, way: str, member: str) -> int:
    """Give the key ``k`` a lifetime by one of the ways; return the status."""
    member = member and f",{member}"
    if way in ("update", "change"):
        api.store_one("k", "old", ttl=77)
    method, path, body = {
        "store": ("POST", ALL, f'{{"resource":[{{"key":"k","value":1{member}}}]}}'),
        "create": ("POST", entry("k"), f'{{"value":1{member}}}'),
        "update": ("PUT", entry("k"), f'{{"value":1{member}}}'),
        "change": ("PATCH", entry("k"), f"{{{member[1:]}}}"),
    }[way]
    return api.call(method, path, body=body.encode()).status


@every_way
@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        ("null", DEFAULT_SECONDS),
        ("-1", DEFAULT_SECONDS),
        ("0", None),
        ("-0", None),
        ("60", 60),
        ("604800", 604800),
        (str(MONTH), MONTH),
        ("9" * 5000, "far"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_lifetime_means_what_the_table_says(
    api: Api, way: str, ttl: str, seconds: int | str | None
) -> None:
    assert give(api, way, f'"ttl":{ttl}') in (200, 201)
    left = api.store.lifetime("k")
    if seconds is None:
        assert left is None
    elif seconds == "far":
        assert left is None or left > 3 * 365 * 86400
    else:
        assert left == pytest.approx(seconds, abs=30)


@pytest.mark.parametrize("way", ["store", "create", "update"])
def test_without_a_lifetime_the_default_counts(api: Api, way: str) -> None:
    assert give(api, way, "") in (200, 201)
    assert api.store.lifetime("k") == pytest.approx(DEFAULT_SECONDS, abs=30)


@every_way
def test_a_unix_time_is_when_the_key_expires(api: Api, way: str) -> None:
    assert give(api, way, f'"ttl":{int(time.time()) + 40 * 86400}') in (200, 201)
    assert api.store.lifetime("k") == pytest.approx(40 * 86400, abs=30)


@every_way
def test_a_unix_time_soon(api: Api, way: str) -> None:
    assert give(api, way, f'"ttl":{int(time.time()) + 500}') in (200, 201)
    assert api.store.lifetime("k") == pytest.approx(500, abs=30)


@every_way
@pytest.mark.parametrize("ttl", [MONTH + 1, 1_740_000_000])
def test_a_unix_time_in_the_past_expires_at_once(api: Api, way: str, ttl: int) -> None:
    assert give(api, way, f'"ttl":{ttl}') in (200, 201)
    assert api.status("k") == 404


@every_way
@pytest.mark.parametrize(
    "ttl",
    [
        *("-2", "-2592000", "-" + "9" * 5000, "1.5", "60.0", "1e3", "-1.0"),
        *('"60"', '""', "true", "false", "[]", "{}"),
    ],
    ids=lambda ttl: ttl[:12],
)
def test_any_other_lifetime_is_refused(api: Api, way: str, ttl: str) -> None:
    assert give(api, way, f'"ttl":{ttl}') == 400
    if way in ("update", "change"):
        assert api.value("k") == "old"
        assert api.store.lifetime("k") == pytest.approx(77, abs=30)
    else:
        assert api.status("k") == 404


def test_a_refused_lifetime_is_explained(api: Api) -> None:
    answer = api.call("POST", ALL, body={"resource": [{"key": "k", "value": 1, "ttl": "x"}]})
    (detail,) = answer.error["context"]["errors"]
    assert (detail["index"], detail["field"]) == (0, "ttl")
    for word in ("0", "2592000", "Unix time", "-1", "null"):
        assert word in detail["message"]


def test_a_key_is_gone_after_its_lifetime(api: Api) -> None:
    api.store_one("k", 1, ttl=1)
    api.store_one("stays", 1, ttl=100)
    eventually(lambda: api.status("k") == 404)
    assert api.call("PUT", entry("k"), body={"value": 1}).status == 404
    assert api.call("GET", ALL, query="keys=k,stays").json["meta"] == {"missing": ["k"]}
    assert api.call("DELETE", entry("k")).status == 404
    assert api.call("POST", entry("k"), body={"value": 2}).status == 201


@pytest.mark.parametrize(("minutes", "seconds"), [("0", None), ("1", 60), ("525600", 31536000)])
def test_the_default_is_a_setting_in_minutes(
    tmp_path: Path, minutes: str, seconds: int | None
) -> None:
    api = make_app_api("file", FileStore(tmp_path), tmp_path, CACHE_DEFAULT_TTL=minutes)
    api.store_one("k", 1)
    expected: Any = None if seconds is None else pytest.approx(seconds, abs=30)
    assert api.store.lifetime("k") == expected
    api.close()


def test_each_item_of_a_batch_has_its_own_lifetime(api: Api) -> None:
    ttls = {"a": 100, "b": 0, "c": None, "d": 1_740_000_000}
    body = {"resource": [{"key": key, "value": 1, "ttl": ttl} for key, ttl in ttls.items()]}
    assert api.call("POST", ALL, body=json.dumps(body).encode()).status == 201
    assert api.store.lifetime("a") == pytest.approx(100, abs=30)
    assert api.store.lifetime("b") is None
    assert api.store.lifetime("c") == pytest.approx(DEFAULT_SECONDS, abs=30)
    assert api.status("d") == 404
