"""What a client asks to store, and the refusal of it where its key is there already."""

from __future__ import annotations

from typing import NamedTuple


class KeyExists(Exception):
    """The key to create is there already; ``str()`` is the key."""


class Pair(NamedTuple):
    """What a client asks to store; ``ttl`` as :func:`~cacheapi.caching.ttl.check_ttl` left it.

    :ivar value: a JSON text; or bytes, which are stored as they are.
    """

    key: str
    value: str | bytes
    ttl: int | None


class TaggedPair(Pair):
    """A pair that has tags.

    :ivar tags: by which it can be purged.
    """

    tags: tuple[str, ...]

    def __new__(
        cls, key: str, value: str | bytes, ttl: int | None, tags: tuple[str, ...]
    ) -> TaggedPair:
        """Make it of a pair's fields, and its tags."""
        made = super().__new__(cls, key, value, ttl)
        made.tags = tags
        return made
