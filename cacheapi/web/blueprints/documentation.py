"""What the API description says beside the schemas: parameters, headers, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from flask_smorest import Blueprint

from cacheapi.registry.listing import MOST, USUAL
from cacheapi.web.schemas.errors import ErrorSchema

View = TypeVar("View", bound=Callable[..., Any])

SERVICE: Final = {
    "in": "path",
    "name": "service",
    "required": True,
    "schema": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"},
    "description": "The name of a cache: `cache` is the system cache.",
    "example": "cache",
}
KEY: Final = {
    "in": "path",
    "name": "key",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
    "description": "The key: any text; `/` belongs to it.",
    "example": "user:123:name",
}

REFERENCE: Final = {
    "in": "path",
    "name": "reference",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
    "description": "The name of a service, or its id.",
    "example": "sessions",
}
NUMBER: Final = {
    "in": "path",
    "name": "number",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
    "description": "The id of an API key.",
}


def query(name: str, kind: str, description: str, **schema: Any) -> dict[str, Any]:
    """Describe a query parameter."""
    return {
        "in": "query",
        "name": name,
        "schema": {"type": kind, **schema},
        "description": description,
    }


def header(name: str, description: str) -> dict[str, Any]:
    """Describe a request header."""
    return {
        "in": "header",
        "name": name,
        "schema": {"type": "string"},
        "description": description,
    }


KEYS: Final = {
    **query("keys", "array", "Keys, comma-separated; may be repeated.", items={"type": "string"}),
    "style": "form",
    "explode": False,
    "example": ["user:123:name", "user:456:name"],
}
ONE_KEY: Final = {
    **query("key", "array", "A key, commas included; repeatable.", items={"type": "string"}),
    "style": "form",
    "explode": True,
}
PREFIX: Final = query(
    "prefix",
    "string",
    "Every key that starts with this, where the backend can list keys.",
    minLength=1,
)
DETAILS: Final = query(
    "details",
    "boolean",
    "Of a list: say of each key the seconds left (`ttl`, null: for ever), the size of its value "
    "in bytes (`bytes`) and what it is (`kind`: `value`, or what another program stored instead, "
    "such as `hash`). What the backend does not tell is left out.",
)
PAGES: Final = (
    query("limit", "integer", "How many on a page.", minimum=1, maximum=MOST, default=USUAL),
    query("cursor", "string", "`meta.next` of the page before."),
)
TAG: Final = {
    **query(
        "tag",
        "array",
        "Delete what has one of these tags, comma-separated; may be repeated.",
        items={"type": "string"},
    ),
    "style": "form",
    "explode": False,
    "example": ["product-1", "prices"],
}
TTL: Final = query(
    "ttl", "integer", "Lifetime in seconds where the body gives none; rules as in the body."
)
FOREVER: Final = query("forever", "boolean", "Never expires, where the body gives no lifetime.")
IF_MATCH: Final = header("If-Match", "Only if the stored value has this `ETag`; else 412.")
IF_NONE_MATCH_READ: Final = header("If-None-Match", "304 if the stored value has this `ETag`.")
IF_NONE_MATCH_WRITE: Final = header(
    "If-None-Match", "Only if the stored value has another `ETag`; `*`: only if there is none."
)
TUNNEL: Final = header(
    "X-HTTP-Method", "GET, PUT, PATCH or DELETE: the request is taken for one of that method."
)

ETAG: Final = {
    "ETag": {"schema": {"type": "string"}, "description": "A strong validator of the value."}
}

TTL_LEFT: Final = query(
    "ttl", "boolean", "Say how many seconds are left, where the backend can tell."
)
ENTRY_HEADERS: Final = {
    **ETAG,
    "Cache-TTL": {
        "schema": {"type": "string"},
        "description": "With `ttl=true`, for HEAD too: the seconds left, or `forever`.",
    },
}

_ERRORS: Final = {
    400: "A bad key, value, lifetime, JSON or parameter; or the backend lacks the ability; "
    "or the key to create exists.",
    401: "No API key, or one that is unknown, expired or revoked.",
    403: "The API key may not do this.",
    404: "No such key, or no such service.",
    405: "The path does not take this method; `Allow` lists those it takes.",
    412: "The condition is not met; nothing was changed.",
    413: "The body is too large.",
    415: "The body is not JSON in UTF-8.",
    429: "The API key has made as many requests as its `rate_limit` allows; `Retry-After` says "
    "in how many seconds there are new ones.",
    500: "The backend is unreachable (`Connection refused: …`, with `Retry-After`), refused "
    "its password, is full, or takes no value of this size (`SERVER_ERROR …`).",
    503: "This worker does as much of this as it does at a time; `Retry-After` says when to ask "
    "again.",
}


def errors(blueprint: Blueprint, *statuses: int) -> Callable[[View], View]:
    """Describe the errors that a view can answer, beside those that every view can."""

    def describe(view: View) -> View:
        for status in sorted({400, 401, 403, 404, 429, 500, *statuses}, reverse=True):
            view = blueprint.alt_response(status, schema=ErrorSchema, description=_ERRORS[status])(
                view
            )
        return view

    return describe


def body(*schemas: Any, examples: dict[str, Any]) -> dict[str, Any]:
    """Describe a JSON body that may have one of several shapes."""
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": schemas[0] if len(schemas) == 1 else {"oneOf": list(schemas)},
                "examples": {
                    name.replace(" ", "-"): {"summary": name, "value": value}
                    for name, value in examples.items()
                },
            }
        },
    }
