"""Methods tunnelled through POST with X-HTTP-Method."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.client import ALL, Answer, Api, entry


def tunnel(api: Api, method: str, path: str, body: Any = None, query: str | None = None) -> Answer:
    return api.call("POST", path, {"X-HTTP-Method": method}, body, query)


@pytest.mark.parametrize("spelling", ["GET", "get", "Get"])
def test_a_key_is_read_through_a_tunnel(api: Api, spelling: str) -> None:
    api.store_one("k", 1)
    answer = tunnel(api, spelling, entry("k"))
    assert (answer.status, answer.json) == (200, {"key": "k", "value": 1})


def test_a_key_is_changed_through_a_tunnel(api: Api) -> None:
    assert tunnel(api, "PUT", entry("k"), {"value": 1}).status == 404
    api.store_one("k", 1)
    assert tunnel(api, "PUT", entry("k"), {"value": 2}).status == 200
    assert tunnel(api, "PATCH", entry("k"), {"increment": 3}).json["value"] == 5
    assert tunnel(api, "DELETE", entry("k")).status == 200
    assert api.status("k") == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_list_of_keys_stands_in_the_body(api: Api, method: str) -> None:
    for key in ("a", "b,c", "d"):
        api.store_one(key, key)
    answer = tunnel(api, method, ALL, {"resource": ["b,c", "absent", "a"]})
    assert answer.status == 200
    if method == "GET":
        assert answer.json == {
            "resource": [{"key": "b,c", "value": "b,c"}, {"key": "a", "value": "a"}],
            "meta": {"missing": ["absent"]},
        }
    else:
        assert answer.json == {
            "resource": [
                {"key": "b,c", "success": True},
                {"key": "absent", "success": False},
                {"key": "a", "success": True},
            ]
        }
        assert [api.status(key) for key in ("a", "b,c", "d")] == [404, 404, 200]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_tunnelled_list_may_stand_in_the_query(api: Api, method: str) -> None:
    api.store_one("a", 1)
    api.store_one("b", 1)
    answer = tunnel(api, method, ALL, query="keys=a")
    assert [item["key"] for item in answer.json["resource"]] == ["a"]
    assert api.status("b") == 200


def test_a_tunnelled_flush(api: Api) -> None:
    api.store_one("k", 1)
    assert tunnel(api, "DELETE", ALL).json == {"success": True}
    assert api.status("k") == 404


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        [],
        {},
        {"resource": []},
        {"resource": None},
        {"resource": "a"},
        {"resource": [1]},
        {"resource": [None]},
        {"resource": [""]},
        {"resource": [{"key": "a"}]},
        {"keys": ["a"]},
        ["a"],
        "a",
        b"{",
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_that_is_no_list_of_keys_is_refused(api: Api, method: str, body: Any) -> None:
    api.store_one("a", 1)
    answer = tunnel(api, method, ALL, body)
    assert answer.status == 400
    assert answer.message
    assert api.value("a") == 1


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "FROB", "GET, DELETE", " ", ""])
def test_a_method_that_cannot_be_tunnelled_is_refused(api: Api, method: str) -> None:
    for path in (ALL, entry("k"), "/nothing"):
        answer = tunnel(api, method, path, {"key": "k", "value": 1})
        assert answer.status == 400, path
        assert answer.message == "X-HTTP-Method must be one of GET, PUT, PATCH, DELETE."
    assert api.status("k") == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_only_a_post_is_a_tunnel(api: Api, method: str) -> None:
    api.store_one("k", 1)
    body = {"GET": None, "PUT": {"value": 1}, "PATCH": {"ttl": 60}}[method]
    assert api.call(method, entry("k"), {"X-HTTP-Method": "DELETE"}, body).status == 200
    assert api.value("k") == 1


def test_a_tunnelled_method_that_the_path_does_not_take_is_405(api: Api) -> None:
    assert tunnel(api, "PATCH", ALL, {"ttl": 5}).status == 405
