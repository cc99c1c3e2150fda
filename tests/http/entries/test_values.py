"""Values: whatever JSON goes in comes back equal, and what others stored is readable."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.client import ALL, Api, entry

JSON_TEXTS = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "1.0",
    "1e5",
    "1E+2",
    "0.1",
    "5e-324",
    "1.7976931348623157e308",
    "0.1000000000000000055511151231257827",
    "9007199254740993",
    "18446744073709551616",
    "-" + "9" * 400,
    "7" * 5000,
    '""',
    '"text"',
    '" "',
    '"\\u0000"',
    '"\\ud83d\\ude00"',
    '"🐘"',
    '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    '"null"',
    "[]",
    "{}",
    "[[],{}]",
    '{"a":{"b":[1,2.5,null,true,"x"]},"":0}',
    '{"b":1,"a":2}',
    '{"value":{"value":"value"}}',
    "[" * 500 + "]" * 500,
]


def shorten(text: str) -> str:
    return text[:30]


def stored_text(answer_body: bytes) -> bytes:
    """Return the text of the value in an answer to a read of the key ``k``."""
    head = b'{"key":"k","value":'
    assert answer_body.startswith(head)
    return answer_body[len(head) : -1]


@pytest.mark.parametrize("text", JSON_TEXTS, ids=shorten)
def test_a_value_comes_back_to_the_letter_by_every_way(api: Api, text: str) -> None:
    raw = text.encode()
    ways = [
        ("POST", ALL, b'{"resource":[{"key":"k","value":%s}]}'),
        ("POST", ALL, b'{"key":"k","value":%s}'),
        ("PUT", entry("k"), b'{"value":%s}'),
        ("POST", entry("k"), b'{"value":%s}'),
    ]
    for method, path, body in ways:
        if (method, path) == ("POST", entry("k")):
            api.call("DELETE", path)
        assert api.call(method, path, body=body % raw).status in (200, 201)
        assert stored_text(api.call("GET", entry("k")).body) == raw
        assert api.call("GET", ALL, query="keys=k").body == (
            b'{"resource":[{"key":"k","value":%s}],"meta":{"missing":[]}}' % raw
        )


@pytest.mark.parametrize("space", [" ", "\n", "\t", "\r\n  "], ids=repr)
def test_white_space_around_a_value_is_not_the_value(api: Api, space: str) -> None:
    body = f'{space}{{{space}"key"{space}:{space}"k"{space},"value"{space}:{space}[1, 2]{space}}}'
    assert api.call("POST", ALL, body=body.encode() + space.encode()).status == 201
    assert stored_text(api.call("GET", entry("k")).body) == b"[1, 2]"


def test_a_stored_null_is_a_hit(api: Api) -> None:
    api.store_one("k", None)
    assert api.call("GET", entry("k")).json == {"key": "k", "value": None}
    assert api.call("GET", ALL, query="keys=k").json["meta"] == {"missing": []}
    assert api.call("POST", entry("k"), body={"value": 1}).status == 400
    assert api.call("PUT", entry("k"), body={"value": None}).status == 200
    assert api.call("DELETE", entry("k")).status == 200


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=json_values, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 3]))
@pytest.mark.parametrize("kind", ["file_app", "memcached_app", "file_live", "memcached_live"])
def test_any_json_value_comes_back_equal(
    request: pytest.FixtureRequest, kind: str, value: Any, ascii_only: bool, indent: int | None
) -> None:
    api: Api = request.getfixturevalue(kind)
    body = json.dumps({"key": "k", "value": value}, ensure_ascii=ascii_only, indent=indent)
    assert api.call("POST", ALL, body=body.encode()).status == 201
    back = api.value("k")
    assert back == value
    assert repr(back) == repr(value)


FOREIGN = [
    (b'{"a": 1}', {"a": 1}),
    (b" [1]\n", [1]),
    (b"42", 42),
    (b"null", None),
    (b'"json"', "json"),
    (b"plain text", "plain text"),
    ("ünï 🐘".encode(), "ünï 🐘"),
    (b"", ""),
    (b"NaN", "NaN"),
    (b"{broken", "{broken"),
    (b"[1,]", "[1,]"),
    (b'say "hi"\\ \t\r\n', 'say "hi"\\ \t\r\n'),
    (b"\xef\xbb\xbf{}", "\ufeff{}"),
    (b"True", "True"),
    (b'O:8:"stdClass":0:{}', 'O:8:"stdClass":0:{}'),
]


@pytest.mark.parametrize(("planted", "value"), FOREIGN)
def test_what_another_program_stored_as_text(api: Api, planted: bytes, value: Any) -> None:
    api.store.plant("k", planted)
    answer = api.call("GET", entry("k"))
    assert (answer.status, answer.json) == (200, {"key": "k", "value": value})
    assert api.call("GET", ALL, query="keys=k").json["resource"] == [{"key": "k", "value": value}]


@pytest.mark.parametrize(
    "planted",
    [
        b"\xff",
        b"\x04\x08i/",
        b"\x7f",
        b"\x80\x04K\x01.",
        b"\x00\xfe" * 1000,
        "é".encode("latin-1"),
        b"\xed\xa0\x80",
    ],
)
def test_what_another_program_stored_as_bytes(api: Api, planted: bytes) -> None:
    api.store.plant("k", planted)
    expected = {"key": "k", "value": base64.b64encode(planted).decode(), "encoding": "base64"}
    assert api.call("GET", entry("k")).json == expected
    assert api.call("GET", ALL, query="keys=k").json["resource"] == [expected]
    assert api.call("GET", entry("k"), query="clear=true").json == expected


def test_what_the_service_stores_is_json_text_for_other_programs(api: Api) -> None:
    api.store_one("k", {"naïve": [1]})
    body = '{"key":"k","value":{"naïve":[1]}}'.encode()
    assert api.call("POST", ALL, body=body).status == 201
    assert api.store.get("k") == '{"naïve":[1]}'.encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"NaN", "NaN"),
        (b"Infinity", "Infinity"),
        (b"-Infinity", "-Infinity"),
        (b"1e999", "1e999"),
        (b"[-1e400]", "-1e400"),
        (b'"\\ud800"', "surrogate"),
        (b'"\\udc00\\ud800"', "surrogate"),
        (b'{"\\uDfff":1}', "surrogate"),
        (b"[" * 513 + b"]" * 513, "512 levels"),
        (b"[" * 100_000, "512 levels"),
        (b'"\xff"', "UTF-8"),
        (b"01", "not valid JSON"),
        (b"'a'", "not valid JSON"),
        (b"undefined", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[1,]", "not valid JSON"),
        (b'"a\nb"', "not valid JSON"),
        (b"+1", "not valid JSON"),
        (b".5", "not valid JSON"),
        (b"1}", "not valid JSON"),
    ],
    ids=lambda text: repr(text)[:30],
)
def test_a_value_that_is_no_json_is_refused(api: Api, text: bytes, reason: str) -> None:
    api.store_one("k", 1)
    for method, path in (("POST", ALL), ("PUT", entry("k"))):
        pair = b'{"resource":[{"key":"k","value":%s}]}' if method == "POST" else b'{"value":%s}'
        answer = api.call(method, path, body=pair % text)
        assert answer.status == 400
        assert reason in answer.message
        assert api.value("k") == 1


def test_a_deep_value_is_read_at_the_limit_of_depth(api: Api) -> None:
    depth = 512 - 1
    body = b'{"value":' + b"[" * depth + b"]" * depth + b"}"
    assert api.call("POST", entry("k"), body=body).status == 201
    assert stored_text(api.call("GET", entry("k")).body) == b"[" * depth + b"]" * depth


def test_megabytes_are_stored_on_the_file_and_on_redis(listing_api: Api) -> None:
    value = "x" * (6 * 1024 * 1024)
    listing_api.store_one("k", value)
    assert listing_api.value("k") == value


def test_a_value_too_large_for_the_backend_is_the_documented_error(memcached_api: Api) -> None:
    memcached_api.store_one("k", "old")
    answer = memcached_api.call("PUT", entry("k"), body={"value": "x" * 2_000_000})
    assert answer.status == 500
    assert answer.message.startswith("SERVER_ERROR")
    assert "Retry-After" not in answer.headers
    after = memcached_api.call("GET", entry("k"))
    assert after.status == 404 or after.json["value"] == "old"
