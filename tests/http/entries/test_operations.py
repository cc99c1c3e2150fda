"""Several different operations in one request: order, outcomes, rights, faults, bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import Unavailable
from cacheapi.web import performing
from tests.http.client import ALL, Answer, Api, AppApi, FileStore
from tests.http.conftest import make_app_api
from tests.http.entries.test_lists import key_with
from tests.support.processes import free_port


def perform(api: Api, *operations: Any, **more: Any) -> Answer:
    return api.call("POST", ALL, body={"operations": list(operations)}, **more)


def outcomes(api: Api, *operations: Any, **more: Any) -> list[dict[str, Any]]:
    answer = perform(api, *operations, **more)
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.json["resource"]
    return found


def done(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "success": True, **more}


def refused(key: str, code: int, message: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "success": False, "code": code, "message": message, **more}


def test_every_operation_has_its_outcome_in_order(api: Api) -> None:
    api.store_one("a", {"x": [1, None]})
    api.store_one("b", "old")
    assert outcomes(
        api,
        {"get": "a"},
        {"set": {"key": "b", "value": 1, "ttl": 60}},
        {"increment": {"key": "n", "by": 5, "initial": 3, "ttl": 60}},
        {"increment": {"key": "n"}},
        {"delete": "b"},
        {"add": {"key": "c", "value": None, "ttl": 60}},
        {"replace": {"key": "c", "value": "now"}},
        {"touch": {"key": "c", "ttl": 1000}},
        {"exists": "c"},
        {"pull": "c"},
        {"exists": "c"},
    ) == [
        done("a", value={"x": [1, None]}, exists=True),
        done("b"),
        done("n", value=3),
        done("n", value=4),
        done("b", exists=True),
        done("c"),
        done("c"),
        done("c"),
        done("c", exists=True),
        done("c", value="now", exists=True),
        done("c", exists=False),
    ]
    assert [api.status(key) for key in ("a", "b", "c", "n")] == [200, 404, 404, 200]


def test_operations_on_one_key_are_done_in_order(api: Api) -> None:
    found = outcomes(
        api,
        {"get": "k"},
        *[
            each
            for number in range(40)
            for each in ({"set": {"key": "k", "value": number}}, {"get": "k"}, {"delete": "k"})
        ],
        {"get": "k"},
    )
    assert found[0] == found[-1] == done("k", exists=False)
    assert [one["value"] for one in found[2:-1:3]] == list(range(40))


def test_what_is_absent_or_there_already_says_so(api: Api) -> None:
    api.store_one("there", "text")
    absent = "Key 'k' does not exist."
    found = outcomes(
        api,
        {"get": "k"},
        {"pull": "k"},
        {"exists": "k"},
        {"delete": "k"},
        {"replace": {"key": "k", "value": 1}},
        {"touch": {"key": "k", "ttl": 9}},
        {"increment": {"key": "k", "by": -1}},
        {"add": {"key": "there", "value": 1}},
        {"increment": {"key": "there"}},
        {"get": "there"},
    )
    assert found[:8] == [
        *[done("k", exists=False)] * 4,
        *[refused("k", 404, absent, exists=False)] * 2,
        refused("k", 404, f"{absent} With initial, a count makes it.", exists=False),
        refused("there", 400, "Key 'there' exists already.", exists=True),
    ]
    assert (found[8]["success"], found[8]["code"]) == (False, 400)
    assert "whole number" in found[8]["message"] or "integer" in found[8]["message"]
    assert found[9] == done("there", value="text", exists=True)


def test_a_key_may_be_read_many_times(api: Api) -> None:
    keys = [f"k{number}" for number in range(600)]
    some = [{"set": {"key": key, "value": key * 20}} for key in keys]
    assert outcomes(api, *some) == [done(key) for key in keys]
    found = outcomes(api, *[{"get": key} for key in [*keys, *keys]])
    assert [one["value"] for one in found] == [key * 20 for key in [*keys, *keys]]
    pulled = outcomes(api, *[{"pull": key} for key in keys], *[{"exists": key} for key in keys])
    assert [one.get("value") for one in pulled[:600]] == [key * 20 for key in keys]
    assert not any(one["exists"] for one in pulled[600:])


@pytest.mark.parametrize("query", ["ttl=1000", "forever=true"])
def test_a_lifetime_of_the_query_is_for_those_that_bring_none(api: Api, query: str) -> None:
    stored = [{name: {"key": name, "value": 1}} for name in ("set", "add")]
    counted = {"increment": {"key": "n", "initial": 1}}
    own = {"set": {"key": "own", "value": 1, "ttl": 100}}
    outcomes(api, *stored, counted, own, query=query)
    outcomes(api, {"touch": {"key": "own", "ttl": 200}}, {"touch": {"key": "add"}}, query=query)
    for key in ("set", "add", "n"):
        left = api.store.lifetime(key)
        assert left is None if query == "forever=true" else left is not None and 900 < left < 1003
    left = api.store.lifetime("own")
    assert left is not None
    # memcached has two seconds more.
    assert 100 < left < 203


@pytest.mark.parametrize(
    ("item", "field", "word"),
    [
        ({}, None, "It must have one of get, pull, exists"),
        ({"get": "a", "delete": "a"}, None, "more than one operation"),
        ({"fetch": "a"}, "fetch", "Unknown field"),
        ({"get": ""}, "get", "may not be empty"),
        ({"get": 1}, "get", "the key itself, a string"),
        ({"get": {"key": "a", "ttl": True}}, "get", "told by GET with ttl=true"),
        ({"delete": ["a"]}, "delete", "the key itself, a string"),
        ({"set": "a"}, "set", "must be an object"),
        ({"set": None}, "set", "may not be null"),
        ({"set": {"key": 5, "value": 1}}, "set.key", "must be a string"),
        ({"set": {"key": "", "value": 1}}, "set.key", "may not be empty"),
        ({"set": {"key": "a"}}, "set.value", "must be given"),
        ({"set": {"value": 1}}, "set.key", "must be given"),
        ({"set": {"key": "a", "value": 1, "ttl": -5}}, "set.ttl", "The lifetime must be"),
        ({"add": {"key": "a", "value": 1, "tll": 5}}, "add.tll", "Unknown field"),
        ({"replace": {"key": "a", "value": "eA==", "encoding": "base64"}}, "replace.encoding", ""),
        ({"touch": {"key": "a"}}, "touch.ttl", "must be given"),
        ({"increment": {"key": "a", "by": 1.5}}, "increment.by", "must be a whole number"),
        ({"increment": {"key": "a", "by": 2**70}}, "increment.by", "counts by at most"),
        ({"increment": {"key": "a", "initial": 2**70}}, "increment.initial", "counts from"),
        ("get", None, "must be an object"),
    ],
)
def test_a_bad_item_is_named_and_nothing_is_done(
    api: Api, item: Any, field: str | None, word: str
) -> None:
    answer = perform(api, {"set": {"key": "a", "value": 1}}, item, {"get": "a"}, item)
    assert answer.status == 400
    errors = answer.error["context"]["errors"]
    assert [error["index"] for error in errors] == [1, 3]
    assert errors[0]["field"] == field
    assert word in errors[0]["message"]
    assert answer.message.startswith("Item 1: ")
    assert api.status("a") == 404


@pytest.mark.parametrize(
    "operation",
    [
        *[{name: {"key": "", "value": 1}} for name in ("set", "add", "replace")],
        {"touch": {"key": "", "ttl": 5}},
        {"increment": {"key": "", "initial": 0}},
        *[{name: ""} for name in ("get", "pull", "exists", "delete")],
    ],
)
def test_a_key_is_checked_before_the_cache_is_asked(
    short_key_api: Api, operation: dict[str, Any]
) -> None:
    ((name, what),) = operation.items()
    key = "x" * 1025
    item = {name: what | {"key": key} if what else key}
    answer = perform(short_key_api, {"set": {"key": "a", "value": 1}}, item)
    assert answer.status == 400
    (fault,) = answer.error["context"]["errors"]
    assert (fault["index"], fault["field"]) == (1, f"{name}.key" if what else name)
    assert "bytes long" in fault["message"]
    assert short_key_api.status("a") == 404


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"operations": []}, "operations is empty"),
        ({"operations": {"get": "a"}}, "The body must be"),
        ({"operations": [{"get": "a"}], "resource": []}, "no other member"),
        ({"resource": [], "operations": [{"get": "a"}]}, "no other member"),
        ({"x": 1, "operations": [{"get": "a"}]}, "no other member"),
        ({"operation": [{"get": "a"}]}, "Did you mean 'operations'?"),
        ({"ops": [{"get": "a"}]}, '{"operations": [{"get": …}'),
        ({}, '{"operations": [{"get": …}'),
        ([{"get": "a"}], '{"operations": [{"get": …}'),
        (b'{"operations": [{"get": "a"}]', "not valid JSON"),
        (b'{"operations": [{"set": {"key": "a", "value": NaN}}]}', "NaN"),
    ],
)
def test_a_body_of_another_shape_is_refused(api: Api, body: Any, word: str) -> None:
    answer = api.call("POST", ALL, body=body)
    assert answer.status == 400
    assert word in answer.message


def test_the_name_may_be_written_in_any_way_of_json(api: Api) -> None:
    answer = api.call("POST", ALL, body=b' {\n"\\u006fperations": [{"exists": "a"}]}')
    assert (answer.status, answer.json["resource"]) == (200, [done("a", exists=False)])
    answer = api.call("POST", ALL, body=b'{"k\\u0065y": "a", "value": "operations"}')
    assert answer.status == 201


def test_values_come_back_as_they_were_sent(api: Api) -> None:
    text = b'[123456789012345678901234567890,1.0,1e5,"\\u00e9",{"value":{"value":1}}]'
    body = b'{"operations":[{"set":{"key":"a","value":%b}},{"get":"a"}]}' % text
    answer = api.call("POST", ALL, body=body)
    assert text in answer.body
    assert answer.status == 200


def test_what_is_stored_may_have_tags(api: Api) -> None:
    tagged = {"value": 1, "tags": ["red"]}
    api.store_one("r", 0)
    found = outcomes(
        api,
        {"set": {"key": "s", **tagged}},
        {"add": {"key": "a", **tagged}},
        {"replace": {"key": "r", **tagged}},
        {"set": {"key": "plain", "value": 1, "tags": None}},
        {"get": "s"},
    )
    assert [one["success"] for one in found] == [True] * 5
    assert found[4]["value"] == 1
    assert api.call("DELETE", ALL, query="tag=red").status == 200
    found = outcomes(api, *[{"exists": key} for key in ("s", "a", "r", "plain")])
    assert [one["exists"] for one in found] == [False, False, False, True]
    # Where nothing is asked, too.
    assert outcomes(api, {"set": {"key": "s", **tagged}})[0]["success"]
    assert api.call("DELETE", ALL, query="tag=red").status == 200
    assert api.call("GET", f"{ALL}/s").status == 404


def test_each_operation_needs_its_own_right(api: Api) -> None:
    api.store_one("a", 1)
    reader = key_with(api, {"service": "cache", "verbs": ["GET"], "keys": "a*"})
    assert outcomes(api, {"get": "a"}, {"exists": "ab"}, headers=reader)[0]["value"] == 1
    for item, verb, key in (
        ({"set": {"key": "a", "value": 2}}, "POST", "a"),
        ({"add": {"key": "a2", "value": 2}}, "POST", "a2"),
        ({"replace": {"key": "a", "value": 2}}, "PUT", "a"),
        ({"touch": {"key": "a", "ttl": 2}}, "PATCH", "a"),
        ({"increment": {"key": "a"}}, "PATCH", "a"),
        ({"delete": "a"}, "DELETE", "a"),
        ({"pull": "a"}, "DELETE", "a"),
        ({"get": "b"}, "GET", "b"),
        ({"get": "cacheapi:rate:a"}, "GET", "cacheapi:rate:a"),
    ):
        answer = perform(api, {"get": "a"}, item, {"get": "c"}, headers=reader)
        assert answer.status == 403
        assert answer.message == (
            f"This API key may not {verb} the key '{key}' of service 'cache'."
        )
    assert api.value("a") == 1
    # What tells a value needs the right to read it.
    counter = key_with(api, {"service": "cache", "verbs": ["PATCH", "DELETE"]})
    assert outcomes(api, {"increment": {"key": "a"}}, headers=counter) == [done("a", value=2)]
    for item in ({"increment": {"key": "a", "by": 0}}, {"pull": "a"}, {"exists": "a"}):
        answer = perform(api, {"delete": "a"}, item, headers=counter)
        assert answer.message.startswith("This API key may not GET")
    assert api.value("a") == 2
    # Pairs are what they were to who may not store.
    answer = api.call("POST", ALL, body={"key": "a", "value": 1}, headers=counter)
    assert answer.message == "This API key may not POST any key of service 'cache'."


def test_something_of_another_type_is_one_operations_outcome(redis_api: Api) -> None:
    redis_api.store.servers.call("HSET", "cacheapi:h", "f", "v")  # type: ignore[union-attr]
    found = outcomes(
        redis_api,
        {"get": "h"},
        {"increment": {"key": "h"}},
        {"exists": "h"},
        {"set": {"key": "a", "value": 1}},
        {"get": "a"},
    )
    assert [one.get("code") for one in found] == [409, 409, None, None, None]
    assert "WRONGTYPE" in found[0]["message"]
    assert found[2:] == [done("h", exists=True), done("a"), done("a", value=1, exists=True)]


@pytest.fixture
def down_api(tmp_path: Path) -> Iterator[AppApi]:
    settings = {"MEMCACHED_HOST": "127.0.0.1", "MEMCACHED_PORT": str(free_port())}
    api = make_app_api("memcached", FileStore(tmp_path), tmp_path, **settings)
    yield api
    api.close()


def test_a_cache_that_is_away_is_told_of_each(down_api: AppApi) -> None:
    answer = perform(down_api, {"get": "a"}, {"set": {"key": "b", "value": 1}}, {"delete": "b"})
    assert (answer.status, answer.headers["Retry-After"]) == (500, "1")
    found = answer.error["context"]["resource"]
    assert [(one["key"], one["success"], one["code"]) for one in found] == [
        ("a", False, 500),
        ("b", False, 500),
        ("b", False, 500),
    ]
    assert found[1]["message"].startswith("Not tried")
    # To others without where it is.
    writer = key_with(down_api, {"service": "cache", "verbs": ["GET", "POST", "DELETE"]})
    answer = perform(down_api, {"set": {"key": "b", "value": 1}}, headers=writer)
    assert "127.0.0.1" not in answer.body.decode()
    assert answer.error["context"]["resource"][0]["success"] is False


def test_what_was_taken_is_not_lost_where_a_later_one_fails(
    file_app: AppApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_app.call("DELETE", ALL)
    file_app.store_one("a", [1.0])
    service = type(file_app.app.extensions["cacheapi"].snapshot.find("cache"))
    real = service.perform
    monkeypatch.setattr(
        service,
        "perform",
        lambda self, made, most: [*real(self, made[:1], most), Unavailable("it is gone")],
    )
    answer = perform(file_app, {"pull": "a"}, {"delete": "b"})
    assert answer.status == 500
    assert answer.message == "it is gone"
    assert answer.error["context"]["resource"] == [
        done("a", value=[1.0], exists=True),
        refused("b", 500, "it is gone"),
    ]


def test_too_much_for_an_answer_is_not_read(
    file_app: AppApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "MAX_ANSWER", 30_000)
    file_app.call("DELETE", ALL)
    for key in ("a", "b", "c"):
        file_app.store_one(key, "x" * 20_000)
    # Only read: nothing was done.
    answer = perform(file_app, {"set": {"key": "d", "value": 1}}, {"get": "a"}, {"get": "a"})
    assert answer.status == 400
    assert "ask for fewer at once" in answer.message
    assert file_app.status("d") == 404
    # One alone is always told.
    monkeypatch.setattr(performing, "MAX_ANSWER", 1000)
    assert outcomes(file_app, {"get": "a"})[0]["exists"]
    # Taken: what is not is said to be there still.
    monkeypatch.setattr(performing, "MAX_ANSWER", 30_000)
    found = outcomes(file_app, *[{"pull": key} for key in ("a", "b", "c")], {"delete": "c"})
    assert [one["success"] for one in found] == [True, True, False, False]
    assert found[2]["message"].startswith("Not tried: the values before it")
    assert [file_app.status(key) for key in ("a", "b", "c")] == [404, 404, 200]


def test_more_than_a_batch_may_have_is_refused(
    file_app: AppApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(file_app.app.config, "CACHEAPI_MAX_BATCH", 3)
    full = {"increment": {"key": "n", "by": 1, "initial": 1, "ttl": 60}}
    assert perform(file_app, *[full] * 3).status == 200
    answer = perform(file_app, *[full] * 4)
    assert answer.status == 400
    assert "more than 3 items" in answer.message
    assert perform(file_app, *[full] * 400).message == answer.message


def test_a_condition_is_refused(api: Api) -> None:
    answer = perform(api, {"delete": "a"}, headers={"If-Match": '"x"'})
    assert answer.status == 400
    assert "condition on one key" in answer.message
    assert api.status("a") == 404
