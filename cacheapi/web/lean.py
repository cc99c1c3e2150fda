"""Flask without what no request here needs, which costs as much as all the rest of it.

Flask asks of each function that it calls, two dozen times a request, whether it is a coroutine's;
flask-smorest puts a function around a view for each answer that it describes, up to nine. Here
no view is a coroutine's, and all make their responses themselves. What finds a path is made once
for each host, and not for each request.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flask import (
    Flask,
    Request,
    Response,
    appcontext_tearing_down,
    request,
    request_tearing_down,
)
from flask.ctx import RequestContext
from flask.globals import request_ctx
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.routing import MapAdapter

# Of so many hosts it is remembered that they are names of hosts; a client says which it asks.
MOST_HOSTS: Final = 64
# What an address is made of, but for its path.
_WRITTEN: Final = (
    *("wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME"),
    *("HTTP_CONNECTION", "HTTP_UPGRADE"),
)
_DESCRIBED: Final = "_apidoc"
# Of so many paths, up to so long, it is remembered whose they are; and what may stand in them.
MOST_PATHS: Final = 256
LONGEST_PATH: Final = 256
_FEW: Final = frozenset({"service"})


def this_request() -> Request:
    """Return the request that is served; of Flask's ``request`` each question costs a search."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (documented)
    return found


def _current_context() -> RequestContext:
    found: RequestContext = request_ctx._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (documented)
    return found


class Whole(Response):
    """A response whose body is one text, and whose header fields are few and known.

    It is for a status that has a body, and names no location. What Werkzeug keeps of header fields
    is only made where somebody asks for it.

    :param fields: names and values, which have no end of a line in them; those of the body come
        after them, and then ``etag``.
    """

    def __init__(
        self,
        body: str,
        status: int = 200,
        fields: Mapping[str, str] = MappingProxyType({}),
        mimetype: str = "application/json",
        etag: str | None = None,
    ) -> None:
        # Nothing of the class's own: it is what costs.
        self.status = status
        self.direct_passthrough = False
        self._on_close: list[Callable[[], Any]] = []
        content = body.encode()
        self.response = [content]
        self._made: Headers | None = None
        told = [*fields.items(), ("Content-Type", mimetype), ("Content-Length", str(len(content)))]
        if etag is not None:
            told.append(("ETag", f'"{etag}"'))
        self._told = told

    @property
    def headers(self) -> Headers:  # type: ignore[override]
        """The header fields, for who wants to change them."""
        if self._made is None:
            self._made = Headers(self._told)
        return self._made

    def tell(self, name: str, text: str) -> None:
        """Add a header field that it does not have."""
        if self._made is None:
            self._told.append((name, text))
        else:
            self._made[name] = text

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send it as it is; to a ``HEAD``, without the body."""
        told = self._told if self._made is None else self._made.to_wsgi_list()
        start_response(self.status, told)
        body: Any = () if environ["REQUEST_METHOD"] == "HEAD" else self.response
        return body  # type: ignore[no-any-return]


def tell(response: Response, name: str, text: str) -> None:
    """Add a header field to a response that does not have it."""
    if isinstance(response, Whole):
        response.tell(name, text)
    else:
        response.headers[name] = text


class _Context(RequestContext):
    """The context of a request, whose path is looked for where those of all are."""

    def match_request(self) -> None:
        adapter, this = self.url_adapter, self.request
        assert adapter is not None
        asked, known = (this.method, this.path), self.app.known_paths  # type: ignore[attr-defined]
        found = known.get(asked)
        if found is not None:
            this.url_rule, this.view_args = found[0], dict(found[1])
            return
        try:
            found = adapter.match(
                this.path,
                this.method,
                return_rule=True,
                query_args=this.environ.get("QUERY_STRING", ""),
            )
            rule, values = this.url_rule, this.view_args = found  # type: ignore[assignment]
            # Which paths there are does not change; keys are too many.
            if values.keys() <= _FEW and len(this.path) <= LONGEST_PATH:
                if len(known) >= MOST_PATHS:
                    known.clear()
                known[asked] = rule, dict(values)
        except HTTPException as error:
            this.routing_exception = error


class Lean(Flask):
    """A Flask application whose views are plain functions, and describe more than they do.

    Views are called without the functions that flask-smorest put around them; so each has to
    return a response, and check what it was sent.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._before: dict[str | None, tuple[list[Any], list[Any]]] = {}
        self._after: dict[str | None, list[Any]] = {}
        # By method and path, the rule, and what stands in the path.
        self.known_paths: dict[tuple[str, str], tuple[Any, dict[str, Any]]] = {}
        # By what an address was written with.
        self._adapters: dict[tuple[str | None, ...], tuple[str, MapAdapter]] = {}

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function as it is."""
        return func

    def request_context(self, environ: WSGIEnvironment) -> RequestContext:
        """Return the context of a request."""
        return _Context(self, environ)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds paths, and makes addresses of them, for a request's host."""
        if request is None:
            return super().create_url_adapter(None)
        written = tuple(map(request.environ.get, _WRITTEN))
        found = self._adapters.get(written)
        if found is None:
            made = super().create_url_adapter(request)
            assert made is not None
            if len(self._adapters) >= MOST_HOSTS:
                self._adapters.clear()
            found = self._adapters[written] = request.host, made
        request.host, adapter = found
        return adapter

    def preprocess_request(self) -> Any:
        """Do what comes before a view, which is the same for all requests of one."""
        this = this_request()
        found = self._before.get(this.endpoint)
        if found is None:
            names = (None, *reversed(this.blueprints))
            found = self._before[this.endpoint] = (
                [each for name in names for each in self.url_value_preprocessors.get(name, ())],
                [each for name in names for each in self.before_request_funcs.get(name, ())],
            )
        for preprocess in found[0]:
            preprocess(this.endpoint, this.view_args)
        for before in found[1]:
            answer = before()
            if answer is not None:
                return answer
        return None

    def make_response(self, rv: Any) -> Response:
        """Return what a view returned, which is a response mostly."""
        return rv if isinstance(rv, Response) else super().make_response(rv)

    def process_response(self, response: Response) -> Response:
        """Do what comes after a view, which is the same for all requests of one."""
        context = _current_context()
        if not self.session_interface.is_null_session(context._session):  # noqa: SLF001 (Flask's)
            return super().process_response(response)
        this = context.request
        found = self._after.get(this.endpoint)
        if found is None:
            found = self._after[this.endpoint] = [
                each
                for name in (*this.blueprints, None)
                for each in reversed(self.after_request_funcs.get(name, ()))
            ]
        for after in (*context._after_request_functions, *found):  # noqa: SLF001 (Flask's)
            response = after(response)
        return response

    def do_teardown_request(self, *error: Any) -> None:
        """Do what comes behind an answer, if there is anything."""
        if self.teardown_request_funcs or request_tearing_down.receivers:
            super().do_teardown_request(*error)

    def do_teardown_appcontext(self, *error: Any) -> None:
        """Do what comes behind all of that, if there is anything."""
        if self.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
            super().do_teardown_appcontext(*error)

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Register a view, or those of a class, without its descriptions."""
        # What a view answers was noted when its blueprint took it.
        views = getattr(view_func, "view_class", None)
        if views is not None:
            for method in views.methods:
                name = method.lower()
                setattr(views, name, _undescribed(getattr(views, name)))
        elif view_func is not None:
            view_func = _undescribed(view_func)
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)


def _undescribed(view: Callable[..., Any]) -> Callable[..., Any]:
    return inspect.unwrap(view) if hasattr(view, _DESCRIBED) else view
