"""Who calls: how an API key is shown, and whose it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from flask import Request

from cacheapi.moments import moment_text
from cacheapi.registry.rights import Caller
from cacheapi.registry.snapshot import Snapshot
from cacheapi.web.errors import ApiError, not_read_yet

HEADER = "X-DreamFactory-API-Key"
_FIELD: Final = f"HTTP_{HEADER.upper().replace('-', '_')}"
PARAMETER = "api_key"

View = TypeVar("View", bound=Callable[..., Any])
_OPEN = "needs_no_key"
# Whatever is asked below it; a mistyped probe is told so, and not that it needs a key.
_OPEN_PATH = "/health/"


def without_key(view: View) -> View:
    """Mark a view as open to everybody."""
    setattr(view, _OPEN, True)
    return view


def admit(request: Request, view: Callable[..., Any] | None, snapshot: Snapshot) -> Caller | None:
    """Return who sends a request; ``None`` for an open view, which anybody may ask.

    :raises ApiError: 401; no key, or one that is unknown, expired or revoked. 500 where it
        cannot be known, since the database could not be read yet.
    """
    if getattr(view, _OPEN, False):
        return None
    if view is None and request.path.startswith(_OPEN_PATH):
        return None
    return caller_of(shown_key(request), snapshot)


def caller_of(shown: str, snapshot: Snapshot) -> Caller:
    """Return who shows an API key.

    :raises ApiError: as :func:`admit`.
    """
    if not shown:
        raise _unauthorized(
            f"No API key: send it as the header {HEADER}, as 'Authorization: Bearer …' "
            f"or as the parameter {PARAMETER}."
        )
    caller = snapshot.who(shown)
    if caller is not None:
        return caller
    if not snapshot.is_complete:
        raise not_read_yet()
    raise _unauthorized(why_not(shown, snapshot))


def why_not(shown: str, snapshot: Snapshot) -> str:
    """Return why an API key is nobody's. That it has expired only who has it whole is told."""
    ended = snapshot.ended(shown)
    if ended is None:
        return "The API key is not valid."
    return f"The API key expired at {moment_text(int(ended))}; an administrator can extend it."


def shown_key(request: Request) -> str:
    """Return the key that a request shows; the header wins, then the parameter."""
    return (
        request.environ.get(_FIELD)
        or request.args.get(PARAMETER)
        or bearer_token(request.environ.get("HTTP_AUTHORIZATION", ""))
    )


def bearer_token(authorization: str) -> str:
    """Return the token of an ``Authorization`` header; empty where it has another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, headers={"WWW-Authenticate": 'Bearer realm="cacheapi"'})
