"""Who calls: API keys, where those of the environment come from, and how one is shown."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from flask import Request

from cacheapi.registry.keyfile import keep
from cacheapi.registry.rights import Caller
from cacheapi.registry.snapshot import Snapshot, digest_of
from cacheapi.settings import Settings, SettingsError, parse_api_keys
from cacheapi.web.errors import ApiError, not_read_yet

log = logging.getLogger(__name__)

HEADER = "X-DreamFactory-API-Key"
PARAMETER = "api_key"

View = TypeVar("View", bound=Callable[..., Any])
_OPEN = "needs_no_key"
# Whatever is asked below it; a mistyped probe is told so, and not that it needs a key.
_OPEN_PATH = "/health/"


def without_key(view: View) -> View:
    """Mark a view as open to everybody."""
    setattr(view, _OPEN, True)
    return view


def key_file(settings: Settings) -> Path:
    """Return where the generated key is kept."""
    return Path(settings["CACHEAPI_DATA_DIR"]) / "api-key"


def load_keys(settings: Settings) -> tuple[str, ...]:
    """Return the API keys; with none set, the generated one, made if this is the first start.

    :raises SettingsError: the key's file cannot be written or read.
    """
    if settings["CACHEAPI_API_KEY"]:
        return tuple(settings["CACHEAPI_API_KEY"])
    path = key_file(settings)
    try:
        if keep(path, lambda: secrets.token_urlsafe(32)):
            log.warning("No CACHEAPI_API_KEY is set: made an API key, see %s", path)
        key = path.read_text(encoding="ascii").strip()
        (key,) = parse_api_keys(key)
    except ValueError as error:
        raise SettingsError(
            f"CACHEAPI_DATA_DIR: {str(path)!r} does not hold one API key of printable ASCII "
            "characters; delete it to get a new one."
        ) from error
    except OSError as error:
        raise SettingsError(
            f"CACHEAPI_DATA_DIR: the API key cannot be kept in {str(path)!r} "
            f"({error.strerror}); it must be a directory that the service may write to."
        ) from error
    return (key,)


def callers(keys: Iterable[str]) -> dict[bytes, Caller]:
    """Return the administrators that show the keys of the environment, by digest."""
    found = {}
    for index, key in enumerate(keys, 1):
        digest = digest_of(key)
        found[digest] = Caller(digest, f"environment {index}", administrator=True)
    return found


def admit(request: Request, view: Callable[..., Any] | None, snapshot: Snapshot) -> Caller | None:
    """Return who sends a request; ``None`` for an open view, which anybody may ask.

    :raises ApiError: 401; no key, or one that is unknown, expired or revoked. 500 where it
        cannot be known, since the database could not be read yet.
    """
    if getattr(view, _OPEN, False):
        return None
    if view is None and request.path.startswith(_OPEN_PATH):
        return None
    shown = shown_key(request)
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
    raise _unauthorized("The API key is not valid.")


def shown_key(request: Request) -> str:
    """Return the key that a request shows; the header wins, then the parameter."""
    return (
        request.headers.get(HEADER)
        or request.args.get(PARAMETER)
        or bearer_token(request.headers.get("Authorization", ""))
    )


def bearer_token(authorization: str) -> str:
    """Return the token of an ``Authorization`` header; empty where it has another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, headers={"WWW-Authenticate": 'Bearer realm="cacheapi"'})
