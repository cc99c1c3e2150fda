"""What may be stored: RFC 9111, sections 3 and 5.2.2; each test has its section's number."""

from __future__ import annotations

import pytest

from cacheapi.responses.messages import Request, Response
from cacheapi.responses.policy import Policy
from cacheapi.responses.storing import keep, may_store, storable_fields
from tests.cacheapi.responses.simulation import START, URL, Cache, answer, date, fields, get

FRESH = "Cache-Control: max-age=60"


def reason(*lines: str, request: Request | None = None, status: int = 200) -> str | None:
    return may_store(request or get(), Response(status, fields(*lines)), now=START)


@pytest.mark.parametrize(
    "status",
    [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599],
)
def test_9111_3_any_final_status_with_stated_freshness_is_stored(status: int) -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=100", status=status)
    got = cache.ask(get())
    assert (got.cached, got.status) == (True, status)
    cache.now += 101
    assert not cache.ask(get()).cached


@pytest.mark.parametrize("status", [103, 304, 407, 412, 416, 417, 431])
def test_9111_3_what_one_requests_own_form_led_to_is_not(status: int) -> None:
    assert reason(FRESH, status=status) == "status"


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "M-SEARCH", "get"])
def test_9111_3_only_what_answers_a_get_is_stored(method: str) -> None:
    assert reason(FRESH, request=get(method=method)) == "method"


@pytest.mark.parametrize(
    ("location", "freshness", "stored"),
    [
        ("/a", date(100, "Expires"), True),
        (URL, FRESH, True),
        ("", FRESH, True),
        ("/b", FRESH, False),
        ("http://other.test/a", FRESH, False),
        ("/a", date(-999, "Last-Modified"), False),
    ],
)
def test_9110_9_3_3_a_posts_answer_is_stored_where_it_is_what_a_get_gets(
    location: str, freshness: str, stored: bool
) -> None:
    cache = Cache()
    lines = [freshness, date(0), f"Content-Location: {location}"]
    cache.put(*lines, request=get(method="POST"))
    assert cache.ask(get()).cached is stored
    assert not cache.ask(get(method="POST")).cached


@pytest.mark.parametrize(
    ("directives", "why"),
    [
        ("no-store", "no-store"),
        ("No-StOrE", "no-store"),
        ("max-age=60, no-store", "no-store"),
        ("max-age=60, no-store=x", "no-store"),
        ('ext="unterminated, no-store', "no-store"),
        ("private, max-age=60", "private"),
        ('private="", max-age=60', "private"),
        ('private="a", private, max-age=60', "private"),
        ("private =a, max-age=60", "private"),
        ("max-age=60", None),
        ("=no-store, max-age=60", None),
        ("public, max-age=60", None),
        ('private="a", max-age=60', None),
        ('ext="no-store", max-age=60', None),
    ],
)
def test_9111_5_2_2_directives_that_forbid_storing(directives: str, why: str | None) -> None:
    assert reason(f"Cache-Control: {directives}", date(500, "Expires")) == why


@pytest.mark.parametrize(
    ("status", "directives", "why"),
    [
        (200, "max-age=60, no-store, must-understand", None),
        (404, "max-age=60, must-understand", None),
        (599, "max-age=60, no-store, must-understand", "must-understand"),
        (599, "max-age=60, must-understand", "must-understand"),
        (599, "max-age=60", None),
    ],
)
def test_9111_5_2_2_3_must_understand(status: int, directives: str, why: str | None) -> None:
    assert reason(f"Cache-Control: {directives}", status=status) == why


def test_9111_5_2_1_5_a_request_may_forbid_it() -> None:
    assert reason(FRESH, request=get("Cache-Control: no-store")) == "no-store"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([FRESH], "authorization"),
        ([date(500, "Expires"), date(0)], "authorization"),
        (["Cache-Control: max-age=60, proxy-revalidate"], "authorization"),
        (["Cache-Control: max-age=60, public"], None),
        (["Cache-Control: max-age=60, must-revalidate"], None),
        (["Cache-Control: s-maxage=60"], None),
        (["CDN-Cache-Control: max-age=60, public"], None),
        (["CDN-Cache-Control: max-age=60", "Cache-Control: public"], "authorization"),
    ],
)
def test_9111_3_5_answers_to_authorization(lines: list[str], why: str | None) -> None:
    assert reason(*lines, request=get("Authorization: Basic eA==")) == why


@pytest.mark.parametrize(
    ("cookies", "names", "why"),
    [
        (["a=b"], (), "set-cookie"),
        (["a=b; Path=/"], ("a",), None),
        (["a=b", "session=1"], ("a",), "set-cookie"),
        ([" a =b"], ("a",), None),
        (["nameless"], ("a",), "set-cookie"),
        (["A=b"], ("a",), "set-cookie"),
    ],
)
def test_9111_7_3_a_cookie_is_one_persons(
    cookies: list[str], names: tuple[str, ...], why: str | None
) -> None:
    lines = [FRESH, *(f"Set-Cookie: {cookie}" for cookie in cookies)]
    policy = Policy(cookies=frozenset(names))
    assert may_store(get(), Response(200, fields(*lines)), policy, START) == why


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        ([], 200, "no-freshness"),
        (["Cache-Control: max-age=0"], 200, "no-freshness"),
        (["Cache-Control: max-age=0", 'ETag: "a"'], 200, None),
        (['ETag: "a"'], 200, None),
        (['ETag: "a"'], 201, "status"),
        (["Cache-Control: no-cache"], 200, "no-freshness"),
        (["Cache-Control: max-age=0, stale-if-error=9"], 200, None),
        (["Cache-Control: max-age=0, stale-if-error=9, no-cache"], 200, "no-freshness"),
        ([], 500, "status"),
        ([FRESH, "Vary: *"], 200, "vary-star"),
        ([FRESH], 206, "part"),
        ([FRESH, "Content-Range: bytes 0-4/*"], 206, "part"),
    ],
)
def test_9111_3_what_could_never_be_used_is_not_stored(
    lines: list[str], status: int, why: str | None
) -> None:
    assert reason(*lines, status=status) == why


def test_the_operators_windows_keep_nothing_that_the_origin_did_not_speak_of() -> None:
    policy = Policy(stale_while_revalidate=60, stale_if_error=60)
    assert may_store(get(), Response(500), policy, START) == "status"
    assert may_store(get(), Response(200), policy, START) == "no-freshness"


HOP_BY_HOP = [
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
]


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_9111_3_1_fields_of_one_hop_are_not_stored(name: str) -> None:
    cache = Cache()
    cache.put(FRESH, f"{name}: x", "c: 3")
    got = cache.ask(get())
    assert got.cached
    assert (got[name.lower()], got["c"]) == (None, "3")


def test_9111_3_1_nor_those_that_connection_names() -> None:
    cache = Cache()
    cache.put(FRESH, "Connection: a, B", "Connection: close", "a: 1", "b: 2", "c: 3")
    got = cache.ask(get())
    assert got.cached
    assert [got[name] for name in ("connection", "a", "b", "c")] == [None, None, None, "3"]


@pytest.mark.parametrize("directive", ["no-cache", "private"])
def test_9111_5_2_2_4_nor_those_that_a_directive_lists(directive: str) -> None:
    cache = Cache()
    cache.put(f'Cache-Control: {directive}="a, B"', FRESH, "a: 1", "b: 2", "c: 3")
    got = cache.ask(get())
    assert got.cached
    assert [got[name] for name in ("a", "b", "c")] == [None, None, "3"]


@pytest.mark.parametrize(
    "line",
    [
        "Test-Header: x",
        "Content-Foo: x",
        "Content-Encoding: x",
        "Content-Location: /foo",
        "Content-MD5: rL0Y20zC+Fzt72VPzMSk2A==",
        "Content-Range: x",
        "Content-Security-Policy: default-src 'self'",
        "Content-Type: text/plain;charset=utf-8",
        "Clear-Site-Data: cookies",
        'ETag: "abc"',
        "Expires: Mon, 11 Jan 2038 11:11:11 GMT",
        "Public-Key-Pins: x",
        "Set-Cookie2: a=b",
        "X-Frame-Options: sameorigin",
        "WWW-Authenticate: Basic",
        "CDN-Cache-Control: max-age=60",
    ],
)
def test_9111_3_1_all_other_fields_are(line: str) -> None:
    response = Response(200, fields(FRESH, line))
    assert fields(line)[0] in storable_fields(response)


def test_9110_6_6_1_a_response_without_a_date_gets_one() -> None:
    cache = Cache()
    cache.put(FRESH)
    cache.now += 5
    assert cache.ask(get())["date"] == date(0)[6:]


def test_9111_3_1_the_length_is_of_the_body_that_came() -> None:
    cache = Cache()
    cache.put(FRESH, "Content-Length: 10")
    assert cache.ask(get())["content-length"] == "10"


@pytest.mark.parametrize(
    ("label", "length", "last"),
    [
        ("bytes 4-9/10", 6, 9),
        ("bytes 4-9/10", 5, 8),
        ("bytes 4-9/10", 7, None),
        ("bytes 4-9/10", 0, None),
        ("bytes 9-4/10", 6, None),
        ("bytes 4-10/10", 6, None),
    ],
)
def test_9111_3_3_a_part_is_the_bytes_that_came(label: str, length: int, last: int | None) -> None:
    response = Response(206, fields(FRESH, f"Content-Range: {label}"))
    stored = keep(get(), response, START, START, length)
    part = stored and stored.part
    assert (part and part.last) == last


def test_9111_3_an_older_response_stays_where_a_newer_one_is_not_stored() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=100", "a: 1")
    cache.ask(get("Cache-Control: no-cache"), answer("Cache-Control: no-store", "a: 2"))
    assert cache.ask(get())["a"] == "1"


def test_9111_3_negative_answers_are_answers() -> None:
    cache = Cache(Policy(ttl=30))
    cache.put(status=404, body=b"none")
    got = cache.ask(get())
    assert (got.cached, got.status, got.body) == (True, 404, b"none")
