"""What the log, the tail and the slowest requests have of a key: ``CACHEAPI_LOG_KEYS``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

HASH: Final = "hash"
PLAIN: Final = "plain"
# Of a longer key its beginning, in characters.
LONGEST: Final = 200
CUT: Final = "\N{HORIZONTAL ELLIPSIS}"


def shown(key: str | None, how: str, is_secret: Callable[[str], bool]) -> str | None:
    """Return what may be seen of a key: nothing, the start of its SHA-256, or its text.

    :param how: the setting.
    :param is_secret: whether a text is an API key, which nobody is told, whoever put it where.
    """
    if key is None or how not in (HASH, PLAIN) or is_secret(key):
        return None
    if how == HASH:
        return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:16]
    text = key.encode(errors="replace").decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}{CUT}"
