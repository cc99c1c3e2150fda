"""``/api/v2/{service}/{key}``: one key."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, request
from flask.views import MethodView
from flask_smorest import Blueprint
from marshmallow import ValidationError

from backends.base import MISSING
from cacheapi.caching.codec import Value, encode, entry_text, string_text
from cacheapi.caching.conditions import NotModified
from cacheapi.caching.documents import parse_document
from cacheapi.caching.making import OutOfRange
from cacheapi.caching.service import CacheService
from cacheapi.observing.facts import facts
from cacheapi.web.access import WITHIN
from cacheapi.web.batch import invalid_body, left_text
from cacheapi.web.blueprints import caller, find_service, permit, verb
from cacheapi.web.blueprints import documentation as doc
from cacheapi.web.errors import ApiError, absent, invalid, nothing_to_count
from cacheapi.web.http import condition, json_response, max_batch, not_modified, read_json
from cacheapi.web.large import NO_ROOM, Turn, no_room
from cacheapi.web.lean import this_request
from cacheapi.web.plain import plain_change, plain_value
from cacheapi.web.query import OF_READS, OF_STORES, Query
from cacheapi.web.schemas.cache import (
    ChangeSchema,
    EntrySchema,
    KeyOutcomeSchema,
    RequestSchema,
    ValueSchema,
)
from cacheapi.web.values import value_of

CACHE_TTL: Final = "Cache-TTL"

_VALUE: Final = ValueSchema()
_CHANGE: Final = ChangeSchema()

blueprint = Blueprint("One key", __name__, url_prefix="/api/v2")


@blueprint.route("/<service:service>/<key:key>", parameters=[doc.SERVICE, doc.KEY])
class Entry(MethodView):
    """One key of a service."""

    @blueprint.doc(
        operationId="get",
        parameters=[
            doc.query("default", "string", "Returned as the value on a miss; nothing is stored."),
            doc.query("clear", "boolean", "Read and delete in one step; `pull` is the same."),
            doc.query("pull", "boolean", "Read and delete in one step; `clear` is the same."),
            doc.query("check_exist", "boolean", "Only say whether the key is there."),
            doc.TTL_LEFT,
            doc.IF_MATCH,
            doc.IF_NONE_MATCH_READ,
        ],
    )
    @blueprint.response(200, EntrySchema, description="The value.", headers=doc.ENTRY_HEADERS)
    @blueprint.alt_response(304, description="The client has this value.", success=True)
    @doc.errors(blueprint, 412)
    def get(self, service: str, key: str) -> Response:
        """Get a value."""
        cache = _find(service, key)
        this = this_request()
        wanted = condition(this)
        query = Query(this.query_string).refuse_slips(OF_READS)
        asks = query.flag("check_exist")
        takes = (query.flag("clear") or query.flag("pull")) and not asks
        if takes:
            permit("DELETE", service, [key])
            if NO_ROOM in this.environ:
                # What is taken is not there to be asked for again.
                raise no_room()
        asks_left = query.flag("ttl")
        if asks and wanted is None:
            exists, etag = cache.exists(key)
            facts().read(exists, 1)
            left = _left(cache, key) if exists and asks_left else ""
            return _exists(key, exists, etag, left)
        # Before it is read: one that is deleted has no lifetime any more.
        left = _left(cache, key) if asks_left else ""
        try:
            # HEAD promises to change nothing (RFC 9110, section 9.2.1).
            if takes and this.method != "HEAD":
                value = cache.get_and_delete(key, wanted)
            else:
                value = cache.get(key)
                if wanted is not None:
                    wanted.check(None if value is MISSING else value.etag)
        except NotModified as error:
            facts().read(1, 1)
            return not_modified(error.etag)
        facts().read(value is not MISSING, 1)
        if asks_left and value is not MISSING and not left:
            # Somebody stored it in between; if it is gone again, it has nothing left.
            left = _left(cache, key) or "0"
        if asks:
            etag = None if value is MISSING else value.etag
            return _exists(key, value is not MISSING, etag, "" if value is MISSING else left)
        if value is not MISSING:
            with Turn(may_wait=WITHIN not in this.environ) as turn:
                if not turn.take(len(value.json)):
                    turn.wait()
                body = entry_text(key, value, left)
                return json_response(body, etag=value.etag, headers=_told(left))
        default = query.text("default")
        if default is None:
            raise absent(key)
        return json_response(entry_text(key, Value(encode(default))))

    @blueprint.doc(
        operationId="create",
        parameters=[doc.TTL, doc.FOREVER, doc.IF_MATCH, doc.IF_NONE_MATCH_WRITE, doc.TUNNEL],
        requestBody=doc.body(ValueSchema, examples={"a value": {"value": "John Doe", "ttl": 3600}}),
    )
    @blueprint.response(201, KeyOutcomeSchema, description="It is stored.", headers=doc.ETAG)
    @doc.errors(blueprint, 412, 413, 415)
    def post(self, service: str, key: str) -> Response:
        """Create a key; 400 if it exists."""
        cache = _find(service, key)
        wanted = condition(this_request())
        body = _load_value()
        value = value_of(cache, body)
        cache.add(key, value, body.get("ttl"), wanted, body.get("tags") or ())
        return _done(key, 201, _tag(service, key, cache.values.shown(value)))

    @blueprint.doc(
        operationId="update",
        parameters=[doc.TTL, doc.FOREVER, doc.IF_MATCH, doc.IF_NONE_MATCH_WRITE],
        requestBody=doc.body(ValueSchema, examples={"a value": {"value": "Jane Doe", "ttl": 3600}}),
    )
    @blueprint.response(200, KeyOutcomeSchema, description="It is stored.", headers=doc.ETAG)
    @doc.errors(blueprint, 412, 413, 415)
    def put(self, service: str, key: str) -> Response:
        """Update an existing key; 404 if it is absent.

        Without `tags` the entry has none from then on.
        """
        cache = _find(service, key)
        wanted = condition(this_request())
        body = _load_value()
        value = value_of(cache, body)
        if not cache.replace(key, value, body.get("ttl"), wanted, body.get("tags") or ()):
            raise absent(key)
        return _done(key, 200, _tag(service, key, cache.values.shown(value)))

    @blueprint.doc(
        operationId="change",
        parameters=[doc.TTL, doc.FOREVER, doc.IF_MATCH, doc.IF_NONE_MATCH_WRITE],
        requestBody=doc.body(
            {
                "allOf": [ChangeSchema],
                "anyOf": [{"required": ["ttl"]}, {"required": ["increment"]}],
            },
            examples={
                "a new lifetime": {"ttl": 3600},
                "count": {"increment": 1, "initial": 0, "ttl": 60},
            },
        ),
    )
    @blueprint.response(
        200,
        {"oneOf": [KeyOutcomeSchema, EntrySchema]},
        description="The lifetime is changed; or the new count.",
        headers=doc.ETAG,
    )
    @doc.errors(blueprint, 412, 413, 415)
    def patch(self, service: str, key: str) -> Response:
        """Give a new lifetime and leave the value; or count on a stored number.

        A count leaves the lifetime of a number that is there; under a condition it is
        stored as a new value is, with `ttl`.
        """
        cache = _find(service, key)
        wanted = condition(this_request())
        body = _load_change()
        if "increment" in body:
            if body["increment"] == 0:
                # It tells the value, and changes nothing.
                permit("GET", service, [key])
            try:
                number = cache.increment(
                    key, body["increment"], body.get("initial"), body.get("ttl"), wanted
                )
            except OutOfRange as error:
                field = "increment" if error.member == "by" else error.member
                raise invalid([{"index": None, "field": field, "message": str(error)}]) from error
            if number is MISSING:
                raise nothing_to_count(key)
            value = Value(str(number))
            # To another program's flags it may be a text, or a fraction: then a GET tells.
            shown = value if cache.values.writes_json else None
            return json_response(entry_text(key, value), etag=_tag(service, key, shown))
        if "ttl" not in body or "initial" in body:
            raise ApiError(400, "The body must have ttl, for a new lifetime, or increment.")
        # Read first: a failure after the change would tell that it was not made.
        current = cache.get(key)
        if not cache.touch(key, body["ttl"], wanted) or current is MISSING:
            raise absent(key)
        return _done(key, 200, _tag(service, key, current))

    @blueprint.doc(operationId="delete", parameters=[doc.IF_MATCH, doc.IF_NONE_MATCH_WRITE])
    @blueprint.response(200, KeyOutcomeSchema, description="It is deleted.")
    @doc.errors(blueprint, 412)
    def delete(self, service: str, key: str) -> Response:
        """Delete a key; 404 if it is absent."""
        cache = _find(service, key)
        wanted = condition(this_request())
        Query(this_request().query_string).refuse_slips(())
        if not cache.delete(key, wanted):
            raise absent(key)
        return _done(key, 200)


def _find(service: str, key: str) -> CacheService:
    permit(verb(), service, [key])
    cache = find_service(service)
    cache.check_key(key)
    return cache


def _left(cache: CacheService, key: str) -> str:
    """Return the JSON text of the seconds that a key has left; empty: it is not there."""
    left = cache.remaining_ttl(key)
    return "" if left is MISSING else left_text(left)


def _told(left: str) -> dict[str, str]:
    """Return the header field that says the same, for HEAD too."""
    return {CACHE_TTL: "forever" if left == "null" else left} if left else {}


def _exists(key: str, exists: bool, etag: str | None, left: str) -> Response:
    body = encode({"key": key, "exists": exists})
    if left:
        body = f'{body[:-1]},"ttl":{left}}}'
    return json_response(body, etag=etag, headers=_told(left))


def _tag(service: str, key: str, stored: Value | None) -> str | None:
    """Return the tag of a value, for who may read it: it would tell a guess from a wrong one."""
    if stored is None or not caller().may("GET", service, key):
        return None
    return stored.etag


def _done(key: str, status: int, etag: str | None = None) -> Response:
    return json_response(f'{{"key":{string_text(key)},"success":true}}', status, etag)


def _load_value() -> dict[str, Any]:
    """Return the checked body of a value, as :func:`_load` does."""
    this = this_request()
    text = read_json(this)
    read = None if this.query_string else plain_value(text)
    return _load(_VALUE, text) if read is None else {"value": read[0].decode(), "ttl": read[1]}


def _load_change() -> dict[str, Any]:
    """Return the checked body of a change, as :func:`_load` does."""
    this = this_request()
    text = read_json(this)
    read = None if this.query_string else plain_change(text)
    if read is None:
        return _load(_CHANGE, text)
    return {name: said for name, said in read._asdict().items() if said is not MISSING}


def _load(schema: RequestSchema, text: bytes) -> dict[str, Any]:
    """Return the checked body; a lifetime that it lacks is the query's, if that has one.

    :raises ApiError: 400; names the member that is wrong.
    """
    query_ttl = Query(request.query_string).refuse_slips(OF_STORES).ttl()
    document = parse_document(text, max_batch())
    if not isinstance(document, dict):
        raise ApiError(400, "The body must be a JSON object.")
    try:
        body: dict[str, Any] = schema.load(document)
    except ValidationError as error:
        raise invalid_body(error) from error
    if query_ttl is not MISSING:
        body.setdefault("ttl", query_ttl)
    return body
