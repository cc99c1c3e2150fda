"""The settings of a service in front of an HTTP API, as a file or a form has them."""

from __future__ import annotations

import re
from typing import Final

from backends.options import BOOLEAN, TEXT, Kind, Option, choice, integer
from cacheapi.responses.addresses import Base, parse_base
from cacheapi.responses.messages import Fields

SYSTEM_CACHE: Final = "cache"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e]([ \t\x21-\x7e]*[\x21-\x7e])?")
# What makes a connection is not for a setting to say.
_FIXED_FIELDS: Final = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)


def _url(text: str) -> Base:
    return parse_base(text)


def _tokens(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not all(_TOKEN.fullmatch(name) for name in names):
        raise ValueError(text)
    return names


def _methods(text: str) -> frozenset[str]:
    return frozenset(_tokens(text.upper()))


def _lower(text: str) -> tuple[str, ...]:
    return _tokens(text.lower())


def _parameters(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _headers(text: str) -> Fields:
    made = []
    for pair in re.split(r"[|\n]", text):
        name, colon, value = pair.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not pair.strip():
            continue
        if not colon or not _TOKEN.fullmatch(name) or name in _FIXED_FIELDS:
            raise ValueError(text)
        if not _FIELD_VALUE.fullmatch(value):
            raise ValueError(text)
        made.append((name, value))
    return tuple(made)


def _cookies(text: str) -> frozenset[str]:
    return frozenset() if text.strip().lower() == "none" else frozenset(_tokens(text))


_HEADERS: Final = Kind("pairs 'Name: value' with '|' between them", _headers)
_NAMES: Final = Kind("names with commas between them", _lower)
_DAY: Final = 24 * 3600

BASE_URL: Final = Option(
    variable="RWS_BASE_URL",
    kind=Kind("a URL that begins with http:// or https://, without user, query or '#'", _url),
    default=None,
    help="The API is here. All paths of the service stand below it; no request leaves it.",
    name="base_url",
    required=True,
    title="Base URL",
)
OPTIONS: Final = (
    BASE_URL,
    Option(
        variable="RWS_CACHE",
        kind=TEXT,
        default=SYSTEM_CACHE,
        help="This service stores the answers.",
        name="cache",
    ),
    Option(
        variable="RWS_CACHE_ENABLED",
        kind=BOOLEAN,
        default="true",
        help="Store answers, and serve them while they are fresh; off, all is passed on.",
        name="cache_enabled",
        title="Cache on",
    ),
    Option(
        variable="RWS_CACHE_TTL",
        kind=integer(0, 365 * _DAY, "seconds"),
        default="0",
        help="Where the API states no freshness, answers have so many seconds of it; with 0 it is "
        "guessed as RFC 9111 says.",
        name="cache_ttl",
        title="Cache TTL",
    ),
    Option(
        variable="RWS_STALE_WHILE_REVALIDATE",
        kind=integer(0, 365 * _DAY, "seconds"),
        default="0",
        help="For so many seconds a stale answer is served while it is fetched anew, where the API "
        "does not say how long.",
        name="stale_while_revalidate",
        title="Stale while revalidate",
    ),
    Option(
        variable="RWS_STALE_IF_ERROR",
        kind=integer(0, 365 * _DAY, "seconds"),
        default="0",
        help="For so many seconds a stale answer is served instead of an error, where the API does "
        "not say how long.",
        name="stale_if_error",
        title="Stale if error",
    ),
    Option(
        variable="RWS_HEADERS",
        kind=_HEADERS,
        default="",
        help="Send these header fields with each request: `Name: value`, with `|` between them.",
        name="headers",
        title="Headers to send",
    ),
    Option(
        variable="RWS_SECRET_HEADERS",
        kind=_HEADERS,
        default="",
        help="Send these too, such as `Authorization: Bearer …`; they are encrypted and never "
        "shown.",
        name="secret_headers",
        title="Secret headers to send",
        secret=True,
    ),
    Option(
        variable="RWS_KEY_HEADERS",
        kind=_NAMES,
        default="",
        help="A URL has answers of its own for each value of these header fields, beside those "
        "that its `Vary` names.",
        name="key_headers",
        title="Headers in the key",
    ),
    Option(
        variable="RWS_SORT_QUERY",
        kind=BOOLEAN,
        default="false",
        help="Take queries for the same whatever the order of their parameters.",
        name="sort_query",
        title="Any order of parameters",
    ),
    Option(
        variable="RWS_IGNORE_PARAMS",
        kind=Kind("names of parameters with commas between them; * is any text", _parameters),
        default="",
        help="These parameters take no part in the key and are not sent on, such as `utm_*`.",
        name="ignore_params",
        title="Ignored parameters",
    ),
    Option(
        variable="RWS_COOKIES",
        kind=Kind("none, or names of cookies with commas between them", _cookies),
        default="none",
        help="Send these cookies on; each value of them has answers of its own.",
        name="cookies",
        title="Cookies to send on",
    ),
    Option(
        variable="RWS_SHARED_COOKIES",
        kind=Kind("none, or names of cookies with commas between them", _cookies),
        default="none",
        help="These cookies are nobody's own: an answer that sets no others is stored, and sets "
        "them for all who get it.",
        name="shared_cookies",
    ),
    Option(
        variable="RWS_FORWARD_AUTHORIZATION",
        kind=BOOLEAN,
        default="false",
        help="Send a client's `Authorization` on, unless it shows its key for this service.",
        name="forward_authorization",
        title="Send Authorization on",
    ),
    Option(
        variable="RWS_METHODS",
        kind=Kind("names of methods with commas between them", _methods),
        default="",
        help="Pass on only these methods, such as `GET, POST`; where none is named, all are.",
        name="methods",
        title="Methods",
    ),
    Option(
        variable="RWS_CONNECT_TIMEOUT_MS",
        kind=integer(10, 60_000, "milliseconds"),
        default="3000",
        help="Wait no longer for a connection to the API, in milliseconds.",
        name="connect_timeout_ms",
        title="Connect timeout",
    ),
    Option(
        variable="RWS_READ_TIMEOUT_MS",
        kind=integer(10, 600_000, "milliseconds"),
        default="30000",
        help="Wait no longer for its answer, and for each piece of it, in milliseconds.",
        name="read_timeout_ms",
        title="Read timeout",
    ),
    Option(
        variable="RWS_MAX_BODY_KB",
        kind=integer(1, 64 * 1024, "KiB"),
        default="4096",
        help="Store no larger body, in KiB; a larger one is passed on as it comes.",
        name="max_body_kb",
        title="Largest body",
    ),
    Option(
        variable="RWS_LOCAL_MS",
        kind=integer(0, 60_000, "milliseconds"),
        default="0",
        help="A worker serves its own copy of an answer so long without a look at the cache, in "
        "milliseconds: so long may a purge by another worker take. With 0 it always looks.",
        name="local_ms",
        title="Local copy",
    ),
    Option(
        variable="RWS_WHEN_CACHE_DOWN",
        kind=choice("pass", "503"),
        default="pass",
        help="While the cache is down: `pass` asks the API each time, `503` spares it.",
        name="when_cache_down",
        title="While the cache is down",
    ),
    Option(
        variable="RWS_WHEN_CODING_UNKNOWN",
        kind=choice("502", "ignore"),
        default="502",
        help="Where the API's `Transfer-Encoding` is none that HTTP knows: `502` refuses the "
        "answer, `ignore` takes its bytes as they are.",
        name="when_coding_unknown",
        title="Unknown transfer coding",
    ),
)
