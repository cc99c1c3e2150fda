"""The backend of Flask-Caching: ``CACHE_TYPE = "cacheapi_client.flask_caching.CacheApiCache"``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask
from flask_caching.backends.base import BaseCache

from cacheapi_client.synchronous import Cache

Timeout = int | timedelta | None

_TUPLE = "__tuple__"
"""A tuple stands under this name: a list, of what a view returns, would be an answer in JSON."""


def _written(value: Any) -> Any:
    return {_TUPLE: list(value)} if isinstance(value, tuple) else value


def _read(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {_TUPLE} and isinstance(value[_TUPLE], list):
        return tuple(value[_TUPLE])
    return value


class CacheApiCache(BaseCache):
    """A service of cacheapi, on :class:`Cache`; values are JSON, or a tuple of such.

    Settings: ``CACHE_API_URL``, ``CACHE_API_KEY``, ``CACHE_KEY_PREFIX``, and as ``CACHE_OPTIONS``
    those of :class:`Cache`.
    """

    def __init__(self, cache: Cache, prefix: str = "", default_timeout: int = 300) -> None:
        super().__init__(default_timeout)
        self._cache = cache
        self._prefix = prefix

    @classmethod
    def factory(
        cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> CacheApiCache:
        options = config.get("CACHE_OPTIONS") or {}
        cache = Cache(config["CACHE_API_URL"], config["CACHE_API_KEY"], **options)
        return cls(cache, config["CACHE_KEY_PREFIX"] or "", config["CACHE_DEFAULT_TIMEOUT"])

    def _ttl(self, timeout: Timeout) -> int | timedelta:
        """Return its timeout as a ttl: 0, and a negative one, is for ever."""
        if timeout is None:
            timeout = self.default_timeout
        return timeout if isinstance(timeout, timedelta) else max(0, timeout)

    def get(self, key: str) -> Any:
        return _read(self._cache.get(self._prefix + key))

    def get_many(self, *keys: str) -> list[Any]:
        found = self._cache.get_many([self._prefix + key for key in keys])
        return [_read(found.get(self._prefix + key)) for key in keys]

    def set(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        return self._cache.set(self._prefix + key, _written(value), self._ttl(timeout))

    def set_many(self, mapping: dict[str, Any], timeout: Timeout = None) -> list[str]:
        values = {self._prefix + key: _written(value) for key, value in mapping.items()}
        return list(mapping) if self._cache.set_many(values, self._ttl(timeout)) else []

    def add(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        return self._cache.add(self._prefix + key, _written(value), self._ttl(timeout))

    def has(self, key: str) -> bool:
        return self._cache.has(self._prefix + key)

    def delete(self, key: str) -> bool:
        return self._cache.delete(self._prefix + key)

    def delete_many(self, *keys: str) -> list[str]:
        return list(keys) if self._cache.delete_many([self._prefix + key for key in keys]) else []

    def inc(self, key: str, delta: int = 1) -> int | None:
        return self._cache.increment(self._prefix + key, delta, self._ttl(None))

    def dec(self, key: str, delta: int = 1) -> int | None:
        return self.inc(key, -delta)

    def clear(self) -> bool:
        return self._cache.clear()
