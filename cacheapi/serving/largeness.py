"""Which values were large a short time ago.

How large a value is shows once it is here. So the first request about one finds out, wherever it is
served, and those that follow are served as such: on threads, few bytes of them at a time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from backends.errors import BackendError
from cacheapi.caching.codec import Value
from cacheapi.caching.service import CacheService
from cacheapi.serving.answers import value_sizes
from cacheapi.serving.health import Troubles

# A value of this size, in bytes, is better made an answer of on a thread; for how long that is
# remembered, and of how many keys.
LARGE: Final = 256 * 1024
LARGE_SECONDS: Final = 60.0
MOST_LARGE: Final = 10_000


class Largeness:
    """The large values that a worker met.

    :param troubles: knows of services whose calls take long.
    :ivar sizes: by the name of the service and the key, and until when that is remembered; empty
        while none was met.
    """

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self.sizes: dict[tuple[str, str], tuple[int, float]] = {}
        # The last of them that a service had.
        self._largest: dict[str, tuple[int, float]] = {}

    def note(
        self, service: CacheService, values: Mapping[str, Value | bytes | BackendError]
    ) -> None:
        """Remember which values, or bytes of them, are large."""
        for key, value in values.items():
            # One, or none where it is not known.
            for size in value_sizes((value,)):
                if size > LARGE:
                    self.note_size(service, key, size)

    def note_size(self, service: CacheService, key: str, size: int) -> None:
        """Remember the size of a value that is large."""
        if len(self.sizes) >= MOST_LARGE:
            self.sizes.clear()
            self._largest.clear()
        until = time.monotonic() + LARGE_SECONDS
        self.sizes[service.name, key] = size, until
        self._largest[service.name] = size, until

    def size(self, service: CacheService, key: str) -> int:
        """Return how large the value of a key was a short time ago; 0: it was not."""
        size, until = self.sizes.get((service.name, key), (0, 0.0))
        return size if size and time.monotonic() < until else 0

    def last_size(self, service: CacheService) -> int:
        """Return how large the last large value of a service was; 0: it had none for a while."""
        size, until = self._largest.get(service.name, (0, 0.0))
        return size if size and time.monotonic() < until else 0

    def likely_size(self, service: CacheService, key: str) -> int:
        """Return how large a value may be that is read on a thread: as others of its service.

        Those that the lane leaves because a call took long are not known yet.
        """
        known = self.size(service, key)
        return known or (self.last_size(service) if self._troubles.is_slow(service.name) else 0)
