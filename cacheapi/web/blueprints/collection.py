"""``/api/v2/{service}``: several keys at once, listing, flush."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask.views import MethodView
from flask_smorest import Blueprint

from backends.base import MISSING
from backends.capabilities import Capability
from backends.columns import keys_of
from backends.errors import Unsupported
from cacheapi.caching.codec import encode
from cacheapi.caching.listing import told
from cacheapi.caching.reading import LOOKING_SECONDS, MAX_PAGE
from cacheapi.caching.service import CacheService
from cacheapi.observing.facts import facts
from cacheapi.registry.rights import FLUSH
from cacheapi.web.access import WITHIN
from cacheapi.web.batch import (
    check_keys,
    entries_text,
    outcomes_text,
    read_many,
    read_pairs,
    values_of,
)
from cacheapi.web.blueprints import (
    caller,
    find_service,
    permit,
    permit_all,
    permit_operations,
    permit_some,
    verb,
)
from cacheapi.web.blueprints import documentation as doc
from cacheapi.web.blueprints.deleting import delete_keys
from cacheapi.web.errors import ApiError, hidden
from cacheapi.web.http import (
    TUNNELLED,
    json_response,
    max_batch,
    read_document,
    read_json,
    refuse_conditions,
)
from cacheapi.web.large import Turn
from cacheapi.web.lean import this_request
from cacheapi.web.operations import Asked, asks_operations, read_operations
from cacheapi.web.performing import perform, performed_text
from cacheapi.web.query import OF_DELETES, OF_LISTS, OF_STORES, Query
from cacheapi.web.schemas.cache import (
    DeletedSchema,
    EntriesSchema,
    OutcomesSchema,
    PairSchema,
    StoreSchema,
    SuccessSchema,
)
from cacheapi.web.schemas.operations import OperationSchema, PerformedSchema

blueprint = Blueprint("Several keys", __name__, url_prefix="/api/v2")


@blueprint.route("/<service:service>", parameters=[doc.SERVICE])
class Collection(MethodView):
    """All of a service."""

    @blueprint.doc(
        operationId="getMany",
        parameters=[
            doc.KEYS,
            doc.ONE_KEY,
            doc.query("prefix", "string", "List only keys that start with this."),
            doc.query(
                "limit", "integer", "Keys in a page.", minimum=1, maximum=MAX_PAGE, default=100
            ),
            doc.query("cursor", "string", "`meta.next` of the page before."),
            doc.DETAILS,
            doc.TTL_LEFT,
        ],
    )
    @blueprint.response(200, EntriesSchema, description="The entries; or a page of keys.")
    @doc.errors(blueprint)
    def get(self, service: str) -> Response:
        """Get several values, or list keys.

        With `keys` or `key`: the values, in the order asked; an absent key is in
        `meta.missing`. Without: a page of keys, where the backend can list them.
        """
        this = this_request()
        permit_some(service, verb())
        cache = find_service(service)
        refuse_conditions(this)
        query = Query(this.query_string).refuse_slips(OF_LISTS)
        keys = _listed_keys() if TUNNELLED in this.environ else None
        keys = query.keys() if keys is None else keys
        query.refuse_others(named=keys is not None)
        if keys is None:
            permit_all("GET", service, query.text("prefix") or "")
            return _list_keys(cache, query)
        check_keys(cache, keys, max_batch())
        permit(verb(), service, keys)
        facts().batch = len(keys)
        asks_left = query.flag("ttl")
        with Turn(may_wait=WITHIN not in this.environ) as turn:
            found = values_of(keys, read_many(cache, keys, turn))
            lefts = None
            if asks_left:
                lefts = cache.remaining_ttl_many(list(found))
                # The others have ended meanwhile.
                found = {key: value for key, value in found.items() if key in lefts}
            facts().read(sum(key in found for key in keys), len(keys))
            return json_response(entries_text(keys, found, lefts))

    @blueprint.doc(
        operationId="store",
        parameters=[doc.TTL, doc.FOREVER, doc.TUNNEL],
        requestBody=doc.body(
            StoreSchema,
            PairSchema,
            {
                "type": "object",
                "required": ["operations"],
                "additionalProperties": False,
                "properties": {
                    "operations": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "allOf": [OperationSchema],
                            "minProperties": 1,
                            "maxProperties": 1,
                        },
                    }
                },
            },
            examples={
                "store a value": {
                    "resource": [{"key": "user:123:name", "value": "John Doe", "ttl": 3600}]
                },
                "store JSON data": {
                    "resource": [
                        {
                            "key": "config:app",
                            "value": {
                                "theme": "dark",
                                "language": "en",
                                "features": ["analytics", "reporting"],
                            },
                            "ttl": 86400,
                        }
                    ]
                },
                "a bare pair": {"key": "user:123:name", "value": "John Doe"},
                "different operations": {
                    "operations": [
                        {"get": "user:123:name"},
                        {"set": {"key": "user:123:seen", "value": "today", "ttl": 3600}},
                        {"increment": {"key": "visits", "by": 1, "initial": 1, "ttl": 60}},
                        {"delete": "user:123:draft"},
                    ]
                },
            },
        ),
    )
    @blueprint.alt_response(
        200, schema=PerformedSchema, description="What became of each operation.", success=True
    )
    @blueprint.response(201, OutcomesSchema, description="All are stored.")
    @doc.errors(blueprint, 413, 415)
    def post(self, service: str) -> Response:
        """Store one or more values, overwriting; or do several different operations.

        A bad item stores nothing of the batch. Of two equal keys the last wins. `operations` are
        done in order as far as one key can tell, each for itself, and each needs its own right:
        `get` and `exists` that to GET, `set` and `add` to POST, `replace` to PUT, `touch` and
        `increment` to PATCH, `delete` to DELETE, `pull` to GET and DELETE. If one is bad or not
        allowed, none is done. Where the backend fails, the 500 has the outcomes in
        `context.resource`.
        """
        this = this_request()
        permit_some(service, verb(), "GET", "PUT", "PATCH", "DELETE")
        body = read_json(this)
        different = asks_operations(body)
        if not different:
            permit_some(service, verb())
        cache = find_service(service)
        refuse_conditions(this)
        ttl = Query(this.query_string).refuse_slips(OF_STORES).ttl()
        asked = read_operations(cache, body, ttl, max_batch()) if different else None
        if asked is not None:
            return _perform(service, cache, asked)
        pairs = read_pairs(cache, body, ttl, max_batch())
        keys = keys_of(pairs)
        permit(verb(), service, keys)
        facts().batch = len(pairs)
        outcomes = cache.set_many(pairs)
        return json_response(outcomes_text(keys, outcomes), 201)

    @blueprint.doc(
        operationId="deleteMany", parameters=[doc.KEYS, doc.ONE_KEY, doc.PREFIX, doc.TAG]
    )
    @blueprint.response(
        200,
        {"oneOf": [OutcomesSchema, DeletedSchema, SuccessSchema]},
        description="What became of each key; how many keys a prefix had; or it is done.",
    )
    @doc.errors(blueprint, 413, 415)
    def delete(self, service: str) -> Response:
        """Delete several keys, all that start with a prefix or have a tag, or all.

        With `keys` or `key`, those; with `prefix`, those that start so; with `tag`, every
        entry that has one of those tags. Without any of them, the service is **flushed**: every
        key goes. A length of 0 announces no body; one that is
        announced and empty, cut or no list is a 400.
        """
        this = this_request()
        permit_some(service, verb(), FLUSH)
        cache = find_service(service)
        refuse_conditions(this)
        query = Query(this.query_string).refuse_slips(OF_DELETES)
        # A list in the body counts without a tunnel too: to overlook it would flush all.
        keys = _listed_keys()
        keys = query.keys() if keys is None else keys
        return delete_keys(service, cache, keys, query)


def _listed_keys() -> list[str] | None:
    """Return the keys, each once, of a body ``{"resource": ["key", …]}``; ``None`` without one.

    :raises ApiError: 400; the body is something else.
    """
    document = read_document(this_request(), required=False)
    if document is MISSING:
        return None
    keys = document.get("resource") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ApiError(400, 'The body must be {"resource": ["key", …]}.')
    return list(dict.fromkeys(keys))


def _perform(service: str, cache: CacheService, asked: list[Asked]) -> Response:
    permit_operations(service, asked)
    facts().batch = len(asked)
    operations = [each.operation for each in asked]
    with Turn(may_wait=WITHIN not in this_request().environ) as turn:
        outcomes = perform(cache, operations, turn)
        told, sees = cache.backend.told, caller().administrator
        return json_response(
            performed_text(operations, outcomes, told if sees else lambda text: hidden(told(text)))
        )


def _list_keys(cache: CacheService, query: Query) -> Response:
    limit = query.integer("limit", 1, MAX_PAGE, 100)
    details = query.flag("details")
    prefix, cursor = query.text("prefix") or "", query.text("cursor")
    seconds = this_request().environ.get(WITHIN, LOOKING_SECONDS)
    try:
        keys, following = cache.list_keys(prefix, limit, cursor, seconds)
    except Unsupported as error:
        if error.capability is not Capability.LIST_KEYS:
            raise
        raise ApiError(
            400, f"{error} Ask for keys by name: ?keys=first,second or /{{key}}."
        ) from error
    resource: list[dict[str, Any]] = [{"key": key} for key in keys]
    if details:
        # What has ended since it was listed is there no more.
        found = cache.describe_many(keys)
        resource = [{"key": key, **told(found[key])} for key in keys if key in found]
    return json_response(encode({"resource": resource, "meta": {"next": following}}))
