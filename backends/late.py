"""What takes a while to import, left until it is used: for who makes many backends and asks one.

A server imports everything before it serves. A command makes the backends of all services, to
know what there is, and most of them it never asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

_IS_ON: Final = ContextVar("late", default=False)


@contextmanager
def parts() -> Iterator[None]:
    """Let backends that are made within make and import parts of theirs when they use them."""
    token = _IS_ON.set(True)
    try:
        yield
    finally:
        _IS_ON.reset(token)


def is_on() -> bool:
    """Return whether :func:`parts` is in force here."""
    return _IS_ON.get()


def made(make: Callable[[], T]) -> T:
    """Return a part of a backend: made now, or within :func:`parts` what stands for it."""
    return cast("T", _Late(make)) if _IS_ON.get() else make()


class _Late:
    """Stands for a part and has its attributes; the first use of one makes the part."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._making = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        with self._making:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)

    def close(self) -> None:
        """Close the part; one that was never made has nothing open."""
        if self._made is not None:
            self._made.close()
