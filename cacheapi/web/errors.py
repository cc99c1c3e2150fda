"""Every error as the client gets it: one table of statuses, one JSON shape."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from backends import errors as backend
from cacheapi.caching.codec import InvalidJson, Text, error_text
from cacheapi.caching.conditions import InvalidCondition, PreconditionFailed
from cacheapi.caching.pairs import KeyExists
from cacheapi.caching.tags import InvalidTags
from cacheapi.caching.ttl import InvalidTtl
from cacheapi.observing.facts import facts
from cacheapi.registry.errors import Invalid, NotFound, ReadOnly, RegistryUnavailable
from cacheapi.web.lean import Whole

log = logging.getLogger(__name__)

# A client that sends worse needs no longer list.
MOST_FAULTS = 20

RETRY_AFTER_SECONDS = "1"
# What one API key may see is not for a shared cache between it and others; a client's own
# may keep it, and asks with If-None-Match whether it is still so (RFC 9111, section 5.2.2).
# A proxy that compresses would change the tag, which is the stored value's.
CACHE_CONTROL = "private, no-cache, no-transform"
# What a 404 is about, where it is about no key: a program must not take it for a miss.
UNKNOWN_SERVICE: Final = {"reason": "unknown_service"}
SERVICE_OFF: Final = {"reason": "service_off"}
FRAGMENT = "The address has a '#' in it; in a key, write it as %23."


class ApiError(Exception):
    """An answer other than success.

    :param context: the error's ``context``, for programs. A text tells the caller of this request
        no more than it may know.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        context: Mapping[str, Any] | Text | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.context = context
        self.headers = dict(headers or {})


STATUSES: dict[type[Exception], HTTPStatus] = {
    InvalidJson: HTTPStatus.BAD_REQUEST,
    InvalidCondition: HTTPStatus.BAD_REQUEST,
    InvalidTags: HTTPStatus.BAD_REQUEST,
    InvalidTtl: HTTPStatus.BAD_REQUEST,
    # The first that fits.
    backend.WrongType: HTTPStatus.CONFLICT,
    backend.Refused: HTTPStatus.BAD_REQUEST,
    backend.Failed: HTTPStatus.INTERNAL_SERVER_ERROR,
    ReadOnly: HTTPStatus.BAD_REQUEST,
    NotFound: HTTPStatus.NOT_FOUND,
    RegistryUnavailable: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_WORTH_A_RETRY = (backend.Unavailable, RegistryUnavailable)


def listed(details: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the ``context`` that lists faults: the first, and how many there are more."""
    more = len(details) - MOST_FAULTS
    return {"errors": details[:MOST_FAULTS]} | ({"more": more} if more > 0 else {})


def invalid(details: Sequence[Mapping[str, Any]]) -> ApiError:
    """Return the answer to a body with bad members: the first by index, field and message."""
    return ApiError(400, fault_text(details[0]), context=listed(details))


def fault_text(detail: Mapping[str, Any]) -> str:
    """Return what is wrong with one member of a body, and where it is."""
    item = "" if detail["index"] is None else f"Item {detail['index']}: "
    member = "" if detail["field"] is None else f"{detail['field']}: "
    return f"{item}{member}{detail['message']}"


def unknown_service(name: str) -> ApiError:
    """Return the answer about a service that there is not."""
    message = f"Service '{name}' does not exist; GET /api/v2/ lists those that do."
    return ApiError(404, message, context=UNKNOWN_SERVICE)


def absent(key: str) -> ApiError:
    """Return the answer about a key that is not there; it may have been meant as several."""
    hint = " For several keys: ?keys=a,b." if "," in key else ""
    return ApiError(404, f"Key '{key}' does not exist.{hint}")


def nothing_to_count(key: str) -> ApiError:
    """Return the answer about a key that is not there to be counted on."""
    return ApiError(404, f"{absent(key).message} With initial, a count makes it.")


def answer_here(error: Exception) -> ApiError:
    """Return the answer about any error of a request of Flask's.

    It calls settings as they are called in the description of the service that was found for it.
    """
    told = g.get("told")
    return answer(error) if told is None else in_words(answer(error), told)


def answer(error: Exception) -> ApiError:
    """Return the answer about any error; what is for the log goes there."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        status = error.code or 500
        kept = {name: value for name, value in error.get_headers() if name != "Content-Type"}
        message = _MESSAGES.get(status) or error.description or error.name
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            message = f"{message} It takes {', '.join(sorted(set(error.valid_methods) - _UNSAID))}."
            meant = _meant()
            message = f"{message} {meant}" if meant else message
        return ApiError(status, message, headers=kept)
    if isinstance(error, KeyExists):
        return ApiError(400, f"Key '{error}' exists already; PUT changes it.")
    if isinstance(error, PreconditionFailed):
        return ApiError(412, str(error))
    if isinstance(error, Invalid):
        return invalid(
            [
                {"index": fault.item, "field": fault.field, "message": fault.message}
                for fault in error.faults
            ]
        )
    if isinstance(error, tuple(STATUSES)):
        if isinstance(error, backend.Failed):
            note(error)
        return answer_to(error)
    return internal(error)


def answer_to(error: Exception) -> ApiError:
    """Return the answer about an error whose type is in :data:`STATUSES`, or below one."""
    status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    retry = {"Retry-After": RETRY_AFTER_SECONDS} if isinstance(error, _WORTH_A_RETRY) else {}
    return ApiError(status, str(error), headers=retry)


# What backends call their servers, and after it where they are; and an address anywhere.
_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)"
_PLACE = re.compile(
    rf"(?i:(?<=memcached)|(?<=redis)|(?<=cluster)|(?<=sentinel)|(?<=valkey)|(?<=server))"
    rf" at {_HOST}(?::\d+)?(?:(?:, | and ){_HOST}:\d+)*"
)
_ADDRESS = re.compile(rf"{_HOST}:\d+|\b\d+(?:\.\d+){{3}}\b")


def without_places(error: ApiError) -> ApiError:
    """Return an error as it is told to who is no administrator: without where a cache is."""
    return in_words(error, hidden)


def in_words(error: ApiError, told: Callable[[str], str]) -> ApiError:
    """Return an error with other words for what a backend said, where it is about a failure.

    :param told: returns them.
    """
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return error
    context = error.context
    if isinstance(context, Mapping) and "resource" in context:
        items = [
            item | {"message": told(item["message"])} if "message" in item else item
            for item in context["resource"]
        ]
        context = {**context, "resource": items}
    return ApiError(error.status, told(error.message), context=context, headers=error.headers)


def hidden(text: str) -> str:
    """Return a text without where a cache is."""
    return _ADDRESS.sub("…", _PLACE.sub("", text))


def no_keys(name: str) -> ApiError:
    """Return the refusal of what is asked of the keys of a service in front of an API."""
    return ApiError(400, f"Service '{name}' stands in front of an HTTP API and has no keys.")


def not_read_yet() -> ApiError:
    """Return the answer where a service or an API key may be one of a database that is away."""
    return ApiError(
        500,
        "The database of services and API keys cannot be read yet.",
        headers={"Retry-After": RETRY_AFTER_SECONDS},
    )


def internal(error: Exception) -> ApiError:
    """Log an error that nobody expected and return the answer, which tells nothing of it."""
    log.error("Unexpected error", exc_info=error)
    return ApiError(500, "Internal error; the service's log says what happened.")


def note(error: backend.Failed) -> None:
    """Log a failure with its cause, which is for the log alone: it names hosts and files."""
    facts().error = type(error).__name__
    cause = error.__cause__
    log.error("%s%s", error, "" if cause is None else f" ({type(cause).__name__}: {cause})")


NOWHERE: Final = "There is nothing at this path; a cache is at /api/v2/{service}."
NO_PATH: Final = f"{NOWHERE} /api/v2/docs shows all there is."
# An address of the API as a text has it, which is below a path where the service is.
_API: Final = re.compile(r"(?<= )/api/v2(?=/(?:[ {]|docs))")
# What every path takes.
_UNSAID: Final = frozenset({"OPTIONS"})
# In place of Werkzeug's, which are written for a person at a browser.
_MESSAGES = {
    404: NO_PATH,
    405: "This path does not take this method.",
}


# What may be meant by a method where there is none: the paths, the methods, and what does it.
_MEANT: Final = (
    (
        re.compile(r"/api/v2/?"),
        {"POST", "PUT", "PATCH", "DELETE"},
        "Keys are those of a service: /api/v2/{service}.",
    ),
    (
        re.compile(r"/api/v2/system/(?:service|api_key)/?"),
        {"PUT", "PATCH", "DELETE"},
        "What is to be changed or deleted is named in the path: /{id}.",
    ),
    (
        re.compile(r"/api/v2/(?!(?:docs|system)\Z)[^/]+"),
        {"PUT", "PATCH"},
        "POST stores several, new or not; PUT and PATCH of /{service}/{key} change one.",
    ),
)


def _meant() -> str:
    """Return what a request may mean by a method that its path does not take; else nothing."""
    for path, methods, told in _MEANT:
        if request.method in methods and path.fullmatch(request.path):
            return told
    return ""


def register_error_handlers(app: Flask) -> None:
    """Make every error of the application one of ours."""
    for error_type in (HTTPException, Exception):
        app.register_error_handler(error_type, _handle)


def _handle(error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.response is not None:
        return error.response  # type: ignore[return-value]
    made, caller = answer_here(error), g.get("caller")
    # Operators are not asked for a key where readiness is told.
    if made.status == HTTPStatus.INTERNAL_SERVER_ERROR and not (caller and caller.administrator):
        made = without_places(made)
    if request.script_root:
        made.message = _API.sub(f"{request.script_root}/api/v2", made.message)
    return _response(made)


def _response(error: ApiError) -> Response:
    body = error_text(error.status, error.message, error.context)
    headers = {"Cache-Control": CACHE_CONTROL, **error.headers}
    # Behind one that is too large, the rest of a body may be taken.
    kind = Response if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else Whole
    return kind(body, error.status, headers, mimetype="application/json")
