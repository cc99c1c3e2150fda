"""A client of cacheapi: a cache over HTTP, in which a cache that is away is a miss."""

from __future__ import annotations

from cacheapi_client.asynchronous import AsyncCache
from cacheapi_client.errors import CacheError, InvalidKey
from cacheapi_client.synchronous import Cache

__all__ = ["AsyncCache", "Cache", "CacheError", "InvalidKey"]
