"""Numbers in words, as all tell them."""

from __future__ import annotations

from typing import Final

_LARGER: Final = ("KiB", "MiB", "GiB")


def size(count: int) -> str:
    """Return a number of bytes: ``512 B``, ``1.5 MiB``."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in _LARGER:
        amount /= 1024
        # What would be rounded up to 1024 is one of the next.
        if amount < 1023.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"


def share(part: float, digits: int = 0) -> str:
    """Return a share of one without its ``%``: ``97``; what is there is never 0, but ``<1``.

    :param digits: behind the point; then the least is ``<0.1``, ``<0.01``.
    """
    text = f"{100 * part:.{digits}f}"
    return f"<{10**-digits:.{digits}f}" if part > 0 and not float(text) else text


def counted(number: int, word: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 key``, ``2 keys``."""
    return f"{number} {word if number == 1 else plural or f'{word}s'}"
