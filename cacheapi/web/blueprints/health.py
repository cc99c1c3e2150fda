"""``/health/…``: whether the process lives, and whether its caches can be used. For anybody.

Strangers are told which service fails, at which step, and what kind of failure it is; an
administrator, who need not say so, also where the cache is and what it said.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, request

from cacheapi.caching.codec import encode
from cacheapi.observing.readiness import READINESS, Readiness, Verdict
from cacheapi.web.access import ACCESS, Access
from cacheapi.web.auth import shown_key, without_key
from cacheapi.web.errors import RETRY_AFTER_SECONDS, ApiError, hidden
from cacheapi.web.lean import Whole

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
@without_key
def live() -> Response:
    """Say that the process answers; no cache is asked."""
    return _answer({"status": "live"})


@blueprint.get("/ready")
@without_key
def ready() -> Response:
    """Say what became of trying each service that counts; 503 if one does not work."""
    readiness: Readiness = current_app.extensions[READINESS]
    verdicts = readiness.check()
    access: Access = current_app.extensions[ACCESS]
    caller = access.who(access.digest(shown_key(request)))
    sees = caller is not None and caller.administrator
    services = [_shown(verdict, sees) for verdict in verdicts]
    failed = [verdict.sentence for verdict in verdicts if verdict.why is not None]
    if failed:
        raise ApiError(
            503,
            " ".join(failed) if sees else hidden(" ".join(failed)),
            context={"services": services},
            headers={"Retry-After": RETRY_AFTER_SECONDS},
        )
    return _answer({"status": "ready", "services": services})


def _shown(verdict: Verdict, sees: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": verdict.name,
        "ready": verdict.why is None,
        "ms": verdict.ms,
    }
    if verdict.why is not None:
        shown |= {"step": verdict.step, "why": verdict.why if sees else hidden(verdict.why)}
        if sees:
            shown["said"] = verdict.said
    return shown


def _answer(document: dict[str, Any]) -> Response:
    return Whole(encode(document), 200, {"Cache-Control": "no-store"})
