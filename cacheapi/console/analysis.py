"""What fills a service, as a page: first from a small sample, then from larger ones.

Each look is one request that is bounded in time, so progress is the next larger look: scripts
take it by themselves up to the usual sample, a person by a link.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from backends.capabilities import Capability
from backends.errors import BackendError
from cacheapi.console import frame
from cacheapi.observing import analysis
from cacheapi.observing.prefixes import CLASSES, DEEPEST, DEPTH, SEPARATOR
from cacheapi.registry import administration
from cacheapi.web.blueprints import find_service, registry
from cacheapi.web.errors import ApiError
from cacheapi.web.query import Query

_WORDS: Final = {
    "minute": "a minute at most",
    "hour": "an hour at most",
    "day": "a day at most",
    "week": "a week at most",
    "longer": "longer",
    "forever": "for ever",
}


def register(blueprint: Blueprint) -> None:
    """Add the view."""
    blueprint.add_url_rule("/service/<name>/analysis", "analysis", show)


def show(name: str) -> Response:
    """Look through a service, and show what fills it."""
    definition = administration.find(registry(), name)
    service = find_service(definition.name)
    query = Query(request.query_string)
    sample = query.integer("sample", 1, analysis.MOST, analysis.FIRST)
    depth = query.integer("depth", 1, DEEPEST, DEPTH)
    found: dict[str, Any] | None = None
    fault = ""
    try:
        if Capability.ANALYZE not in service.backend.capabilities:
            raise ApiError(400, f"{service.backend.label} cannot {Capability.ANALYZE.value}.")
        looked = analysis.analyze(service, sample, depth=depth, seconds=analysis.SECONDS)
        found = analysis.shown(service, looked)
    except (BackendError, ApiError) as error:
        fault = service.backend.told(str(error))
    finer = min(analysis.MOST, sample * analysis.GROWTH)
    more = found is not None and not found["complete"] and sample < analysis.MOST
    return frame.page(
        "analysis",
        definition=definition,
        found=found,
        can_list=Capability.LIST_KEYS in service.backend.capabilities,
        fault=fault,
        sample=sample,
        depth=depth,
        depths=range(1, 5),
        separator=SEPARATOR,
        words=_WORDS,
        classes=CLASSES,
        kept=analysis.OWN,
        finer=finer if more else None,
        # Scripts go on up to here; what is more takes a while, and a person's word.
        goes_on=finer <= analysis.USUAL,
        finer_url=url_for("console.analysis", name=name, sample=finer, depth=depth),
    )
