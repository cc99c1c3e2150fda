"""The generations of tags, in a backend, and what a process knows of whether there are any."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from backends.base import MISSING, Backend, Item
from backends.errors import BackendError, Unavailable
from cacheapi.caching.tags import IN_USE, generation_key, new_generation

# How late a process may learn that a service has tags.
LOOK_SECONDS: Final = 0.5
# Older than this, whatever the clocks of the machines say, and all know.
_LONG_KNOWN: Final = 60.0
ATTEMPTS: Final = 32


class Known:
    """What a process knows of a service's tags; for all threads."""

    def __init__(self) -> None:
        # Since when it is known that there are some, and when that was asked last; by
        # time.monotonic().
        self.since: float | None = None
        self.asked = -LOOK_SECONDS

    def note(self) -> None:
        """Note that there are some."""
        if self.since is None:
            self.since = time.monotonic()


class Generations:
    """The generations of the tags of a service; blocks and fails as the backend does.

    :param backend: where they are, beside the entries.
    """

    def __init__(self, backend: Backend, known: Known) -> None:
        self._backend = backend
        self._known = known

    def of(self, names: Collection[str]) -> Mapping[str, bytes]:
        """Return the generations of those tags that have one."""
        if not names:
            return {}
        keys = {generation_key(name): name for name in names}
        return {keys[key]: value for key, value in self._backend.get_many(keys).items()}

    def ensured(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return the generations of tags, made where there are none."""
        keys = {name: generation_key(name) for name in names}
        found = self._backend.get_many([IN_USE, *keys.values()])
        if IN_USE not in found:
            self._backend.add(IN_USE, _now(), None)
        self._known.note()
        return {name: found.get(key) or self._made(key) for name, key in keys.items()}

    def _made(self, key: str) -> bytes:
        for _ in range(ATTEMPTS):
            made = new_generation()
            if self._backend.add(key, made, None):
                return made
            there = self._backend.get(key)
            if there is not MISSING:
                return there
        raise Unavailable("The generation of a tag kept changing; nothing was stored.")

    def renew(self, names: Iterable[str]) -> None:
        """Give tags other generations; return once every process looks at those.

        :raises BackendError: some have the old ones.
        """
        until = self._mark()
        items = [Item(generation_key(name), new_generation(), None) for name in names]
        for outcome in self._backend.set_many(items):
            if isinstance(outcome, BackendError):
                raise outcome
        time.sleep(max(0.0, until - time.monotonic()))

    def are_in_use(self) -> bool:
        """Return whether the service has tags."""
        known = self._known
        now = time.monotonic()
        if known.since is not None or now - known.asked < LOOK_SECONDS:
            return known.since is not None
        try:
            if self._backend.has_mark(IN_USE):
                known.note()
        except BackendError:
            # Of a pool another server may have it. What this is about is asked for itself.
            return True
        known.asked = now
        return known.since is not None

    def _mark(self) -> float:
        """Note that the service has tags; return from when on everybody knows it."""
        written = self._backend.get(IN_USE)
        if written is MISSING:
            self._backend.set(IN_USE, _now(), None)
            self._known.note()
            return time.monotonic() + LOOK_SECONDS
        self._known.note()
        assert self._known.since is not None
        if written.isdigit() and abs(time.time() - int(written)) > _LONG_KNOWN:
            return 0.0
        return self._known.since + LOOK_SECONDS


def _now() -> bytes:
    return b"%d" % time.time()
