"""What every request to the console goes through: origin, token, session; and the headers back."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, g, redirect, request, session, url_for
from flask_wtf.csrf import generate_csrf, validate_csrf
from werkzeug.wrappers import Response as AnyResponse
from wtforms import ValidationError

from cacheapi.console import session as sessions
from cacheapi.web import rates
from cacheapi.web.blueprints import registry
from cacheapi.web.errors import ApiError, not_read_yet

# For these nobody need be signed in.
OPEN: Final = frozenset({"console.bare", "console.sign_in", "console.enter", "console.asset"})
# A request of our own script: it swaps parts of the page, and goes where it is sent itself.
LIVE: Final = "X-Console-Live"
LOCATION: Final = "X-Console-Location"

# More than a key of 1000 rules, each with all verbs, has.
MOST_PARTS: Final = 10_000

# What is read of a form of who is not signed in.
SIGN_IN_BYTES: Final = 8 * 1024

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def register(blueprint: Blueprint) -> None:
    """Put the guard before the blueprint's views."""
    blueprint.url_value_preprocessor(_name)
    blueprint.before_request(_guard)
    blueprint.after_request(_seal)
    blueprint.app_context_processor(lambda: {"csrf_token": generate_csrf})


def _name(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Call a service by its one name, however the address has it."""
    if values and "name" in values and endpoint != "console.asset":
        values["name"] = registry().snapshot.name_of(values["name"])


def _guard() -> AnyResponse | None:
    if request.endpoint == "console.asset":
        return None
    fault = sessions.fault()
    if fault is not None:
        raise ApiError(500, f"Nobody can sign in: {fault}")
    registry().refresh()
    caller = sessions.signed_in(registry().snapshot)
    if request.method not in ("GET", "HEAD") and (caller or request.endpoint in OPEN):
        if caller is None:
            # Before anything is known of who sends it.
            request.max_content_length = SIGN_IN_BYTES
        else:
            # A form may be as large as any body: a value, or many rules.
            request.max_form_memory_size = request.max_content_length
            request.max_form_parts = MOST_PARTS
        _check_origin()
    if caller is not None:
        g.caller = caller
        rates.count(caller, registry().counts)
        return None
    if request.endpoint in OPEN:
        return None
    if not registry().snapshot.is_complete and "mark" in session:
        raise not_read_yet()
    sessions.forget()
    # Who signs out loses nothing.
    loses = request.method not in ("GET", "HEAD") and request.endpoint != "console.sign_out"
    lost = "yes" if loses else None
    return redirect(url_for("console.sign_in", next=_way_back(), lost=lost), 303)


def _check_origin() -> None:
    """Refuse a form that is not from a page of the console.

    :raises ApiError: 403, 400.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise ApiError(403, "This was sent by a page of another site.")
    try:
        # As long as the session.
        validate_csrf(request.form.get("csrf_token"), time_limit=int(_LIFETIME))
    except ValidationError as error:
        raise ApiError(
            400, "This page was opened before you signed in or out. Load it again."
        ) from error


_LIFETIME: Final = sessions.LIFETIME.total_seconds()


def _way_back() -> str | None:
    """Return where to go after signing in, if it is not the first page."""
    if request.method != "GET" or LIVE in request.headers:
        return None
    if request.path.rstrip("/") == sessions.PATH:
        return None
    query = urlencode(list(request.args.items(multi=True)))
    return f"{request.path}?{query}" if query else request.path


def _seal(response: Response) -> Response:
    for name, text in HEADERS.items():
        response.headers.setdefault(name, text)
    if request.endpoint != "console.asset":
        response.headers["Cache-Control"] = "no-store"
    if LIVE in request.headers and response.status_code in (302, 303):
        response.headers[LOCATION] = response.headers.pop("Location")
        response.status_code = 200
        response.set_data(b"")
    return response
