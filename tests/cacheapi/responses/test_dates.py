"""Dates: RFC 9110, section 5.6.7."""

from __future__ import annotations

import pytest

from cacheapi.responses.dates import format_date, parse_date
from tests.cacheapi.responses.simulation import START


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sun Nov 16 08:49:37 1994", 784975777),
        ("sun, 06 nov 1994 08:49:37 gmt", 784111777),
        ("Sunday, 06-Nov-76 08:49:37 GMT", 3371878177),
        ("Sunday, 06-Nov-78 08:49:37 GMT", 279190177),
        ("Tue, 30 Jun 2015 23:59:60 GMT", 1435708799),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None),
        ("Sun, 31 Nov 1994 08:49:37 GMT", None),
        ("Sun, 00 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("Sunday, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, ٠٦ Nov 1994 08:49:37 GMT", None),
        ("784111777", None),
        ("", None),
    ],
)
def test_9110_5_6_7_the_three_forms_and_no_other(text: str, moment: float | None) -> None:
    assert parse_date(text, START) == moment


def test_9110_5_6_7_one_form_is_written() -> None:
    assert format_date(784111777.9) == "Sun, 06 Nov 1994 08:49:37 GMT"
