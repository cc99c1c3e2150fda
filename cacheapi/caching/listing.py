"""What a list says of an entry beside its key."""

from __future__ import annotations

import math
from typing import Any

from backends.base import MISSING, Described


def told(found: Described) -> dict[str, Any]:
    """Return the members of a listed entry: ``ttl`` in seconds, ``bytes``, ``kind``.

    What the backend does not tell is left out.
    """
    said: dict[str, Any] = {}
    if found.ttl is not MISSING:
        said["ttl"] = None if found.ttl is None else math.ceil(found.ttl)
    if found.size is not None:
        said["bytes"] = found.size
    return {**said, "kind": found.kind}
