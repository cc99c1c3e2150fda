"""A service whose calls of its backend are watched: how long they take, and for traces.

Nothing of this is there unless somebody wants to know: then, for one request, the service is
put over a backend that tells of each call.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, cast

from backends.base import Backend
from cacheapi.caching.service import CacheService

# Of a call of the backend, by its name.
Around = Callable[[str, CacheService], AbstractContextManager[None]]

# The methods that ask a server.
_CALLS: Final = frozenset(
    {
        *("add", "compare_and_delete", "compare_and_set", "delete", "delete_many", "flush", "get"),
        "describe_many",
        *("get_and_delete", "get_many", "get_with_token", "increment", "list_keys", "perform"),
        *("remaining_ttl", "remaining_ttl_many", "replace", "set", "set_many", "stats", "touch"),
    }
)


# The same work, told of by one name.
_NAMES: Final = {"get_each": "get_many", "has_mark": "get"}


class Watched:
    """A backend, and what is done around each call of it."""

    def __init__(self, service: CacheService, around: Around) -> None:
        self._service = service
        self._around = around

    def uncounted(self) -> Any:
        """Return what counts no reads; where that is the same, watched too."""
        quiet = self._service.backend.uncounted()
        return self if quiet is self._service.backend else quiet

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service.backend, name)
        told = _NAMES.get(name, name)
        if told not in _CALLS:
            return found

        @functools.wraps(found)
        def watched(*arguments: Any, **more: Any) -> Any:
            with self._around(told, self._service):
                return found(*arguments, **more)

        return watched


def watched(service: CacheService, around: Around) -> CacheService:
    """Return a service that is the same, but for being watched."""
    return service.over(cast("Backend", Watched(service, around)))


class Stopwatch:
    """How long calls took, one after the other.

    :ivar seconds: all of them.
    :ivar calls: how many.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def beside(self, around: Around | None) -> Around:
        """Return what measures a call, and does what else is done around it."""

        @contextmanager
        def measured(name: str, service: CacheService) -> Iterator[None]:
            with nullcontext() if around is None else around(name, service):
                started = time.monotonic()
                try:
                    yield
                finally:
                    self.seconds += time.monotonic() - started
                    self.calls += 1

        return measured
