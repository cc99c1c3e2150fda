"""``/metrics``: for Prometheus."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, request

from cacheapi.observing.metrics.meter import Meter
from cacheapi.web.auth import without_key
from cacheapi.web.blueprints import permit_administrator

PATH: Final = "/metrics"


def add_metrics(app: Flask, meter: Meter, *, is_open: bool) -> None:
    """Let an application show its metrics.

    :param is_open: to anybody; else to administrators.
    """

    def metrics() -> Response:
        if not is_open:
            permit_administrator()
        body, content_type = meter.text(request.headers.get("Accept", ""))
        return Response(body, 200, {"Cache-Control": "no-store"}, content_type=content_type)

    app.add_url_rule(PATH, "metrics", without_key(metrics) if is_open else metrics)
