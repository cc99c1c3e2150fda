"""Which keys a backend takes, and under which names its store has them."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import ClassVar

from backends.capabilities import Limits
from backends.errors import InvalidKey

_CLASS = re.compile(r"\[[^\]\[^][^\]\[]*\]")


class Keyed:
    """What has keys, under a prefix; a part of :class:`~backends.base.Backend`."""

    label: ClassVar[str]
    limits: Limits = Limits()

    def __init__(self, *, prefix: str = "") -> None:
        self.prefix = prefix

    @property
    def max_key_bytes(self) -> int | None:
        """The longest key of a caller in UTF-8 bytes: the limit, less this object's prefix."""
        most = self.limits.max_key_bytes
        return None if most is None else most - len(self.prefix.encode())

    def check_key(self, key: str) -> None:
        """Raise :class:`~backends.errors.InvalidKey` for a key that this backend cannot carry.

        Callers check once, at the edge; the other methods trust their keys.
        """
        if not key:
            raise InvalidKey("A key may not be empty.")
        if key.isascii() and not self.prefix:
            size = len(key)
        else:
            try:
                size = len(self._stored(key))
            except UnicodeEncodeError as error:
                raise InvalidKey("A key must be valid Unicode text.") from error
        limits = self.limits
        if limits.max_key_bytes is not None and size > limits.max_key_bytes:
            own = len(key.encode())
            most = self.max_key_bytes
            raise InvalidKey(f"The key is {own} bytes long; {self.label} takes at most {most}.")
        if limits.forbidden_in_key is not None and limits.forbidden_in_key.search(key):
            raise InvalidKey(f"A key for {self.label} may not contain {limits.forbidden_name}.")

    def check_keys(self, keys: Sequence[str]) -> None:
        """Do :meth:`check_key` for each key; plain ones are seen through all at once."""
        if len(keys) == 1:
            self.check_key(keys[0])
            return
        limits = self.limits
        most, forbidden = limits.max_key_bytes, limits.forbidden_in_key
        joined = "".join(keys)
        if (
            not self._are_checked_at_once(joined)
            or not (all(keys) and joined.isascii())
            or (most and len(max(keys, key=len, default="")) + len(self.prefix.encode()) > most)
            or (forbidden and not (_is_class(forbidden) and not forbidden.search(joined)))
        ):
            for key in keys:
                self.check_key(key)

    def _are_checked_at_once(self, joined: str) -> bool:
        """Return whether keys of these characters are well if :attr:`limits` takes them.

        What overrides :meth:`check_key` may say so of some keys too; by default it does not.
        """
        return type(self).check_key is Keyed.check_key

    def _stored(self, key: str) -> bytes:
        """Return the key as the store knows it."""
        return (self.prefix + key).encode()


@functools.lru_cache(maxsize=64)
def _is_class(pattern: re.Pattern[str]) -> bool:
    """Return whether a pattern is about one character, so that it matches wherever that stands."""
    return _CLASS.fullmatch(pattern.pattern) is not None
