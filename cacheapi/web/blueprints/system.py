"""``/api/v2/system/…``: about the services, not about what they hold."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from cacheapi.caching.codec import encode
from cacheapi.registry.service_types import abilities, service_types
from cacheapi.web.blueprints import documentation as doc
from cacheapi.web.blueprints import find_service, permit_administrator, permit_some
from cacheapi.web.http import json_response
from cacheapi.web.schemas.system import AbilitiesSchema, ServiceTypesSchema

blueprint = Blueprint("System", __name__, url_prefix="/api/v2/system")


@blueprint.route("/service_type")
@blueprint.doc(operationId="listServiceTypes")
@blueprint.response(200, ServiceTypesSchema, description="What each type of service can do.")
@doc.errors(blueprint)
def list_service_types() -> Response:
    """List the types of service, for administrators."""
    permit_administrator()
    return json_response(encode({"resource": service_types()}))


@blueprint.route("/service/<service>/capabilities", parameters=[doc.SERVICE])
@blueprint.doc(operationId="getCapabilities")
@blueprint.response(200, AbilitiesSchema, description="What this service can do.")
@doc.errors(blueprint)
def get_capabilities(service: str) -> Response:
    """Say what a service can do, its key prefix and other settings counted in.

    For every API key that may use the service.
    """
    permit_some(service)
    return json_response(encode(abilities(find_service(service))))
