"""``/api/v2/system/tail``, ``slowest`` and ``audit``: what happens, for administrators."""

from __future__ import annotations

from typing import Final

from flask import Response, current_app, request
from flask_smorest import Blueprint

from cacheapi.caching.codec import encode
from cacheapi.observing.tail.files import BadPlace, shown
from cacheapi.observing.tail.slowest import MOST_SLOW, slowest
from cacheapi.observing.tail.watch import TAIL, Tail
from cacheapi.registry import audit, listing
from cacheapi.web.blueprints import documentation as doc
from cacheapi.web.blueprints import permit_administrator, registry
from cacheapi.web.errors import ApiError
from cacheapi.web.http import json_response
from cacheapi.web.query import OF_PAGES, Query
from cacheapi.web.schemas.looking import AuditSchema, SlowestSchema, TailSchema

blueprint = Blueprint("What happens", __name__, url_prefix="/api/v2/system")
blueprint.before_request(permit_administrator)

USUAL_SLOW: Final = 20
# Of the first look, which cannot have any.
_BEGUN: Final = "Requests are noted from now on. Ask again with cursor= and meta.next."


@blueprint.route("/tail")
@blueprint.doc(
    operationId="tailRequests",
    parameters=[
        doc.query("cursor", "string", "`meta.next` of the answer before; else: from now on.")
    ],
)
@blueprint.response(200, TailSchema, description="What was answered since.")
@doc.errors(blueprint)
def tail_requests() -> Response:
    """Tell which requests all processes of this machine have answered since the last look.

    Ask once or twice a second, with the `cursor` that `meta.next` of the answer before has. The
    first answer, without a cursor, has no requests and says so in `meta.message`: they are noted
    from then on, until nobody has looked for ten seconds.
    """
    cursor = Query(request.query_string).refuse_slips(("cursor",)).text("cursor")
    files = current_tail().files
    try:
        files.watch()
        part = files.read(cursor)
    except BadPlace as error:
        raise ApiError(400, "The parameter cursor is none that was given here.") from error
    except OSError as error:
        raise ApiError(500, unwatched(error)) from error
    meta = {"next": part.place, "left_out": sum(each.more for each in part.requests)}
    if cursor is None:
        meta["message"] = _BEGUN
    resource = [shown(each) for each in part.requests]
    return json_response(encode({"resource": resource, "meta": meta}))


@blueprint.route("/slowest")
@blueprint.doc(
    operationId="listSlowest",
    parameters=[
        doc.query("limit", "integer", "How many.", minimum=1, maximum=MOST_SLOW, default=USUAL_SLOW)
    ],
)
@blueprint.response(200, SlowestSchema, description="The slowest requests of the last hour.")
@doc.errors(blueprint)
def list_slowest() -> Response:
    """List the requests of the last hour that took longest on this machine: over 5 ms.

    Of those that the lane has answered together, one a service is listed.
    """
    query = Query(request.query_string).refuse_slips(("limit",))
    limit = query.integer("limit", 1, MOST_SLOW, USUAL_SLOW)
    found = slowest(current_tail().files.directory, limit)
    return json_response(encode({"resource": [shown(each) for each in found]}))


@blueprint.route("/audit")
@blueprint.doc(
    operationId="listAudit",
    parameters=[
        doc.query("search", "string", "Only with this in one of its texts."),
        *doc.PAGES,
    ],
)
@blueprint.response(200, AuditSchema, description="Who changed what.")
@doc.errors(blueprint)
def list_audit() -> Response:
    """List who changed which service or API key on this machine, or flushed one: a page of it.

    Machines that share a database keep a log each: `meta.machine` says whose this one is.
    """
    query = Query(request.query_string).refuse_slips(OF_PAGES)
    limit = query.integer("limit", 1, listing.MOST, listing.USUAL)
    cursor, search = query.text("cursor"), query.text("search") or ""
    try:
        page = audit.acts(registry().data_dir, limit, cursor, search)
    except audit.BadPlace as error:
        raise ApiError(400, "The parameter cursor is none that was given here.") from error
    resource = [audit.shown(act) for act in page.acts]
    meta = {
        "next": page.following,
        "machine": audit.machine(),
        "whole": not registry().is_shared,
    }
    return json_response(encode({"resource": resource, "meta": meta}))


def unwatched(error: OSError) -> str:
    """Return why requests cannot be watched, for an operator."""
    where = "" if error.filename is None else f"{error.filename}: "
    return f"Requests cannot be watched: {where}{error.strerror}."


def current_tail() -> Tail:
    """Return the application's."""
    found: Tail = current_app.extensions[TAIL]
    return found
