"""Which fields of a client's request the origin sees at all.

What is left out here takes part in nothing: the rules of the cache see the request as the
origin does. Fields of one connection (RFC 9110, section 7.6.1) are left out as well.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from cacheapi.responses.forwarding import HOP_BY_HOP
from cacheapi.responses.messages import Fields, names_in

_REQUEST_ONLY: Final = frozenset({"host", "content-length", "expect", "http2-settings"})

# Meant for this service.
_OURS: Final = frozenset({"x-dreamfactory-api-key", "x-server-timing", "x-service-kind"})

# These change an answer, or the resource, and no Vary tells so: with one of them a client
# could have an answer stored that others get for a URL that is not its own.
UNSEEN: Final = frozenset(
    {
        "base-url",
        "forwarded",
        "front-end-https",
        "request-uri",
        "true-client-ip",
        "x-cluster-client-ip",
        "x-client-ip",
        "x-custom-ip-authorization",
        "x-host",
        "x-http-destinationurl",
        "x-http-host-override",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-middleware-prefetch",
        "x-middleware-subrequest",
        "x-original-host",
        "x-original-method",
        "x-original-uri",
        "x-original-url",
        "x-override-url",
        "x-proxy-url",
        "x-real-ip",
        "x-rewrite-url",
        "x-url-scheme",
        "x-wap-profile",
    }
)
_UNSEEN_PREFIX: Final = ("x-forwarded-", "x-dreamfactory-", "proxy-")


def screened(
    fields: Fields, *, cookies: Collection[str] = (), authorization: bool = False
) -> Fields:
    """Return the fields of a client's request that may reach the origin.

    :param fields: lower-case names.
    :param cookies: the names of cookies that may; a cookie of another name is left out.
    :param authorization: whether ``Authorization`` may.
    """
    dropped = names_in(fields, "connection") | HOP_BY_HOP | _REQUEST_ONLY | _OURS | UNSEEN
    kept = []
    for name, value in fields:
        # Some servers take "_" for "-": "X_Forwarded_Host" would be the other.
        plain = name.replace("_", "-")
        if plain in dropped or plain.startswith(_UNSEEN_PREFIX):
            continue
        if plain == "authorization" and not authorization:
            continue
        if plain == "cookie":
            chosen = _chosen(value, cookies)
            if chosen:
                kept.append((name, chosen))
            continue
        kept.append((name, value))
    return tuple(kept)


def _chosen(cookie: str, names: Collection[str]) -> str:
    """Return those cookies of a ``Cookie`` field that have one of some names."""
    pairs = [pair.strip() for pair in cookie.split(";")]
    return "; ".join(pair for pair in pairs if pair.partition("=")[0].strip() in names)
