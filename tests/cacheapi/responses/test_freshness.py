"""Freshness and age: RFC 9111, sections 4.2 and 5; RFC 9213; each test has its section's number."""

from __future__ import annotations

import pytest

from cacheapi.responses.freshness import current_age, expire, initial_age, seconds_to_keep
from cacheapi.responses.messages import Response
from cacheapi.responses.policy import Policy
from cacheapi.responses.storing import keep
from tests.cacheapi.responses.simulation import (
    START,
    Cache,
    answer,
    cached_after,
    date,
    fields,
    get,
)

YEAR = 31_536_000


@pytest.mark.parametrize(
    "lines",
    [
        ["Cache-Control: max-age=3600"],
        ['Cache-Control: max-age="3600"'],
        ["Cache-Control: MaX-aGe=3600"],
        ["Cache-Control: max-age=003600"],
        ["Cache-Control: foobar, max-age=3600"],
        ["Cache-Control: foobar=baz, max-age=3600", "Cache-Control: other"],
        ["Cache-Control: max-age=3600, must-revalidate"],
        ["Cache-Control: max-age=2147483647"],
        ["Cache-Control: max-age=2147483649"],
        ["Cache-Control: max-age=99999999999"],
        ["Cache-Control: max-age=" + "9" * 5000],
        ["Cache-Control: s-maxage=3600"],
        ["Cache-Control: max-age=1, s-maxage=3600"],
        ["Cache-Control: max-age=0, s-maxage=3600", date(-10, "Expires")],
        ["Cache-Control: max-age=3600", date(-7200, "Expires"), date(0)],
        ["Cache-Control: max-age=3600", "Expires: 0", date(0)],
        [date(3600, "Expires"), date(0)],
        [date(10, "Expires"), "Date: foo"],
        [date(10, "Expires")],
        ["Expires: Tue, 19 Jan 2038 14:14:08 GMT", date(0)],
        ["Expires: Sun, 21 Nov 2286 04:46:39 GMT", date(0)],
        ["Expires: Thursday, 18-Aug-50 02:01:18 GMT", date(0)],
        ["Expires: Thu Aug  8 02:01:18 2050", date(0)],
        ["Expires: THU, 18 AUG 2050 02:01:18 gMT", date(0)],
        ["Cache-Control: max-age=3600", "Age: abc"],
        ["Cache-Control: max-age=3600", "Age: -7200"],
        ["Cache-Control: max-age=3600", "Age: 0, 7200"],
        ["Cache-Control: max-age=3600", "Age: 0", "Age: 7200"],
    ],
)
def test_9111_4_2_1_a_fresh_response_is_reused(lines: list[str]) -> None:
    assert cached_after(lines, 3)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Cache-Control: max-age=0"],
        ["Cache-Control: max-age=2"],
        ["Cache-Control: max-age=-3600"],
        ["Cache-Control: max-age='3600'"],
        ["Cache-Control: max-age =3600"],
        ["Cache-Control: max-age= 3600"],
        ["Cache-Control: max-age=a3600"],
        ["Cache-Control: max-age=3600a"],
        ["Cache-Control: max-age=3600.0"],
        ["Cache-Control: max-age"],
        ["Cache-Control: max-age=1, max-age=1800"],
        ["Cache-Control: max-age=1", "Cache-Control: max-age=1800"],
        ['Cache-Control: extension="max-age=3600", max-age=1'],
        ['Cache-Control: max-age=1, extension="max-age=3600"'],
        ["Cache-Control: max-age=3600, s-maxage=1"],
        ["Cache-Control: s-maxage=1, max-age=3600"],
        ["Cache-Control: max-age=3600", "Cache-Control: s-maxage=1"],
        ["Cache-Control: max-age=0", date(3600, "Expires"), date(0)],
        ["Cache-Control: max-age=3600", date(0), "Age: 7200"],
        ["Cache-Control: max-age=3600", "Age: 7200, 0"],
        ["Cache-Control: max-age=3600", date(-7200)],
        [date(-3600, "Expires"), date(0)],
        [date(0, "Expires"), date(0)],
        [date(300, "Expires"), date(400)],
        [date(10, "Expires"), date(-10), "Age: 25"],
        [date(20, "Expires"), date(10), "Age: 15"],
        ["Expires: 0", date(0)],
        ["Expires: Thu, 18 Aug 2050 02:01:18 UTC", date(0)],
        ["Expires: Thu, 18 Aug 2050 02:01:18 AEST", date(0)],
        ["Expires: Thu, 18 Aug 50 02:01:18 GMT", date(0)],
        ["Expires: Thu 18 Aug 2050 02:01:18 GMT", date(0)],
        ["Expires: Thu, 18  Aug  2050 02:01:18 GMT", date(0)],
        ["Expires: Thu, 18-Aug-2050 02:01:18 GMT", date(0)],
        ["Expires: Thu, 18 Aug 2050 02.01.18 GMT", date(0)],
        ["Expires: Thu, 18 Aug 2050 2:01:18 GMT", date(0)],
        ["Expires: Thu, 31 Feb 2050 02:01:18 GMT", date(0)],
        [date(3600, "Expires"), date(3601, "Expires"), date(0)],
    ],
)
def test_9111_4_2_a_stale_response_is_not_reused(lines: list[str]) -> None:
    assert not cached_after(lines, 3)


@pytest.mark.parametrize(
    "lines",
    [
        ["CDN-Cache-Control: max-age=3600"],
        ["CDN-Cache-Control: max-age=99999999999"],
        ["CDN-Cache-Control: foobar, max-age=3600"],
        ["CDN-Cache-Control: max-age=3600;why=because"],
        ["CDN-Cache-Control: a=(1 2);x, max-age=3600"],
        ["CDN-Cache-Control: max-age=3600", date(-9999, "Expires"), date(0)],
        ["CDN-Cache-Control: max-age=3600", "Expires: 0", date(0)],
        ["CDN-Cache-Control: max-age=3600", "Cache-Control: max-age=1"],
        ["CDN-Cache-Control: max-age=3600", "Cache-Control: no-store"],
        ["CDN-Cache-Control: max-age=3600", "Cache-Control: private"],
        ["CDN-Cache-Control: no-store=?0, max-age=3600"],
        ["CDN-Cache-Control: max-age=1, max-age=3600"],
        ["CDN-Cache-Control: ", "Cache-Control: max-age=3600"],
        ["CDN-Cache-Control: max-age=1,", "Cache-Control: max-age=3600"],
    ],
)
def test_9213_2_2_what_is_targeted_at_caches_goes_first(lines: list[str]) -> None:
    assert cached_after(lines, 3)


@pytest.mark.parametrize(
    "lines",
    [
        ["CDN-Cache-Control: max-age=0"],
        ["CDN-Cache-Control: max-age=-5"],
        ["CDN-Cache-Control: max-age=3600", "Age: 7200"],
        ["CDN-Cache-Control: max-age=0", date(9999, "Expires"), date(0)],
        ["CDN-Cache-Control: max-age=1", "Cache-Control: max-age=3600"],
        ["CDN-Cache-Control: private", "Cache-Control: max-age=3600"],
        ["CDN-Cache-Control: no-cache", "Cache-Control: max-age=3600", date(9999, "Expires")],
        ["CDN-Cache-Control: no-store", "Cache-Control: max-age=3600"],
        # These are no Dictionaries of known types: Cache-Control counts.
        ["CDN-Cache-Control: max-age=10000, &&&&&", "Cache-Control: no-store"],
        ['CDN-Cache-Control: max-age="10000"', "Cache-Control: no-store"],
        ["CDN-Cache-Control: max-age=10000, no-store=5", "Cache-Control: no-store"],
        ["CDN-Cache-Control: max-age=10000.5", "Cache-Control: no-store"],
        ["CDN-Cache-Control: max-age =10000", "Cache-Control: max-age=1"],
        ["CDN-Cache-Control: max-age= 10000", "Cache-Control: max-age=1"],
        ["CDN-Cache-Control: MaX-aGe=10000", "Cache-Control: max-age=1"],
    ],
)
def test_9213_2_1_what_is_targeted_at_caches_forbids(lines: list[str]) -> None:
    assert not cached_after(lines, 3)


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
def test_9111_4_2_2_a_heuristic_is_a_tenth_of_the_time_without_a_change(status: int) -> None:
    lines = [date(-86400, "Last-Modified"), date(0)]
    assert cached_after(lines, 8639, status=status)
    assert not cached_after(lines, 8641, status=status)


@pytest.mark.parametrize("status", [201, 202, 302, 307, 403, 500, 502, 503, 504, 599])
def test_9111_4_2_2_other_statuses_need_public_for_a_heuristic(status: int) -> None:
    lines = [date(-86400, "Last-Modified"), date(0)]
    assert not cached_after(lines, status=status)
    assert cached_after([*lines, "Cache-Control: public"], status=status)


def test_9111_4_2_2_a_guess_is_a_day_at_most() -> None:
    lines = [date(-10 * YEAR, "Last-Modified"), date(0)]
    assert cached_after(lines, 86399)
    assert not cached_after(lines, 86401)


def test_9111_5_4_pragma_of_the_origin_alone_is_no_invitation() -> None:
    lines = [date(-86400, "Last-Modified"), date(0), "Pragma: no-cache"]
    assert not cached_after(lines)
    assert cached_after([*lines, "Cache-Control: max-age=60"])


@pytest.mark.parametrize(("status", "cached"), [(200, True), (404, True), (503, False)])
def test_9111_4_2_2_the_services_own_freshness_is_a_heuristic(status: int, cached: bool) -> None:
    cache = Cache(Policy(ttl=60))
    cache.put(status=status)
    cache.now += 59
    assert cache.ask(get(), answer(status=status)).cached is cached
    cache.now += 2
    assert not cached or not cache.ask(get()).cached


def test_9111_4_2_2_the_services_own_freshness_yields_to_the_origins() -> None:
    cache = Cache(Policy(ttl=60))
    cache.put("Cache-Control: max-age=1")
    cache.now += 2
    assert not cache.ask(get()).cached


@pytest.mark.parametrize(
    ("lines", "delay", "age"),
    [
        ([], 0, 0),
        ([], 4, 4),
        (["Age: 30"], 0, 30),
        (["Age: 30"], 4, 34),
        (["Age: 30", date(-100)], 4, 100),
        (["Age: 200", date(-100)], 4, 204),
        ([date(100)], 0, 0),
        ([date(100)], 4, 4),
        (["Age: x", date(-100)], 0, 100),
        ([], -5, 0),
    ],
)
def test_9111_4_2_3_the_age_at_first_is_of_all_that_is_known(
    lines: list[str], delay: float, age: float
) -> None:
    assert initial_age(fields(*lines), START - delay, START) == age


def test_9111_4_2_3_the_fraction_of_a_second_is_no_age() -> None:
    assert initial_age(fields(date(0)), START + 0.9, START + 0.9) == 0


def test_9111_4_2_3_age_grows_while_it_is_stored_and_no_clock_makes_it_negative() -> None:
    response = Response(200, fields("Cache-Control: max-age=60", "Age: 5"))
    stored = keep(get(), response, START, START, 0)
    assert stored is not None
    assert current_age(stored, START + 7) == 12
    assert current_age(stored, START - 1000) == 5


def test_9111_4_2_3_the_clients_see_it() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=600", date(0), "Age: 30")
    cache.now += 3.5
    got = cache.ask(get())
    assert got["age"] == "33"
    assert got["date"] == date(0)[6:]


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["Cache-Control: max-age=60"], 60),
        (["Cache-Control: max-age=60", "Age: 20"], 40),
        (["Cache-Control: max-age=60, stale-if-error=100"], 160),
        (["Cache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=10"], 90),
        (["Cache-Control: max-age=60, stale-if-error=100, must-revalidate"], 60),
        (["Cache-Control: max-age=60", 'ETag: "a"'], 60 + 86400),
        (["Cache-Control: max-age=864000", 'ETag: "a"'], 864000 * 2),
        (["Cache-Control: no-cache", date(-9, "Last-Modified")], 86400 + 0.9),
    ],
)
def test_9111_4_2_4_a_store_keeps_what_can_still_be_of_use(
    lines: list[str], seconds: float
) -> None:
    stored = keep(get(), Response(200, fields(*lines)), START, START, 0)
    assert stored is not None
    assert seconds_to_keep(stored, START) == pytest.approx(seconds)


def test_what_is_softly_purged_is_stale_from_then_on() -> None:
    stored = keep(get(), Response(200, fields("Cache-Control: max-age=60")), START, START, 0)
    assert stored is not None
    assert expire(stored, START + 10).lifetime == 10
    assert expire(stored, START + 100) == stored
