"""A pool of things that one thread at a time may use, and no forked child may inherit."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Lend each thing to one borrower at a time; make one when none is idle.

    The last returned is lent first, so there are as many as threads that ever worked at
    once. After a fork the child starts empty, and keeps what it inherited untouched: to
    close it would disturb the parent.

    :param make: makes a thing; may raise.
    :param close: ends one.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], None]) -> None:
        self._make = make
        self._close = close
        self._idle: collections.deque[T] = collections.deque()
        self._inherited: list[collections.deque[T]] = []
        self._pid = os.getpid()

    def acquire(self) -> T:
        """Borrow one. The borrower gives it to :meth:`release` or :meth:`discard`."""
        if self._pid != os.getpid():
            self._inherited.append(self._idle)
            self._idle = collections.deque()
            self._pid = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

    def release(self, thing: T) -> None:
        """Give one back for the next borrower."""
        self._idle.append(thing)

    def put_last(self, thing: T) -> None:
        """Give one back that is lent only when no other is idle."""
        self._idle.appendleft(thing)

    def take(self, thing: T) -> bool:
        """Borrow a certain one, if it is idle; return whether it was. Things are told by ``==``."""
        try:
            self._idle.remove(thing)
        except ValueError:
            return False
        return True

    def discard(self, thing: T) -> None:
        """End one that can serve no more."""
        self._close(thing)

    def clear(self) -> None:
        """End all that are idle."""
        while self._idle:
            self._close(self._idle.pop())
