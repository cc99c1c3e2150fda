"""What a write makes invalid (RFC 9111, section 4.4)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

from cacheapi.responses.messages import Request, Response, every

# The registered ones that are safe (RFC 9110, section 16.1.1); an unknown one may write.
SAFE_METHODS: Final = frozenset(
    {"GET", "HEAD", "OPTIONS", "TRACE", "PRI", "PROPFIND", "REPORT", "SEARCH", "QUERY"}
)

_PORTS: Final = {"http": 80, "https": 443}


def invalidates(request: Request, response: Response) -> tuple[str, ...]:
    """Return the URLs of which all that is stored is to be removed.

    These are the request's, and those in ``Location`` and ``Content-Location`` where they are
    of the same origin: nobody may empty another's cache. Empty after a safe method, and after
    an answer that is an error.
    """
    if request.method in SAFE_METHODS or not 200 <= response.status < 400:
        return ()
    found = [request.target]
    for name in ("location", "content-location"):
        for place in every(response.fields, name):
            try:
                url = urldefrag(urljoin(request.target, place)).url
                same = _origin(url) == _origin(request.target)
            except ValueError:
                continue
            if same and url not in found:
                found.append(url)
    return tuple(found)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return a URL's scheme, host and port (RFC 9110, section 4.3.1).

    :raises ValueError: it has an address or a port that is none.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
