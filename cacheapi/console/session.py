"""Who is signed in: a signed cookie that only the console reads.

It says whose key was shown and when, and that only to this service: instead of the key or
its digest it has an HMAC of the digest, which nobody can try guesses on. Whether the key is
still valid and an administrator's is asked anew with each request. The signing key is made
of the service's secret key, so a session holds on all machines that share that. A session that
was ended stands in the database until it would have been over.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from datetime import timedelta
from typing import Any, Final

from flask import Flask, Request, current_app, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from cacheapi.registry import sessions
from cacheapi.registry.live import Registry
from cacheapi.registry.rights import Caller
from cacheapi.registry.snapshot import Snapshot
from cacheapi.registry.vault import Sealed, Vault

PATH: Final = "/console"
NAME: Final = "cacheapi_console"
LIFETIME: Final = timedelta(hours=8)


def _sha256(string: bytes = b"") -> Any:
    return hashlib.sha256(string)


class ConsoleSessions(SecureCookieSessionInterface):
    """Sessions under :data:`PATH`. Elsewhere there are none: a cookie is nothing to the API."""

    digest_method = staticmethod(_sha256)

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if request.path != PATH and not request.path.startswith(f"{PATH}/"):
            return None
        if app.secret_key is None:
            try:
                app.secret_key = self._vault.derive("console")
            except Sealed as error:
                request.environ[Sealed.__name__] = str(error)
                return None
        return super().open_session(app, request)

    def get_cookie_path(self, app: Flask) -> str:
        return f"{request.script_root}{PATH}"

    def get_cookie_secure(self, app: Flask) -> bool:
        # What a proxy in front says can only make it stricter.
        return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def fault() -> str | None:
    """Return why there can be no sessions, if there can be none."""
    found: str | None = request.environ.get(Sealed.__name__)
    return found


def begin(caller: Caller) -> None:
    """Sign somebody in; nothing stays of the session before."""
    session.clear()
    session.update(
        id=secrets.token_urlsafe(16),
        number=caller.number,
        mark=_mark(caller),
        since=int(time.time()),
    )


def forget() -> None:
    """Take the cookie of a session that is none."""
    session.clear()


def end(registry: Registry) -> None:
    """Sign out: the session is over, whoever has its cookie.

    :raises RegistryUnavailable: that cannot be noted; only this browser's cookie is gone.
    """
    own, since = session["id"], session["since"]
    session.clear()
    sessions.end(registry, own, since + int(LIFETIME.total_seconds()))


def signed_in(snapshot: Snapshot) -> Caller | None:
    """Return the administrator who is signed in, if the key is still one's."""
    own, mark, since = session.get("id"), session.get("mark"), session.get("since")
    if not isinstance(own, str) or not isinstance(mark, str) or not isinstance(since, int):
        return None
    if own in snapshot.ended_sessions:
        return None
    if not 0 <= time.time() - since < LIFETIME.total_seconds():
        return None
    number = session.get("number")
    if number is not None and not isinstance(number, int):
        return None
    for caller in snapshot.callers.administrators(number):
        if hmac.compare_digest(_mark(caller), mark) and not caller.is_expired():
            snapshot.uses.note(caller)
            return caller
    return None


def _mark(caller: Caller) -> str:
    key: Any = current_app.secret_key
    return hmac.digest(key, b"signed in:" + caller.digest, "sha256").hex()
