"""How long a response is fresh, how old it is, how stale it may be served.

RFC 9111, section 4.2; RFC 5861; ``immutable`` is RFC 8246's.
"""

from __future__ import annotations

import re
from math import floor
from typing import Final, NamedTuple

import msgspec

from cacheapi.responses.dates import parse_date
from cacheapi.responses.directives import (
    LONGEST,
    Directives,
    is_whole,
    parse_directives,
    parse_targeted,
    seconds,
)
from cacheapi.responses.messages import Fields, Response, Stored, every, first
from cacheapi.responses.policy import Policy

# RFC 9110, section 15.1; a 206 is kept by the same rule as the whole that it is a part of.
HEURISTIC_STATUSES: Final = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})

# RFC 9111, section 4.2.2: a tenth of the time that it has not changed for; a day is our bound.
_HEURISTIC_SHARE: Final = 0.1
_LONGEST_GUESS: Final = 86400.0

_DIGITS: Final = re.compile(r"[0-9]+")


class Controls(NamedTuple):
    """What a response says about its storage.

    :ivar directives: those that rule.
    :ivar targeted: whether they are of ``CDN-Cache-Control``, so that ``Cache-Control`` and
        ``Expires`` have nothing to say.
    """

    directives: Directives
    targeted: bool


class Freshness(NamedTuple):
    """The facts of a response that is about to be stored; see :class:`Stored` for each."""

    initial_age: float
    lifetime: float
    rule: str
    immutable: bool
    validate: bool
    never_stale: bool
    while_revalidate: float
    if_error: float


def controls(response: Response) -> Controls:
    """Return the directives that rule a response (RFC 9213, section 2.2)."""
    targeted = parse_targeted(response.fields)
    if targeted is not None:
        return Controls(targeted, True)
    return Controls(parse_directives(response.fields), False)


def explicit_lifetime(
    response: Response, control: Controls, response_time: float
) -> tuple[float, str] | None:
    """Return the freshness lifetime that the origin states, and where; ``None`` if nowhere.

    ``s-maxage`` goes before ``max-age``, that before ``Expires`` less ``Date``. What is stated
    and invalid, or stated twice and not alike, is 0 (RFC 9111, section 4.2.1 and 5.3).
    """
    for name in ("s-maxage", "max-age"):
        stated = seconds(control.directives, name)
        if stated is not None:
            return float(stated), f"cdn-{name}" if control.targeted else name
    expires = every(response.fields, "expires") if not control.targeted else []
    if not expires:
        return None
    end = parse_date(expires[0], response_time) if len(set(expires)) == 1 else None
    if end is None:
        return 0.0, "expires"
    lifetime = end - _date(response.fields, response_time)
    return max(0.0, min(lifetime, float(LONGEST))), "expires"


def may_guess(response: Response, control: Controls) -> bool:
    """Whether a response that states no lifetime may be kept all the same (section 4.2.2)."""
    return response.status in HEURISTIC_STATUSES or "public" in control.directives


def heuristic_lifetime(
    response: Response, control: Controls, response_time: float, policy: Policy
) -> tuple[float, str]:
    """Return the lifetime of a response that states none, and what it is from (section 4.2.2).

    0 where its status is not one that may be kept unasked, if it is not ``public``. An origin
    that says ``Pragma: no-cache`` and nothing else does not want it either.
    """
    if not may_guess(response, control) or (
        not control.directives and "no-cache" in parse_directives(response.fields, "pragma")
    ):
        return 0.0, "none"
    if policy.ttl > 0:
        return policy.ttl, "ttl"
    modified = first(response.fields, "last-modified")
    moment = None if modified is None else parse_date(modified, response_time)
    if moment is None:
        return 0.0, "none"
    unchanged = _date(response.fields, response_time) - moment
    return max(0.0, min(unchanged * _HEURISTIC_SHARE, _LONGEST_GUESS)), "last-modified"


def initial_age(fields: Fields, request_time: float, response_time: float) -> float:
    """Return ``corrected_initial_age`` (RFC 9111, section 4.2.3); never negative.

    Of several members of ``Age`` the first counts, and one that is no number is ignored
    (section 5.1). A ``Date`` has whole seconds, so the time of the response counts as such
    beside it: else every response would seem to come up to a second old.
    """
    apparent = max(0.0, floor(response_time) - _date(fields, response_time))
    text = (first(fields, "age") or "").partition(",")[0].strip(" \t")
    stated = seconds({"age": [text]}, "age") if _DIGITS.fullmatch(text) else 0
    # A clock that was set back in between gives no negative delay.
    delay = max(0.0, response_time - request_time)
    return max(apparent, float(stated or 0) + delay)


def assess(
    response: Response, request_time: float, response_time: float, policy: Policy
) -> Freshness:
    """Work out once, when a response is stored, what each use of it asks for."""
    control = controls(response)
    directives = control.directives
    explicit = explicit_lifetime(response, control, response_time)
    lifetime, rule = explicit or heuristic_lifetime(response, control, response_time, policy)
    validate = is_whole(directives, "no-cache")
    # RFC 9111, section 4.2.4; s-maxage implies proxy-revalidate (section 5.2.2.10).
    never_stale = validate or not directives.keys().isdisjoint(
        ("must-revalidate", "proxy-revalidate", "s-maxage")
    )

    def window(name: str, default: float) -> float:
        if never_stale:
            return 0.0
        stated = seconds(directives, name)
        if stated is not None:
            return float(stated)
        # The operator's wish is for what was fresh once: what the origin says nothing of, or
        # calls stale from the start, may be one client's.
        return default if lifetime > 0 else 0.0

    return Freshness(
        initial_age=initial_age(response.fields, request_time, response_time),
        lifetime=lifetime,
        rule=rule,
        immutable="immutable" in directives,
        validate=validate,
        never_stale=never_stale,
        while_revalidate=window("stale-while-revalidate", policy.stale_while_revalidate),
        if_error=window("stale-if-error", policy.stale_if_error),
    )


def current_age(stored: Stored, now: float) -> float:
    """Return ``current_age`` in seconds (RFC 9111, section 4.2.3); never negative."""
    return stored.initial_age + max(0.0, now - stored.response_time)


def seconds_to_keep(stored: Stored, now: float) -> float:
    """Return for how long a store has any use for a response; not positive for none.

    A response with a validator is of use past its freshness for as long again, a day at least:
    a 304 is cheaper than the whole. It is not served in that time without one.
    """
    spare = max(stored.while_revalidate, stored.if_error)
    if first(stored.fields, "etag") or first(stored.fields, "last-modified"):
        spare = max(spare, stored.lifetime, _LONGEST_GUESS)
    return stored.lifetime + spare - current_age(stored, now)


def expire(stored: Stored, moment: float) -> Stored:
    """Return a response as one that is stale since a moment at the latest (a soft purge)."""
    lifetime = min(stored.lifetime, current_age(stored, moment))
    return msgspec.structs.replace(stored, lifetime=lifetime)


def _date(fields: Fields, response_time: float) -> float:
    """Return when the response was made; where that is not said, when it came."""
    text = first(fields, "date")
    moment = None if text is None else parse_date(text, response_time)
    return float(floor(response_time)) if moment is None else moment
