"""What is counted: names, meanings and buckets. Dashboards and alerts name them, so they stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Family(NamedTuple):
    """Counters, histograms or gauges of one name.

    :ivar name: without ``_total``.
    :ivar buckets: the upper bounds of a histogram's.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


REQUESTS: Final = Family(
    "cacheapi_requests",
    "Requests answered. lane: fast, or flask for all that the fast lane leaves.",
    ("service", "method", "status", "lane"),
)
SECONDS: Final = Family(
    "cacheapi_request_seconds",
    "From a request's arrival to its answer. In the fast lane that of its turn of the event loop.",
    ("service", "lane"),
    # From a read in the fast lane to the time limit of a cache that hangs.
    (
        *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
        *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    ),
)
HITS: Final = Family("cacheapi_hits", "Keys read that were there.", ("service",))
MISSES: Final = Family("cacheapi_misses", "Keys read that were not there.", ("service",))
ERRORS: Final = Family(
    "cacheapi_backend_errors",
    "Requests that failed because the cache server did.",
    ("service", "error"),
)
RESPONSES: Final = Family(
    "cacheapi_responses",
    "Answers of services in front of an HTTP API, by what the cache did: hit, stale, validated, "
    "miss, collapsed, pass, bypass, purge, error.",
    ("service", "result"),
)
ORIGIN_SECONDS: Final = Family(
    "cacheapi_origin_seconds",
    "From a request to an HTTP API to the head of its answer, or its failure.",
    ("service",),
    # From a neighbour's answer to the time limit of one that hangs.
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
ORIGIN_ERRORS: Final = Family(
    "cacheapi_origin_errors",
    "Failures of an HTTP API. error: timeout, failed (no whole answer), status (an answer of 5xx).",
    ("service", "error"),
)
PURGES: Final = Family(
    "cacheapi_purges",
    "Purges of what is stored. scope: url, tag, all.",
    ("service", "scope"),
)
BATCHES: Final = Family(
    "cacheapi_batch_size",
    "Keys in a request for several.",
    ("service", "method"),
    (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
RECEIVED: Final = Family("cacheapi_request_bytes", "Bytes of requests' bodies.", ("service",))
SENT: Final = Family("cacheapi_response_bytes", "Bytes of answers' bodies.", ("service",))
REFUSED: Final = Family(
    "cacheapi_refused", "Requests refused by a limit, or for want of a right.", ("reason",)
)

REASONS: Final[Mapping[int, str]] = {
    401: "unauthorized",
    403: "forbidden",
    408: "timeout",
    413: "body_too_large",
    414: "target_too_long",
    429: "rate_limit",
    431: "head_too_large",
}
# What is refused before any application sees it, and is none of those.
MALFORMED: Final = "malformed"

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "other"

UP: Final = Family("cacheapi_backend_up", "Whether the service's servers answer.", ("service",))
BUILD: Final = Family("cacheapi_build_info", "What runs.", ("version", "python"))
# By the name in backends.statistics.Figures.
GAUGES: Final[Mapping[str, Family]] = {
    "curr_items": Family("cacheapi_backend_items", "Keys stored.", ("service",)),
    "bytes": Family("cacheapi_backend_bytes", "Bytes in use.", ("service",)),
    "limit_bytes": Family("cacheapi_backend_limit_bytes", "Most bytes.", ("service",)),
    "curr_connections": Family("cacheapi_backend_connections", "Connections.", ("service",)),
    "max_connections": Family("cacheapi_backend_max_connections", "Most of them.", ("service",)),
    "uptime": Family("cacheapi_backend_uptime_seconds", "Since the server's start.", ("service",)),
}
COUNTERS: Final[Mapping[str, Family]] = {
    "evictions": Family("cacheapi_backend_evictions", "Evictions of the server.", ("service",)),
    "get_hits": Family("cacheapi_backend_get_hits", "Hits as the server counts.", ("service",)),
    "get_misses": Family("cacheapi_backend_get_misses", "Misses, likewise.", ("service",)),
}
