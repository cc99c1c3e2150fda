"""The connection of one thread to one memcached, by the text protocol: every command.

Each is one line, or a line and a value, and has one line of reply; so what became of it is
known exactly. What is said and answered stands in memcached's protocol.txt.
"""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from backends.base import Missing
from backends.errors import InvalidKey, NotRead
from backends.memcached import commands, comparing, encoded, reader
from backends.memcached.changes import Change
from backends.memcached.comparing import Known
from backends.memcached.counting import Counted, count_and_read_many
from backends.memcached.encoded import has_odd
from backends.memcached.errors import (
    BEHIND_PROXY,
    CLIENT_ERROR,
    NOT_FOUND,
    OUT_OF_MEMORY,
    READ_FAILURE,
    TOO_BIG,
    CommandFailed,
    refusal,
)
from backends.memcached.link import Link, take_line
from backends.memcached.meta import look_at_ttl, look_at_ttl_many, remaining_ttl
from backends.memcached.opening import PLAIN, Opening
from backends.memcached.proxies import judge
from backends.memcached.reader import Read, Stored, Taken
from backends.memcached.stores import Batch
from backends.memcached.touching import get_and_touch_many

T = TypeVar("T")

# What a command is answered with when it was done, and when it was not.
_YES: Final[Sequence[bytes]] = (b"STORED", b"DELETED", b"TOUCHED", b"OK")
_NO: Final[Sequence[bytes]] = (b"NOT_STORED", b"EXISTS")
_ABSENT: Final[Sequence[bytes]] = (b"NOT_FOUND",)
# The same where the key is encoded.
_YES_ENCODED: Final[Sequence[bytes]] = (b"HD",)
_NO_ENCODED: Final[Sequence[bytes]] = (b"NS", b"EX")
_ABSENT_ENCODED: Final[Sequence[bytes]] = (b"NF", b"EN")
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
        if not has_odd(b"".join(keys)):
            return reader.read_many(self._link, keys, most)
        plain, odd = _apart(keys)
        read = reader.read_many(self._link, plain, most) if plain else {}
        left = most - reader.size_of(read)
        if left < 0:
            read.update((key, NotRead()) for key in odd)
            return read
        try:
            read |= self._encoded(lambda: encoded.read_many(self._link, odd, left))
        except InvalidKey as error:
            read.update((key, error) for key in odd)
        return read

    def compare_many(self, known: Known) -> Read | None:
        """Return what the server has of keys; ``None``: it is as is known.

        :param known: of keys that are sent as they are.
        :raises CommandFailed: as of :meth:`read_many`.
        """
        return comparing.compare_many(self._link, known)

    def read(self, key: bytes) -> Stored | None:
        """Return what the server has under a key, as :meth:`read_many` does."""
        if has_odd(key):
            return self._encoded(lambda: encoded.read(self._link, key))
        return reader.read(self._link, key)

    def remaining_ttl(self, key: bytes) -> int | None:
        """Return the seconds that a value has left; ``None`` for ever.

        :raises CommandFailed: the server has no such key, or does not know the command; or
            the reply was not whole.
        """
        if has_odd(key):
            sent = encoded.encode(key)
            return self._encoded(lambda: remaining_ttl(self._link, sent))
        command = b"mg %b t\r\n" % key
        return self._administer(command, lambda: look_at_ttl(self._link, key))

    def remaining_ttl_many(self, keys: Sequence[bytes]) -> dict[bytes, int | Missing | None]:
        """Return what :meth:`remaining_ttl` says of plain keys, where it is told for many at once.

        :raises CommandFailed: no whole reply came.
        """
        return look_at_ttl_many(self._link, keys)

    def take_many(self, keys: Sequence[bytes], taken: Taken) -> None:
        """Take what the server has of different keys, and let that expire; one step a key.

        :param taken: is told of what was taken, whatever fails behind that; what it knows already
            is not asked for.
        :raises CommandFailed: the server said no, or a reply was not whole.
        """
        plain, odd = _apart(taken.left(keys))
        refused: CommandFailed | None = None
        for some, take in ((odd, self._take_encoded), (plain, self._take_plain)):
            try:
                if some:
                    take(some, taken)
            except CommandFailed as error:
                if not error.answered:
                    raise
                # The server is well: the others are asked for.
                refused = error
        if refused is not None:
            raise refused

    def _take_plain(self, keys: Sequence[bytes], taken: Taken) -> None:
        reader.take_many(self._link, keys, taken)

    def _take_encoded(self, keys: Sequence[bytes], taken: Taken) -> None:
        try:
            self._encoded(lambda: encoded.take_many(self._link, keys, taken))
        except InvalidKey as error:
            taken.known.update(dict.fromkeys(taken.left(keys), error))

    def change_many(self, batch: Batch) -> None:
        """Do changes.

        :raises CommandFailed: not all replies came; the batch has those that did.
        """
        batch.run(self._link, self._judge_encoded)

    def get_and_touch_many(self, touches: Sequence[Change], most: float) -> tuple[list[bool], Read]:
        """Give keys new lifetimes, and read them; see :mod:`backends.memcached.touching`.

        :raises CommandFailed: as said there.
        """
        return get_and_touch_many(self._link, touches, most)

    def count_and_read_many(
        self, counts: Sequence[Change], keys: Sequence[bytes], most: float
    ) -> Counted:
        """Count, and read behind that; see :mod:`backends.memcached.counting`.

        :raises CommandFailed: as said there.
        """
        return count_and_read_many(self._link, counts, keys, most)

    def add(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is absent; return whether it was."""
        return self._said_yes(key, commands.storage(b"add", key, value, exptime, has_odd(key)))

    def replace(self, key: bytes, value: bytes, exptime: int) -> bool:
        """Store if the key is there; return whether it was."""
        return self._said_yes(key, commands.storage(b"replace", key, value, exptime, has_odd(key)))

    def cas(self, key: bytes, value: bytes, cas: int, exptime: int) -> bool:
        """Store if the value's unique number is still ``cas``; return whether it was.

        :raises CommandFailed: there is no such key, among others.
        """
        return self._said_yes(key, commands.cas(key, value, cas, exptime, has_odd(key)))

    def delete(self, key: bytes) -> bool:
        """Delete.

        :raises CommandFailed: there is no such key, among others.
        """
        return self._said_yes(key, commands.delete(key, has_odd(key)))

    def touch(self, key: bytes, exptime: int) -> bool:
        """Give a new lifetime.

        :raises CommandFailed: there is no such key, among others.
        """
        return self._said_yes(key, commands.touch(key, exptime, has_odd(key)))

    def count(self, key: bytes, delta: int) -> int:
        """Count up or, with a negative ``delta``, down; return the new number.

        :raises CommandFailed: there is no such key, or it is no number, among others.
        """
        name = b"incr" if delta >= 0 else b"decr"
        if has_odd(key):
            line = self._encoded(lambda: encoded.count(self._link, key, delta))
            self._judged(line, _ABSENT_ENCODED)
        else:
            command = b"%b %b %d\r\n" % (name, key, abs(delta))
            line = self._link.exchange(command, take_line, changes=True)
            self._judged(line, _ABSENT)
        if _NUMBER.fullmatch(line) is None:
            raise self._broken()
        return int(line)

    def flush(self) -> None:
        """Delete all that the server has."""
        command = b"flush_all\r\n"
        if not self._administer(command, lambda: self._said_yes(b"", command)):
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

    def _encoded(self, ask: Callable[[], T]) -> T:
        """Do what has an encoded key.

        :raises InvalidKey: a proxy is in front, and does not know the command.
        """
        try:
            return ask()
        except CommandFailed as error:
            refused = None if error.sent else self._judge_encoded(error)
            if refused is None:
                raise
            raise refused from error

    def _judge_encoded(self, error: CommandFailed) -> InvalidKey | None:
        judged = judge(error, encoded.PROOF, self._opening, self._server, self._timeout)
        return encoded.not_carried() if judged.code == BEHIND_PROXY else None

    def _said_yes(self, key: bytes, command: bytes) -> bool:
        if has_odd(key):
            line = self._encoded(lambda: encoded.exchange(self._link, command, _first_line))
            yes, no, absent = _YES_ENCODED, _NO_ENCODED, _ABSENT_ENCODED
        else:
            line = self._link.exchange(command, take_line, changes=True)
            yes, no, absent = _YES, _NO, _ABSENT
        self._judged(line, absent)
        if line in yes:
            return True
        if line in no:
            return False
        raise self._broken()

    def _judged(self, line: bytes, absent: Sequence[bytes]) -> None:
        """Raise what a line refuses.

        :param absent: what says that there is no such key.
        :raises CommandFailed: the server said no.
        """
        if line in absent:
            raise CommandFailed(NOT_FOUND)
        refused = refusal(line)
        if refused is None:
            return
        if refused.code not in _WELL or line.startswith(_NOT_UNDERSTOOD):
            # What else it says belongs to nobody.
            self._link.close()
        raise refused

    def _broken(self) -> CommandFailed:
        self._link.close()
        return CommandFailed(READ_FAILURE, sent=True)


def _first_line(connection: socket.socket) -> bytes:
    return take_line(connection, b"")


def _apart(keys: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return those that are sent as they are, and those that are sent encoded."""
    plain: list[bytes] = []
    odd: list[bytes] = []
    for key in keys:
        (odd if has_odd(key) else plain).append(key)
    return plain, odd
