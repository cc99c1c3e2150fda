"""What Redis takes at most, and how it tells lifetimes."""

from __future__ import annotations

import math
from typing import Final

from backends.errors import ValueTooLarge

# Redis's "Strings": the longest key and, unless the server says less, the longest value.
LONGEST: Final = 512 * 1024 * 1024
# Redis adds a lifetime in milliseconds to the time of day, in 64 bits with a sign.
LONGEST_LIFETIME: Final = 2**62
# What PTTL says besides milliseconds.
NO_SUCH_KEY: Final = -2
_NO_LIFETIME: Final = -1


def milliseconds(ttl: float | None) -> int | None:
    """Return a lifetime as ``PX`` takes it; ``None`` for ever."""
    return None if ttl is None else min(math.ceil(ttl * 1000), LONGEST_LIFETIME)


def seconds_left(told: int) -> float | None:
    """Return what ``PTTL`` tells of a key that is there; ``None`` for ever."""
    return None if told == _NO_LIFETIME else told / 1000


def refuse_too_large(value: bytes) -> None:
    """Raise :class:`~backends.errors.ValueTooLarge` for a value that no Redis takes."""
    if len(value) > LONGEST:
        raise ValueTooLarge("SERVER_ERROR object too large: Redis takes at most 512 MB.")
