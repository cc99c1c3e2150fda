"""Every error as the client gets it: one table of statuses, one JSON shape."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from backends import errors as backend
from cacheapi.codec import InvalidJson, error_text
from cacheapi.conditions import PreconditionFailed
from cacheapi.services import KeyExists
from cacheapi.ttl import InvalidTtl

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "1"
# What one API key may see is not for a shared cache between it and others; a client's own
# may keep it, and asks with If-None-Match whether it is still so (RFC 9111, section 5.2.2).
CACHE_CONTROL = "private, no-cache"


class ApiError(Exception):
    """An answer other than success.

    :param context: the error's ``context``, for programs.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        context: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.context = context
        self.headers = dict(headers or {})


STATUSES: dict[type[backend.BackendError], HTTPStatus] = {
    backend.Refused: HTTPStatus.BAD_REQUEST,
    backend.Failed: HTTPStatus.INTERNAL_SERVER_ERROR,
}


# In place of Werkzeug's, which are written for a person at a browser.
_MESSAGES = {
    404: "There is nothing at this path; a cache is at /api/v2/{service}.",
    405: "This path does not take this method.",
}


def register_error_handlers(app: Flask) -> None:
    """Make every error of the application one of ours."""
    app.register_error_handler(ApiError, _response)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(KeyExists, _key_exists)
    app.register_error_handler(PreconditionFailed, _precondition_failed)
    app.register_error_handler(InvalidJson, _bad_request)
    app.register_error_handler(InvalidTtl, _bad_request)
    app.register_error_handler(backend.BackendError, _backend_error)
    app.register_error_handler(Exception, _unknown_error)


def backend_error(
    error: backend.BackendError, *, context: Mapping[str, Any] | None = None
) -> ApiError:
    """Return the answer to an error of a backend; a failure is put down in the log."""
    status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    headers = {}
    if isinstance(error, backend.Failed):
        # Chained causes are for the log: they name hosts, files and codes of the driver.
        log.error("%s (%r)", error, error.__cause__)
    if isinstance(error, backend.Unavailable):
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    return ApiError(status, str(error), context=context, headers=headers)


def _response(error: ApiError) -> Response:
    body = error_text(error.status, error.message, error.context)
    headers = {"Cache-Control": CACHE_CONTROL, **error.headers}
    return Response(body, error.status, headers, mimetype="application/json")


def _backend_error(error: backend.BackendError) -> Response:
    return _response(backend_error(error))


def _bad_request(error: Exception) -> Response:
    return _response(ApiError(400, str(error)))


def _key_exists(error: KeyExists) -> Response:
    return _response(ApiError(400, f"Key '{error}' exists already; PUT changes it."))


def _precondition_failed(_error: PreconditionFailed) -> Response:
    return _response(ApiError(412, "The stored value is not the one that the condition asks for."))


def _http_error(error: HTTPException) -> Response:
    """Keep the status and the headers of Werkzeug's errors; give them our body."""
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    kept = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    message = _MESSAGES.get(status) or error.description or error.name
    return _response(ApiError(status, message, headers=kept))


def _unknown_error(error: Exception) -> Response:
    log.error("Unexpected error", exc_info=error)
    return _response(ApiError(500, "Internal error; the service's log says what happened."))
