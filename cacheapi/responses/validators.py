"""Entity-tags and dates of change, and the conditions made of them.

RFC 9110, sections 8.8 and 13; RFC 9111, section 4.3.
"""

from __future__ import annotations

import re
from typing import Final

from cacheapi.responses.dates import parse_date
from cacheapi.responses.messages import Fields, Stored, first, members

_STRONG: Final = re.compile(r'"[^"]*"')


def strong_tag(fields: Fields) -> str | None:
    """Return a response's entity-tag if it is a strong one (RFC 9110, section 8.8.1)."""
    tag = first(fields, "etag")
    return tag if tag is not None and _STRONG.fullmatch(tag) else None


def same_tag(one: str, other: str) -> bool:
    """Compare two entity-tags weakly (RFC 9110, section 8.8.3.2)."""
    return one.removeprefix("W/") == other.removeprefix("W/")


def conditions(fields: Fields) -> Fields:
    """Return the preconditions that validate a stored response (RFC 9111, section 4.3.1).

    Both validators go, so that an origin that knows one of them can answer 304; empty where
    the response has none.

    :param fields: the stored response's.
    """
    made: Fields = ()
    for validator, condition in (("etag", "if-none-match"), ("last-modified", "if-modified-since")):
        value = first(fields, validator)
        if value is not None:
            made += ((condition, value),)
    return made


def is_not_modified(fields: Fields, stored: Stored) -> bool:
    """Whether a client has what is stored, as it says (RFC 9111, section 4.3.2).

    ``If-None-Match`` goes first and compares weakly (RFC 9110, section 13.1.2). A response
    without ``Last-Modified`` changed when it was made at the latest.
    """
    if first(fields, "if-none-match") is not None:
        tags = members(fields, "if-none-match")
        own = first(stored.fields, "etag")
        return tags == ["*"] or (own is not None and any(same_tag(own, tag) for tag in tags))
    since = parse_date(first(fields, "if-modified-since") or "", stored.response_time)
    if since is None:
        return False
    text = first(stored.fields, "last-modified") or first(stored.fields, "date") or ""
    changed = parse_date(text, stored.response_time)
    return (stored.response_time if changed is None else changed) <= since


def range_applies(fields: Fields, stored: Stored) -> bool:
    """Whether ``If-Range`` lets a ``Range`` apply (RFC 9110, section 13.1.5).

    It takes the same strong tag, or the very same date where that is strong.
    """
    condition = first(fields, "if-range")
    if condition is None:
        return True
    condition = condition.strip(" \t")
    if condition[:1] == '"' or condition[:2] == "W/":
        return condition == strong_tag(stored.fields)
    return condition == first(stored.fields, "last-modified") and _is_strong_date(stored)


def says_otherwise(news: Fields, stored: Stored) -> bool:
    """Whether a later answer's validators are of another response (RFC 9111, section 4.3.4).

    Tags are compared weakly: an origin that compresses as it sends weakens them in one answer
    and not in the next. A date counts where a tag cannot.
    """
    for name in ("etag", "last-modified"):
        new, old = first(news, name), first(stored.fields, name)
        if new is not None and old is not None:
            return not same_tag(new, old)
    return False


def _is_strong_date(stored: Stored) -> bool:
    """Whether the stored date of change tells one version from another (section 8.8.2.2)."""
    changed = parse_date(first(stored.fields, "last-modified") or "", stored.response_time)
    made = parse_date(first(stored.fields, "date") or "", stored.response_time)
    return changed is not None and made is not None and changed <= made - 1
