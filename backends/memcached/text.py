"""The connection of one thread to one memcached, by the text protocol: every command.

Each is one line, or a line and a value, and has one line of reply; so what became of it is
known exactly. What is said and answered stands in memcached's protocol.txt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from backends.base import flags_of
from backends.memcached import reader
from backends.memcached.errors import (
    CLIENT_ERROR,
    NOT_FOUND,
    OUT_OF_MEMORY,
    READ_FAILURE,
    TOO_BIG,
    CommandFailed,
    refusal,
)
from backends.memcached.link import Link, take_line
from backends.memcached.meta import remaining_ttl
from backends.memcached.opening import PLAIN, Opening
from backends.memcached.proxies import judge
from backends.memcached.reader import Read, Stored
from backends.memcached.stores import Batch

T = TypeVar("T")

# What a command is answered with when it was done, and when it was not.
_YES: Final = (b"STORED", b"DELETED", b"TOUCHED", b"OK")
_NO: Final = (b"NOT_STORED", b"EXISTS")
_NUMBER = re.compile(rb"[0-9]{1,20}")
# After these the server has taken in the value, and waits for the next command.
_WELL: Final = {CLIENT_ERROR, TOO_BIG, *OUT_OF_MEMORY}
_NOT_UNDERSTOOD: Final = b"ERROR"


class TextClient:
    """The commands of one thread to one server.

    :param server: ``host:port``.
    :param timeout: bound on connecting and on each reply, in seconds.
    :param on_silence: as of :class:`Link`, like ``opening``.
    """

    def __init__(
        self,
        server: str,
        timeout: float,
        on_silence: Callable[[], None] | None = None,
        opening: Opening = PLAIN,
    ) -> None:
        self._link = Link(server, timeout, on_silence, opening)
        self._server, self._timeout, self._opening = server, timeout, opening

    def read_many(self, keys: Sequence[bytes], most: float = math.inf) -> Read:
        """Return what the server has of different keys, as :class:`Client` says.

        :raises CommandFailed: the server said no, or the reply was not whole.
        """
        return reader.read_many(self._link, keys, most)

    def read(self, key: bytes) -> Stored | None:
        """Return what the server has under a key, as :meth:`read_many` does."""
        return reader.read(self._link, key)

    def remaining_ttl(self, key: bytes) -> int | None:
        """Return the seconds that a value has left; ``None`` for ever.

        :raises CommandFailed: the server has no such key, or does not know the command; or
            the reply was not whole.
        """
        command = b"mg %b t\r\n" % key
        return self._administer(command, lambda: remaining_ttl(self._link, key))

    def take_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what the server has of different keys, and let that expire; one step a key.

        :raises CommandFailed: the server said no, or the reply was not whole.
        """
        return reader.take_many(self._link, keys)

    def change_many(self, batch: Batch) -> None:
        """Do changes.

        :raises CommandFailed: not all replies came; the batch has those that did.
        """
        batch.run(self._link)

    def add(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is absent; return whether it was."""
        return self._said_yes(_storage(b"add", key, value, exptime))

    def replace(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is there; return whether it was."""
        return self._said_yes(_storage(b"replace", key, value, exptime))

    def cas(self, key: bytes, value: bytes, cas: int, exptime: int) -> bool:
        """Store if the value's unique number is still ``cas``; return whether it was.

        :raises CommandFailed: there is no such key, among others.
        """
        head = b"cas %b %d %d %d %d\r\n" % (key, flags_of(value), exptime, len(value), cas)
        return self._said_yes(head + value + b"\r\n")

    def delete(self, key: bytes) -> bool:
        """Delete.

        :raises CommandFailed: there is no such key, among others.
        """
        return self._said_yes(b"delete %b\r\n" % key)

    def touch(self, key: bytes, exptime: int) -> bool:
        """Give a new lifetime.

        :raises CommandFailed: there is no such key, among others.
        """
        return self._said_yes(b"touch %b %d\r\n" % (key, exptime))

    def count(self, key: bytes, delta: int) -> int:
        """Count up or, with a negative ``delta``, down; return the new number.

        :raises CommandFailed: there is no such key, or it is no number, among others.
        """
        name = b"incr" if delta >= 0 else b"decr"
        line = self._ask(b"%b %b %d\r\n" % (name, key, abs(delta)))
        if _NUMBER.fullmatch(line) is None:
            raise self._broken()
        return int(line)

    def flush(self) -> None:
        """Delete all that the server has."""
        command = b"flush_all\r\n"
        if not self._administer(command, lambda: self._said_yes(command)):
            raise self._broken()

    def prove(self) -> None:
        """Have the server answer; it counts that nowhere."""
        self._link.exchange(b"version\r\n", take_line)

    def reset(self) -> None:
        """Close the connection; the next command opens another."""
        self._link.close()

    close = reset

    def _administer(self, command: bytes, ask: Callable[[], T]) -> T:
        """Do what a proxy in front of the server may not know; say so if it does not."""
        try:
            return ask()
        except CommandFailed as error:
            raise judge(error, command, self._opening, self._server, self._timeout) from error

    def _said_yes(self, command: bytes) -> bool:
        line = self._ask(command)
        if line in _YES:
            return True
        if line in _NO:
            return False
        raise self._broken()

    def _ask(self, command: bytes) -> bytes:
        """Return the reply to a command that may change something.

        :raises CommandFailed: the server said no, or the reply was not whole.
        """
        line = self._link.exchange(command, take_line, changes=True)
        if line == b"NOT_FOUND":
            raise CommandFailed(NOT_FOUND)
        refused = refusal(line)
        if refused is None:
            return line
        if refused.code not in _WELL or line.startswith(_NOT_UNDERSTOOD):
            # What else it says belongs to nobody.
            self._link.close()
        raise refused

    def _broken(self) -> CommandFailed:
        self._link.close()
        return CommandFailed(READ_FAILURE, sent=True)


def _storage(name: bytes, key: bytes, value: bytes, exptime: int) -> bytes:
    head = b"%b %b %d %d %d\r\n" % (name, key, flags_of(value), exptime, len(value))
    return head + value + b"\r\n"
