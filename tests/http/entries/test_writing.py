"""Writing: storing, creating, updating, counting, deleting, flushing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.client import ALL, DEFAULT_SECONDS, Api, entry


def test_a_batch_is_stored_and_answered_in_order(api: Api) -> None:
    pairs = [{"key": key, "value": key.upper()} for key in ("c", "a", "b")]
    answer = api.call("POST", ALL, body={"resource": pairs})
    assert answer.status == 201
    assert answer.json == {"resource": [{"key": key, "success": True} for key in ("c", "a", "b")]}
    assert [api.value(key) for key in ("a", "b", "c")] == ["A", "B", "C"]


@pytest.mark.parametrize("shape", ["bare", "list", "resource"])
def test_one_pair_may_be_sent_in_three_shapes(api: Api, shape: str) -> None:
    pair = {"key": "k", "value": shape, "ttl": 60}
    body: Any = {"bare": pair, "list": [pair], "resource": {"resource": [pair]}}[shape]
    answer = api.call("POST", ALL, body=body)
    assert (answer.status, answer.json) == (201, {"resource": [{"key": "k", "success": True}]})
    assert api.value("k") == shape


def test_storing_overwrites(api: Api) -> None:
    api.store_one("k", 1)
    api.store_one("k", 2)
    assert api.value("k") == 2


def test_of_equal_keys_in_a_batch_the_last_wins(api: Api) -> None:
    pairs = [{"key": "k", "value": number} for number in range(5)]
    answer = api.call("POST", ALL, body={"resource": pairs})
    assert answer.json == {"resource": [{"key": "k", "success": True}] * 5}
    assert api.value("k") == 4


def test_a_key_is_created_once(api: Api) -> None:
    first = api.call("POST", entry("k"), body={"value": 1})
    second = api.call("POST", entry("k"), body={"value": 2})
    assert (first.status, first.json) == (201, {"key": "k", "success": True})
    assert second.status == 400
    assert second.message.startswith("Key 'k' exists already")
    assert api.value("k") == 1


def test_an_existing_key_is_updated(api: Api) -> None:
    api.store_one("k", 1)
    answer = api.call("PUT", entry("k"), body={"value": 2})
    assert (answer.status, answer.json) == (200, {"key": "k", "success": True})
    assert api.value("k") == 2


@pytest.mark.parametrize(
    ("method", "body"),
    [("PUT", {"value": 1}), ("PATCH", {"ttl": 60}), ("PATCH", {"increment": 1}), ("DELETE", None)],
)
def test_a_change_of_an_absent_key_is_404_and_creates_nothing(
    api: Api, method: str, body: Any
) -> None:
    answer = api.call(method, entry("k"), body=body)
    assert answer.status == 404
    hint = " With initial, a count makes it." if body == {"increment": 1} else ""
    assert answer.message == f"Key 'k' does not exist.{hint}"
    # The lane and Flask, which is asked with the parameter, say the same.
    assert api.call(method, entry("k"), body=body, query="x=1").body == answer.body
    assert api.status("k") == 404


def test_a_key_is_deleted(api: Api) -> None:
    api.store_one("k", 1)
    answer = api.call("DELETE", entry("k"))
    assert (answer.status, answer.json) == (200, {"key": "k", "success": True})
    assert api.status("k") == 404


@pytest.mark.parametrize("query", ["keys=a,absent,b", "key=a&keys=absent&key=b"])
def test_several_keys_are_deleted_and_others_stay(api: Api, query: str) -> None:
    for key in ("a", "b", "c"):
        api.store_one(key, 1)
    answer = api.call("DELETE", ALL, query=query)
    assert answer.status == 200
    assert answer.json == {
        "resource": [
            {"key": "a", "success": True},
            {"key": "absent", "success": False},
            {"key": "b", "success": True},
        ]
    }
    assert [api.status(key) for key in ("a", "b", "c")] == [404, 404, 200]


def test_a_list_in_the_body_of_a_delete_never_flushes(api: Api) -> None:
    for key in ("a", "b"):
        api.store_one(key, 1)
    answer = api.call("DELETE", ALL, body={"resource": ["a"]})
    assert answer.json == {"resource": [{"key": "a", "success": True}]}
    assert api.value("b") == 1


@pytest.mark.parametrize("body", [[], {}, {"resource": []}, {"keys": ["a"]}, "a", None, ["a"]])
def test_a_delete_with_an_odd_body_deletes_nothing(api: Api, body: Any) -> None:
    api.store_one("a", 1)
    raw = b"null" if body is None else body
    assert api.call("DELETE", ALL, body=raw).status == 400
    assert api.value("a") == 1


@pytest.mark.parametrize("query", ["keys[]=k", "ids=k", "Keys=k", "force=true"])
def test_a_delete_with_an_unknown_parameter_never_flushes(api: Api, query: str) -> None:
    api.store_one("k", 1)
    answer = api.call("DELETE", ALL, query=query)
    assert answer.status == 400
    assert query.partition("=")[0] in answer.message
    assert api.value("k") == 1


def test_a_flush_deletes_everything(api: Api) -> None:
    for key in ("a", "b"):
        api.store_one(key, 1)
    answer = api.call("DELETE", ALL)
    assert (answer.status, answer.json) == (200, {"success": True})
    assert [api.status(key) for key in ("a", "b")] == [404, 404]


def test_a_flushed_service_stores_again(api: Api) -> None:
    api.call("DELETE", ALL)
    api.store_one("k", 1)
    assert api.value("k") == 1


def test_a_new_lifetime_leaves_the_value(api: Api) -> None:
    api.store_one("k", {"a": [1]}, ttl=100)
    answer = api.call("PATCH", entry("k"), body={"ttl": 5000})
    assert (answer.status, answer.json) == (200, {"key": "k", "success": True})
    assert api.value("k") == {"a": [1]}
    assert api.store.lifetime("k") == pytest.approx(5000, abs=30)


@pytest.mark.parametrize(
    ("stored", "delta", "count"),
    [(5, 1, 6), (5, -2, 3), (5, 0, 5), (0, 2**31 - 1, 2**31 - 1), (100, -91, 9)],
)
def test_a_number_is_counted(api: Api, stored: int, delta: int, count: int) -> None:
    api.store_one("n", stored)
    answer = api.call("PATCH", entry("n"), body={"increment": delta})
    assert (answer.status, answer.json) == (200, {"key": "n", "value": count})
    assert answer.headers["ETag"] == api.etag("n")
    assert api.value("n") == count


def test_counting_stops_at_the_lowest_number_of_memcached(memcached_api: Api) -> None:
    memcached_api.store_one("n", 3)
    answer = memcached_api.call("PATCH", entry("n"), body={"increment": -5})
    assert answer.json == {"key": "n", "value": 0}


def test_counting_goes_below_zero_on_the_file_and_on_redis(listing_api: Api) -> None:
    listing_api.store_one("n", 3)
    answer = listing_api.call("PATCH", entry("n"), body={"increment": -5})
    assert answer.json == {"key": "n", "value": -2}
    assert listing_api.value("n") == -2


def test_an_absent_number_starts_at_initial_for_the_lifetime(api: Api) -> None:
    body = {"increment": 5, "initial": 10, "ttl": 600}
    answer = api.call("PATCH", entry("n"), body=body)
    assert (answer.status, answer.json) == (200, {"key": "n", "value": 10})
    assert api.store.lifetime("n") == pytest.approx(600, abs=30)
    assert api.call("PATCH", entry("n"), body=body).json == {"key": "n", "value": 15}


def test_a_count_leaves_the_lifetime(api: Api) -> None:
    api.store_one("n", 1, ttl=5000)
    api.call("PATCH", entry("n"), body={"increment": 1, "initial": 1, "ttl": 60})
    assert api.value("n") == 2
    assert api.store.lifetime("n") == pytest.approx(5000, abs=30)


@pytest.mark.parametrize("value", ["text", "5", 1.5, None, True, [1], {}, 10**40])
def test_counting_on_no_number_is_refused_and_changes_nothing(api: Api, value: Any) -> None:
    api.store_one("n", value)
    answer = api.call("PATCH", entry("n"), body={"increment": 1})
    assert answer.status == 400
    assert answer.message
    assert api.value("n") == value


@pytest.mark.parametrize(
    "body",
    [
        {"increment": 1.0},
        {"increment": "1"},
        {"increment": True},
        {"increment": None},
        {"increment": [1]},
        {"increment": 1, "initial": "1"},
        {"increment": 1, "initial": None},
        {"increment": 1, "ttl": -2},
        {"increment": 1, "value": 2},
        {"initial": 1},
        {"initial": 1, "ttl": 60},
        b'{"increment": 1%s}' % (b"0" * 6000),
        {"increment": -(10**30)},
        {"increment": 1, "initial": 2**64},
        {"increment": 1, "initial": -(2**63) - 1},
        {"value": 1},
        {},
        [],
        [{"increment": 1}],
        "increment",
    ],
    ids=lambda body: str(body)[:40],
)
def test_a_change_that_says_nothing_sensible_is_refused(api: Api, body: Any) -> None:
    api.store_one("n", 1)
    answer = api.call("PATCH", entry("n"), body=body)
    assert answer.status == 400
    assert answer.message
    assert api.value("n") == 1


@pytest.mark.parametrize(
    "kind", ["file", "redis", "sentinel", "cluster", "memcached", "pool", "sasl"]
)
def test_a_count_over_the_highest_number_is_refused(
    request: pytest.FixtureRequest, kind: str
) -> None:
    largest = 2**63 - 1
    api: Api = request.getfixturevalue(f"{kind}_app")
    api.store_one("n", largest - 1)
    answer = api.call("PATCH", entry("n"), body={"increment": 1})
    assert (answer.status, answer.json) == (200, {"key": "n", "value": largest})
    assert api.call("PATCH", entry("n"), body={"increment": 1}).status == 400


@pytest.mark.parametrize("left", ["x", "-"])
def test_a_number_that_memcached_may_refuse_is_always_refused(
    memcached_api: Api, left: str
) -> None:
    # Of a number from 2^63 on the server reads on behind its end, for a sign.
    memcached_api.store_one("n", left * 26)
    memcached_api.call("DELETE", entry("n"))
    memcached_api.store_one("n", 2**63)
    answer = memcached_api.call("PATCH", entry("n"), body={"increment": 1})
    assert answer.status == 400
    assert str(2**63 - 1) in answer.message
    memcached_api.store_one("n", 2**63 - 2)
    assert memcached_api.call("PATCH", entry("n"), body={"increment": 1}).json["value"] == 2**63 - 1


@pytest.mark.parametrize("increment", [2**31, 2**63, -(2**31)])
def test_a_step_over_the_limit_of_memcached_names_the_limit(
    memcached_api: Api, increment: int
) -> None:
    memcached_api.store_one("n", 1)
    answer = memcached_api.call("PATCH", entry("n"), body={"increment": increment})
    assert answer.status == 400
    assert str(2**31 - 1) in answer.message


@pytest.mark.parametrize(
    ("query", "ttl", "seconds"),
    [
        ("ttl=500", None, 500),
        ("ttl=500", 700, 700),
        ("ttl=0", None, None),
        ("forever=true", None, None),
        ("forever=true", 700, 700),
        ("forever=false", None, DEFAULT_SECONDS),
        ("forever=true&ttl=500", None, None),
        ("ttl=-1", None, DEFAULT_SECONDS),
    ],
)
@pytest.mark.parametrize("method", ["store", "POST", "PUT", "PATCH", "count"])
def test_a_lifetime_in_the_query_counts_where_the_body_has_none(
    api: Api, method: str, query: str, ttl: int | None, seconds: int | None
) -> None:
    body: dict[str, Any] = {} if ttl is None else {"ttl": ttl}
    if method in ("PUT", "PATCH"):
        api.store_one("k", 1, ttl=100)
    if (method, query, ttl) == ("PATCH", "forever=false", None):
        # Without any lifetime there is nothing to change.
        body = {"ttl": None}
    if method == "store":
        method, path, body = "POST", ALL, {"resource": [{"key": "k", "value": 2, **body}]}
    elif method == "count":
        method, path, body = "PATCH", entry("k"), {"increment": 1, "initial": 1, **body}
    else:
        path = entry("k")
        if method != "PATCH":
            body["value"] = 2
    answer = api.call(method, path, body=body, query=query)
    assert answer.status in (200, 201), answer
    expected = None if seconds is None else pytest.approx(seconds, abs=30)
    assert api.store.lifetime("k") == expected


@pytest.mark.parametrize(
    ("query", "word"),
    [(f"ttl={text}", "2592000") for text in ("x", "-2", "1.5", "", "%20")]
    + [("forever=7", "forever")],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_bad_lifetime_in_the_query_is_refused(
    api: Api, method: str, query: str, word: str
) -> None:
    if method != "POST":
        api.store_one("k", 1, ttl=100)
    body = {"increment": 1} if method == "PATCH" else {"value": 2}
    answer = api.call(method, entry("k"), body=body, query=query)
    assert answer.status == 400
    assert word in answer.message
    assert api.status("k") == (404 if method == "POST" else 200)
    if method != "POST":
        assert api.value("k") == 1


def test_the_null_of_a_body_wins_over_the_query(api: Api) -> None:
    api.call("POST", ALL, body={"key": "k", "value": 1, "ttl": None}, query="ttl=500")
    assert api.store.lifetime("k") == pytest.approx(DEFAULT_SECONDS, abs=30)
