"""The thread that follows the sources of the registry, one in each process that serves."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from cacheapi.registry.colleagues import Colleagues

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.3
# While the database is away.
LOST_SECONDS: Final = 1.0


class Companion(Protocol):
    """What works beside the registry in each process that serves."""

    def watch(self) -> None:
        """Begin, in a process that is new."""

    def close(self) -> None:
        """End, before the services' connections are closed."""


class Followed(Protocol):
    """What there is to look for; the registry."""

    @property
    def number(self) -> int:
        """The number of the last change that is in force here."""

    def look(self) -> float:
        """Look whether anything has changed; return in how many seconds to look again."""


class Following:
    """Begins the thread, and what works beside it, in each process anew; and ends them.

    :param colleagues: what wakes the thread, when another process has made a change.
    :ivar companions: what begins and ends with it.
    """

    def __init__(self, colleagues: Colleagues) -> None:
        self.companions: list[Companion] = []
        self._colleagues = colleagues
        self._beginning = threading.Lock()
        self._pid: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, followed: Followed, before: Callable[[], None]) -> None:
        """Follow from now on, in this process; only once.

        :param before: is done before the thread begins, where nobody has followed yet.
        """
        if self._pid == os.getpid():
            return
        with self._beginning:
            if self._pid != os.getpid():
                before()
                self._begin(followed)

    def _begin(self, followed: Followed) -> None:
        self._pid = os.getpid()
        self._colleagues.begin(followed.number)
        self._thread = threading.Thread(
            target=_follow,
            args=(weakref.ref(followed), self._stop, self._colleagues),
            name="registry",
            daemon=True,
        )
        self._thread.start()
        for companion in self.companions:
            companion.watch()

    def end(self) -> None:
        """End the thread and what works beside it."""
        self._stop.set()
        self._colleagues.wake()
        for companion in self.companions:
            companion.close()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(LOST_SECONDS)
            self._colleagues.end()


def _follow(
    reference: weakref.ref[Followed], stop: threading.Event, colleagues: Colleagues
) -> None:
    seconds = 0.0
    while True:
        colleagues.wait(stop, seconds)
        if stop.is_set():
            return
        followed = reference()
        if followed is None:
            # Nobody has closed it; the others need not wait for it.
            colleagues.end()
            return
        try:
            seconds = followed.look()
        except Exception:
            log.exception("Looking for changes of services failed")
            seconds = LOST_SECONDS
        del followed
