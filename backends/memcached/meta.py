"""What only memcached's meta commands say, over a connection of our own.

Their replies are in memcached's protocol.txt, "Meta Get": one line, as no value is asked for.
"""

from __future__ import annotations

import re
import socket
from typing import Final

from backends.memcached.errors import CLIENT_ERROR, NOT_FOUND, CommandFailed
from backends.memcached.link import LONGEST_LINE, Link, receive

_ABSENT: Final = (b"EN", b"NF")
_UNKNOWN: Final = b"ERROR"
_FOUND = re.compile(rb"HD t(-1|[0-9]+)(?: [A-Za-z][^ ]*)*")


def remaining_ttl(link: Link, key: bytes) -> int | None:
    """Return the seconds that a value has left; ``None`` for ever.

    :raises CommandFailed: the server has no such key, or does not know the command; or the
        reply was not whole, and the connection is closed.
    """
    line = link.exchange(b"mg %b t\r\n" % key, _take)
    if line in _ABSENT:
        raise CommandFailed(NOT_FOUND)
    found = _FOUND.fullmatch(line)
    if found is None:
        raise CommandFailed(CLIENT_ERROR)
    seconds = int(found[1])
    return None if seconds < 0 else seconds


def _take(connection: socket.socket, data: bytes) -> bytes:
    while not data.endswith(b"\r\n"):
        if len(data) > LONGEST_LINE:
            raise ValueError("a line that never ends")
        data += receive(connection)
    line = data[:-2]
    if line not in (*_ABSENT, _UNKNOWN) and _FOUND.fullmatch(line) is None:
        raise ValueError("no reply to a meta command")
    return line
