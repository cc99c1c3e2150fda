"""A service that stops answering half way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backends.errors import Unavailable
from cacheapi.caching.service import CacheService


class StopsAfter:
    """Its deletion of keys, which fails after some steps.

    :ivar left: so many steps are done until it fails.
    :ivar stops_lists: whether keys are not listed either, then.
    """

    def __init__(self, service: CacheService, left: int) -> None:
        self.left = left
        self.stops_lists = False
        self._service = service
        self._delete_many = service.delete_many
        self._list_keys = service.list_keys

    def __call__(self, keys: Sequence[str]) -> list[Any]:
        """Delete keys, or say of each why not."""
        if self.left == 0:
            if self.stops_lists:
                self._service.list_keys = self._no_list  # type: ignore[method-assign]
            return [Unavailable("Timed out.")] * len(keys)
        self.left -= 1
        return self._delete_many(keys)

    def _no_list(self, *_: Any) -> Any:
        self._service.list_keys = self._list_keys  # type: ignore[method-assign]
        raise Unavailable("Timed out.")
