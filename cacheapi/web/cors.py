"""Pages of other origins: what a browser lets them do (Fetch standard, section 3.2).

Only origins that the setting names, and each by its name: ``*`` would be everybody's, and an
API key is somebody's.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from flask import Request, Response

from cacheapi.web.auth import HEADER
from cacheapi.web.origins import fields_for

_ASKED: Final = (
    f"{HEADER}, Authorization, Content-Type, If-Match, If-None-Match, X-HTTP-Method, X-Request-Id"
)
# As long as browsers keep it at most, about.
_MAX_AGE: Final = "7200"


def is_preflight(request: Request) -> bool:
    """Return whether a browser asks what it may send, without the key that it would send."""
    return request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.environ


def preflight(allowed: str) -> Response:
    """Answer ``OPTIONS``: which methods a path takes.

    :param allowed: the ``Allow`` of it.
    """
    return Response(status=204, headers={"Allow": allowed})


def tell(request: Request, response: Response, origins: Collection[str]) -> None:
    """Tell a browser what a page of an origin may see."""
    if not origins:
        return
    # A cache of a browser keeps them apart.
    response.vary.add("Origin")
    told = fields_for(request.headers.get("Origin", ""), origins)
    if not told:
        return
    fields = response.headers
    for name, text in told.items():
        fields[name] = text
    if is_preflight(request):
        fields["Access-Control-Allow-Methods"] = fields.get("Allow", "")
        fields["Access-Control-Allow-Headers"] = _ASKED
        fields["Access-Control-Max-Age"] = _MAX_AGE
