"""Conditional requests, without HTTP."""

from __future__ import annotations

import pytest
from werkzeug.http import parse_etags

from cacheapi.caching.conditions import Condition, PreconditionFailed


def make(if_match: str | None, if_none_match: str | None) -> Condition:
    return Condition(
        None if if_match is None else parse_etags(if_match),
        None if if_none_match is None else parse_etags(if_none_match),
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
        ("", None, "a", False),
        (None, '"a"', "a", False),
        (None, 'W/"a"', "a", False),
        (None, '"a"', "b", True),
        (None, '"a"', None, True),
        (None, "*", "a", False),
        (None, "*", None, True),
        (None, "", "a", True),
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
