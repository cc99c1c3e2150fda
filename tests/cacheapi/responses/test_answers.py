"""What goes to the client and to the origin: RFC 9110, section 7.6.1; RFC 9211; RFC 9111, 4.4."""

from __future__ import annotations

import pytest

from cacheapi.responses.cache_status import forward_status, hit_status
from cacheapi.responses.forwarding import forward
from cacheapi.responses.invalidation import invalidates
from cacheapi.responses.messages import Response, combined, every, first, members, split
from tests.cacheapi.responses.simulation import URL, Cache, answer, fields, get

FRESH = "Cache-Control: max-age=60"


def test_9110_7_6_1_what_is_for_one_hop_goes_no_further() -> None:
    request = get(
        "Connection: close, X-Hop", "X-Hop: 1", "TE: trailers", "Upgrade: h2c", "Keep-Alive: 1",
        "Proxy-Authorization: x", "A: 1",
    )  # fmt: skip
    assert forward(request) == (("a", "1"),)
    cache = Cache()
    got = cache.put("Cache-Control: no-store", "Connection: b", "B: 2", "A: 1")
    assert (got["connection"], got["b"], got["a"]) == (None, None, "1")


def test_9111_4_3_1_a_miss_is_fetched_whole_and_a_pass_as_it_is() -> None:
    lines = ['If-None-Match: "a"', "If-Modified-Since: x", "Range: bytes=0-", 'If-Range: "b"']
    request = get(*lines)
    assert forward(request, ()) == fields(*lines[2:])
    assert forward(request) == fields(*lines)
    add = fields('If-None-Match: "c"', "Range: bytes=5-")
    assert forward(request, add) == (*fields(lines[3]), *add)


def test_the_origins_fields_are_untouched_and_in_order() -> None:
    cache = Cache()
    lines = ["B: 2", "Cache-Control: max-age=60,  Foo", "A: 1", "B: 3", "Cache-Status: up; hit"]
    cache.put(*lines)
    got = cache.ask(get())
    assert got.fields[:5] == fields(*lines)
    assert every(got.fields, "cache-status") == ["up; hit", "cacheapi; hit; ttl=60"]


def test_9110_6_4_1_a_204_has_no_length() -> None:
    cache = Cache()
    cache.put(FRESH, status=204, body=b"")
    got = cache.ask(get())
    assert (got.cached, got.status, got["content-length"]) == (True, 204, None)


def test_an_empty_body_is_one() -> None:
    cache = Cache()
    cache.put(FRESH, body=b"")
    got = cache.ask(get())
    assert (got.cached, got.status, got["content-length"], got.body) == (True, 200, "0", b"")


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (hit_status(376.9), "cacheapi; hit; ttl=376"),
        (hit_status(-0.5), "cacheapi; hit; ttl=-1"),
        (hit_status(1, "local"), "cacheapi; hit; ttl=1; detail=local"),
        (forward_status("uri-miss"), "cacheapi; fwd=uri-miss"),
        (
            forward_status("stale", status=304, ttl=9, stored=True, collapsed=True),
            "cacheapi; fwd=stale; fwd-status=304; ttl=9; stored; collapsed",
        ),
        (
            forward_status("bypass", detail='cache "a\\b" is down\r\n'),
            'cacheapi; fwd=bypass; detail="cache \\"a\\\\b\\" is down??"',
        ),
    ],
)
def test_9211_2_cache_status(member: str, text: str) -> None:
    assert member == text


def written(method: str, *lines: str, status: int = 200) -> tuple[str, ...]:
    return invalidates(get(method=method), Response(status, fields(*lines)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"])
def test_9111_4_4_a_write_makes_the_url_invalid(method: str) -> None:
    cache = Cache()
    cache.put(FRESH)
    cache.ask(get(method=method), answer(status=500))
    assert cache.ask(get()).cached
    cache.ask(get(method=method), answer(status=204))
    assert not cache.ask(get()).cached


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY"])
def test_9111_4_4_a_safe_method_does_not(method: str) -> None:
    assert written(method, "Location: /b") == ()


@pytest.mark.parametrize("status", [400, 404, 500, 199])
def test_9111_4_4_nor_does_an_error(status: int) -> None:
    assert written("POST", status=status) == ()


@pytest.mark.parametrize(
    ("lines", "more"),
    [
        (["Location: /b"], ["http://origin.test/b"]),
        (["Content-Location: b?c#d"], ["http://origin.test/b?c"]),
        (["Location: /b", "Content-Location: c"], ["http://origin.test/b", "http://origin.test/c"]),
        (["Location: http://ORIGIN.test:80/c"], ["http://ORIGIN.test:80/c"]),
        (["Location: /a", "Location: /b"], ["http://origin.test/b"]),
        (["Location: http://other.test/b"], []),
        (["Location: //other.test/b"], []),
        (["Location: https://origin.test/b"], []),
        (["Location: http://origin.test:81/b"], []),
        (["Location: http://origin.test:x/b"], []),
        (["Location: http://[x/b"], []),
        (["Location: javascript:alert(1)"], []),
    ],
)  # fmt: skip
def test_9111_4_4_and_the_places_that_it_names(lines: list[str], more: list[str]) -> None:
    assert written("POST", *lines) == (URL, *more)


def test_9110_5_6_1_lists() -> None:
    assert split(' a ,, "b,\\"c" , d="e,f",') == ["a", '"b,\\"c"', 'd="e,f"']
    assert split('a, "b, c') == ["a", '"b, c']
    several = fields("A: 1", "A: 2,3", "B: 4")
    assert (first(several, "a"), combined(several, "a"), members(several, "a")) == (
        "1",
        "1, 2,3",
        ["1", "2", "3"],
    )
    assert (first(several, "c"), combined(several, "c"), members(several, "c")) == (None, None, [])
