"""What bounds every reader, and how it says that it does not read something."""

from __future__ import annotations

from typing import Final

# Levels of nesting: as many as a value may have that comes as JSON.
MAX_DEPTH: Final = 512
# Elements of all arrays of one value together.
MAX_ITEMS: Final = 1_000_000
# What one value may become when it is inflated, or when its texts are repeated, in bytes.
MAX_BYTES: Final = 16 * 1024 * 1024


class Unreadable(ValueError):
    """The bytes are not of this form, have no plain value, or pass a limit."""


def text_of(raw: bytes) -> str:
    """Return the text of UTF-8 bytes.

    :raises Unreadable: they are something else.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("a text that is no UTF-8") from error
