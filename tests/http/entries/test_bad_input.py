"""Bad input: refused with a reason, and the service goes on."""

from __future__ import annotations

import contextlib
import http.client
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.client import ALL, Answer, Api, LiveApi, entry


def check_refused_and_alive(api: Api, answer: Answer, *, key: str = "k") -> None:
    assert answer.status == 400, answer
    assert answer.message
    assert api.status(key) == 404
    assert api.value("there") == "still"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"}",
        b"[",
        b"nonsense",
        b'{"key":"k","value":1',
        b'{"key":"k","value":1}}',
        b'{"key":"k","value":1}{"key":"l","value":2}',
        b'{"key":"k" "value":1}',
        b'{"key":"k","value":1,}',
        b'{"key":"k","value"}',
        b'{"key":"k","value":}',
        b'{key:"k","value":1}',
        b"{'key':'k','value':1}",
        b'{"key":"k","value":1}\x00',
        b'\xef\xbb\xbf{"key":"k","value":1}',
        '{"key":"k","value":1}'.encode("utf-16"),
        b'{"key":"k","value":"\xff"}',
        b'{"key":"\\ud800","value":1}',
        b'{"key":"k","value":1,"ttl":NaN}',
        b'{"key":"k","value":1,"ttl":1e999}',
        b'{"key":"k","value":1,"ttl":Infinity}',
        b'{"key":"k","value":1,"x":' + b"[" * 600 + b"]" * 600 + b"}",
        b"[" * 200_000,
        b"key=k&value=1",
        b" ",
        b"\x00",
    ],
    ids=lambda body: repr(body)[:40],
)
def test_a_body_that_is_no_json_is_refused(api: Api, body: bytes) -> None:
    api.store_one("there", "still")
    check_refused_and_alive(api, api.call("POST", ALL, body=body))


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        [],
        1,
        True,
        "k",
        {"resource": []},
        {"resource": None},
        {"resource": {}},
        {"resource": {"key": "k", "value": 1}},
        {"resource": "k"},
        {"resource": [None]},
        {"resource": [[]]},
        {"resource": [[{"key": "k", "value": 1}]]},
        {"resource": [{"key": "k", "value": 1}], "ttl": 5},
        {"resource": [{"key": "k", "value": 1}], "key": "k", "value": 1},
        {"resource": ["k"]},
        {"key": "k"},
        {"value": 1},
        {"key": "k", "value": 1, "TTL": 5},
        {"key": "k", "value": 1, "": 5},
        {"key": "k", "value": 1, "resource": None},
        {"k": 1},
    ],
    ids=str,
)
def test_a_body_of_the_wrong_shape_is_refused(api: Api, body: Any) -> None:
    api.store_one("there", "still")
    raw = b"null" if body is None else body
    check_refused_and_alive(api, api.call("POST", ALL, body=raw))


@pytest.mark.parametrize("body", [b"null", b"[]", b"{}", b"1", b'"x"', b'[{"value":1}]'])
def test_a_body_for_one_key_is_an_object_with_members(api: Api, body: bytes) -> None:
    api.store_one("there", "still")
    for method in ("POST", "PUT", "PATCH"):
        check_refused_and_alive(api, api.call(method, entry("k"), body=body))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_key_that_is_far_too_long_is_refused(short_key_api: Api, method: str) -> None:
    api = short_key_api
    api.store_one("there", "still")
    key = "x" * (300 if api.driver == "memcached" else 1025)
    body = {"value": 1} if method in ("POST", "PUT") else None
    answer = api.call(method, entry(key), body=body)
    assert answer.status == 400
    assert "bytes long" in answer.message
    assert api.value("there") == "still"


def test_of_equal_members_the_last_counts(api: Api) -> None:
    body = b'{"key":"a","key":"k","value":1,"value":{"x":1,"x":2},"ttl":"bad","ttl":60}'
    assert api.call("POST", ALL, body=body).status == 201
    assert api.call("GET", entry("k")).body == b'{"key":"k","value":{"x":1,"x":2}}'
    assert api.status("a") == 404


@pytest.mark.parametrize(
    "text", [b"NaN", b"Infinity", b"1e999", b"01", b"-", b"0x1", b"1_000", b"1.", b'"\\ud800"']
)
def test_a_number_that_is_none_is_refused(api: Api, text: bytes) -> None:
    api.store_one("k", 1)
    for member in (b"ttl", b"increment", b"initial"):
        answer = api.call("PATCH", entry("k"), body=b'{"%s":%s}' % (member, text))
        assert answer.status == 400, member
        assert api.value("k") == 1


bodies = st.binary(max_size=60) | st.text(
    alphabet='{}[]",:\\ keyvalurostl0123456789.eE+-nN\n\u00e9', max_size=60
).map(str.encode)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
    path=st.sampled_from([ALL, entry("k")]),
    body=bodies,
)
@pytest.mark.parametrize("kind", ["file_app", "memcached_live"])
def test_any_bytes_as_a_body_are_answered_in_json(
    request: pytest.FixtureRequest, kind: str, method: str, path: str, body: bytes
) -> None:
    api: Api = request.getfixturevalue(kind)
    answer = api.call(method, path, body=body)
    assert answer.status < 500
    if answer.status >= 400:
        assert answer.message


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.text(alphabet="/%.+;=:@~-_aA0Ff9 \\?&#é", max_size=30),
    query=st.text(alphabet="keys=ttl&%,+;10aFé\\#", max_size=30),
)
@pytest.mark.parametrize("kind", ["file_app", "memcached_app"])
def test_any_path_and_query_are_answered_in_json(
    request: pytest.FixtureRequest, kind: str, path: str, query: str
) -> None:
    api: Api = request.getfixturevalue(kind)
    target = "/api/v2/cache" + path.replace("?", "").replace("é", "%C3%A9")
    answer = api.call("GET", target, query=query.replace("é", "%C3%A9"))
    assert answer.status < 500
    assert answer.headers["Content-Type"] == "application/json"
    if answer.status >= 400:
        assert answer.message


def chunked(live: LiveApi, chunks: list[bytes]) -> Answer:
    """Store with a body of unannounced length."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
    headers = {"X-DreamFactory-API-Key": live.api_key, "Content-Type": "application/json"}
    with contextlib.closing(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", ALL, iter(chunks), headers, encode_chunked=True)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


@pytest.mark.parametrize("kind", ["file_live", "memcached_live"])
def test_a_chunked_body_is_read_whole_or_refused(request: pytest.FixtureRequest, kind: str) -> None:
    live: LiveApi = request.getfixturevalue(kind)
    live.call("DELETE", ALL)
    assert chunked(live, [b'{"key":"k",', b'"value":', b"1}"]).status == 201
    assert live.value("k") == 1
    too_large = chunked(live, [b'{"key":"l","value":"', *[b"x" * 65536] * 130, b'"}'])
    assert too_large.status == 413
    assert too_large.message
    assert live.status("l") == 404
