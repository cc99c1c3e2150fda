"""``/api/v2/``: which services there are."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from cacheapi.caching.codec import encode
from cacheapi.caching.service import CacheService
from cacheapi.responses.remote import Remote
from cacheapi.web.blueprints import caller, registry
from cacheapi.web.blueprints import documentation as doc
from cacheapi.web.http import json_response
from cacheapi.web.schemas.services import ServicesSchema

blueprint = Blueprint("Services", __name__, url_prefix="/api/v2")


@blueprint.route("/")
@blueprint.doc(operationId="listServices")
@blueprint.response(200, ServicesSchema, description="The services that this key may use.")
@doc.errors(blueprint)
def list_services() -> Response:
    """List the services that this API key may use."""
    who, snapshot = caller(), registry().snapshot
    listed = [
        {
            "name": name,
            "aliases": snapshot.definitions[name].aliases,
            "label": service.label,
            "description": service.description,
            "type": service.type,
        }
        for name, service in sorted(_named(), key=lambda pair: pair[0])
        if who.may_use(name)
    ]
    return json_response(encode({"services": listed}))


def _named() -> list[tuple[str, CacheService | Remote]]:
    snapshot = registry().snapshot
    return [*snapshot.services.items(), *snapshot.remotes.items()]


# A rule of its own: of one that ignores the slash, Werkzeug forgets the methods (404 for 405).
blueprint.record(lambda state: state.app.add_url_rule("/api/v2", "root", list_services))
