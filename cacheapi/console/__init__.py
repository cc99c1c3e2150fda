"""The web console, ``/console``: what a person would rather look at than read JSON.

Pages for administrators over the same objects as the API: no rule stands here that does
not stand there, and an error says what it says there. A page works without JavaScript;
with it, forms and states are brought up to date in place. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Blueprint, Flask

from cacheapi.console import (
    analysis,
    api_docs,
    deleting,
    entries,
    frame,
    guard,
    keys,
    now,
    operating,
    remotes,
    services,
    sign_in,
)
from cacheapi.console.guard import SIGN_IN_BYTES as SIGN_IN_BYTES
from cacheapi.console.session import NAME, PATH, ConsoleSessions, signed_in
from cacheapi.registry.live import Registry
from cacheapi.registry.vault import Vault
from cacheapi.web.auth import without_key

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

VIEWS: Final = (
    *(sign_in, services, entries, operating, deleting, analysis),
    *(remotes, keys, now, api_docs),
)


def register(app: Flask, vault: Vault) -> None:
    """Add the console to the application."""
    blueprint = Blueprint("console", __name__, url_prefix=PATH, template_folder="templates")
    frame.register(blueprint)
    guard.register(blueprint)
    for module in VIEWS:
        module.register(blueprint)
    app.config.update(
        SESSION_COOKIE_NAME=NAME,
        SESSION_COOKIE_HTTPONLY=True,
        # Nobody has to come here from another site signed in.
        SESSION_COOKIE_SAMESITE="Strict",
    )
    app.session_interface = ConsoleSessions(vault)
    app.register_blueprint(blueprint)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{blueprint.name}."):
            # Of an API key; the guard asks for a session.
            without_key(view)


def is_for(path: str) -> bool:
    """Return whether a path is the console's."""
    return path == PATH or path.startswith(f"{PATH}/")


def is_signed_in(app: Flask, environ: WSGIEnvironment, registry: Registry) -> bool:
    """Return whether a request is one of an administrator who is signed in."""
    with app.request_context(environ):
        return signed_in(registry.snapshot) is not None
