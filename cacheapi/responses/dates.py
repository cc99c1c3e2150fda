"""Dates of HTTP, read strictly (RFC 9110, section 5.6.7; RFC 9111, section 4.2)."""

from __future__ import annotations

import calendar
import datetime as dt
import re
import time
from email.utils import formatdate
from typing import Final

_MONTH: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTHS: Final = _MONTH.split("|")
_DAY: Final = "mon|tue|wed|thu|fri|sat|sun"
_LONG_DAY: Final = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_TWO: Final = "(?P<day>[0-9]{2})"
_CLOCK: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"

# RFC 9111, section 4.2: a cache reads names of days, months and the zone in any case, nothing
# else but what the grammar has.
_FORMS: Final = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"(?:{_DAY}), {_TWO} (?P<month>{_MONTH}) (?P<year>[0-9]{{4}}) {_CLOCK} GMT",
        rf"(?:{_LONG_DAY}), {_TWO}-(?P<month>{_MONTH})-(?P<year>[0-9]{{2}}) {_CLOCK} GMT",
        rf"(?:{_DAY}) (?P<month>{_MONTH}) (?P<day>[ 0-9][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})",
    )
)


def parse_date(text: str, now: float) -> float | None:
    """Return the Unix time that a date means, ``None`` if it is none.

    All three forms of RFC 9110 are read: IMF-fixdate, RFC 850 and asctime.

    :param now: a year of two digits that seems over 50 years ahead of it is a past one.
    """
    for form in _FORMS:
        match = form.fullmatch(text)
        if match is not None:
            break
    else:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        this_year = time.gmtime(now).tm_year
        year += this_year - this_year % 100
        if year > this_year + 50:
            year -= 100
    try:
        moment = dt.datetime(
            year,
            _MONTHS.index(match["month"].lower()) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            # A leap second is no second of Unix time.
            min(int(match["second"]), 59) if match["second"] == "60" else int(match["second"]),
            tzinfo=dt.UTC,
        )
    except ValueError:
        return None
    return float(calendar.timegm(moment.utctimetuple()))


def format_date(moment: float) -> str:
    """Return a Unix time as the date that HTTP writes (IMF-fixdate)."""
    return formatdate(int(moment), usegmt=True)
