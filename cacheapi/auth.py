"""Who may call: API keys, where they come from and how they are checked."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from flask import Request

from cacheapi.errors import ApiError
from cacheapi.settings import Settings, SettingsError, parse_api_keys

log = logging.getLogger(__name__)

HEADER = "X-DreamFactory-API-Key"
PARAMETER = "api_key"

View = TypeVar("View", bound=Callable[..., Any])
_OPEN = "needs_no_key"


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
        if _create(path, secrets.token_urlsafe(32)):
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


def _create(path: Path, key: str) -> bool:
    """Write the key's file unless there is one; of several processes, one does."""
    if path.exists():
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key}\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)
    return True


class KeyRing:
    """The API keys that may call, held as digests."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def admit(self, request: Request, view: Callable[..., Any] | None) -> None:
        """Let a request pass that shows a key, or that asks for an open view.

        :raises ApiError: 401; no key, or an unknown one.
        """
        if getattr(view, _OPEN, False):
            return
        shown = shown_key(request)
        if not shown:
            raise _unauthorized(
                f"No API key: send it as the header {HEADER}, as 'Authorization: Bearer …' "
                f"or as the parameter {PARAMETER}."
            )
        if not self.knows(shown):
            raise _unauthorized("The API key is not valid.")

    def knows(self, shown: str) -> bool:
        """Return whether a key is one of the ring's."""
        digest = _digest(shown)
        # All are compared, so that the time says nothing about which one was close.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches)

    def may(self, shown: str, method: str, service: str, keys: Sequence[str]) -> bool:
        """Return whether an API key may use a method on these of a service: a known one may."""
        return self.knows(shown)


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


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, headers={"WWW-Authenticate": 'Bearer realm="cacheapi"'})
