"""What the fast lane is sure of: which requests are plain, and what they say.

Everything here answers ``None`` for "not sure", and then the request is Flask's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from cacheapi.web.auth import HEADER, bearer_token
from cacheapi.web.errors import ApiError
from cacheapi.web.query import Query

Fields = Sequence[tuple[bytes, bytes]]

# All that is printable in ASCII, which is what httptools takes in a target, but for "#".
PLAIN: Final = bytes(range(ord("!"), ord("~") + 1)).replace(b"#", b"")
# A fragment, a percent sign in the service's name: not sure. A key is of plain characters; of a
# query, which may be long, only its end is looked for.
TARGET: Final = re.compile(rb'/api/v2/([a-z][a-z0-9_-]*)(?:/([!"$->@-~]+))?(?:\?([^ ]+))?')
_SERVICE = re.compile(rb"/api/v2/([a-z][a-z0-9_-]*)")
_HOST = re.compile(rb"[A-Za-z0-9.-]+(?::[0-9]+)?")
_KEY_PARAMETERS: Final = frozenset({"keys", "key"})

_API_KEY: Final = HEADER.lower().encode()
_AUTHORIZATION: Final = b"authorization"
_IF_NONE_MATCH: Final = b"if-none-match"
_CONTENT_TYPE: Final = b"content-type"
_CONTENT_LENGTH: Final = b"content-length"
_HOST_NAME: Final = b"host"
_ONCE: Final = frozenset(
    {_API_KEY, _AUTHORIZATION, _IF_NONE_MATCH, _CONTENT_TYPE, _CONTENT_LENGTH, _HOST_NAME}
)
# Header fields that Flask, or HTTP itself, has something to say about.
UNSURE: Final = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"if-match",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"range",
        b"transfer-encoding",
        b"x-http-method",
        b"x-server-timing",
    }
)
_JSON: Final = frozenset({b"application/json", b"application/json; charset=utf-8"})


class Target(msgspec.Struct):
    """What a request is for: one key, several keys, or a service as a whole.

    :ivar query: of one key, as it was sent.
    """

    service: str
    key: str | None = None
    keys: list[str] | None = None
    query: bytes = b""


class Said(NamedTuple):
    """What a request's header fields say; ``shown`` is the API key, ``tags`` If-None-Match."""

    shown: str
    tags: str | None
    length: int | None
    is_json: bool


def read_target(target: bytes) -> Target | None:
    """Return what a request's target, as it was sent, is for."""
    match = TARGET.fullmatch(target)
    return None if match is None else asked_by(match)


def asked_by(match: re.Match[bytes]) -> Target | None:
    """Return what a target that is as :data:`TARGET` says is for."""
    service, key, query = match.groups()
    name = service.decode()
    try:
        if query is not None and b"#" in query:
            return None
        if key is not None:
            text = (unquote_to_bytes(key) if b"%" in key else key).decode()
            return Target(name, text, query=query or b"")
        if query is None:
            return Target(name)
        parameters = Query(query)
        if parameters.names() <= _KEY_PARAMETERS:
            return Target(name, keys=parameters.keys())
    except (UnicodeDecodeError, ApiError):
        pass
    return None


def service_of(target: bytes) -> str | None:
    """Return the name of the service that a target is for, or seems to be."""
    match = _SERVICE.match(target)
    return None if match is None else match[1].decode()


def read_fields(headers: Fields, unsure: Collection[bytes] = UNSURE) -> Said | None:
    """Return what header fields, with names in lower case, say."""
    seen: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ONCE:
            if name in seen:
                return None
            seen[name] = value
        elif name in unsure:
            return None
    host = seen.get(_HOST_NAME)
    if host is None or not _HOST.fullmatch(host):
        return None
    shown = seen.get(_API_KEY, b"").decode("latin-1") or bearer_token(
        seen.get(_AUTHORIZATION, b"").decode("latin-1")
    )
    tags = seen.get(_IF_NONE_MATCH)
    length = seen.get(_CONTENT_LENGTH)
    return Said(
        shown,
        None if tags is None else tags.decode("latin-1"),
        None if length is None else int(length),
        seen.get(_CONTENT_TYPE, b"").lower() in _JSON,
    )
