"""cacheapi: a cache over HTTP."""

from __future__ import annotations

import logging
import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flask import Flask, current_app, g, request
from flask_smorest import Api
from werkzeug.routing import BaseConverter

from backends import registry as backend_registry
from backends.errors import DriverMissing, InvalidOption, PluginBroken
from cacheapi import console
from cacheapi.caching.service import CacheService
from cacheapi.observing.facts import facts
from cacheapi.observing.metrics.meter import METER, Meter
from cacheapi.observing.metrics.servers import Servers
from cacheapi.observing.readiness import READINESS, Readiness
from cacheapi.observing.request_log import REQUEST_LOG, RequestLog
from cacheapi.observing.samples import Sampler
from cacheapi.observing.wsgi import Observed, samples, tracing
from cacheapi.registry.database.engine import DatabaseUnusable, make_engine
from cacheapi.registry.declared import BadFile
from cacheapi.registry.errors import Conflict
from cacheapi.registry.live import Registry
from cacheapi.registry.snapshot import digest_of
from cacheapi.registry.vault import Vault
from cacheapi.serving.lane import ACCESS, Access
from cacheapi.settings import Settings as Settings
from cacheapi.settings import SettingsError as SettingsError
from cacheapi.settings import load as load
from cacheapi.web import auth, rates
from cacheapi.web.auth import HEADER, PARAMETER
from cacheapi.web.blueprints import (
    EXTENSION,
    api_key,
    catalogue,
    collection,
    entry,
    health,
    pages,
    service,
    system,
)
from cacheapi.web.blueprints.metrics import add_metrics
from cacheapi.web.errors import register_error_handlers
from cacheapi.web.http import MethodTunnel, check_request
from cacheapi.web.schemas.errors import ErrorSchema

try:
    __version__ = version("cacheapi")
except PackageNotFoundError:  # Run from a checkout.
    __version__ = "0.1.0"

log = logging.getLogger(__name__)

SYSTEM_CACHE = "cache"
# The blueprints whose "service" is a cache.
_CACHES = (collection.blueprint.name, entry.blueprint.name)
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


class KeyConverter(BaseConverter):
    """The rest of the path, slashes and all; an empty key is the service's to refuse."""

    regex = r"[\s\S]*"
    part_isolating = False


class ServiceConverter(BaseConverter):
    """The name of a cache, which those of the service's own paths cannot be."""

    regex = r"(?!(?:docs|system)\Z)[^/]+"
    part_isolating = True


class _Api(Api):  # type: ignore[misc]
    """flask-smorest with the one shape of an error."""

    ERROR_SCHEMA = ErrorSchema


def create_app(config: Settings | None = None) -> Flask:
    """Make the WSGI application. This is the one place where things are put together.

    Leaves no connection open, so that the application can be made before a fork.

    :param config: the settings; by default those of the environment and ``.env``.
    :raises SettingsError: it cannot start with these settings; one line says why.
    """
    settings = load() if config is None else config
    for warning in settings.warnings:
        log.warning("%s", warning)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings["CACHEAPI_MAX_BODY_MB"] * 1024 * 1024
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

    @app.before_request
    def admit() -> None:
        registry.watch()
        _note_route(registry)
        view = current_app.view_functions.get(request.endpoint or "")
        g.caller = auth.admit(request, view, registry.snapshot)
        if g.caller is not None:
            rates.count(g.caller, registry.find(SYSTEM_CACHE))
        check_request(request)

    app.after_request(rates.tell)
    app.extensions[EXTENSION] = registry
    sampler = Sampler(
        lambda: registry.snapshot.services,
        registry.data_dir / "samples",
        settings["CACHEAPI_SAMPLE_SECONDS"],
    )
    registry.accompany(sampler)
    app.extensions[samples.EXTENSION] = sampler
    app.extensions[ACCESS] = Access(
        registry.find, digest_of, registry.may, registry.watch, app.config["MAX_CONTENT_LENGTH"]
    )
    api = _describe(app)
    api.register_converter(KeyConverter, lambda converter: {"type": "string", "minLength": 1})
    for module in (catalogue, collection, entry, system, service, api_key):
        api.register_blueprint(module.blueprint)
    app.register_blueprint(pages.blueprint)
    app.extensions[READINESS] = Readiness(
        registry,
        settings["CACHEAPI_READY_SERVICES"],
        settings["CACHEAPI_READY_TIMEOUT_MS"] / 1000,
    )
    app.register_blueprint(health.blueprint)
    _observe(app, settings, registry, sampler)
    register_error_handlers(app)
    return app


def _note_route(registry: Registry) -> None:
    """Note which path a request is for, by names alone."""
    found, arguments = facts(), request.view_args or {}
    if request.url_rule is not None:
        found.route = _CONVERTER.sub(r"{\1}", request.url_rule.rule)
    if request.blueprint in _CACHES and arguments["service"] in registry.snapshot.services:
        found.service = arguments["service"]
        found.key = arguments.get("key")


def _observe(app: Flask, settings: Settings, registry: Registry, sampler: Sampler) -> None:
    """Let the application count its requests, write lines about them, and show the counts."""
    requests = RequestLog(
        settings["CACHEAPI_ACCESS_LOG"],
        as_json=settings["CACHEAPI_LOG_FORMAT"] == "json",
        hashes_keys=settings["CACHEAPI_LOG_KEYS"] == "hash",
        is_secret=lambda text: digest_of(text) in registry.snapshot.callers,
    )
    meter = None
    if settings["CACHEAPI_METRICS"] != "off":
        servers = Servers(lambda: registry.snapshot.services, sampler)
        meter = Meter(servers, __version__)
        registry.accompany(meter)
        add_metrics(app, meter, is_open=settings["CACHEAPI_METRICS"] == "open")
    app.extensions[REQUEST_LOG] = requests
    app.extensions[METER] = meter
    traces = tracing.start(os.environ, __version__)
    if traces is not None:
        registry.accompany(traces)
        # The lane makes no spans.
        access: Access = app.extensions[ACCESS]
        app.extensions[ACCESS] = access._replace(left=frozenset({tracing.PARENT}))
    app.wsgi_app = Observed(  # type: ignore[method-assign]
        MethodTunnel(app.wsgi_app), meter, requests, traces
    )


def open_registry(settings: Settings) -> Registry:
    """Return the services and API keys of the settings. Leaves no connection open.

    :raises SettingsError: a source of them cannot be used; see :func:`system_cache`,
        :func:`~cacheapi.web.auth.load_keys` and :meth:`~cacheapi.registry.live.Registry.start`.
    """
    data_dir = Path(settings["CACHEAPI_DATA_DIR"])
    system = system_cache(settings)
    callers = auth.callers(auth.load_keys(settings))
    file = settings["CACHEAPI_SERVICES_FILE"]
    url = settings["CACHEAPI_DATABASE_URL"]
    try:
        registry = Registry(
            system,
            callers,
            file=None if file is None else Path(file),
            engine=make_engine(url, data_dir),
            vault=Vault(settings["CACHEAPI_SECRET_KEY"], data_dir / "secret-key"),
            data_dir=data_dir,
        )
        registry.start()
    except DatabaseUnusable as error:
        variable = "CACHEAPI_DATA_DIR" if url is None else "CACHEAPI_DATABASE_URL"
        raise SettingsError(f"{variable}: the database cannot be used: {error}") from error
    except BadFile as error:
        raise SettingsError(f"CACHEAPI_SERVICES_FILE: {error}") from error
    except Conflict as error:
        raise SettingsError(f"Services: {error}") from error
    return registry


def system_cache(settings: Settings) -> dict[str, CacheService]:
    """Return the system cache by its two names: ``cache``, and its driver's own.

    :raises SettingsError: the driver's package is missing, it cannot work with a setting, or
        it is a broken plugin.
    """
    driver = settings["CACHE_DRIVER"]
    try:
        backend = backend_registry.create(driver, settings)
    except (DriverMissing, InvalidOption, PluginBroken) as error:
        raise SettingsError(str(error)) from error
    return {
        name: CacheService(
            name,
            backend,
            default_ttl=settings["CACHE_DEFAULT_TTL"],
            label="System cache",
            description=f"The cache that CACHE_DRIVER={driver} selects.",
        )
        for name in (SYSTEM_CACHE, backend.service_name)
    }


def _describe(app: Flask) -> Api:
    app.config.update(
        API_TITLE="cacheapi",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/api/v2/docs",
        OPENAPI_JSON_PATH="openapi.json",
    )
    schemes = {
        "apiKey": {"type": "apiKey", "in": "header", "name": HEADER},
        "apiKeyParameter": {"type": "apiKey", "in": "query", "name": PARAMETER},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    return _Api(
        app,
        spec_kwargs={
            "info": {"description": "A cache over HTTP: JSON values under keys."},
            "components": {"securitySchemes": schemes},
            "security": [{name: []} for name in schemes],
        },
    )
