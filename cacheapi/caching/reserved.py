"""Keys that the product keeps for itself, in every service: counts of its own, and probes.

Only administrators may name them. Lists leave them out, unless they are asked for by such a
prefix.
"""

from __future__ import annotations

import re
from typing import Final

from backends.endpoints import TRIAL

# Of rate limits: who could change these would have none.
RATE: Final = "cacheapi:rate:"
# Answers of HTTP APIs: who could write one could have it served to others.
RESPONSE: Final = "cacheapi:response:"
# Generations of tags: who could write one could have what was purged served again.
TAG: Final = "cacheapi:tag:"
RESERVED: Final = (RATE, RESPONSE, TAG, TRIAL, "cacheapi:probe")
_RESERVED: Final = re.compile("|".join(map(re.escape, RESERVED)))


def is_reserved(key: str) -> bool:
    """Return whether a key, or every key that starts so, is the product's own.

    Wherever it stands: another service's prefix may be a part of what is a key to this one.
    """
    return _RESERVED.search(key) is not None


def without_reserved(keys: list[str]) -> list[str]:
    """Return those of some keys that are nobody's but users'."""
    # Nothing that is looked for has an end of a line in it.
    if _RESERVED.search("\n".join(keys)) is None:
        return keys
    return [key for key in keys if not is_reserved(key)]
