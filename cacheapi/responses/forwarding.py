"""Fields that belong to one hop, and what a request to the origin carries.

RFC 9110, section 7.6.1; RFC 9111, section 3.1.
"""

from __future__ import annotations

from typing import Final

from cacheapi.responses.messages import Fields, Request, names_in, without

# RFC 9110, section 7.6.1, and the proxy's fields of RFC 9111, section 3.1.
HOP_BY_HOP: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade",
    }
)  # fmt: skip

# The client's conditions are answered from what comes; the origin gets the cache's own.
CONDITIONS: Final = frozenset({"if-none-match", "if-modified-since"})


def end_to_end(fields: Fields) -> Fields:
    """Return the fields less those for one hop, which ``Connection`` may name more of."""
    named = names_in(fields, "connection")
    return without(fields, HOP_BY_HOP | named if named else HOP_BY_HOP)


def forward(request: Request, add: Fields | None = None) -> Fields:
    """Return the end-to-end fields of a request to the origin.

    The engine removes and adds what the service's configuration says, and ``Host``.

    :param add: the decision's ``add``: fields that take the place of the client's, whose
        conditions would make an answer that only this client understands. ``None`` for a
        ``Pass``, which leaves the request's own.
    """
    fields = end_to_end(request.fields)
    if add is None:
        return fields
    return (*without(fields, CONDITIONS | {name for name, _ in add}), *add)
