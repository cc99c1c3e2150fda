"""Traces for OpenTelemetry, where its packages are installed and its environment asks for them.

The package that instruments Flask is not used: it records the address of every request, and
that has the keys of entries in it and may have an API key.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cacheapi.observing.tracing.spans import Tracing

log = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTERS: Final = ("otlp", "console")
# The header field by which a request says that it is part of a trace.
PARENT: Final = b"traceparent"


def start(environ: Mapping[str, str], version: str) -> Tracing | None:
    """Begin to trace, if the environment asks for it; the variables are OpenTelemetry's own.

    :param version: of this program.
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    asked = any(environ.get(name) for name in _ENDPOINTS)
    exporter = environ.get("OTEL_TRACES_EXPORTER") or ("otlp" if asked else "none")
    if exporter == "none":
        return None
    if exporter not in _EXPORTERS:
        log.warning("OTEL_TRACES_EXPORTER must be one of %s, none.", ", ".join(_EXPORTERS))
        return None
    try:
        from cacheapi.observing.tracing.spans import Tracing, make_provider
    except ImportError:
        log.warning(
            "The environment asks for traces, but OpenTelemetry is not installed: "
            "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http."
        )
        return None
    return Tracing(make_provider(exporter, environ, version))
