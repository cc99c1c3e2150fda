"""The API page in the console's frame; what it shows is the API's own page."""

from __future__ import annotations

from typing import Final

from flask import Blueprint
from werkzeug.wrappers import Response

from cacheapi.console import frame, guard

# Swagger UI styles its elements in place, with pictures that its style sheet holds.
POLICY: Final = guard.POLICY.replace(
    "style-src 'self'; img-src 'self'", "style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


def register(blueprint: Blueprint) -> None:
    """Add the view."""
    blueprint.add_url_rule("/api-docs", "api_docs", show)


def show() -> Response:
    """Show the API page; its script has the key of who signed in, or asks for one."""
    made = frame.page("api_docs")
    made.headers["Content-Security-Policy"] = POLICY
    return made
