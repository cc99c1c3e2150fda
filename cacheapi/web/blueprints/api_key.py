"""``/api/v2/system/api_key``: API keys, for administrators."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError

from cacheapi.caching.codec import encode
from cacheapi.registry import key_administration, listing
from cacheapi.web.batch import invalid_body
from cacheapi.web.blueprints import administer, caller, registry
from cacheapi.web.blueprints import documentation as doc
from cacheapi.web.blueprints.lists import body_items, page_shown, page_wanted
from cacheapi.web.errors import ApiError
from cacheapi.web.http import json_response, read_document
from cacheapi.web.query import OF_PAGES, Query
from cacheapi.web.schemas.api_key import (
    ApiKeySchema,
    ApiKeysSchema,
    KeyChangeSchema,
    KeyFieldsSchema,
    KeysToMakeSchema,
    NewKeysSchema,
)
from cacheapi.web.schemas.cache import SuccessSchema

blueprint = Blueprint("API keys", __name__, url_prefix="/api/v2/system/api_key")
blueprint.before_request(administer)

_EXAMPLE = {
    "name": "web shop",
    "rules": [{"service": "cache", "verbs": ["GET", "POST", "PUT"], "keys": "shop:*"}],
}


@blueprint.route("")
class ApiKeys(MethodView):
    """All API keys."""

    @blueprint.doc(
        operationId="listApiKeys",
        parameters=[
            doc.query(
                "search", "string", "Only with this in the name, or a key that begins with it."
            ),
            *doc.PAGES,
        ],
    )
    @blueprint.response(200, ApiKeysSchema, description="The API keys, without the keys.")
    @doc.errors(blueprint)
    def get(self) -> Response:
        """List the API keys but those of the environment, by id: a page of them."""
        query = Query(request.query_string).refuse_slips(OF_PAGES)
        page = listing.api_keys(registry(), page_wanted(query))
        return json_response(
            encode(page_shown(page, [key_administration.shown(key) for key in page.items]))
        )

    @blueprint.doc(
        operationId="makeApiKeys",
        requestBody=doc.body(KeysToMakeSchema, KeyFieldsSchema, examples={"a key": _EXAMPLE}),
    )
    @blueprint.response(201, NewKeysSchema, description="They are made. Note them now.")
    @doc.errors(blueprint, 413, 415)
    def post(self) -> Response:
        """Make API keys. If anything is wrong with one, none is made."""
        items = body_items(read_document(request))
        loaded = _load(KeyFieldsSchema(many=True), items)
        made = key_administration.create(registry(), caller(), loaded)
        return json_response(encode(NewKeysSchema().dump({"resource": made})), 201)


@blueprint.route("/<int:number>", parameters=[doc.NUMBER])
class ApiKey(MethodView):
    """One API key."""

    @blueprint.doc(operationId="getApiKey")
    @blueprint.response(200, ApiKeySchema, description="The API key, without the key.")
    @doc.errors(blueprint)
    def get(self, number: int) -> Response:
        """Get what is known of an API key."""
        found = key_administration.find(registry(), number)
        return json_response(encode(key_administration.shown(found)))

    @blueprint.doc(
        operationId="changeApiKey",
        requestBody=doc.body(KeyChangeSchema, examples={"an end": {"expires": None}}),
    )
    @blueprint.response(200, ApiKeySchema, description="It is changed.")
    @doc.errors(blueprint, 413, 415)
    def patch(self, number: int) -> Response:
        """Change what is given of an API key; its rules as a whole."""
        document = read_document(request)
        if not isinstance(document, dict):
            raise ApiError(400, "The body must be a JSON object.")
        fields = _load(KeyChangeSchema(), document)
        changed = key_administration.update(registry(), caller(), number, fields)
        return json_response(encode(key_administration.shown(changed)))

    @blueprint.doc(operationId="revokeApiKey")
    @blueprint.response(200, SuccessSchema, description="It is revoked.")
    @doc.errors(blueprint)
    def delete(self, number: int) -> Response:
        """Revoke an API key: within a second it is worth nothing anywhere."""
        key_administration.revoke(registry(), caller(), number)
        return json_response('{"success":true}')


def _load(schema: Schema, document: Any) -> Any:
    try:
        return schema.load(document)
    except ValidationError as error:
        raise invalid_body(error) from error
