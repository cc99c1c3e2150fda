"""Flask without what no request here needs, which costs as much as all the rest of it.

Flask asks of each function that it calls, two dozen times a request, whether it is a coroutine's;
flask-smorest puts a function around a view for each answer that it describes, up to nine. Here
no view is a coroutine's, and all make their responses themselves. What finds a path is made once
for each host, and not for each request.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
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


def this_request() -> Request:
    """Return the request that is served; of Flask's ``request`` each question costs a search."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 (documented)
    return found


class Whole(Response):
    """A response whose body is one text, and whose header fields are all there.

    It is for a status that has a body, and names no location.
    """

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send it as it is; to a ``HEAD``, without the body."""
        start_response(self.status, self.headers.to_wsgi_list())
        body: Any = () if environ["REQUEST_METHOD"] == "HEAD" else self.response
        return body  # type: ignore[no-any-return]


class _Context(RequestContext):
    """The context of a request, whose path is looked for where those of all are."""

    def match_request(self) -> None:
        adapter, this = self.url_adapter, self.request
        assert adapter is not None
        try:
            found = adapter.match(
                this.path,
                this.method,
                return_rule=True,
                query_args=this.environ.get("QUERY_STRING", ""),
            )
            this.url_rule, this.view_args = found  # type: ignore[assignment]
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
