"""What a cache does about a request, and why, in sentences for who has never read RFC 9111.

Each says three things: what is done with such a request, why, and what would change it: a header of
the API, one of the client, or a setting of the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cacheapi.amounts import counted
from cacheapi.responses.deciding import request_directives
from cacheapi.responses.freshness import current_age
from cacheapi.responses.messages import Request, Stored, first

# What decided for how long a stored answer is fresh.
RULES: Final[Mapping[str, str]] = {
    "s-maxage": "the API's Cache-Control: s-maxage",
    "max-age": "the API's Cache-Control: max-age",
    "cdn-s-maxage": "the API's CDN-Cache-Control: s-maxage",
    "cdn-max-age": "the API's CDN-Cache-Control: max-age",
    "expires": "the API's Expires",
    "ttl": "the service's cache_ttl",
    "last-modified": "a tenth of the time since the API's Last-Modified",
    "none": "nothing that states one, so that each use asks the API",
}
_STORABLE: Final = (
    "It is stored then, if the API gives it a lifetime (Cache-Control: max-age=60) or the service "
    "does (cache_ttl), and says neither no-store nor private, and sets no cookie; the "
    "Cache-Status of the answer says as detail what forbade it"
)
_WISHES: Final = ("no-cache", "max-age", "min-fresh", "max-stale", "only-if-cached")
_FOR_THE_API: Final = ("if-match", "if-unmodified-since")


def told(decision: str, why: str, request: Request, stored: Stored | None, now: float) -> str:
    """Return what is done about a GET, why, and what would change it.

    :param decision: as :func:`~cacheapi.responses.explaining.explain` gives it, and ``why`` too.
    :param stored: what it is about, if anything is.
    """
    if stored is not None:
        text = _OF_STORED.get((decision, why))
        if text is not None:
            return text.format(**_facts(request, stored, now))
    text = _PLAIN.get((decision, why)) or _PLAIN.get((decision, "")) or "The API is asked."
    return text.format(wish=_wish(request), condition=_condition(request))


def _facts(request: Request, stored: Stored, now: float) -> dict[str, str]:
    age = current_age(stored, now)
    left = stored.lifetime - age
    if stored.validate:
        ended = "the API's Cache-Control: no-cache wants each use of it checked"
        longer = "leave no-cache out of the API's answer"
    elif stored.lifetime <= 0:
        ended = f"it has no lifetime (that is from {RULES.get(stored.rule, stored.rule)})"
        longer = "have the API send Cache-Control: max-age=60, or give the service a cache_ttl"
    else:
        ended = (
            f"its lifetime of {_seconds(stored.lifetime)}, from "
            f"{RULES.get(stored.rule, stored.rule)}, ended {_seconds(-left)} ago"
        )
        longer = "have the API send a longer max-age"
        if stored.rule == "ttl":
            longer = "give the service a longer cache_ttl, or have the API send a max-age"
    return {
        "age": _seconds(age),
        "left": _seconds(left),
        "over": _seconds(-left),
        "rule": RULES.get(stored.rule, stored.rule),
        "window": _seconds(stored.while_revalidate),
        "ended": ended,
        "longer": longer,
        "wish": _wish(request),
    }


def _seconds(number: float) -> str:
    return counted(max(0, int(number)), "second")


def _wish(request: Request) -> str:
    """Return the field of a request that limits what may be served, as it was sent."""
    value = first(request.fields, "cache-control")
    if value is not None:
        return f"Cache-Control: {value}"
    return "Pragma: no-cache" if request_directives(request.fields) else "Cache-Control"


def _condition(request: Request) -> str:
    found = [name for name, _ in request.fields if name in _FOR_THE_API]
    return {"if-match": "If-Match"}.get("".join(found[:1]), "If-Unmodified-Since")


# Where something is stored of it.
_OF_STORED: Final[Mapping[tuple[str, str], str]] = {
    ("hit", "fresh"): (
        "It is answered from the cache, and the API is not asked: the stored answer is {age} old "
        "and good for {left} more, by {rule}. A purge of the URL makes the next one ask the API."
    ),
    ("hit", "stale"): (
        "It is answered from the cache, and the API is asked behind that for the next one: the "
        "lifetime of the stored answer ended {over} ago, and stale-while-revalidate lets it be "
        "served for {window} after its end. To wait for the API instead, leave that out of the "
        "API's Cache-Control, and of the service's stale_while_revalidate."
    ),
    ("hit", "request"): (
        "It is answered from the cache, and the API is not asked: the lifetime of the stored "
        "answer ended {over} ago, and the request takes such answers ({wish}). Without max-stale "
        "in the request the API is asked."
    ),
    ("revalidate", "stale"): (
        "The API is asked whether the stored answer still holds, and says so with a short 304, or "
        "sends a new one: {ended}. To be answered from the cache, {longer}."
    ),
    ("revalidate", "request"): (
        "The API is asked whether the stored answer still holds: the request wants that ({wish}). "
        "Without that header the stored answer may do, which is {age} old."
    ),
    ("miss", "stale"): (
        "It is fetched anew from the API: {ended}, and without ETag or Last-Modified nobody can "
        "ask whether it still holds. To be answered from the cache, {longer}; with an ETag of the "
        "API's it would be no more than a question."
    ),
    ("miss", "request"): (
        "It is fetched anew from the API: the request wants that ({wish}). Without that header the "
        "stored answer may do, which is {age} old."
    ),
}
# Where nothing is, or what is says nothing more.
_PLAIN: Final[Mapping[tuple[str, str], str]] = {
    ("miss", "uri-miss"): (
        f"It is fetched from the API: nothing is stored of this URL. {_STORABLE}."
    ),
    ("miss", "vary-miss"): (
        "It is fetched from the API: what is stored of this URL is for requests with other values "
        "of the headers that part its answers. Those are the ones that the API's Vary names, the "
        "service's key_headers, and its cookies; where one of them makes no difference, leave it "
        "out there."
    ),
    ("miss", "partial"): (
        "It is fetched from the API: a part of the answer alone is stored, as somebody asked for "
        "no more (Range), and not the part that is asked for. A whole answer that is stored does "
        "for all parts."
    ),
    ("miss", "gone"): (
        "It is fetched anew from the API: what is known of the answer is stored, but its body is "
        "not in the cache any more, which was full, or lost it. More memory for the cache keeps it "
        "longer."
    ),
    ("miss", "request"): "It is fetched from the API: the request wants that ({wish}).",
    ("complete", ""): (
        "The API is asked for the rest: a part of the answer is stored, as somebody asked for no "
        "more (Range). Then the whole is."
    ),
    ("pass", "request"): (
        "It is passed on to the API, and nothing is stored: only the API can judge its "
        "{condition}. Without that header the cache may answer."
    ),
    ("pass", "method"): "It is passed on to the API: only answers to GET and HEAD are stored.",
    ("pass", "off"): (
        "It is passed on to the API, and nothing is stored: the cache of this service is off. "
        "cache_enabled=true switches it on."
    ),
    ("unavailable", ""): (
        "It is answered 504, and the API is not asked: the request wants stored answers only "
        "({wish}), and there is none that may be used. Without only-if-cached the API is asked."
    ),
}
