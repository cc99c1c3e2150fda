"""The rule for ``ttl``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheapi.caching.ttl import LONGEST_RELATIVE, InvalidTtl, check_ttl, lifetime, parse_ttl

NOW = 1_800_000_000.0
DEFAULT = 18_000.0
HUGE = 10**6000


def _now() -> float:
    return NOW


TABLE = [
    (None, DEFAULT),
    (-1, DEFAULT),
    (0, None),
    (1, 1.0),
    (3600, 3600.0),
    (2_592_000, 2_592_000.0),
    (2_592_001, 2_592_001 - NOW),
    (1_740_000_000, 1_740_000_000 - NOW),
    (int(NOW), 0.0),
    (int(NOW) + 60, 60.0),
]


@pytest.mark.parametrize(("ttl", "seconds"), TABLE)
def test_a_ttl_means_what_the_table_says(ttl: int | None, seconds: float | None) -> None:
    assert lifetime(check_ttl(ttl), DEFAULT, _now) == seconds


@pytest.mark.parametrize(("ttl", "seconds"), TABLE[1:])
def test_a_ttl_in_a_query_means_the_same(ttl: int, seconds: float | None) -> None:
    assert lifetime(parse_ttl(str(ttl)), DEFAULT, _now) == seconds


def test_without_a_default_values_stay_for_ever() -> None:
    assert lifetime(None, None, _now) is None


@pytest.mark.parametrize(
    "ttl",
    [
        -2,
        -HUGE,
        0.0,
        1.0,
        -1.0,
        1.5,
        float("nan"),
        float("inf"),
        True,
        False,
        "60",
        "",
        b"60",
        [],
        [60],
        {},
        60j,
    ],
    ids=lambda ttl: type(ttl).__name__,
)
def test_anything_else_is_refused(ttl: Any) -> None:
    with pytest.raises(InvalidTtl, match="2592000"):
        check_ttl(ttl)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-2",
        "-",
        "--1",
        "+1",
        "1.0",
        "1e3",
        "60s",
        " 60",
        "60 ",
        "1_000",
        "٣",
        "null",
        "true",
        "0x10",
        "60\n",
        "-" + "9" * 6000,
    ],
    ids=lambda text: text[:10],
)
def test_any_other_text_in_a_query_is_refused(text: str) -> None:
    with pytest.raises(InvalidTtl):
        parse_ttl(text)


@pytest.mark.parametrize("text", ["9" * 6000, "9" * 20, "0" * 6000 + "9" * 30])
def test_a_far_future_in_a_query_is_a_time_that_never_comes(text: str) -> None:
    left = lifetime(parse_ttl(text), DEFAULT, _now)
    assert left is not None
    assert left > 100 * 365 * 86400


def test_leading_zeros_in_a_query_change_nothing() -> None:
    assert parse_ttl("0" * 6000 + "60") == 60
    assert parse_ttl("000") == 0


def test_a_huge_integer_is_a_time_that_never_comes() -> None:
    left = lifetime(check_ttl(HUGE), DEFAULT, _now)
    assert left is not None
    assert 100 * 365 * 86400 < left < float("inf")


@given(ttl=st.integers(min_value=1, max_value=LONGEST_RELATIVE))
def test_up_to_thirty_days_it_is_seconds_from_now(ttl: int) -> None:
    assert lifetime(check_ttl(ttl), DEFAULT, _now) == ttl
    assert lifetime(parse_ttl(str(ttl)), DEFAULT, _now) == ttl


@given(ttl=st.integers(min_value=LONGEST_RELATIVE + 1))
def test_over_thirty_days_it_is_a_unix_time(ttl: int) -> None:
    left = lifetime(check_ttl(ttl), DEFAULT, _now)
    assert left is not None
    assert (left <= 0) == (ttl <= NOW)
    if ttl < 2**50:
        assert left == ttl - NOW


@given(ttl=st.integers(max_value=-2))
def test_a_negative_number_is_refused(ttl: int) -> None:
    with pytest.raises(InvalidTtl):
        check_ttl(ttl)
    with pytest.raises(InvalidTtl):
        parse_ttl(str(ttl))


@given(ttl=st.floats() | st.booleans() | st.text() | st.binary() | st.lists(st.integers()))
def test_only_integers_and_null_are_lifetimes(ttl: Any) -> None:
    with pytest.raises(InvalidTtl):
        check_ttl(ttl)


@given(ttl=st.integers(min_value=-1, max_value=2**60))
def test_body_and_query_agree(ttl: int) -> None:
    assert parse_ttl(str(ttl)) == check_ttl(ttl)


@given(text=st.text())
def test_a_query_gives_a_lifetime_or_is_refused(text: str) -> None:
    try:
        ttl = parse_ttl(text)
    except InvalidTtl:
        assert not (text.isascii() and text.isdigit())
    else:
        assert ttl is None or ttl >= 0
