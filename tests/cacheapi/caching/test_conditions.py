"""Conditional requests, without HTTP."""

from __future__ import annotations

import pytest

from cacheapi.caching.conditions import (
    Condition,
    InvalidCondition,
    NotModified,
    PreconditionFailed,
    parse_tags,
)


def make(if_match: str | None, if_none_match: str | None) -> Condition:
    return Condition(
        None if if_match is None else parse_tags("If-Match", if_match),
        None if if_none_match is None else parse_tags("If-None-Match", if_none_match),
    )


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "etag", "met"),
    [
        ('"a"', None, "a", True),
        ('"a"', None, "b", False),
        ('"a"', None, None, False),
        ('"a", "b"', None, "b", True),
        ('W/"a"', None, "a", False),
        ("*", None, "a", True),
        ("*", None, None, False),
        (None, '"a"', "a", False),
        (None, 'W/"a"', "a", False),
        (None, '"a"', "b", True),
        (None, '"a"', None, True),
        (None, "*", "a", False),
        (None, "*", None, True),
        ('"a"', '"a"', "a", False),
        ('"a"', '"b"', "a", True),
        ('"a"', "*", "a", False),
        ("*", "*", None, False),
        (None, None, "a", True),
        (None, None, None, True),
    ],
)
def test_a_condition_is_met_or_not(
    if_match: str | None, if_none_match: str | None, etag: str | None, met: bool
) -> None:
    condition = make(if_match, if_none_match)
    if met:
        assert condition.check(etag) is None
    else:
        with pytest.raises(PreconditionFailed):
            condition.check(etag)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "creates_only"),
    [
        (None, "*", True),
        (None, '"a"', False),
        ("*", "*", False),
        ('"a"', "*", False),
        ("*", None, False),
        (None, None, False),
    ],
)
def test_which_conditions_create_only(
    if_match: str | None, if_none_match: str | None, creates_only: bool
) -> None:
    assert make(if_match, if_none_match).creates_only is creates_only


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", ",,", '"', "a", "*, *", '"a" "b"', '"a",*', "W/*", 'w/"a"', '"a";', '"a"b'],
)
def test_a_condition_that_says_nothing_is_none_and_so_is_refused(text: str) -> None:
    with pytest.raises(InvalidCondition, match="If-Match"):
        parse_tags("If-Match", text)


@pytest.mark.parametrize("text", ['"a"', ' "a" ', ',"b", "a",,', 'W/"b","a"', '"b,","a"', '"","a"'])
def test_a_tag_is_found_in_a_list(text: str) -> None:
    assert Condition(if_match=parse_tags("If-Match", text)).check("a") is None


@pytest.mark.parametrize(
    "changed", ['W/"a"', '"a-gzip"', '"a--gzip"', '"a;gzip"', 'W/"a-gzip"', '"a-br"', '"a-df"']
)
def test_a_tag_that_a_proxy_changed_is_known_to_a_read_and_told_to_a_write(changed: str) -> None:
    with pytest.raises(NotModified):
        make(None, changed).check("a")
    with pytest.raises(PreconditionFailed, match="changed on its way"):
        make(changed, None).check("a")
    with pytest.raises(PreconditionFailed, match="is not what If-Match"):
        make(changed, None).check("b")
    assert make(None, changed).check("b") is None
