"""Keys: which bytes of the path are the key, and which keys a backend takes."""

from __future__ import annotations

import json
import socket
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.client import ALL, Api, LiveApi, entry

PATHS = [
    ("a/b", "a/b"),
    ("a%2Fb", "a/b"),
    ("a%2fb", "a/b"),
    ("a//b", "a//b"),
    ("a/b/", "a/b/"),
    ("/a", "/a"),
    ("//a", "//a"),
    ("%2Fa", "/a"),
    ("/", "/"),
    ("a%252Fb", "a%2Fb"),
    ("%25", "%"),
    ("100%", "100%"),
    ("%zz", "%zz"),
    ("a+b", "a+b"),
    ("a%2Bb", "a+b"),
    (".", "."),
    ("..", ".."),
    ("a/../b", "a/../b"),
    ("./a", "./a"),
    ("%2E%2E/a", "../a"),
    ("a%3Fb", "a?b"),
    ("a%23b", "a#b"),
    ("a;b=c", "a;b=c"),
    ("a,b", "a,b"),
    ("user:1", "user:1"),
    ("%F0%9F%90%98", "🐘"),
    ("%C3%A9", "é"),
    ("e%CC%81", "e\u0301"),
    ("%EF%BB%BFa", "\ufeffa"),
    ("a%5Cb", "a\\b"),
    ("%22", '"'),
    ("<script>", "<script>"),
    ("%C2%85", "\x85"),
    ("%E2%80%A8", "\u2028"),
    ("keys", "keys"),
    ("docs", "docs"),
]
CONTROLS = [
    ("%0A", "\n"),
    ("a%0Ab", "a\nb"),
    ("a%0A", "a\n"),
    ("%00", "\x00"),
    ("a%0D%0Ab", "a\r\nb"),
    ("a%20b", "a b"),
    ("%20", " "),
    ("%09", "\t"),
    ("a%7F", "a\x7f"),
]


def check_all_methods(api: Api, path: str, key: str) -> None:
    """The key of the path is the key of a body, for every method."""
    path = f"{ALL}/{path}"
    api.store_one(key, "by body")
    read = api.call("GET", path)
    assert (read.status, read.json) == (200, {"key": key, "value": "by body"})
    assert api.call("PUT", path, body={"value": "by path"}).json["key"] == key
    assert api.call("GET", ALL, query=f"key={quote(key, safe='')}").json["resource"] == [
        {"key": key, "value": "by path"}
    ]
    assert api.call("PATCH", path, body={"ttl": 60}).status == 200
    assert api.call("DELETE", path).status == 200
    assert api.call("POST", path, body={"value": 1}).status == 201
    assert api.value(key) == 1


@pytest.mark.parametrize(("path", "key"), PATHS)
def test_the_rest_of_the_path_decoded_once_is_the_key(api: Api, path: str, key: str) -> None:
    check_all_methods(api, path, key)


@pytest.mark.parametrize(("path", "key"), CONTROLS)
def test_white_space_and_control_characters_belong_to_a_key(api: Api, path: str, key: str) -> None:
    check_all_methods(api, path, key)


def test_keys_that_look_alike_are_different(api: Api) -> None:
    keys = ["a/b", "a//b", "a%2Fb", "/a/b", "a/b/", "A/b", "a+b", "a%b", "é", "e\u0301", "./a/b"]
    for key in keys:
        api.store_one(key, key)
    assert [api.value(key) for key in keys] == keys


@pytest.mark.parametrize("path", ["%FF", "a%C3", "%C0%80", "%ED%A0%80", "%F8%88%80%80%80"])
def test_a_path_that_is_not_utf8_is_refused(api: Api, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        body = {"value": 1} if method in ("POST", "PUT") else None
        answer = api.call(method, f"{ALL}/{path}", body=body)
        assert answer.status == 400, method
        if method != "HEAD":
            assert answer.message == "The path is not valid UTF-8."


@pytest.mark.parametrize("query", ["keys=%FF", "key=a%C3", "keys=%ED%A0%80"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_query_that_is_not_utf8_is_refused(api: Api, method: str, query: str) -> None:
    api.store_one("k", 1)
    answer = api.call(method, ALL, query=query)
    assert answer.status == 400
    assert answer.message == "The query is not valid UTF-8."
    assert api.value("k") == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_empty_key_is_refused_and_flushes_nothing(api: Api, method: str) -> None:
    api.store_one("k", 1)
    body = {"GET": None, "DELETE": None, "PATCH": {"ttl": 1}}.get(method, {"value": 1})
    answer = api.call(method, f"{ALL}/", body=body)
    assert answer.status == 400
    assert answer.message == "A key may not be empty."
    assert api.value("k") == 1


LIMITS = {"file": 1024, "memcached": 250}


@pytest.mark.parametrize("character", ["k", "é", "🐘"])
def test_a_key_may_be_as_long_as_the_limit_in_bytes(short_key_api: Api, character: str) -> None:
    api, limit = short_key_api, LIMITS[short_key_api.driver]
    size = len(character.encode())
    key = character * (limit // size) + "k" * (limit % size)
    api.store_one(key, "fits")
    assert api.value(key) == "fits"
    assert api.call("DELETE", entry(key)).status == 200


@pytest.mark.parametrize("character", ["k", "é", "🐘"])
def test_a_key_over_the_limit_is_refused_and_the_limit_named(
    short_key_api: Api, character: str
) -> None:
    api, limit = short_key_api, LIMITS[short_key_api.driver]
    size = len(character.encode())
    key = character * (limit // size) + "k" * (limit % size + 1)
    answers = [
        api.call("GET", entry(key)),
        api.call("DELETE", entry(key)),
        api.call("POST", entry(key), body={"value": 1}),
        api.call("POST", ALL, body={"key": key, "value": 1}),
        api.call("POST", ALL, {"X-HTTP-Method": "GET"}, {"resource": [key]}),
    ]
    for answer in answers:
        assert answer.status == 400
        assert f"{limit + 1} bytes" in answer.message
        assert f"at most {limit}" in answer.message


@pytest.mark.parametrize("key", [5, None, True, ["a"], {"a": 1}, 1.5, ""])
def test_a_key_in_a_body_is_text(api: Api, key: object) -> None:
    answer = api.call("POST", ALL, body={"resource": [{"key": key, "value": 1}]})
    assert answer.status == 400
    (detail,) = answer.error["context"]["errors"]
    assert (detail["index"], detail["field"]) == (0, "key")


def test_a_plus_in_a_query_is_a_space(listing_api: Api) -> None:
    listing_api.store_one("a b", 1)
    assert listing_api.call("GET", ALL, query="keys=a+b").json["resource"] == [
        {"key": "a b", "value": 1}
    ]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(keys=st.lists(st.text(min_size=1, max_size=40).filter(str.strip), max_size=5, unique=True))
@pytest.mark.parametrize("kind", ["file_app", "file_live", "redis_app", "cluster_app"])
def test_any_text_is_a_key_of_the_file_and_of_redis(
    request: pytest.FixtureRequest, kind: str, keys: list[str]
) -> None:
    api: Api = request.getfixturevalue(kind)
    for key in keys:
        api.store_one(key, key)
    assert [api.value(key) for key in keys] == keys
    listed = api.call("POST", ALL, {"X-HTTP-Method": "GET"}, {"resource": keys or ["none"]})
    assert [item["key"] for item in listed.json["resource"]] == keys
    for key in keys:
        assert api.call("DELETE", entry(key)).status == 200


def test_raw_bytes_in_a_request_line_are_refused(file_live: LiveApi) -> None:
    head = b"GET /api/v2/cache/\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    key = f"X-DreamFactory-API-Key: {file_live.api_key}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", file_live.port), 10) as connection:
        connection.sendall(head + key)
        with connection.makefile("rb") as reply:
            answer = reply.read()
    assert answer.split()[1] == b"400"
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["status_code"] == 400
