"""What a later answer makes of a stored response.

RFC 9111, sections 3.2 (which fields), 3.4 (parts), 4.3.4 (304) and 4.3.5 (HEAD).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from cacheapi.responses.directives import listed
from cacheapi.responses.forwarding import end_to_end
from cacheapi.responses.freshness import assess, controls
from cacheapi.responses.messages import (
    Fields,
    Part,
    Request,
    Response,
    Stored,
    first,
    without,
)
from cacheapi.responses.policy import DEFAULT, Policy
from cacheapi.responses.storing import may_store, sets_own_cookies, storable_fields
from cacheapi.responses.validators import says_otherwise, strong_tag
from cacheapi.responses.vary import selecting_values, vary_names

# What the stored bytes are is not for a message without them to say (section 3.2); a cookie in
# it is for the client that asked.
_FIXED: Final = frozenset(
    {"content-encoding", "content-length", "content-range", "set-cookie", "date"}
)
# These are written for each answer.
_FRAMING: Final = frozenset({"age", "content-encoding", "content-length", "content-range"})


class Update(NamedTuple):
    """A stored response with the fields of a later answer.

    :ivar stored: what to serve.
    :ivar reason: ``None`` to store it, else why not, as of
        :func:`~cacheapi.responses.storing.may_store`: it is served this once.
    :ivar outdated: whether what is stored is to be removed: the origin wants it stored no more.
        Where the reason is in the request alone it stays as it is.
    """

    stored: Stored
    reason: str | None
    outdated: bool


class Combination(NamedTuple):
    """Two parts as one.

    :ivar stored: what to store; status 200 if nothing lacks.
    :ivar pieces: the bodies' bytes in order: 0 for the stored body or 1 for the new one, the
        first byte in it and the one after the last.
    """

    stored: Stored
    pieces: tuple[tuple[int, int, int], ...]


def update(
    stored: Stored,
    response: Response,
    request: Request,
    request_time: float,
    response_time: float,
    policy: Policy = DEFAULT,
) -> Update | None:
    """Return a stored response as a 304 leaves it (RFC 9111, section 4.3.4).

    :param response: the 304.
    :param request: the client's; its fields select the response from now on.
    :return: ``None`` where the 304 has the validator of another response: it says nothing of
        this one, and the request is to be sent once more, as a ``Miss``.
    """
    if says_otherwise(response.fields, stored):
        return None
    return _refreshed(stored, response, request, request_time, response_time, policy)


def update_by_head(
    stored: Stored,
    response: Response,
    request: Request,
    request_time: float,
    response_time: float,
    policy: Policy = DEFAULT,
) -> Update | None:
    """Return a stored response as the 200 to a ``HEAD`` leaves it (RFC 9111, section 4.3.5).

    :param stored: the whole response to a GET that the request selects.
    :return: ``None`` where its tag, its date of change or its length are others: what is
        stored is outdated, and to be removed.
    """
    if stored.part is not None or response.status != 200 or stored.status != 200:
        return None
    if says_otherwise(response.fields, stored):
        return None
    length = first(response.fields, "content-length")
    if length is not None and length != str(stored.length):
        return None
    return _refreshed(stored, response, request, request_time, response_time, policy)


def combine(stored: Stored, new: Stored, policy: Policy = DEFAULT) -> Combination | None:
    """Return two parts of one response as one (RFC 9111, section 3.4).

    :param new: the part that came now, as of :func:`~cacheapi.responses.storing.keep`.
    :return: ``None`` where they do not have the same strong tag, or bytes between them lack.
    """
    old, part = stored.part, new.part
    tag = strong_tag(stored.fields)
    if old is None or part is None or tag is None or tag != strong_tag(new.fields):
        return None
    if old.complete != part.complete or old.first > part.last + 1 or part.first > old.last + 1:
        return None
    pieces = []
    if old.first < part.first:
        pieces.append((0, 0, part.first - old.first))
    pieces.append((1, 0, new.length))
    if old.last > part.last:
        pieces.append((0, part.last + 1 - old.first, stored.length))
    union = Part(min(old.first, part.first), max(old.last, part.last), old.complete)
    whole = union.first == 0 and union.last == union.complete - 1
    fields = without(_merged(stored.fields, new.fields), ("content-range",))
    if not whole:
        label = f"bytes {union.first}-{union.last}/{union.complete}"
        fields = (*fields, ("content-range", label))
    status = 200 if whole else 206
    facts = assess(Response(status, fields), new.request_time, new.response_time, policy)
    made = msgspec.structs.replace(
        new,
        status=status,
        fields=fields,
        length=sum(stop - start for _, start, stop in pieces),
        part=None if whole else union,
        **facts._asdict(),
    )
    return Combination(made, tuple(pieces))


def _refreshed(
    stored: Stored,
    response: Response,
    request: Request,
    request_time: float,
    response_time: float,
    policy: Policy,
) -> Update:
    fixed = _FIXED - {"date"}
    if not sets_own_cookies(response.fields, policy):
        fixed -= {"set-cookie"}
    news = without(storable_fields(response), fixed)
    if first(stored.fields, "etag") is not None and strong_tag(stored.fields) is None:
        # Who weakened it, as servers that compress do, changed the bytes that are stored: the
        # strong tag is of others, and would let ranges of both be put together.
        news = without(news, ("etag",))
    fields = _merged(stored.fields, news)
    if first(news, "date") is None:
        fields = without(fields, ("date",))
    # The Age of what came is not stored, yet it counts.
    dated = Response(stored.status, (*fields, *_ages(response.fields)))
    facts = assess(dated, request_time, response_time, policy)
    names = vary_names(fields)
    made = msgspec.structs.replace(
        stored,
        vary=names,
        selecting=selecting_values(request.fields, names),
        fields=fields,
        request_time=request_time,
        response_time=response_time,
        **facts._asdict(),
    )
    wanted = may_store(Request("GET", request.target), dated, policy, response_time)
    asked = Request("GET", request.target, request.fields)
    reason = wanted or may_store(asked, dated, policy, response_time)
    return Update(made, reason, wanted is not None)


def as_asked(stored: Stored, response: Response) -> Stored:
    """Return what the client gets whose request led to an answer: with what is its alone.

    That is never stored: cookies (RFC 9111, section 7.3), and fields that ``no-cache`` or
    ``private`` lists (sections 5.2.2.4 and 5.2.2.7).

    :param stored: what the answer has made or freshened.
    """
    directives = controls(response).directives
    names = {"set-cookie"} | listed(directives, "no-cache") | listed(directives, "private")
    names -= _FRAMING
    own = tuple(field for field in end_to_end(response.fields) if field[0] in names)
    return msgspec.structs.replace(stored, fields=_merged(stored.fields, own)) if own else stored


def _merged(old: Fields, new: Fields) -> Fields:
    """Return fields with those of the same names in a later answer in their place."""
    return (*without(old, {name for name, _ in new}), *new)


def _ages(fields: Fields) -> Fields:
    return tuple(field for field in fields if field[0] == "age")
