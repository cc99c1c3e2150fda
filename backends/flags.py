"""The number that a cache keeps beside a value, and counting on what is stored."""

from __future__ import annotations

import re
from typing import Final

from backends.capabilities import Limits
from backends.errors import NotAnInteger

# Of the numbers beside a value, those that never go with decimal digits. From 256 on they are
# spymemcached's types, whose integers are bytes: its 57 is the character 9. 3 is PHP's boolean.
_FIRST_BINARY_FLAGS: Final = 256
_BOOLEAN_FLAGS: Final = 3
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]{0,30})")


class Flagged(bytes):
    """A value, and the number that its cache keeps beside it.

    Programs that share a memcached note there what type a value has. Only a backend with
    :attr:`Backend.keeps_flags` returns and stores it, and a value without it has the number 0:
    so all other code, a plugin's too, takes and gives plain ``bytes``.

    :ivar flags: from 0 to 2^32-1.
    """

    flags: int

    def __new__(cls, value: bytes, flags: int) -> Flagged:
        """Make it of a value and its number."""
        made = super().__new__(cls, value)
        made.flags = flags
        return made


def with_flags(value: bytes, flags: int) -> bytes:
    """Return a value with its number, plain where that is 0."""
    return Flagged(value, flags) if flags else value


def flags_of(value: bytes) -> int:
    """Return the number that is kept beside a value."""
    return value.flags if isinstance(value, Flagged) else 0


def count_from(value: bytes, delta: int, limits: Limits) -> int:
    """Return the number that counting makes of a stored value.

    For backends that count themselves; :meth:`Backend.increment` says the rules.

    :raises NotAnInteger: the value is no integer within the limits, or the count passes them;
        or its flags say that it is not written in digits, whatever the bytes look like.
    """
    flags = flags_of(value)
    if flags == _BOOLEAN_FLAGS or flags >= _FIRST_BINARY_FLAGS:
        raise NotAnInteger(
            f"The stored value is another program's: by its flags, {flags}, it is no number in "
            "decimal digits, and to count on it would spoil it."
        )
    text = value.strip()
    lowest, highest = limits.min_count, limits.max_count
    if not _INTEGER.fullmatch(text) or not lowest <= int(text) <= highest:
        raise NotAnInteger(f"The stored value is not a whole number from {lowest} to {highest}.")
    number = max(lowest, int(text) + delta)
    if number > highest:
        raise NotAnInteger(f"The count would pass {highest}.")
    return number
