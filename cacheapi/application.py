"""The WSGI application: the one place where things are put together."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, current_app, g, request

from backends.statistics import Figures
from cacheapi import console
from cacheapi.observing import samples, tracing
from cacheapi.observing.facts import facts_of
from cacheapi.observing.metrics.meter import METER, Meter
from cacheapi.observing.metrics.servers import Servers
from cacheapi.observing.readiness import READINESS, Readiness
from cacheapi.observing.request_log import REQUEST_LOG, RequestLog
from cacheapi.observing.samples import Sampler
from cacheapi.observing.statistics import counts_looks
from cacheapi.observing.tail.files import FOLDER
from cacheapi.observing.tail.watch import TAIL, Tail
from cacheapi.observing.traffic import reads, traffic
from cacheapi.observing.troubles import TROUBLES, Troubles
from cacheapi.observing.wsgi import Observed
from cacheapi.registry.live import Registry
from cacheapi.registry.opening import open_registry
from cacheapi.registry.rights import FLUSH, VERBS, digest_of
from cacheapi.settings import Settings, load
from cacheapi.version import __version__
from cacheapi.web import auth, cors, rates
from cacheapi.web.access import ACCESS, Access
from cacheapi.web.blueprints import (
    EXTENSION,
    SOON,
    api_key,
    catalogue,
    collection,
    entry,
    health,
    looking,
    pages,
    service,
    system,
)
from cacheapi.web.blueprints.metrics import add_metrics
from cacheapi.web.errors import register_error_handlers
from cacheapi.web.http import MAX_BATCH, MethodTunnel, check_path, check_request
from cacheapi.web.lean import Lean, tell, this_request
from cacheapi.web.mounting import Mounted, base_path
from cacheapi.web.openapi import describe
from cacheapi.web.origins import ORIGIN
from cacheapi.web.remote_answers import REMOTE_ANSWERS, RemoteAnswers
from cacheapi.web.remotes import DOOR, Door
from cacheapi.web.routes import KeyConverter, ServiceConverter

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logging.getLogger(__name__)

# The blueprints whose "service" is a cache.
_CACHES = (collection.blueprint.name, entry.blueprint.name)
_SERVICE = re.compile(r"/api/v2/(?!system/|docs/)([^/]+)")
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


def create_app(config: Settings | None = None) -> Flask:
    """Make the WSGI application.

    Leaves no connection open, so that the application can be made before a fork.

    :param config: the settings; by default those of the environment and ``.env``.
    :raises SettingsError: it cannot start with these settings; one line says why.
    """
    settings = load() if config is None else config
    for warning in settings.warnings:
        log.warning("%s", warning)
    base = base_path(settings)
    app = Lean("cacheapi", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings["CACHEAPI_MAX_BODY_MB"] * 1024 * 1024
    app.config[MAX_BATCH] = settings["CACHEAPI_MAX_BATCH"]
    app.url_map.converters["key"] = KeyConverter
    app.url_map.converters["service"] = ServiceConverter
    # "a//b" is a key, and not another way to write "a/b".
    app.url_map.merge_slashes = False
    registry = open_registry(settings)
    if settings["CACHEAPI_DATABASE_URL"] and not settings["CACHEAPI_SECRET_KEY"]:
        log.warning(
            "CACHEAPI_DATABASE_URL is set without CACHEAPI_SECRET_KEY: another machine on that "
            "database cannot read the passwords of services that this one stores."
        )

    if settings["CACHEAPI_CONSOLE"]:
        console.register(app, registry.vault)

    @app.url_value_preprocessor
    def name(_: str | None, values: dict[str, Any] | None) -> None:
        # From here on, one service has one name, however it is written.
        if values and "service" in values:
            values["service"] = registry.snapshot.name_of(values["service"])

    @app.before_request
    def admit() -> Response | None:
        registry.watch()
        this = this_request()
        check_path(this)
        remote: RemoteAnswers = app.extensions[REMOTE_ANSWERS]
        found = None if cors.is_preflight(this) else remote.answer(this)
        if found is not None:
            return found
        _note_route(this, registry)
        if this.method == "OPTIONS":
            # A browser asks without the key that it would send.
            if this.routing_exception is not None:
                raise this.routing_exception
            return cors.preflight(", ".join(sorted(_allowed())))
        view = app.view_functions.get(this.endpoint or "")
        caller = g.caller = auth.admit(this, view, registry.snapshot)
        if caller is not None:
            rates.count(caller, registry.counts)
        check_request(this)
        return None

    origins = settings["CACHEAPI_CORS_ORIGINS"] or ()

    @app.after_request
    def seal(response: Response) -> Response:
        tell(response, "X-Content-Type-Options", "nosniff")
        if response.status_code == 401 and registry.is_shared and auth.shown_key(this_request()):
            tell(response, "Retry-After", SOON)
        if origins:
            cors.tell(this_request(), response, origins)
        return response

    app.after_request(rates.tell)
    app.extensions[EXTENSION] = registry
    sampler = Sampler(
        lambda: registry.snapshot.services,
        registry.data_dir / "samples",
        settings["CACHEAPI_SAMPLE_SECONDS"],
        lambda: _figures_counted(app, registry),
    )
    registry.accompany(sampler)
    app.extensions[samples.EXTENSION] = sampler
    app.extensions[DOOR] = Door(registry, base)
    app.extensions[ACCESS] = Access(
        registry.find,
        digest_of,
        registry.who,
        registry.counts,
        registry.watch,
        app.config["MAX_CONTENT_LENGTH"],
        app.config[MAX_BATCH],
        lambda environ: _most_body(app, registry, environ),
        # The lane knows no origins.
        frozenset({ORIGIN} if settings["CACHEAPI_CORS_ORIGINS"] else ()),
        frozenset(settings["CACHEAPI_CORS_ORIGINS"] or ()),
        base,
    )
    api = describe(app, __version__, base)
    api.register_converter(KeyConverter, lambda converter: {"type": "string", "minLength": 1})
    for module in (catalogue, collection, entry, system, service, api_key, looking):
        api.register_blueprint(module.blueprint)
    app.register_blueprint(pages.blueprint)
    app.add_url_rule("/", "bare", pages.root)
    app.extensions[READINESS] = Readiness(
        registry,
        settings["CACHEAPI_READY_SERVICES"],
        settings["CACHEAPI_READY_TIMEOUT_MS"] / 1000,
    )
    app.register_blueprint(health.blueprint)
    _observe(app, settings, registry, sampler)
    register_error_handlers(app)
    if base:
        # Around everything else: all of it sees paths below.
        app.wsgi_app = Mounted(app.wsgi_app, base)  # type: ignore[method-assign]
    return app


def _allowed() -> Iterable[str]:
    """Return the methods that the path of a request takes."""
    rule = request.url_rule
    assert rule is not None
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    return adapter.allowed_methods(request.environ["PATH_INFO"].encode("latin-1").decode())


def _most_body(app: Flask, registry: Registry, environ: WSGIEnvironment) -> int:
    """Return how much is read of a body: nothing of who may not, little of who signs in."""
    most: int = app.config["MAX_CONTENT_LENGTH"]
    asked = app.request_class(environ)
    if console.is_for(asked.path):
        return most if console.is_signed_in(app, environ, registry) else console.SIGN_IN_BYTES
    shown = auth.shown_key(asked)
    caller = registry.snapshot.who(shown) if shown else None
    if caller is None:
        return 0
    service = _SERVICE.match(asked.path)
    method = asked.headers.get("X-HTTP-Method", asked.method).upper()
    if service is not None:
        # It may be written by another name; rights know one.
        found = registry.find(service[1])
        name = service[1] if found is None else found.name
        # A POST without a key may ask for operations, each of which has a right of its own.
        verbs = VERBS if method == "POST" and service.end() == len(asked.path) else (method, FLUSH)
        if not caller.may_some(verbs, name):
            return 0
    return most


@functools.cache
def _route(rule: str) -> str:
    return _CONVERTER.sub(r"{\1}", rule)


def _note_route(this: Request, registry: Registry) -> None:
    """Note which path a request is for, by names alone."""
    found, arguments = facts_of(this), this.view_args or {}
    if this.url_rule is not None:
        found.route = _route(this.url_rule.rule)
    if this.blueprint in _CACHES and arguments["service"] in registry.snapshot.services:
        found.service = arguments["service"]
        found.key = arguments.get("key")


def _figures_counted(app: Flask, registry: Registry) -> dict[str, Figures]:
    """Return the figures of services that are counted here.

    Those in front of an API, and the reads of those whose servers would count looks with them.
    """
    meter: Meter | None = app.extensions[METER]
    if meter is None:
        return {}
    snapshot = registry.snapshot
    found = {
        name: Figures(get_hits=0, get_misses=0)
        for name, service in snapshot.services.items()
        if counts_looks(service.backend)
    }
    if found:
        found |= {name: read for name, read in reads(meter).items() if name in found}
    if snapshot.remotes:
        remotes = traffic(meter)
        found |= {name: remotes[name].figures for name in snapshot.remotes if name in remotes}
    return found


def _observe(app: Flask, settings: Settings, registry: Registry, sampler: Sampler) -> None:
    """Let the application count its requests, write lines about them, and show the counts."""
    is_secret = lambda text: digest_of(text) in registry.snapshot.callers  # noqa: E731
    requests = RequestLog(
        settings["CACHEAPI_ACCESS_LOG"],
        as_json=settings["CACHEAPI_LOG_FORMAT"] == "json",
        keys=settings["CACHEAPI_LOG_KEYS"],
        is_secret=is_secret,
    )
    meter = None
    if settings["CACHEAPI_METRICS"] != "off":
        servers = Servers(lambda: registry.snapshot.services, sampler)
        meter = Meter(servers, __version__)
        registry.accompany(meter)
        add_metrics(app, meter, is_open=settings["CACHEAPI_METRICS"] == "open")
    troubles = Troubles(registry.data_dir / "troubles")
    app.extensions[TROUBLES] = troubles
    answers = RemoteAnswers(app.extensions[DOOR], meter, troubles)
    registry.accompany(answers)
    app.extensions[REMOTE_ANSWERS] = answers
    app.extensions[REQUEST_LOG] = requests
    app.extensions[METER] = meter
    tail = Tail(registry.data_dir / FOLDER, keys=settings["CACHEAPI_LOG_KEYS"], is_secret=is_secret)
    registry.accompany(tail)
    app.extensions[TAIL] = tail
    traces = tracing.start(os.environ, __version__)
    if traces is not None:
        registry.accompany(traces)
        # The lane makes no spans.
        access: Access = app.extensions[ACCESS]
        app.extensions[ACCESS] = access._replace(left=access.left | {tracing.PARENT})
    app.wsgi_app = Observed(  # type: ignore[method-assign]
        MethodTunnel(app.wsgi_app), meter, requests, tail, traces
    )
