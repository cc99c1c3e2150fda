"""Looking up a server's name and connecting to it, within one bound on both.

The system's resolver waits for half a minute and more where a name server does not answer,
and tries the addresses of a name one after the other, with a whole time limit each. Here a
name is looked up on a thread of its own, and its addresses share the time that is left.
"""

from __future__ import annotations

import collections
import os
import select
import socket
import threading
import time
from typing import Any, Final, NamedTuple

# A name that was looked up just now need not be again, by another thread that connects.
FRESH_SECONDS: Final = 1.0
# Names that are remembered: bounds what trials of services that were never saved leave.
MOST_NAMES: Final = 1000
# What is likely wrong where a name has no address.
UNKNOWN_NAME: Final = (
    "The host's name is not known: correct it, or make it known (DNS, /etc/hosts)."
)


class Address(NamedTuple):
    """Where to connect to, as :func:`socket.getaddrinfo` says it."""

    family: int
    place: tuple[Any, ...]


class NotLookedUp(TimeoutError):
    """The name servers did not answer in time."""


class _Lookup:
    """One look-up of a name, for all who want it meanwhile."""

    def __init__(self, host: str, port: int) -> None:
        self.done = threading.Event()
        self.found: list[Address] | OSError = []
        self._host, self._port = host, port

    def run(self) -> None:
        try:
            self.found = _ask(self._host, self._port)
        except (OSError, UnicodeError) as error:
            self.found = error if isinstance(error, OSError) else _no_name()
        with _lock:
            _running.pop((self._host, self._port), None)
            if not isinstance(self.found, OSError):
                if len(_known) >= MOST_NAMES:
                    _known.clear()
                _known[self._host, self._port] = time.monotonic(), self.found
        self.done.set()


_lock = threading.Lock()
_running: dict[tuple[str, int], _Lookup] = {}
_known: dict[tuple[str, int], tuple[float, list[Address]]] = {}


def _forget_lookups() -> None:
    # Their threads stayed with the parent.
    global _lock
    _lock = threading.Lock()
    _running.clear()


os.register_at_fork(after_in_child=_forget_lookups)


def look_up(host: str, port: int, timeout: float) -> list[Address]:
    """Return the addresses of a name; an IPv6 address may stand in brackets.

    A name whose servers do not answer has the addresses that it had before, if any.

    :param timeout: how long to wait, in seconds.
    :raises NotLookedUp: there was no answer in time.
    :raises OSError: there is no such name.
    """
    host = host.strip("[]")
    try:
        return _ask(host, port, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass
    with _lock:
        seen_at, known = _known.get((host, port), (0.0, None))
        if known is not None and time.monotonic() - seen_at < FRESH_SECONDS:
            return known
        lookup = _running.get((host, port))
        if lookup is None:
            lookup = _running[host, port] = _Lookup(host, port)
            threading.Thread(target=lookup.run, name="look-up", daemon=True).start()
    # Where old addresses may have to do, some time is left to try them.
    found: list[Address] | OSError | None = None
    if lookup.done.wait(timeout if known is None else timeout / 2):
        found = lookup.found
    if isinstance(found, list):
        return found
    if known is not None and (found is None or _is_passing(found)):
        return known
    if found is not None:
        raise found
    raise NotLookedUp(f"the name {host!r} was not looked up in time")


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Return a TCP connection to the first address of a name that takes one.

    The next address is tried when one refused, or had its share of the time (RFC 8305, 5).

    :param timeout: bound on looking up and connecting, in seconds.
    :raises NotLookedUp: the name servers did not answer in time.
    :raises TimeoutError: no address did.
    :raises OSError: there is no such name, or its addresses refused.
    """
    deadline = time.monotonic() + timeout
    addresses = look_up(host, port, timeout)
    attempts = _Attempts()
    try:
        return attempts.first(collections.deque(addresses), deadline)
    finally:
        attempts.close()


class _Attempts:
    """Connections that are being made."""

    def __init__(self) -> None:
        self._open: dict[int, socket.socket] = {}
        self._state = select.poll()
        self._failed: OSError | None = None

    def first(self, waiting: collections.deque[Address], deadline: float) -> socket.socket:
        share = max(0.0, deadline - time.monotonic()) / max(1, len(waiting))
        next_at = 0.0
        while waiting or self._open:
            now = time.monotonic()
            if waiting and (now >= next_at or not self._open):
                self._begin(waiting.popleft())
                next_at = now + share
            if not self._open:
                continue
            until = min(next_at, deadline) if waiting else deadline
            for number, _ in self._state.poll(max(0.0, until - now) * 1000):
                made = self._end(number)
                if made is not None:
                    return made
                next_at = 0.0
            if self._open and time.monotonic() >= deadline:
                raise TimeoutError("no address answered in time")
        raise self._failed or _no_name()

    def _begin(self, address: Address) -> None:
        try:
            connection = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as error:
            self._failed = error
            return
        connection.setblocking(False)
        try:
            connection.connect(address.place)
        except BlockingIOError:
            pass
        except OSError as error:
            self._failed = error
            connection.close()
            return
        self._open[connection.fileno()] = connection
        self._state.register(connection, select.POLLOUT)

    def _end(self, number: int) -> socket.socket | None:
        """Return a connection if it was made."""
        connection = self._open.pop(number)
        self._state.unregister(number)
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            connection.setblocking(True)
            return connection
        self._failed = OSError(code, os.strerror(code))
        connection.close()
        return None

    def close(self) -> None:
        """Give up those that are not made."""
        for connection in self._open.values():
            connection.close()


def _ask(host: str, port: int, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(Address(each[0], each[4]) for each in found))


def _no_name() -> OSError:
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _is_passing(error: OSError) -> bool:
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
