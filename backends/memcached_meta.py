"""What only memcached's meta commands say, over a connection of our own.

Their replies are in memcached's protocol.txt, "Meta Get": one line, as no value is asked for.
"""

from __future__ import annotations

import re
import socket
from typing import Final

from backends.memcached_errors import CLIENT_ERROR, NOT_FOUND, CommandFailed

_LONGEST_LINE: Final = 512
_FOUND = re.compile(rb"HD t(-1|[0-9]+)(?: [A-Za-z][^ ]*)*")


def remaining_ttl(connection: socket.socket, key: bytes) -> int | None:
    """Return the seconds that a value has left; ``None`` for ever.

    :raises CommandFailed: the server has no such key, or does not know the command.
    :raises ValueError: it answered something else.
    :raises OSError: it did not answer, or not in time.
    """
    connection.sendall(b"mg %s t\r\n" % key)
    line = _line(connection)
    if line in (b"EN", b"NF"):
        raise CommandFailed(NOT_FOUND)
    if line == b"ERROR":
        raise CommandFailed(CLIENT_ERROR)
    found = _FOUND.fullmatch(line)
    if found is None:
        raise ValueError("no reply to a meta command")
    seconds = int(found[1])
    return None if seconds < 0 else seconds


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n"):
        part = connection.recv(_LONGEST_LINE)
        data += part
        if not part or len(data) > _LONGEST_LINE:
            raise ValueError("a line without its end")
    return data[:-2]
