"""Spans: one for a request, one for each call of a cache in it. No key and no value is in them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from backends.errors import Failed
from cacheapi.caching.service import CacheService
from cacheapi.observing.facts import Facts

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_NAME: Final = "cacheapi"
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def make_provider(exporter: str, environ: Mapping[str, str], version: str) -> TracerProvider:
    """Return where spans go; everything else is in OpenTelemetry's own variables.

    :param exporter: ``otlp``, over HTTP; or ``console``.
    """
    own = {SERVICE_VERSION: version}
    if "OTEL_SERVICE_NAME" not in environ:
        own[SERVICE_NAME] = _NAME
    provider = TracerProvider(resource=Resource.create(own))
    provider.add_span_processor(
        SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stdout))
        if exporter == "console"
        else BatchSpanProcessor(OTLPSpanExporter())
    )
    return provider


class Tracing:
    """Makes the spans of an application; begins and ends with its registry.

    :param provider: where they go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_NAME)

    def watch(self) -> None:
        """Do nothing: the provider follows a fork by itself."""

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    @contextlib.contextmanager
    def request(self, environ: WSGIEnvironment) -> Iterator[Span]:
        """Make the span of a request, part of the trace that it says."""
        with self._tracer.start_as_current_span(
            "request", context=_parent(environ), kind=SpanKind.SERVER, record_exception=False
        ) as span:
            yield span

    @contextlib.contextmanager
    def call(self, name: str, service: CacheService) -> Iterator[None]:
        """Make the span of a call of a cache."""
        with self._tracer.start_as_current_span(
            f"{service.name} {name}",
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": service.backend.driver,
                "db.operation.name": name,
                "cacheapi.service": service.name,
            },
            # Its message may name hosts, and its traceback what was stored.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                if isinstance(error, Failed):
                    span.set_status(Status(StatusCode.ERROR))
                raise

    @staticmethod
    def tell(span: Span, method: str, facts: Facts, status: int) -> None:
        """Say in a request's span what became of it."""
        span.update_name(f"{method} {facts.route}".rstrip())
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.response.status_code", status)
        if facts.route:
            span.set_attribute("http.route", facts.route)
        if facts.service:
            span.set_attribute("cacheapi.service", facts.service)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))


def _parent(environ: WSGIEnvironment) -> Context:
    fields = {"traceparent": environ.get("HTTP_TRACEPARENT", "")}
    return _PROPAGATOR.extract({**fields, "tracestate": environ.get("HTTP_TRACESTATE", "")})
