"""The rule for names of services."""

from __future__ import annotations

import re
from typing import Final

PATTERN: Final = "[a-z][a-z0-9_-]{0,63}"
# Paths of the service's own.
RESERVED: Final = frozenset({"docs", "system"})


def name_fault(name: str) -> str | None:
    """Return what is wrong with a name, as an error message says it; ``None``: nothing."""
    if not re.fullmatch(PATTERN, name):
        return (
            "A name starts with a letter a-z and has up to 64 lower-case letters, digits, "
            "'-' and '_'."
        )
    if name in RESERVED:
        return f"The name {name!r} is reserved."
    return None
