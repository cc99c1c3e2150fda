"""Which responses are stored, and as what (RFC 9111, section 3)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin

from cacheapi.responses.dates import format_date
from cacheapi.responses.directives import is_whole, listed, parse_directives
from cacheapi.responses.forwarding import end_to_end
from cacheapi.responses.freshness import (
    Controls,
    assess,
    controls,
    explicit_lifetime,
    may_guess,
)
from cacheapi.responses.messages import (
    Fields,
    Part,
    Request,
    Response,
    Stored,
    every,
    first,
    without,
)
from cacheapi.responses.policy import DEFAULT, Policy
from cacheapi.responses.ranges import content_range
from cacheapi.responses.vary import selecting_values, vary_names

# must-understand (RFC 9111, section 5.2.2.3): what these statuses ask of a cache is done here.
_UNDERSTOOD: Final = frozenset(
    {
        200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 307, 308,
        400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417,
        421, 422, 426, 500, 501, 502, 503, 504, 505,
    }
)  # fmt: skip

# What a request's own framing, ranges or conditions led to; the next one gets no such answer.
_OF_ONE_REQUEST: Final = frozenset({304, 407, 408, 412, 413, 416, 417, 431})

_COOKIE_NAME: Final = re.compile(r"[ \t]*([^=;]*?)[ \t]*=")


def may_store(
    request: Request, response: Response, policy: Policy = DEFAULT, now: float = 0.0
) -> str | None:
    """Return ``None`` if a response may be stored, else the reason why not.

    The reasons are words for ``Cache-Status``'s ``detail``, logs and the console: ``method``,
    ``status``, ``no-store``, ``private``, ``authorization``, ``set-cookie``, ``vary-star``,
    ``must-understand``, ``part`` (a 206 that says not which part), ``no-freshness`` (nothing
    that would ever make it of use).

    :param now: when the response came.
    """
    control = controls(response)
    reason = _refused(request, response, control, policy)
    if reason is not None or request.method == "POST":
        return reason
    if not explicit_lifetime(response, control, now) and not may_guess(response, control):
        return "status"
    facts = assess(response, now, now, policy)
    useful = (
        facts.lifetime > 0
        or facts.while_revalidate > 0
        or facts.if_error > 0
        or first(response.fields, "etag")
        or first(response.fields, "last-modified")
    )
    return None if useful else "no-freshness"


def _refused(request: Request, response: Response, control: Controls, policy: Policy) -> str | None:
    directives = control.directives
    status = response.status
    if request.method != "GET" and not _is_readable_post(request, response, control):
        return "method"
    if status < 200 or status in _OF_ONE_REQUEST:
        return "status"
    if "must-understand" in directives:
        if status not in _UNDERSTOOD:
            return "must-understand"
    elif "no-store" in directives:
        return "no-store"
    if "no-store" in parse_directives(request.fields):
        return "no-store"
    if is_whole(directives, "private"):
        return "private"
    if first(request.fields, "authorization") is not None and directives.keys().isdisjoint(
        ("public", "s-maxage", "must-revalidate")
    ):
        return "authorization"
    if sets_own_cookies(response.fields, policy):
        return "set-cookie"
    if vary_names(response.fields) == ("*",):
        return "vary-star"
    if status == 206 and content_range(response.fields) is None:
        return "part"
    return None


def _is_readable_post(request: Request, response: Response, control: Controls) -> bool:
    """Whether a POST's response is what a GET of the same URL gets (RFC 9110, section 9.3.3)."""
    location = first(response.fields, "content-location")
    return (
        request.method == "POST"
        and 200 <= response.status < 300
        and response.status != 206
        and location is not None
        and urljoin(request.target, location) == request.target
        and (explicit_lifetime(response, control, 0.0) is not None)
    )


def sets_own_cookies(fields: Fields, policy: Policy) -> bool:
    """Whether a response sets a cookie that may be one person's.

    RFC 9111, section 7.3, lets a cache store it and warns; what one client gets there would
    reach the next.
    """
    for cookie in every(fields, "set-cookie"):
        match = _COOKIE_NAME.match(cookie)
        if match is None or match[1] not in policy.cookies:
            return True
    return False


def storable_fields(response: Response) -> Fields:
    """Return the fields that are stored (RFC 9111, section 3.1).

    Not those for one hop, nor those that ``no-cache`` or ``private`` lists (5.2.2.4, 5.2.2.7).
    """
    directives = controls(response).directives
    left_out = {"age", "content-length"} | listed(directives, "no-cache")
    return without(end_to_end(response.fields), left_out | listed(directives, "private"))


def keep(
    request: Request,
    response: Response,
    request_time: float,
    response_time: float,
    length: int,
    policy: Policy = DEFAULT,
) -> Stored | None:
    """Return a response that may be stored as what is stored.

    A response without ``Date`` gets one (RFC 9110, section 6.6.1).

    :param request: the one that was answered; the fields that ``Vary`` names are as received
        from the client.
    :param length: bytes of the body that was received, whole.
    :return: ``None`` for a part whose ``Content-Range`` does not fit the body.
    """
    part: Part | None = None
    if response.status == 206:
        part = content_range(response.fields)
        # A part that ends early is the shorter part that came.
        if part is None or not 0 < length <= part.last - part.first + 1:
            return None
        part = Part(part.first, part.first + length - 1, part.complete)
    fields = storable_fields(response)
    if first(fields, "date") is None:
        fields = (*fields, ("date", format_date(response_time)))
    names = vary_names(response.fields)
    facts = assess(response, request_time, response_time, policy)
    return Stored(
        request.target,
        names,
        selecting_values(request.fields, names),
        response.status,
        fields,
        request_time,
        response_time,
        *facts,
        length,
        part,
    )
