"""One server of a memcached backend: its connections, and whether it is left out.

A server that failed is left out for all threads of the process at once. When
:data:`OUT_SECONDS` are over, one caller tries it; the others wait for what that finds. Each
process finds out for itself.

A command that failed is sent again only if that cannot change its meaning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from backends.memcached.errors import CommandFailed
from backends.pool import Pool

if TYPE_CHECKING:
    from backends.memcached.client import Client

T = TypeVar("T")
Connect = Callable[[str, Callable[[], None]], "Client"]

log = logging.getLogger(__name__)

# How long a server that failed is left out of a pool before it is tried again.
OUT_SECONDS: Final = 5.0


class Member:
    """One server.

    :param connect: makes a client of it, given its address and what to call when a connection
        that was idle is found to be dead.
    :param timeout: bound on connecting and on each reply, in seconds.
    """

    def __init__(
        self,
        address: str,
        connect: Connect,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self.place = f"memcached at {address}"
        # The last returned is lent first: those that are idle now were so for longer.
        self._clients: Pool[Client] = Pool(
            lambda: connect(address, self._clients.clear), lambda client: client.close()
        )
        self._timeout = timeout
        self._clock = clock
        # None: it is not left out.
        self._next_try: float | None = None

    def serves(self) -> bool:
        """Return whether to ask it. When its time out is over, one caller is told to."""
        if self._next_try is None:
            return True
        now = self._clock()
        if now < self._next_try:
            return False
        self._next_try = now + OUT_SECONDS
        return True

    def leave_out(self) -> None:
        """Ask it no more, for :data:`OUT_SECONDS`."""
        if self._next_try is None:
            log.warning("%s does not answer and is left out of the pool.", self.place)
        self._next_try = self._clock() + OUT_SECONDS

    def run(self, command: Callable[[Any], T], repeatable: bool) -> T:
        """Run a command on a connection of this thread's own, twice if need be.

        :param repeatable: to run it twice means the same as to run it once.
        :raises CommandFailed: the server refused, or gave no answer.
        """
        was_out = self._next_try is not None
        client = self._clients.acquire()
        try:
            result = self._attempt(client, command, repeatable)
        except CommandFailed as error:
            if error.answered:
                self._answered(was_out)
            raise
        finally:
            self._clients.release(client)
        self._answered(was_out)
        return result

    def _answered(self, was_out: bool) -> None:
        # Not for a command that began before the server was left out.
        if was_out and self._next_try is not None:
            self._next_try = None
            log.warning("%s answers and is back in the pool.", self.place)

    def _attempt(self, client: Client, command: Callable[[Any], T], repeatable: bool) -> T:
        started = time.monotonic()
        again = True
        reached = False
        while True:
            try:
                return command(client)
            except CommandFailed as error:
                if error.answered:
                    raise
                client.reset()
                reached |= error.sent
                error.sent = reached
                error.harmless = repeatable or not reached
                in_time = time.monotonic() - started < self._timeout / 2
                if not (again and error.harmless and in_time):
                    raise
                again = False

    def close(self) -> None:
        """Close the connections that are idle."""
        self._clients.clear()
