"""What only memcached's meta commands say, over a connection of our own.

Their replies are in memcached's protocol.txt, "Meta Get": one line, as no value is asked for.
A server counts that as a hit or a miss, which a look is not. "Meta Debug" it counts nowhere.
"""

from __future__ import annotations

import re
import socket
from typing import Final

from backends.memcached.errors import CLIENT_ERROR, NOT_FOUND, READ_FAILURE, CommandFailed, refusal
from backends.memcached.expiry import remaining
from backends.memcached.link import LONGEST_LINE, Link, receive, take_line

_ABSENT: Final = (b"EN", b"NF")
_UNKNOWN: Final = b"ERROR"
_FOUND = re.compile(rb"HD t(-1|[0-9]+)(?: [A-Za-z][^ ]*)*")
_LOOKED_AT = re.compile(rb"ME [^ ]+ exp=(-?[0-9]+) .*")
_FOR_EVER: Final = -1
_VERSION = re.compile(rb"VERSION ([0-9]+)\.([0-9]+)\.([0-9]+)")
# Before this, memcached told seconds left as a negative number, so that -1 may be one second.
_TELLS_SECONDS: Final = (1, 6, 24)
# Nothing stands behind the answer to this, whether one line or two came before it.
_LAST: Final = (b"VERSION ", b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")


def look_at_ttl(link: Link, key: bytes) -> int | None:
    """Return what :func:`remaining_ttl` does of a plain key, counted as no read where possible.

    It is counted where the server tells it by no other command, and of a value that stays for ever
    on a server older than 1.6.24.

    :raises CommandFailed: as of that.
    """
    looked, *_, last = link.exchange(b"me %b\r\nversion\r\n" % key, _take_looked)
    if looked in _ABSENT:
        raise CommandFailed(NOT_FOUND)
    found = _LOOKED_AT.fullmatch(looked)
    if found is not None:
        told = int(found[1])
        if told != _FOR_EVER:
            return remaining(abs(told))
        version = _VERSION.match(last)
        if version is not None and tuple(map(int, version.groups())) >= _TELLS_SECONDS:
            return None
    return remaining_ttl(link, key)


def _take_looked(connection: socket.socket, data: bytes) -> list[bytes]:
    """Take the lines of an answer to ``me``, of which old servers send two, and to ``version``.

    :raises ValueError: there is no such answer.
    :raises OSError: it did not come, or not in time.
    """
    while True:
        *lines, rest = data.split(b"\r\n")
        if len(lines) > 1 and not rest and lines[-1].startswith(_LAST):
            return lines
        if len(data) > 2 * LONGEST_LINE:
            raise ValueError("lines that never end")
        data += receive(connection)


def remaining_ttl(link: Link, key: bytes) -> int | None:
    """Return the seconds that a value has left; ``None`` for ever.

    :raises CommandFailed: the server has no such key, or does not know the command; or the
        reply was not whole, and the connection is closed.
    """
    line = link.exchange(b"mg %b t\r\n" % key, take_line)
    if line in _ABSENT:
        raise CommandFailed(NOT_FOUND)
    if line == _UNKNOWN:
        raise CommandFailed(CLIENT_ERROR)
    found = _FOUND.fullmatch(line)
    if found is None:
        link.close()
        raise refusal(line) or CommandFailed(READ_FAILURE)
    return remaining(int(found[1]))
