"""Looking whether a backend does its work: what readiness, the doctor and a trial do.

People judge a cache by how often it is asked and finds something, so a look shall not be
among it. A backend whose statistics count reads gives :meth:`Backend.probe` a class of its
own, whose steps are such that nothing counts as a hit or a miss.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from backends.base import MISSING

if TYPE_CHECKING:
    from backends.base import Backend

# What a probe may leave behind, should it fail between writing and deleting.
TTL_SECONDS: Final = 60


class NotDone(Exception):
    """The backend did not fail, but did not do what it was told either."""


class Probe:
    """A key that nobody else uses, and what is done with it, in this order.

    Each step raises the :class:`~backends.errors.BackendError` of its backend, and
    :class:`NotDone` where the outcome is not what a cache's is. This class asks in the ways
    that every backend has; where those count, a subclass asks in others.

    :param key: under which nothing is stored; it may be one that a certain server has.
    :ivar value: what is written: digits, so that what counts can read it.
    """

    def __init__(self, backend: Backend, key: str) -> None:
        self.backend = backend
        self.key = key
        self.value = str(secrets.randbelow(10**15)).encode()

    def connect(self) -> None:
        """Have the server of the key answer, changing nothing; may be repeated."""
        expect(self.backend.get(self.key) is MISSING)

    def connect_all(self) -> None:
        """Have each server answer, where there are several and all of them are needed."""
        self.connect()

    def write(self) -> None:
        """Store the value, for up to a minute."""
        self.backend.set(self.key, self.value, TTL_SECONDS)

    def read(self) -> None:
        """Find the value that was written."""
        expect(self.backend.get(self.key) == self.value)

    def delete(self) -> None:
        """Delete the value, and find that it is gone."""
        expect(self.backend.delete(self.key))
        expect(self.backend.get(self.key) is MISSING)


def expect(condition: bool) -> None:
    """Raise :class:`NotDone` unless a condition holds."""
    if not condition:
        raise NotDone
