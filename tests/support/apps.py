"""Variants of the application, for gunicorn to serve: ``tests.support.apps:flask_alone()``."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from flask import Flask

from cacheapi import Settings, create_app
from cacheapi.registry import colleagues
from cacheapi.serving import health
from cacheapi.web.access import ACCESS
from cacheapi.web.auth import without_key

# For a test that asks which lane answered, or waits for all workers: a busy machine may take long.
UNHURRIED = "tests.support.apps:unhurried()"
LEFT = "418 Left to Flask"


def flask_alone() -> Flask:
    """Return the application with a lane that finds no service, and so takes nothing."""
    app = create_app()
    app.extensions[ACCESS] = app.extensions[ACCESS]._replace(find=lambda name: None)
    return app


def unhurried() -> Flask:
    """Return the application with a lane that takes no call for a slow one, and patient workers."""
    health.SLOW_SECONDS = 60  # type: ignore[misc]
    colleagues.MOST_SECONDS = 60  # type: ignore[misc]
    return create_app()


class _Left:
    def __init__(self, app: Flask) -> None:
        self.extensions = app.extensions

    def __call__(self, environ, start_response) -> Iterable[bytes]:
        start_response(LEFT, [("Content-Length", "0")])
        return []


def lane_alone(settings: Settings) -> _Left:
    """Return an application that answers 418 to all that the lane does not take."""
    return _Left(create_app(settings))


def tells_what_is_frozen() -> Flask:
    """Return the application with a page that says how many objects the collector leaves alone."""
    app = create_app()
    app.add_url_rule("/frozen", view_func=without_key(lambda: f"{gc.get_freeze_count()}"))
    return app
