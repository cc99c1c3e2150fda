"""Decisions: RFC 9111, sections 4, 4.2.4 and 5.2.1; RFC 5861; RFC 8246."""

from __future__ import annotations

import pytest

from cacheapi.responses.deciding import (
    Hit,
    Miss,
    Pass,
    Revalidate,
    Unavailable,
    decide,
    on_error,
    refresh_decision,
)
from cacheapi.responses.messages import Response
from cacheapi.responses.policy import Policy
from cacheapi.responses.storing import keep
from tests.cacheapi.responses.simulation import START, Cache, answer, date, fields, get

FRESH = "Cache-Control: max-age=3600"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "M-SEARCH", "get"])
def test_9111_4_other_methods_pass(method: str) -> None:
    assert decide(get(method=method), [], START) == Pass("method")


@pytest.mark.parametrize("line", ['If-Match: "a"', date(0, "If-Unmodified-Since")])
def test_9111_4_3_2_conditions_that_are_the_origins_pass(line: str) -> None:
    cache = Cache()
    cache.put(FRESH, 'ETag: "a"')
    got = cache.ask(get(line))
    assert cache.decision == Pass("request")
    assert fields(line)[0] in got.asked[0].fields


def test_9211_2_2_why_it_went_to_the_origin() -> None:
    cache = Cache()
    assert cache.put(FRESH, "Vary: Foo")["cache-status"] == "cacheapi; fwd=uri-miss; stored"
    got = cache.ask(get("Foo: 1"), answer("Cache-Control: private"))
    assert got["cache-status"] == "cacheapi; fwd=vary-miss; detail=private"
    cache.now += 3599
    assert cache.ask(get())["cache-status"] == "cacheapi; hit; ttl=1"
    cache.now += 1.5
    got = cache.ask(get(), answer(FRESH))
    assert got["cache-status"] == "cacheapi; fwd=stale; stored"
    got = cache.ask(get("Cache-Control: no-cache"), answer(FRESH))
    assert got["cache-status"] == "cacheapi; fwd=request; stored"
    got = cache.ask(get(method="POST"))
    assert got["cache-status"] == "cacheapi; fwd=method; detail=method"


@pytest.mark.parametrize(
    ("response", "asked", "cached"),
    [
        ("max-age=3600", "max-age=0", False),
        ("max-age=3600", "max-age=9", False),
        ("max-age=3600", "max-age=10", True),
        ("max-age=3600", "max-age=x", False),
        ("max-age=3600, immutable", "max-age=0", True),
        ("max-age=9, immutable", "max-age=10", False),
        ("max-age=3600, immutable", "no-cache", False),
        ("max-age=3600", "min-fresh=3590", True),
        ("max-age=3600", "min-fresh=3591", False),
        ("max-age=3600", "no-cache", False),
        ("max-age=3600", "no-store", True),
        ("max-age=3600", "nothing-to-see-here", True),
        ("max-age=3600", "only-if-cached", True),
        ("max-age=1", "max-stale", True),
        ("max-age=1", "max-stale=9", True),
        ("max-age=1", "max-stale=8", False),
        ("max-age=1", "max-stale=x", False),
        ("max-age=1", "max-stale=100, max-age=9", False),
        ("max-age=1, must-revalidate", "max-stale", False),
        ("max-age=1, proxy-revalidate", "max-stale", False),
        ("s-maxage=1", "max-stale", False),
        ("no-cache, max-age=3600", "max-stale", False),
        ("max-age=1, stale-while-revalidate=60", "nothing-to-see-here", True),
        ("max-age=1, stale-while-revalidate=60", "max-age=100", False),
        ("max-age=1, stale-while-revalidate=60", "min-fresh=0", False),
        ("max-age=1, stale-while-revalidate=60", "max-stale=1", False),
    ],
)
def test_9111_5_2_1_what_the_client_asks_for(response: str, asked: str, cached: bool) -> None:
    cache = Cache()
    cache.put(f"Cache-Control: {response}", 'ETag: "a"')
    cache.now += 10
    assert cache.ask(get(f"Cache-Control: {asked}")).cached is cached


@pytest.mark.parametrize(
    ("lines", "cached"),
    [
        (["Pragma: no-cache"], False),
        (["Pragma: other"], True),
        (["Pragma: no-cache", "Cache-Control: other"], True),
    ],
)
def test_9111_5_4_pragma_counts_where_there_is_no_cache_control(
    lines: list[str], cached: bool
) -> None:
    cache = Cache()
    cache.put(FRESH)
    assert cache.ask(get(*lines)).cached is cached


def test_9111_5_2_1_7_only_if_cached() -> None:
    cache = Cache()
    assert cache.ask(get("Cache-Control: only-if-cached")).status == 504
    cache.put("Cache-Control: max-age=1")
    assert cache.ask(get("Cache-Control: only-if-cached")).status == 200
    cache.now += 2
    assert cache.ask(get("Cache-Control: only-if-cached")).status == 504
    assert isinstance(cache.decision, Unavailable)
    assert cache.ask(get("Cache-Control: only-if-cached", "If-Match: *")).status == 504


@pytest.mark.parametrize(
    "lines",
    [
        ["Cache-Control: no-cache"],
        ["Cache-Control: No-CaChE, max-age=10000", date(10000, "Expires")],
        ['Cache-Control: max-age=10000, no-cache=""'],
        ['Cache-Control: max-age=10000, no-cache="a", no-cache'],
    ],
)
def test_9111_5_2_2_4_no_cache_is_stored_and_validated_at_each_use(lines: list[str]) -> None:
    cache = Cache()
    cache.put(*lines, 'ETag: "abcd"')
    got = cache.ask(get(), answer(status=304))
    assert ("if-none-match", '"abcd"') in got.asked[0].fields
    assert (got.status, got.body) == (200, b"0123456789")
    assert not cache.ask(get(), answer(status=304)).cached


def test_5861_3_stale_while_it_is_fetched_anew() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=1, stale-while-revalidate=4", 'ETag: "abc"')
    cache.now += 3
    news = answer("Cache-Control: max-age=60", 'ETag: "def"', body=b"new")
    got = cache.ask(get("Foo: 1"), news)
    assert got.body == b"0123456789"
    assert got["cache-status"] == "cacheapi; hit; ttl=-2"
    # The fetch in the background is a conditional one, with the client's fields.
    assert got.asked[0].fields == (("foo", "1"), ("if-none-match", '"abc"'))
    assert cache.ask(get()).body == b"new"


def test_5861_3_not_past_the_window() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=1, stale-while-revalidate=4", 'ETag: "abc"')
    cache.now += 5
    assert cache.ask(get()).cached
    cache.now += 0.1
    assert not cache.ask(get()).cached


def test_5861_3_without_a_validator_it_is_fetched_whole() -> None:
    response = Response(200, fields("Cache-Control: max-age=1, stale-while-revalidate=4"))
    stored = keep(get(), response, START, START, 0)
    assert stored is not None
    hit = decide(get(), [stored], START + 2)
    assert isinstance(hit, Hit)
    assert hit.refresh
    assert refresh_decision(hit) == Miss("stale", stored)


FORBIDDING = ["must-revalidate", "proxy-revalidate", "s-maxage=2", "no-cache"]


@pytest.mark.parametrize("failure", [None, 500, 502, 503, 504])
@pytest.mark.parametrize(
    ("directives", "later", "stale"),
    [
        ("max-age=2", 3, False),
        ("max-age=2, stale-if-error=60", 3, True),
        ("max-age=2, stale-if-error=60", 63, False),
        ("max-age=2, stale-if-error=x", 3, False),
        *((f"max-age=2, stale-if-error=60, {name}", 3, False) for name in FORBIDDING),
        *((f"max-age=2, {name}", 3, False) for name in FORBIDDING),
    ],
)
def test_5861_4_stale_where_the_origin_failed(
    failure: int | None, directives: str, later: float, stale: bool
) -> None:
    cache = Cache()
    cache.put(f"Cache-Control: {directives}", body=b"stale")
    cache.now += later
    got = cache.ask(get(), answer(status=failure, body=b"error"))
    assert len(got.asked) == 1
    if stale:
        assert (got.status, got.body) == (200, b"stale")
        status = "" if failure is None else f"; fwd-status={failure}"
        assert got["cache-status"] == f"cacheapi; fwd=stale{status}; ttl=-1"
    else:
        assert got.status == (failure or 502)


@pytest.mark.parametrize(
    ("directives", "asked", "stale"),
    [
        ("max-age=1", "stale-if-error=10", True),
        ("max-age=1", "stale-if-error=1", False),
        ("max-age=1", "stale-if-error=x", False),
        ("max-age=1, must-revalidate", "stale-if-error=10", False),
        ("max-age=1, stale-if-error=60", "no-cache", False),
    ],
)
def test_5861_4_the_request_may_allow_it_or_forbid_it(
    directives: str, asked: str, stale: bool
) -> None:
    cache = Cache()
    cache.put(f"Cache-Control: {directives}")
    cache.now += 3
    got = cache.ask(get(f"Cache-Control: {asked}"), answer(status=503))
    assert (got.status == 200) is stale


def test_5861_4_an_error_that_is_the_clients_is_no_failure() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=1, stale-if-error=60")
    cache.now += 3
    assert cache.ask(get(), answer(status=404)).status == 404


def test_5861_the_operators_windows_hold_where_the_origin_states_none() -> None:
    policy = Policy(stale_while_revalidate=5, stale_if_error=50)
    for directives, refreshed, instead in (
        ("max-age=1", True, True),
        ("max-age=1, stale-while-revalidate=0, stale-if-error=0", False, False),
        ("max-age=0", False, False),
        ("max-age=1, must-revalidate", False, False),
    ):
        cache = Cache(policy)
        cache.put(f"Cache-Control: {directives}")
        cache.now += 3
        assert cache.ask(get(), answer("Cache-Control: private")).cached is refreshed
        cache.now += 30
        assert (cache.ask(get(), answer(status=503)).status == 200) is instead


def test_what_is_fresh_answers_where_a_validation_that_the_client_wished_failed() -> None:
    cache = Cache()
    cache.put(FRESH, 'ETag: "a"')
    cache.now += 10
    got = cache.ask(get("Cache-Control: max-age=5"), answer(status=None))
    assert isinstance(cache.decision, Revalidate)
    assert got.status == 200


def test_there_is_nothing_to_serve_instead_where_nothing_is_stored() -> None:
    assert on_error(get(), Miss("uri-miss"), START) is None
    assert on_error(get(), Pass("method"), START) is None


def test_9110_9_3_2_head_is_answered_from_what_a_get_stored() -> None:
    cache = Cache()
    cache.put(FRESH, "Content-Type: text/plain")
    got = cache.ask(get(method="HEAD"))
    assert got.cached
    assert (got.status, got.body) == (200, b"")
    assert (got["content-length"], got["content-type"]) == ("10", "text/plain")


def test_9110_9_3_2_head_goes_to_the_origin_as_head_and_stores_nothing() -> None:
    cache = Cache()
    got = cache.put(FRESH, request=get(method="HEAD"))
    assert got.asked[0].method == "HEAD"
    assert not cache.ask(get()).cached
