"""All that a worker holds of the answers of HTTP APIs, in a bound of bytes."""

from __future__ import annotations

from typing import Final

from cacheapi.responses.engine import Engine
from cacheapi.responses.kept import Kept

MOST_BYTES: Final = 16 * 1024 * 1024


class Shelf:
    """All that is held: the URL that was not asked for the longest goes first.

    :param most: bytes.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: dict[tuple[Engine, bytes], Kept] = {}
        self.size = 0

    def find(self, engine: Engine, target: bytes) -> Kept | None:
        """Return what is held of a target, as it was sent."""
        name = (engine, target)
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._kept[name] = kept
        return kept

    def add(self, engine: Engine, target: bytes, kept: Kept) -> None:
        """Hold a URL."""
        self._kept[engine, target] = kept
        kept.resized = self._resized
        self._grow(len(target) + kept.size)

    def _resized(self, kept: Kept, before: int) -> None:
        self._grow(kept.size - before)

    def _grow(self, size: int) -> None:
        self.size += size
        while self.size > self._most and self._kept:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: tuple[Engine, bytes]) -> None:
        kept = self._kept.pop(name)
        kept.resized = None
        self.size -= len(name[1]) + kept.size

    def forget(self, engine: Engine) -> None:
        """Drop what is held for a service that has changed."""
        for name in [name for name in self._kept if name[0] is engine]:
            self._drop(name)
