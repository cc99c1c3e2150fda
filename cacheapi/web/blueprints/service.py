"""``/api/v2/system/service``: services, for administrators."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from flask import Response, current_app, request
from flask.views import MethodView
from flask_smorest import Blueprint

from backends.base import MISSING
from backends.statistics import Figures
from cacheapi.caching.codec import encode
from cacheapi.observing import analysis, prefixes, statistics
from cacheapi.observing.metrics.meter import METER, Meter
from cacheapi.observing.traffic import traffic
from cacheapi.registry import administration, listing, trial
from cacheapi.registry.definition import Definition
from cacheapi.web.blueprints import administer, caller, find_service, registry
from cacheapi.web.blueprints import documentation as doc
from cacheapi.web.blueprints.lists import body_items, page_shown, page_wanted
from cacheapi.web.errors import ApiError
from cacheapi.web.http import json_response, read_document
from cacheapi.web.query import OF_PAGES, Query
from cacheapi.web.schemas.analysis import AnalysisSchema
from cacheapi.web.schemas.cache import SuccessSchema
from cacheapi.web.schemas.statistics import StatisticsSchema
from cacheapi.web.schemas.system_service import (
    MadeServicesSchema,
    ServiceChangeSchema,
    ServiceFieldsSchema,
    ServicesToMakeSchema,
    SystemServiceSchema,
    SystemServicesSchema,
    TrialConfigSchema,
    TrialSchema,
)

blueprint = Blueprint("Services of the system", __name__, url_prefix="/api/v2/system/service")
blueprint.before_request(administer)

_BY_TYPE = re.compile(r"""\(?\s*type\s*=\s*(['"]?)(\w+)\1\s*\)?""")
_EXAMPLE = {
    "name": "sessions",
    "label": "Sessions",
    "description": "Who is signed in.",
    "type": "cache_memcached",
    "config": {"host": "127.0.0.1", "port": 11211, "default_ttl": 300},
}


@blueprint.route("")
class Services(MethodView):
    """All services."""

    @blueprint.doc(
        operationId="listSystemServices",
        parameters=[
            doc.query("filter", "string", "Of one type only: `type=cache_memcached`."),
            doc.query("search", "string", "Only with this in the name or the label."),
            *doc.PAGES,
        ],
    )
    @blueprint.response(200, SystemServicesSchema, description="The services.")
    @doc.errors(blueprint)
    def get(self) -> Response:
        """List the services of all sources, by name: a page of them."""
        query = Query(request.query_string).refuse_slips(("filter", *OF_PAGES))
        wanted_type = _wanted_type(query.text("filter"))
        page = listing.services(registry(), page_wanted(query), wanted_type)
        return json_response(encode(page_shown(page, administration.told(registry(), *page.items))))

    @blueprint.doc(
        operationId="makeServices",
        requestBody=doc.body(
            ServicesToMakeSchema, ServiceFieldsSchema, examples={"a service": _EXAMPLE}
        ),
    )
    @blueprint.response(201, MadeServicesSchema, description="They are made.")
    @doc.errors(blueprint, 413, 415)
    def post(self) -> Response:
        """Make services. If anything is wrong with one, none is made."""
        made = administration.create(registry(), caller(), body_items(read_document(request)))
        overlaps = registry().snapshot.overlaps
        resource = [
            {"id": each.number, "name": each.name, "warnings": overlaps.of(each.name)}
            for each in made
        ]
        return json_response(encode({"resource": resource}), 201)


@blueprint.route("/<reference>", parameters=[doc.REFERENCE])
class SystemService(MethodView):
    """One service."""

    @blueprint.doc(operationId="getSystemService")
    @blueprint.response(200, SystemServiceSchema, description="The service.")
    @doc.errors(blueprint)
    def get(self, reference: str) -> Response:
        """Get a service; its secrets are masked."""
        return _shown(administration.find(registry(), reference))

    @blueprint.doc(
        operationId="changeService",
        requestBody=doc.body(
            ServiceChangeSchema, examples={"another server": {"config": {"host": "127.0.0.2"}}}
        ),
    )
    @blueprint.response(200, SystemServiceSchema, description="It is changed.")
    @doc.errors(blueprint, 413, 415)
    def patch(self, reference: str) -> Response:
        """Change what is given of a service."""
        return _update(reference, replace=False)

    @blueprint.doc(
        operationId="replaceService",
        requestBody=doc.body(ServiceFieldsSchema, examples={"a service": _EXAMPLE}),
    )
    @blueprint.response(200, SystemServiceSchema, description="It is changed.")
    @doc.errors(blueprint, 413, 415)
    def put(self, reference: str) -> Response:
        """Describe a service anew: what is not given gets its default."""
        return _update(reference, replace=True)

    @blueprint.doc(operationId="deleteService")
    @blueprint.response(200, SuccessSchema, description="It is deleted.")
    @doc.errors(blueprint)
    def delete(self, reference: str) -> Response:
        """Delete a service. What its server holds stays there; its own files go."""
        administration.delete(registry(), caller(), reference)
        return json_response('{"success":true}')


@blueprint.route("/<reference>/test", methods=["POST"], parameters=[doc.REFERENCE])
@blueprint.doc(
    operationId="testService",
    requestBody={
        **doc.body(TrialConfigSchema, examples={"another port": {"config": {"port": 11212}}}),
        "required": False,
    },
)
@blueprint.response(200, TrialSchema, description="What became of each step.")
@doc.errors(blueprint, 413, 415)
def test_service(reference: str) -> Response:
    """Try a service: connect, write, read and delete a key of the trial's own."""
    definition = administration.find(registry(), reference)
    document = read_document(request, required=False)
    if document is MISSING or document == {}:
        return _tried(definition, saved=True)
    config = _object(document).get("config")
    if document.keys() - {"config"} or not isinstance(config, dict):
        raise ApiError(400, 'The body must be {"config": {…}}, or none.')
    merged = {**administration.shown(definition)["config"], **config}
    fields = {"name": definition.name, "type": definition.type, "config": merged}
    return _tried(administration.draft(registry(), fields), saved=False)


@blueprint.route("/test", methods=["POST"])
@blueprint.doc(
    operationId="testDraft",
    requestBody=doc.body(ServiceFieldsSchema, examples={"a service": _EXAMPLE}),
)
@blueprint.response(200, TrialSchema, description="What became of each step.")
@doc.errors(blueprint, 413, 415)
def test_draft() -> Response:
    """Try a service that is not saved, or a change of one that is, by its name."""
    draft = administration.draft(registry(), _object(read_document(request)))
    return _tried(draft, saved=False)


@blueprint.route("/<reference>/stats", parameters=[doc.REFERENCE])
@blueprint.doc(
    operationId="getStatistics",
    parameters=[
        doc.query(
            "section",
            "string",
            "What `raw` is of: `items`, `slabs` or `settings` on memcached; a section of `INFO`, "
            "such as `memory` or `keyspace`, on Redis and Valkey.",
        )
    ],
)
@blueprint.response(200, StatisticsSchema, description="What its servers say of themselves.")
@doc.errors(blueprint)
def get_statistics(reference: str) -> Response:
    """Tell the statistics of a service: the sum, server by server, and advice.

    They are the servers' own figures, of all that use them and since they started. Of a service
    in front of an HTTP API they are what this machine's processes counted since they started:
    `get_hits` are answers that did not wait for the API, `get_misses` those that did; `results`
    has them by what the cache did.
    """
    definition = administration.find(registry(), reference)
    section = Query(request.query_string).refuse_slips(("section",)).text("section")
    if definition.name in registry().snapshot.remotes:
        if section is not None:
            raise ApiError(400, "A service in front of an HTTP API has no sections.")
        meter: Meter | None = current_app.extensions[METER]
        done = None if meter is None else traffic(meter).get(definition.name)
        figures, results = (Figures(), {}) if done is None else (done.figures, done.results)
        told = statistics.counted_shown(definition.name, definition.type, figures, results)
        return json_response(encode(told))
    service = find_service(definition.name)
    return json_response(encode(statistics.shown(service, statistics.read(service, section))))


@blueprint.route("/<reference>/analysis", parameters=[doc.REFERENCE])
@blueprint.doc(
    operationId="analyzeService",
    parameters=[
        doc.query(
            "sample",
            "integer",
            f"About how many entries are looked at, from 1 to {analysis.MOST}; the usual is "
            f"{analysis.USUAL}.",
        ),
        doc.query(
            "depth",
            "integer",
            f"How many parts of a key a prefix has at most, from 1 to {prefixes.DEEPEST}; the "
            f"usual is {prefixes.DEPTH}.",
        ),
        doc.query("separator", "string", "What a part of a key ends with; the usual is `:`."),
    ],
)
@blueprint.response(200, AnalysisSchema, description="What fills it.")
@doc.errors(blueprint, 503)
def analyze_service(reference: str) -> Response:
    """Tell what fills a service: its entries by the prefixes of their keys, and the largest.

    Of a service that holds more entries than `sample` a random sample is looked at, for 10 seconds
    at most, and the numbers are estimates; `complete` says which. A process does one at a time.
    """
    service = find_service(administration.find(registry(), reference).name)
    query = Query(request.query_string).refuse_slips(("sample", "depth", "separator"))
    sample = query.integer("sample", 1, analysis.MOST, analysis.USUAL)
    depth = query.integer("depth", 1, prefixes.DEEPEST, prefixes.DEPTH)
    separator = _separator(query)
    try:
        found = analysis.analyze(
            service, sample, depth=depth, separator=separator, seconds=analysis.SECONDS
        )
    except analysis.Busy as error:
        raise ApiError(503, str(error), headers={"Retry-After": "5"}) from error
    return json_response(encode(analysis.shown(service, found)))


def _separator(query: Query) -> str:
    """Return what parts of a key end with.

    :raises ApiError: 400; it is empty, or too long.
    """
    separator = query.text("separator")
    if separator is None:
        return prefixes.SEPARATOR
    if not 1 <= len(separator) <= prefixes.LONGEST_SEPARATOR:
        raise ApiError(
            400,
            f"The parameter separator must have 1 to {prefixes.LONGEST_SEPARATOR} characters.",
        )
    return separator


def _wanted_type(text: str | None) -> str | None:
    if text is None:
        return None
    match = _BY_TYPE.fullmatch(text.strip())
    if match is None:
        raise ApiError(400, "The parameter filter must be type=…, such as type=cache_redis.")
    return match[2]


def _object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return document


def _update(reference: str, *, replace: bool) -> Response:
    fields = _object(read_document(request))
    changed = administration.update(registry(), caller(), reference, fields, replace=replace)
    return _shown(changed)


def _shown(definition: Definition) -> Response:
    (told,) = administration.told(registry(), definition)
    return json_response(encode(told))


def _tried(definition: Definition, *, saved: bool) -> Response:
    outcome = trial.run(registry(), definition, saved=saved)
    return json_response(encode(dataclasses.asdict(outcome)))
