"""Where several things of one request are wrong: which is told first, and what else is told."""

from __future__ import annotations

import pytest

from tests.http.client import ALL, Api, entry

LARGE = 2**70
API_KEYS = "/api/v2/system/api_key"
SERVICES = "/api/v2/system/service"
OPERATIONS = (
    '{"operations":[{"get":"a"},{"touch":{"ttl":-9,"key":""}},{"op":"get","key":"a"},{},'
    f'{{"increment":{{"key":"n","by":{LARGE}}}}},{{"set":{{"value":1}}}},'
    '{"get":"a","delete":"a"}]}'
)
Place = tuple[int | None, str | None]


@pytest.mark.parametrize(
    ("method", "path", "body", "places"),
    [
        (
            "POST",
            ALL,
            '{"resource":[{"value":1,"tll":5,"ttl":-9},{"key":"a","value":1},{"x":1,"key":5},7]}',
            [(0, "tll"), (0, "ttl"), (0, "key"), (2, "x"), (2, "key"), (2, "value"), (3, None)],
        ),
        (
            "POST",
            ALL,
            '[{"key":"a","value":"eA==","encoding":"base64"},{"key":"b"}]',
            [(0, "encoding"), (1, "value")],
        ),
        (
            "POST",
            ALL,
            OPERATIONS,
            [
                *[(1, "touch.ttl"), (1, "touch.key"), (2, "op"), (2, "key"), (3, None)],
                *[(4, "increment.by"), (5, "set.key"), (6, None)],
            ],
        ),
        ("PUT", entry("a"), '{"x":1,"ttl":-9}', [(None, "x"), (None, "ttl"), (None, "value")]),
        ("POST", entry("a"), '{"ttl":-9,"x":1}', [(None, "ttl"), (None, "x"), (None, "value")]),
        (
            "PATCH",
            entry("a"),
            '{"initial":"a","ttl":1.5,"increment":null}',
            [(None, "initial"), (None, "ttl"), (None, "increment")],
        ),
        ("PATCH", entry("a"), f'{{"increment":{LARGE}}}', [(None, "increment")]),
        ("PATCH", entry("a"), f'{{"increment":1,"initial":{LARGE}}}', [(None, "initial")]),
        (
            "POST",
            API_KEYS,
            '{"rules":[{"x":1,"verbs":["GOT"]},{"verbs":[],"service":"*"}],"expires":5,"y":1}',
            [
                *[(0, "rules.0.x"), (0, "rules.0.verbs.0"), (0, "rules.0.service")],
                *[(0, "expires"), (0, "y"), (0, "name")],
            ],
        ),
        (
            "POST",
            SERVICES,
            '{"resource":[{"config":{"maxmb":1,"max_mb":"x"},"type":"cache_local","name":"A b"}]}',
            [(0, "config.maxmb"), (0, "config.max_mb"), (0, "name")],
        ),
        (
            "POST",
            SERVICES,
            '{"resource":[{"label":5,"typ":"cache_local","name":7}]}',
            [(0, "label"), (0, "typ"), (0, "name"), (0, "type")],
        ),
        # Names with a point in them are made up, too.
        (
            "POST",
            SERVICES,
            '{"resource":[{"a.b":1,"name":"q","":1,"type":"cache_local",".":1}]}',
            [(0, "a.b"), (0, ""), (0, ".")],
        ),
        (
            "POST",
            SERVICES,
            '{"resource":[{"config":{"x.y":1,"":1},"name":"q","type":"cache_local"}]}',
            [(0, "config.x.y"), (0, "config.")],
        ),
        (
            "POST",
            API_KEYS,
            '{"a.b":1,"name":"n","rules":[{"service":"*","x.y":1,"verbs":["GET"]}]}',
            [(0, "a.b"), (0, "rules.0.x.y")],
        ),
    ],
)
def test_all_faults_of_a_body_are_listed_in_its_order_and_the_first_is_the_message(
    api: Api, method: str, path: str, body: str, places: list[Place]
) -> None:
    answer = api.call(method, path, body=body.encode())
    assert answer.status == 400, answer
    errors = answer.error["context"]["errors"]
    assert [(error["index"], error["field"]) for error in errors] == places
    first = errors[0]
    assert answer.message.endswith(first["message"])
    if first["field"] is not None:
        assert f"{first['field']}: " in answer.message
    assert api.status("a") == 404


WRONG = {"If-Match": "no tag"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "word"),
    [
        # What is wrong with a request from the outside in: each case has one thing less.
        ("POST", "/api/v2/nothing", "ttl=x", WRONG, {"x": 1}, "Service 'nothing'"),
        ("POST", ALL, "ttl=x", WRONG, {"x": 1}, "If-Match"),
        ("POST", ALL, "ttl=x", {}, {"x": 1}, "The lifetime must be"),
        ("POST", ALL, "", {}, {"x": 1}, "The body must be"),
        ("DELETE", "/api/v2/nothing", "prefx=a", WRONG, {"x": 1}, "Service 'nothing'"),
        ("DELETE", ALL, "prefx=a", WRONG, {"x": 1}, "If-Match"),
        ("DELETE", ALL, "prefx=a", {}, {"x": 1}, "'prefix'"),
        ("DELETE", ALL, "", {}, {"x": 1}, "The body must be"),
        ("PUT", "/api/v2/nothing/a", "ttl=x", WRONG, {"x": 1}, "Service 'nothing'"),
        ("PUT", entry("a"), "ttl=x", WRONG, {"x": 1}, "If-Match"),
        ("PUT", entry("a"), "ttl=x", {}, {"x": 1}, "The lifetime must be"),
        ("PUT", entry("a"), "", {}, {"x": 1}, "x: Unknown field"),
        ("PATCH", entry("a"), "ttl=x", WRONG, {"x": 1}, "If-Match"),
        ("PATCH", entry("a"), "ttl=x", {}, {"x": 1}, "The lifetime must be"),
        ("GET", entry("a"), "tttl=1", WRONG, None, "If-Match"),
        ("GET", entry("a"), "tttl=1", {}, None, "'ttl'"),
        ("GET", ALL, "prefx=1", WRONG, None, "If-Match"),
        ("DELETE", entry("a"), "tttl=1", WRONG, None, "If-Match"),
    ],
)
def test_of_faults_of_different_kinds_the_outermost_is_told(
    file_api: Api,
    method: str,
    path: str,
    query: str,
    headers: dict[str, str | None],
    body: object,
    word: str,
) -> None:
    answer = file_api.call(method, path, query=query, headers=headers, body=body)
    assert word in answer.message
