"""What RFC 9111 demands of a shared cache, where no other file here has a test of it."""

from __future__ import annotations

import itertools

import pytest

from cacheapi.responses.deciding import Complete
from cacheapi.responses.messages import Request, Response, Stored
from cacheapi.responses.policy import Policy
from cacheapi.responses.serving import pass_on
from cacheapi.responses.storing import keep
from cacheapi.responses.vary import select
from tests.cacheapi.responses.simulation import (
    START,
    URL,
    Cache,
    answer,
    cached_after,
    date,
    fields,
    get,
)

FRESH = "Cache-Control: max-age=3600"


def variant(*lines: str, asked: tuple[str, ...] = (), came: float = START) -> Stored:
    made = keep(get(*asked), Response(200, fields(FRESH, *lines)), came, came, 3)
    assert made is not None
    return made


def test_9111_4_of_several_that_fit_the_one_with_the_latest_date() -> None:
    late = variant("Vary: Foo", date(0), asked=("Foo: 1",))
    # It came later, and another cache had it for a while.
    early = variant("Vary: Bar", date(-30), asked=("Bar: 1",), came=START + 5)
    for both in itertools.permutations((late, early)):
        assert select(both, URL, fields("Foo: 1", "Bar: 1")) is late
        assert select(both, URL, fields("Bar: 1")) is early


def test_9111_4_of_several_with_one_date_the_last_to_come() -> None:
    first = variant("Vary: Foo", date(0), asked=("Foo: 1",))
    last = variant("Vary: Bar", date(0), asked=("Bar: 1",), came=START + 5)
    for both in itertools.permutations((first, last)):
        assert select(both, URL, fields("Foo: 1", "Bar: 1")) is last


@pytest.mark.parametrize("method", ["GET", "HEAD", "get", "Get"])
def test_9111_4_a_method_is_itself_alone(method: str) -> None:
    cache = Cache()
    cache.put(FRESH)
    assert cache.ask(get(method=method)).cached is (method in ("GET", "HEAD"))


@pytest.mark.parametrize("url", [URL + "?", URL + "/", URL + "?a", URL.upper()])
def test_9111_4_another_url_is_another(url: str) -> None:
    cache = Cache()
    cache.put(FRESH)
    assert not cache.ask(get(url=url)).cached


def test_9111_4_a_write_is_answered_by_the_origin_alone() -> None:
    cache = Cache()
    cache.put(FRESH)
    for method in ("POST", "PUT", "DELETE", "PATCH", "M-SEARCH"):
        got = cache.ask(get(method=method), answer("A: 1", status=500))
        assert (got.status, len(got.asked), got["a"]) == (500, 1, "1")


def test_9111_4_2_4_no_stale_answer_where_the_origin_is_gone_and_nobody_allowed_it() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: "a"')
    cache.now += 3
    assert cache.ask(get(), answer(status=None)).status == 502
    assert cache.ask(get(), answer(status=503)).status == 503


def test_9111_4_3_3_an_error_is_passed_on_and_removes_nothing() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: "a"')
    cache.now += 3
    assert cache.ask(get(), answer(status=500, body=b"no")).body == b"no"
    got = cache.ask(get(), answer(FRESH, 'ETag: "a"', status=304))
    assert (got.status, got.body) == (200, b"0123456789")
    assert cache.ask(get()).cached


@pytest.mark.parametrize(
    ("cookie", "seen"), [("lang=de", "lang=de"), ("session=1", "lang=en"), (None, "lang=en")]
)
def test_9111_3_2_a_cookie_of_a_304_is_one_persons_too(cookie: str | None, seen: str) -> None:
    cache = Cache(Policy(cookies=frozenset({"lang"})))
    cache.put("Cache-Control: max-age=2", 'ETag: "a"', "Set-Cookie: lang=en")
    cache.now += 3
    news = [] if cookie is None else [f"Set-Cookie: {cookie}"]
    cache.ask(get(), answer('ETag: "a"', *news, status=304))
    got = cache.ask(get())
    assert (got.cached, got["set-cookie"]) == (True, seen)


def test_9111_4_3_4_a_weak_tag_stays_weak() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: W/"a"', "Content-Encoding: gzip")
    cache.now += 3
    got = cache.ask(get(), answer('ETag: "a"', "A: 1", status=304))
    assert (got["etag"], got["a"]) == ('W/"a"', "1")
    assert cache.ask(get())["etag"] == 'W/"a"'
    got = cache.ask(get("Range: bytes=0-1", 'If-Range: "a"'))
    assert (got.status, got.body) == (200, b"0123456789")


def test_9111_4_3_4_nor_is_a_part_of_other_bytes_put_to_it() -> None:
    cache = Cache()
    part = ("Cache-Control: max-age=2", 'ETag: W/"a"', "Content-Range: bytes 0-4/10")
    cache.put(*part, request=get("Range: bytes=0-4"), status=206, body=b"01234")
    cache.now += 3
    cache.ask(get("Range: bytes=0-1"), answer(FRESH, 'ETag: "a"', status=304))
    cache.ask(get(), answer(FRESH, 'ETag: "a"'))
    assert not isinstance(cache.decision, Complete)


def test_9111_5_1_the_age_of_another_cache_gives_way_to_ours() -> None:
    cache = Cache()
    cache.put(FRESH, date(0), "Age: 30", "Age: 40")
    cache.now += 10
    got = cache.ask(get())
    assert [value for name, value in got.fields if name == "age"] == ["40"]


@pytest.mark.parametrize(
    "line",
    [
        "Cache-Control: MAX-AGE=60",
        "Cache-Control: unknown, max-age=60, other=1",
        'Cache-Control: unknown="no-store, private", max-age=60',
        "Cache-Control: max-age=60, no-storage",
        "Cache-Control: ,, max-age=60 ,",
    ],
)
def test_9111_5_2_what_is_unknown_is_ignored_and_names_have_no_case(line: str) -> None:
    assert cached_after([line], 59)
    assert not cached_after([line], 61)


@pytest.mark.parametrize("line", ["No-Store", "PRIVATE", "no-store=1", 'max-age="60", nO-sToRe'])
def test_9111_5_2_no_way_to_write_it_lets_one_slip_by(line: str) -> None:
    assert not cached_after([f"Cache-Control: {line}, max-age=60"])


def test_9111_5_2_directives_are_passed_on_both_ways_as_they_are() -> None:
    asked = 'max-age=1,  foo="bar, baz", ONLY-thing'
    said = 'private,  x="y, no-store", MAX-age=5'
    cache = Cache()
    got = cache.ask(get(f"Cache-Control: {asked}"), answer(f"Cache-Control: {said}"))
    assert ("cache-control", asked) in got.asked[0].fields
    assert got["cache-control"] == said
    said = said.replace("private", "public")
    cache.put(f"Cache-Control: {said}")
    assert cache.ask(get())["cache-control"] == said


def test_9111_5_2_1_5_a_request_that_wants_it_stored_nowhere() -> None:
    cache = Cache()
    cache.put(FRESH, request=get("Cache-Control: no-store"))
    assert cache.reasons == ["no-store"]
    assert not cache.ask(get()).cached


@pytest.mark.parametrize("who", ["origin", "client"])
def test_9111_5_2_2_6_nothing_is_transformed(who: str) -> None:
    packed = bytes(range(10))
    lines = (FRESH + (", no-transform" if who == "origin" else ""), "Content-Encoding: gzip")
    wish = ["Cache-Control: no-transform"] if who == "client" else []
    cache = Cache()
    for request in (get(*wish, "Accept-Encoding: gzip"), get(*wish, "Accept-Encoding: identity")):
        got = cache.ask(request, answer(*lines, "Content-Type: text/plain", body=packed))
        assert (got.body, got["content-encoding"]) == (packed, "gzip")
        assert got["content-type"] == "text/plain"


@pytest.mark.parametrize(
    "directive", ["must-revalidate", "proxy-revalidate", "s-maxage=2", "no-cache"]
)
@pytest.mark.parametrize("status", [None, 500, 502, 503, 504])
@pytest.mark.parametrize("wish", ["max-stale", "stale-if-error=100", "max-stale=100, max-age=100"])
def test_9111_5_2_2_2_in_no_circumstances_past_what_forbids_it(
    directive: str, status: int | None, wish: str
) -> None:
    cache = Cache()
    windows = "stale-while-revalidate=100, stale-if-error=100"
    cache.put(f"Cache-Control: max-age=2, {directive}, {windows}", 'ETag: "a"')
    cache.now += 3
    got = cache.ask(get(f"Cache-Control: {wish}"), answer(status=status, body=b"failed"))
    assert got.status == (status or 502)
    assert got.body != b"0123456789"


def test_9111_5_2_2_10_s_maxage_alone_counts_where_there_is_one() -> None:
    lines = ["Cache-Control: s-maxage=2, max-age=100", date(100, "Expires"), date(0)]
    assert cached_after(lines, 1)
    assert not cached_after(lines, 3)


@pytest.mark.parametrize("expires", ["0", "-1", "", "soon", "Thu, 18 Aug 2050 02:01:18 CET"])
def test_9111_5_3_an_expires_that_is_none_is_past(expires: str) -> None:
    lines = [f"Expires: {expires}", date(0), date(-10_000_000, "Last-Modified")]
    assert not cached_after(lines)
    # With a lifetime beside it, it says nothing.
    assert cached_after([*lines, FRESH])


def test_9111_3_1_what_is_for_one_hop_is_not_passed_on_either() -> None:
    response = Response(200, fields("Connection: x-one", "X-One: 1", "Keep-Alive: a", "X-Two: 2"))
    names = {name for name, _ in pass_on(response, "cacheapi").fields}
    assert names == {"x-two", "cache-status"}


def test_9111_3_5_a_stored_answer_may_be_for_one_who_shows_authorization() -> None:
    cache = Cache()
    cache.put(FRESH)
    assert cache.ask(get("Authorization: x")).cached
    cache = Cache()
    cache.put(FRESH, request=Request("GET", URL, fields("Authorization: x")))
    assert not cache.ask(get()).cached
