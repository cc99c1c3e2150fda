"""What the two ways to one memcached have in common: by text, and with a login.

:mod:`backends.memcached.text` is a connection of our own and needs no library;
:mod:`backends.memcached.sasl` is pylibmc's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from backends.memcached.reader import Read, Stored


class Client(Protocol):
    """The commands of one thread to one server.

    Each raises :class:`~backends.memcached.errors.CommandFailed` where the server has no such
    key, refuses for another reason, or did not give a whole reply.
    """

    def read_many(self, keys: Sequence[bytes], most: float = math.inf) -> Read:
        """Return what the server has of different keys; one is absent only if it said so.

        :param most: once the values have more bytes than this, no further one is read: in its
            place is :class:`~backends.errors.NotRead`. One is always read.
        """

    def read(self, key: bytes) -> Stored | None:
        """Return what the server has under a key."""

    def add(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is absent; return whether it was."""

    def replace(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is there; return whether it was."""

    def cas(self, key: bytes, value: bytes, cas: int, exptime: int) -> bool:
        """Store if the value's unique number is still ``cas``; return whether it was."""

    def delete(self, key: bytes) -> bool:
        """Delete; return whether the key was there."""

    def count(self, key: bytes, delta: int) -> int:
        """Count up or, with a negative ``delta``, down; return the new number."""

    def flush(self) -> None:
        """Delete all that the server has."""

    def prove(self) -> None:
        """Have the server answer; it counts that nowhere as a hit or a miss."""

    def reset(self) -> None:
        """Forget the connection, and that the server was down, so that its return is noticed."""

    def close(self) -> None:
        """Close the connection."""
