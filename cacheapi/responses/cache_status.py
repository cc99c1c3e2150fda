"""``Cache-Status``: what the cache did with a request (RFC 9211)."""

from __future__ import annotations

import re
from typing import Final

# RFC 9211, section 2: the name of the cache comes first.
NAME: Final = "cacheapi"

_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
_UNSENDABLE: Final = re.compile(r"[^ -~]")


def hit_status(ttl: float, detail: str | None = None) -> str:
    """Return the member for a response that was served without asking the origin.

    :param ttl: the freshness left in seconds, negative if stale.
    """
    member = f"{NAME}; hit; ttl={int(ttl // 1)}"
    return member if detail is None else f"{member}; detail={_quoted(detail)}"


def forward_status(
    fwd: str,
    *,
    status: int | None = None,
    ttl: float | None = None,
    stored: bool = False,
    collapsed: bool = False,
    detail: str | None = None,
) -> str:
    """Return the member for a request that went to the origin.

    :param fwd: why, as of a decision, or ``bypass``.
    :param status: the origin's answer, where it is not the one that goes to the client.
    :param ttl: the freshness that what was stored has left.
    :param stored: whether the response was stored.
    :param collapsed: whether this client got the answer to another one's request.
    :param detail: the reason why it was not stored, or what else there is to say.
    """
    member = f"{NAME}; fwd={fwd}"
    if status is not None:
        member += f"; fwd-status={status}"
    if ttl is not None:
        member += f"; ttl={int(ttl // 1)}"
    if stored:
        member += "; stored"
    if collapsed:
        member += "; collapsed"
    return member if detail is None else f"{member}; detail={_quoted(detail)}"


def _quoted(detail: str) -> str:
    """Return a token as it is, other text as a string (RFC 8941, section 3.3)."""
    if _TOKEN.fullmatch(detail):
        return detail
    text = _UNSENDABLE.sub("?", detail).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
