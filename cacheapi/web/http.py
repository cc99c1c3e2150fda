"""Reading requests: the body, the path, the conditions, the tunnelled method."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Request, Response, after_this_request, current_app

from backends.base import MISSING
from cacheapi.caching.conditions import Condition, parse_tags
from cacheapi.caching.documents import parse_document
from cacheapi.web.errors import CACHE_CONTROL, FRAGMENT, NOWHERE, ApiError
from cacheapi.web.lean import Whole

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TUNNEL_HEADER: Final = "HTTP_X_HTTP_METHOD"
TUNNELLED: Final = "cacheapi.tunnelled"
TUNNEL_METHODS: Final = ("GET", "PUT", "PATCH", "DELETE")

# What is no key, of a path: up to the key; those of the console have keys of their own.
_ROUTED = re.compile(r"/(?:api/v2/[^/]*|(?!api/v2/|console/).*)", re.DOTALL)
MAX_BATCH: Final = "CACHEAPI_MAX_BATCH"
CONDITIONS: Final = {"If-Match": "HTTP_IF_MATCH", "If-None-Match": "HTTP_IF_NONE_MATCH"}

_JSON: Final = "application/json"

# How much of a body that is too large is read all the same: so many times the limit.
DRAINED_LIMITS: Final = 8
DRAINED_AT_ONCE: Final = 64 * 1024
DRAIN_SECONDS: Final = 5.0
DRAIN_PAUSE_SECONDS: Final = 0.5


class MethodTunnel:
    """WSGI middleware: a POST with ``X-HTTP-Method`` is the method it names.

    An unknown method is left to :func:`check_request`, so that the error has our shape.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ.get(TUNNEL_HEADER, "").upper()
        if environ["REQUEST_METHOD"] == "POST" and method in TUNNEL_METHODS:
            environ["REQUEST_METHOD"] = method
            environ[TUNNELLED] = True
        return self._app(environ, start_response)


def _is_utf8(request: Request) -> bool:
    path: str = request.environ["PATH_INFO"]
    try:
        return path.isascii() or bool(path.encode("latin-1").decode())
    except UnicodeDecodeError:
        return False


def check_path(request: Request) -> None:
    """Refuse a path that is another way to write one: what stands in front may tell them apart.

    :raises ApiError: 404; it begins with two slashes, or percent-encodes what is no key.
    """
    path = request.environ.get("RAW_URI", "").partition("?")[0]
    if path[:1] == "/" != path[1:2] and "%" not in path:
        return
    if not _is_utf8(request):
        # That is what check_request tells.
        return
    routed = _ROUTED.match(path)
    if path.startswith("//") or (routed is not None and "%" in routed[0]):
        raise ApiError(404, NOWHERE)


def check_request(request: Request) -> None:
    """Refuse what no view should see.

    :raises ApiError: 400; the path is not UTF-8, or cut at a ``#``, or HTTP/1.1 names no host, or
        the tunnelled method is unknown.
    """
    environ = request.environ
    hosts = environ.get("HTTP_HOST", "")
    if "," in hosts or (not hosts and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"):
        raise ApiError(400, "A request of HTTP/1.1 has the field Host once.")
    # A server takes what follows for a fragment (RFC 9112, section 3.2: there is none) and
    # drops it: the request would be about another key.
    if "#" in environ.get("RAW_URI", ""):
        raise ApiError(400, FRAGMENT)
    if not _is_utf8(request):
        # Werkzeug would put U+FFFD for every wrong byte: different keys would become one.
        raise ApiError(400, "The path is not valid UTF-8.")
    if TUNNEL_HEADER in environ and request.method == "POST":
        raise ApiError(400, f"X-HTTP-Method must be one of {', '.join(TUNNEL_METHODS)}.")


def max_batch() -> int:
    """Return how many items a batch has at most."""
    most: int = current_app.config[MAX_BATCH]
    return most


def read_document(request: Request, *, required: bool = True) -> Any:
    """Return the parsed JSON body; see :func:`~cacheapi.caching.documents.parse_document`.

    :param required: whether no body is an error; else it is :data:`MISSING`.
    :raises ApiError: as :func:`read_json`.
    :raises InvalidJson: the body is not JSON that can be stored.
    """
    body = read_json(request, required=required)
    return parse_document(body, max_batch()) if body or required else MISSING


def read_json(request: Request, *, required: bool = True) -> bytes:
    """Return a body that says that it is JSON.

    :param required: whether no body is an error.
    :raises ApiError: 415 for another content type, 400 or 413 as :func:`read_body`.
    """
    body = read_body(request)
    if not body and not required:
        return body
    if not body:
        raise ApiError(400, "The request has no body; it needs a JSON document.")
    environ = request.environ
    if environ.get("CONTENT_TYPE") != _JSON:
        charset = request.mimetype_params.get("charset", "utf-8").lower()
        if request.mimetype != _JSON or charset not in ("utf-8", "utf8"):
            raise ApiError(415, "The body must be JSON in UTF-8: Content-Type: application/json.")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise ApiError(415, "The body may not be compressed.")
    return body


def read_body(request: Request) -> bytes:
    """Return the whole body, or refuse it.

    A server may hand over a body that was cut short, or stop reading a chunked one at a
    limit, as if that were all. So its length is checked here.

    :raises ApiError: 413 for a body over the limit, 400 for one that ends too soon.
    """
    limit = request.max_content_length
    assert limit is not None
    length = request.content_length
    stream = request.environ["wsgi.input"]
    try:
        if length is not None and length > limit:
            raise _too_large(request, limit)
        if length is not None:
            body: bytes = stream.read(length)
        elif "chunked" in request.environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            body = stream.read(limit + 1)
        else:
            body = b""
        if len(body) > limit:
            raise _too_large(request, limit)
    except ApiError:
        raise
    except Exception as error:
        # A broken chunk, or a client that went away; each server has its own errors for them.
        raise ApiError(400, "The body could not be read to its end.") from error
    if length is not None and len(body) < length:
        raise ApiError(400, f"The body has {len(body)} bytes of the {length} announced.")
    return body


def _too_large(request: Request, limit: int) -> ApiError:
    """Return the refusal of a body; what is being sent of it is taken after the answer.

    A client that is still sending when the connection closes would never see the answer.
    """
    environ = request.environ

    @after_this_request
    def take_the_rest(response: Response) -> Response:
        response.call_on_close(lambda: _drain(environ, DRAINED_LIMITS * limit))
        return response

    return ApiError(
        413,
        f"The body is larger than {limit // (1024 * 1024)} MiB (CACHEAPI_MAX_BODY_MB).",
        headers={"Connection": "close"},
    )


def _drain(environ: WSGIEnvironment, most: int) -> None:
    """Read and forget up to ``most`` bytes, for up to :data:`DRAIN_SECONDS`."""
    deadline = time.monotonic() + DRAIN_SECONDS
    stream = environ["wsgi.input"]
    # A client that waits for the answer sends nothing more.
    if "gunicorn.socket" in environ:
        environ["gunicorn.socket"].settimeout(DRAIN_PAUSE_SECONDS)
    with contextlib.suppress(Exception):
        while most > 0 and time.monotonic() < deadline and stream.read(DRAINED_AT_ONCE):
            most -= DRAINED_AT_ONCE


def condition(request: Request) -> Condition | None:
    """Return the request's conditions, ``None`` where it has none.

    :raises InvalidCondition: one is malformed.
    """
    if_match = request.environ.get("HTTP_IF_MATCH")
    if_none_match = request.environ.get("HTTP_IF_NONE_MATCH")
    if if_match is None and if_none_match is None:
        return None
    return Condition(
        if_match=None if if_match is None else parse_tags("If-Match", if_match),
        if_none_match=None if if_none_match is None else parse_tags("If-None-Match", if_none_match),
    )


def refuse_conditions(request: Request) -> None:
    """Refuse a condition where none is looked at: who sends one relies on it.

    :raises ApiError: 400.
    """
    for name, field in CONDITIONS.items():
        if field in request.environ:
            raise ApiError(
                400,
                f"{name} is a condition on one key, /api/v2/{{service}}/{{key}}; here there are "
                "none, and nothing was done.",
            )


def json_response(
    body: str,
    status: int = 200,
    etag: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make a response of a JSON text."""
    fields = {"Cache-Control": CACHE_CONTROL, **(headers or {})}
    return Whole(body, status, fields, etag=etag)


def not_modified(etag: str) -> Response:
    """Make the answer to a read whose condition says that the client has the value."""
    response = Response(status=304, headers={"Cache-Control": CACHE_CONTROL})
    response.set_etag(etag)
    del response.headers["Content-Type"]
    return response
