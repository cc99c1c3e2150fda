"""What a page of another origin is told of an answer, whoever gives it (Fetch standard, 3.2)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

ORIGIN: Final = b"origin"
_EXPOSED: Final = (
    "ETag, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, X-Request-Id"
)


def fields_for(origin: str, origins: Collection[str]) -> dict[str, str]:
    """Return the header fields of an answer to a request of an origin, but for ``Vary``.

    :param origins: those that may see answers.
    """
    if origin not in origins:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED}
