"""What to do with a request, of what is stored: a closed set (RFC 9111, section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from cacheapi.responses.directives import Directives, parse_directives, seconds
from cacheapi.responses.freshness import current_age
from cacheapi.responses.messages import Fields, Request, Stored, first
from cacheapi.responses.ranges import has, rest_of
from cacheapi.responses.validators import conditions, strong_tag
from cacheapi.responses.vary import select

# An answer of these instead of an error (RFC 5861, section 4); no answer at all is the same.
ERROR_STATUSES: Final = frozenset({500, 502, 503, 504})

# A client that says how fresh an answer must be gets none in a window of the origin's.
_LIMITS: Final = frozenset({"no-cache", "max-age", "min-fresh", "max-stale"})


class Hit(msgspec.Struct, frozen=True, gc=False):
    """Serve what is stored.

    :ivar stored: it.
    :ivar age: its age in seconds.
    :ivar ttl: the freshness that it has left, negative if it is stale.
    :ivar refresh: whether to fetch it anew in the background, as ``refresh_decision`` says.
    """

    stored: Stored
    age: float
    ttl: float
    refresh: bool = False


class Revalidate(msgspec.Struct, frozen=True, gc=False):
    """Ask the origin whether what is stored holds; a 304 says so.

    :ivar stored: it.
    :ivar fwd: why, in the words of ``Cache-Status``: ``stale`` or ``request``.
    :ivar add: fields that take the place of the client's.
    """

    stored: Stored
    fwd: str
    add: Fields


class Complete(msgspec.Struct, frozen=True, gc=False):
    """Ask the origin for what a stored part lacks.

    A 206 goes to :func:`~cacheapi.responses.combining.combine`, a 200 is the new whole; at
    anything else, and where they do not combine, the request is to be sent once more as it is.

    :ivar stored: the part.
    :ivar fwd: ``partial``.
    :ivar add: fields that take the place of the client's.
    """

    stored: Stored
    fwd: str
    add: Fields


class Miss(msgspec.Struct, frozen=True, gc=False):
    """Ask the origin.

    :ivar fwd: why: ``uri-miss``, ``vary-miss``, ``partial``, ``stale`` or ``request``.
    :ivar stored: what could be served instead of an error, if :func:`on_error` says so.
    :ivar add: fields that take the place of the client's: none.
    """

    fwd: str
    stored: Stored | None = None
    add: Fields = ()


class Pass(msgspec.Struct, frozen=True, gc=False):
    """Send the request on as it is, and do not store the response to it.

    A POST's may be stored all the same where ``may_store`` says so.

    :ivar fwd: why: ``method``, ``request`` or ``bypass``.
    """

    fwd: str


class Unavailable(msgspec.Struct, frozen=True, gc=False):
    """Answer 504: the client wants no request to the origin (``only-if-cached``)."""


Decision: TypeAlias = Hit | Revalidate | Complete | Miss | Pass | Unavailable


def decide(request: Request, variants: Iterable[Stored], now: float) -> Decision:
    """Say what to do with a request.

    :param variants: every response that is stored for the URL.
    :param now: Unix time.
    """
    method = request.method
    if method not in ("GET", "HEAD"):
        return Pass("method")
    wishes: Directives = {}
    is_for_origin = False
    for name, _ in request.fields:
        if name in ("if-match", "if-unmodified-since"):
            # RFC 9111, section 4.3.2: these are the origin's to evaluate.
            is_for_origin = True
        elif name in ("cache-control", "pragma") and not wishes:
            wishes = request_directives(request.fields)
    decision = Pass("request") if is_for_origin else _read(request, variants, now, wishes)
    if "only-if-cached" in wishes and not isinstance(decision, Hit):
        return Unavailable()
    return decision


def request_directives(fields: Fields) -> Directives:
    """Return a request's directives; ``Pragma: no-cache`` where it has none (section 5.4)."""
    if first(fields, "cache-control") is not None:
        return parse_directives(fields)
    return {"no-cache": [None]} if "no-cache" in parse_directives(fields, "pragma") else {}


def _read(request: Request, variants: Iterable[Stored], now: float, wishes: Directives) -> Decision:
    variants = tuple(variants)
    stored = select(variants, request.target, request.fields)
    if stored is None:
        known = any(variant.target == request.target for variant in variants)
        return Miss("vary-miss" if known else "uri-miss")
    age = current_age(stored, now)
    left = stored.lifetime - age
    fwd = _why_not(stored, age, left, wishes)
    if stored.part is not None and (request.method != "GET" or not has(stored, request.fields)):
        return _complete(request, stored, fwd)
    if fwd is None:
        return Hit(stored, age, left)
    if left <= 0 < stored.while_revalidate >= -left and wishes.keys().isdisjoint(_LIMITS):
        return Hit(stored, age, left, refresh=True)
    return _ask(stored, fwd)


def _why_not(stored: Stored, age: float, left: float, wishes: Directives) -> str | None:
    """Return why a stored response may not be used unasked, ``None`` if it may.

    RFC 9111, sections 4.2.4 and 5.2.1. While an ``immutable`` response is fresh, a client's
    ``max-age`` asks for nothing that is to be had (RFC 8246, section 2).
    """
    if stored.validate:
        return "stale"
    if not wishes:
        return None if left > 0 else "stale"
    if "no-cache" in wishes:
        return "request"
    oldest = seconds(wishes, "max-age")
    if oldest is not None and age > oldest and not (stored.immutable and left > 0):
        return "request"
    least = seconds(wishes, "min-fresh")
    if least is not None and left < least:
        return "request" if left > 0 else "stale"
    if left > 0:
        return None
    if "max-stale" in wishes and not stored.never_stale:
        any_age = wishes["max-stale"][0] is None
        if any_age or -left <= (seconds(wishes, "max-stale") or 0):
            return None
    return "stale"


def _complete(request: Request, stored: Stored, fwd: str | None) -> Decision:
    """Say what to do where a stored part is not what a request asks for (section 3.4)."""
    assert stored.part is not None
    rest = rest_of(stored.part)
    weak = strong_tag(stored.fields) is None and bool(conditions(stored.fields))
    if request.method != "GET" or first(request.fields, "range") or fwd or rest is None or weak:
        return Miss("partial")
    tag = strong_tag(stored.fields)
    add: Fields = (("range", rest),)
    return Complete(stored, "partial", add if tag is None else (*add, ("if-range", tag)))


def _ask(stored: Stored, fwd: str) -> Revalidate | Miss:
    add = conditions(stored.fields)
    return Revalidate(stored, fwd, add) if add else Miss(fwd, stored)


def refresh_decision(hit: Hit) -> Revalidate | Miss:
    """Return what to send in the background for a hit that is to be fetched anew."""
    return _ask(hit.stored, "stale")


def on_error(request: Request, decision: Decision, now: float) -> Hit | None:
    """Return what to serve where the origin failed, ``None`` to tell of the failure.

    A failure is an answer of :data:`ERROR_STATUSES`, or none: not connected, timed out, cut
    off. Nothing is served past ``must-revalidate``, ``proxy-revalidate``, ``s-maxage`` or
    ``no-cache``, nor to a client that asked for ``no-cache`` (RFC 9111, section 4.2.4).

    The seconds allowed are the response's or the request's, the more of both (RFC 5861,
    section 4).
    """
    if not isinstance(decision, (Revalidate, Miss)) or decision.stored is None:
        return None
    stored = decision.stored
    wishes = request_directives(request.fields)
    if stored.never_stale or "no-cache" in wishes:
        return None
    age = current_age(stored, now)
    left = stored.lifetime - age
    allowed = max(stored.if_error, float(seconds(wishes, "stale-if-error") or 0))
    return Hit(stored, age, left) if left > 0 or 0 < allowed >= -left else None
