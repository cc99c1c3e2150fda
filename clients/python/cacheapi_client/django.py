"""The backend of Django's cache: ``CACHES = {"default": {"BACKEND": …, "LOCATION": …}}``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from cacheapi_client.errors import CacheError
from cacheapi_client.synchronous import Cache


class CacheApiCache(BaseCache):
    """A service of cacheapi. ``LOCATION`` is its address, ``OPTIONS`` are those of :class:`Cache`.

    Values are JSON, not pickles: for what is no JSON, such as a response of ``cache_page``, ``set``
    raises a TypeError.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._cache = Cache(location, **params.get("OPTIONS", {}))
        self._do, self._run = self._cache.operations, self._cache.run

    def _name(self, key: str, version: int | None) -> str:
        name: str = self.make_and_validate_key(key, version=version)
        return name

    def _ttl(self, timeout: float | None) -> int | None:
        """Return Django's timeout as a ttl; None where it is over."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        if timeout is None:
            return 0
        return max(1, int(timeout)) if timeout > 0 else None

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self._cache.get(self._name(key, version), default)

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        names = {self._name(key, version): key for key in keys}
        return {names[name]: value for name, value in self._cache.get_many(names).items()}

    def set(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        self.set_many({key: value}, timeout, version)

    def set_many(
        self, data: Mapping[str, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[str]:
        names = {self._name(key, version): key for key in data}
        ttl = self._ttl(timeout)
        if ttl is None:
            self.delete_many(data, version)
            return []
        values = {name: data[key] for name, key in names.items()}
        stored = self._run(self._do.set_many(values, ttl))
        return [names[name] for name, done in stored.items() if not done]

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        ttl = self._ttl(timeout)
        return ttl is not None and self._cache.add(self._name(key, version), value, ttl)

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        ttl = self._ttl(timeout)
        if ttl is None:
            return self.delete(key, version)
        return self._cache.touch(self._name(key, version), ttl)

    def delete(self, key: str, version: int | None = None) -> bool:
        name = self._name(key, version)
        return bool((self._run(self._do.delete_many([name])) or {}).get(name))

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        self._cache.delete_many([self._name(key, version) for key in keys])

    def has_key(self, key: str, version: int | None = None) -> bool:
        return self._cache.has(self._name(key, version))

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        name = self._name(key, version)
        counted = self._run(self._do.increment(name, delta, None, None))
        if counted.is_miss:
            raise ValueError(f"Key '{name}' not found")
        if counted.status != 200:
            # There is no number that would be right.
            raise CacheError(counted.message, counted.status)
        value: int = counted.document["value"]
        return value

    def clear(self) -> None:
        self._cache.clear()
