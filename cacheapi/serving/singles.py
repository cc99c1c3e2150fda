"""Fields that gunicorn's own workers write themselves, whatever the application's answer says.

``Date`` and ``Server`` of an API's answer are the API's to say: a cache that writes another
date makes an old answer new (RFC 9110, sections 6.6.1 and 10.2.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gunicorn.http.wsgi import Response

_SINGLE: Final = ("date", "server")


def install() -> None:
    """Make gunicorn's own workers write those only that the application's answer lacks."""
    take, write = Response.process_headers, Response.default_headers

    def process_headers(response: Response, headers: Iterable[tuple[str, str]]) -> None:
        given = list(headers)
        # It looks at all of them, and leaves these out.
        take(response, given)
        response.headers += [
            (name, value.strip(" \t")) for name, value in given if name.lower() in _SINGLE
        ]

    def default_headers(response: Response) -> list[str]:
        given = {name.lower() for name, _ in response.headers}
        doubled = tuple(f"{name}:" for name in _SINGLE if name in given)
        return [line for line in write(response) if not line.lower().startswith(doubled)]

    Response.process_headers, Response.default_headers = process_headers, default_headers
