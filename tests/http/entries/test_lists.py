"""Lists with what is known of each key, and deleting all that start with a prefix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.client import ALL, Answer, Api, application, entry
from tests.support.faulty import StopsAfter

KEYS = "/api/v2/system/api_key"
FIELDS = {"key", "ttl", "bytes", "kind"}


def listed(api: Api, query: str = "") -> dict[str, dict[str, object]]:
    answer = api.call("GET", ALL, query=f"details=true{query}")
    assert answer.status == 200, answer
    return {item["key"]: item for item in answer.json["resource"]}


def key_with(api: Api, *rules: dict[str, object]) -> dict[str, str | None]:
    answer = api.call("POST", KEYS, body={"name": "test", "rules": list(rules)})
    return {"X-DreamFactory-API-Key": answer.json["resource"][0]["api_key"]}


def test_a_list_says_what_is_known_of_each_key(listing_api: Api) -> None:
    listing_api.store_one("short", "ab", ttl=1000)
    listing_api.store_one("ever", [1, 2], ttl=0)
    found = listed(listing_api)
    assert found.keys() == {"short", "ever"}
    assert found["ever"] == {"key": "ever", "ttl": None, "bytes": 6, "kind": "value"}
    # With its quotes, as it is stored.
    assert found["short"].keys() == FIELDS
    assert (found["short"]["bytes"], found["short"]["kind"]) == (4, "value")
    assert 900 < int(str(found["short"]["ttl"])) <= 1000
    assert listed(listing_api, "&prefix=ev").keys() == {"ever"}
    # Not asked for, it is not said.
    plain = listing_api.call("GET", ALL).json["resource"]
    assert sorted(item["key"] for item in plain) == ["ever", "short"]
    assert all(item.keys() == {"key"} for item in plain)


def test_a_list_of_details_has_pages(listing_api: Api) -> None:
    pairs = [{"key": f"k{number}", "value": number} for number in range(7)]
    listing_api.call("POST", ALL, body={"resource": pairs})
    seen: dict[str, object] = {}
    query = "details=true&limit=3"
    while True:
        answer = listing_api.call("GET", ALL, query=query).json
        assert len(answer["resource"]) <= 3
        seen |= {item["key"]: item["bytes"] for item in answer["resource"]}
        if answer["meta"]["next"] is None:
            break
        query = f"details=true&limit=3&cursor={answer['meta']['next']}"
    assert seen == {f"k{number}": 1 for number in range(7)}


def delete(api: Api, query: str, **more: object) -> Answer:
    return api.call("DELETE", ALL, query=query, **more)  # type: ignore[arg-type]


def test_a_prefix_is_deleted_and_counted(listing_api: Api) -> None:
    # More than one step.
    pairs = [{"key": f"user:42:{number}", "value": 1} for number in range(1200)]
    others = [{"key": key, "value": 1} for key in ("user:4", "user:43:0", "other", "user:42")]
    assert listing_api.call("POST", ALL, body={"resource": [*pairs, *others]}).status == 201
    answer = delete(listing_api, "prefix=user:42:")
    assert (answer.status, answer.json) == (200, {"success": True, "deleted": 1200})
    left = listing_api.call("GET", ALL, query="limit=1000").json["resource"]
    assert sorted(item["key"] for item in left) == ["other", "user:4", "user:42", "user:43:0"]
    # Nothing there is nothing wrong.
    assert delete(listing_api, "prefix=user:42:").json == {"success": True, "deleted": 0}


def test_a_deletion_that_stops_half_way_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with application(tmp_path) as api, caplog.at_level("INFO"):
        pairs = [{"key": f"user:{number}", "value": 1} for number in range(1500)]
        assert api.call("POST", ALL, body={"resource": pairs}).status == 201
        cache = api.app.extensions["cacheapi"].find("cache")
        monkeypatch.setattr(cache, "delete_many", StopsAfter(cache, 1))
        answer = delete(api, "prefix=user:")
        assert (answer.status, answer.error["context"]) == (500, {"deleted": 1000})
        assert answer.error["message"].startswith("Timed out. 1000 keys were deleted until then,")
        # What is gone is in the audit log, and where nothing is there is nothing to tell.
        assert caplog.text.count("deleted by prefix in") == 1
        answer = delete(api, "prefix=user:")
        assert answer.error["message"] == "Timed out. Nothing was deleted."
        assert caplog.text.count("deleted by prefix in") == 1


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("prefix=", "The prefix is empty"),
        ("prefix=a&keys=a", "and not both"),
        ("prefix=a&key=a", "and not both"),
        ("prefix=a&limit=3", "There is no parameter 'limit'"),
        ("prefx=a", "There is no parameter 'prefx'"),
        ("start=a", "prefix=a all that start so"),
    ],
)
def test_what_is_no_plain_prefix_deletes_nothing(listing_api: Api, query: str, word: str) -> None:
    listing_api.store_one("a", 1)
    answer = delete(listing_api, query)
    assert answer.status == 400
    assert word in answer.message
    assert listing_api.value("a") == 1


def test_a_prefix_with_a_list_in_the_body_deletes_nothing(listing_api: Api) -> None:
    listing_api.store_one("a", 1)
    answer = delete(listing_api, "prefix=a", body={"resource": ["b"]})
    assert (answer.status, "and not both" in answer.message) == (400, True)
    assert listing_api.value("a") == 1


def test_memcached_cannot_delete_by_prefix_and_points_to_keys(memcached_api: Api) -> None:
    memcached_api.store_one("a", 1)
    answer = delete(memcached_api, "prefix=a")
    assert answer.status == 400
    assert answer.message.startswith("memcached cannot list its keys.")
    assert "?keys=" in answer.message
    assert memcached_api.value("a") == 1


def test_who_may_delete_every_key_of_a_prefix_may_delete_it(listing_api: Api) -> None:
    for key in ("mine:1", "mine:kept:1", "others:1"):
        listing_api.store_one(key, 1)
    mine = key_with(listing_api, {"service": "cache", "verbs": ["DELETE"], "keys": "mine:*"})
    for prefix in ("others:", "m", "mine"):
        answer = delete(listing_api, f"prefix={prefix}", headers=mine)
        assert answer.status == 403
        assert f"may not delete all keys of service 'cache' that start with '{prefix}'" in (
            answer.message
        )
    kept = key_with(
        listing_api,
        {"service": "cache", "verbs": ["GET"], "keys": "mine:kept:*"},
        {"service": "cache", "verbs": ["DELETE"]},
    )
    assert delete(listing_api, "prefix=mine:", headers=kept).status == 403
    reader = key_with(listing_api, {"service": "cache", "verbs": ["GET", "FLUSH"]})
    assert delete(listing_api, "prefix=mine:", headers=reader).status == 403
    assert all(listing_api.value(key) == 1 for key in ("mine:1", "mine:kept:1", "others:1"))
    assert delete(listing_api, "prefix=mine:", headers=mine).json["deleted"] == 2
    assert listing_api.call("GET", entry("others:1")).status == 200


def test_what_the_product_keeps_stays(listing_api: Api) -> None:
    listing_api.store_one("cacheapi:x", 1)
    listing_api.store_one("cacheapi:rate:x", 1)
    anyone = key_with(listing_api, {"service": "*", "verbs": ["GET", "DELETE"]})
    assert delete(listing_api, "prefix=cacheapi:rate:", headers=anyone).status == 403
    assert delete(listing_api, "prefix=cacheapi:", headers=anyone).json["deleted"] == 1
    assert listing_api.value("cacheapi:rate:x") == 1
    # An administrator may name it.
    assert delete(listing_api, "prefix=cacheapi:rate:").json["deleted"] == 1
