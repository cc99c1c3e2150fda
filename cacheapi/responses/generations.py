"""Generations in a backend: what a purge writes, however many entries it is about.

An entry counts only under the generations that it was stored under. Where a cache has evicted
one, what was stored under it is gone: it is never there again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from backends.base import MISSING, Backend
from backends.capabilities import Capability
from cacheapi.responses import entries
from cacheapi.responses.entries import Generation, Variant, read_generation
from cacheapi.responses.freshness import expire

ATTEMPTS: Final = 16


class Generations:
    """The generations in one backend; blocks as it does, and raises its errors.

    :param clock: Unix time.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._clock = clock
        self._can_compare = Capability.COMPARE_AND_SET in backend.capabilities

    def ensured(self, key: str) -> Generation:
        """Return a generation, made if there is none."""
        for _ in range(ATTEMPTS):
            raw = self._backend.get(key)
            found = None if raw is MISSING else read_generation(raw)
            if found is not None:
                return found
            made = entries.new_generation()
            if raw is not MISSING:
                self._backend.set(key, entries.encode(made), None)
                return made
            if self._backend.add(key, entries.encode(made), None):
                return made
        return entries.new_generation()

    def renew(self, key: str, *, soft: bool) -> None:
        """Make gone, or stale, all that is stored under a generation."""
        now = self._clock()
        for _ in range(ATTEMPTS if soft and self._can_compare else 0):
            found = self._backend.get_with_token(key)
            old = None if found is MISSING else read_generation(found.value)
            if found is MISSING or old is None:
                break
            value = entries.encode(old.renewed(soft=True, now=now))
            if self._backend.compare_and_set(key, value, found.token, None):
                return
        self._backend.set(key, entries.encode(entries.new_generation()), None)


def under(variant: Variant, groups: Sequence[Generation | None]) -> Variant | None:
    """Return a variant as its generations leave it: as it is, stale, or ``None``."""
    since = None
    if len(groups) != len(variant.generations):
        return None
    for group, (hard, soft) in zip(groups, variant.generations, strict=True):
        if group is None or group.hard != hard:
            return None
        if group.soft != soft:
            since = group.since if since is None else min(since, group.since)
    if since is None:
        return variant
    return msgspec.structs.replace(variant, stored=expire(variant.stored, since))
