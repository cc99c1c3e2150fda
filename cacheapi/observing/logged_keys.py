"""What the log, the tail and the slowest requests have of a key: ``CACHEAPI_LOG_KEYS``."""

from __future__ import annotations

import hashlib
from typing import Final

OFF: Final = "off"
HASH: Final = "hash"
PLAIN: Final = "plain"
# Of a longer key its beginning, in characters.
LONGEST: Final = 200
CUT: Final = "\N{HORIZONTAL ELLIPSIS}"


def shown(key: str, how: str) -> str:
    """Return what may be seen of a key: nothing, the start of its SHA-256, or its text.

    :param how: the setting.
    """
    if how == HASH:
        return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:16]
    if how != PLAIN:
        return ""
    text = key.encode(errors="replace").decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}{CUT}"
