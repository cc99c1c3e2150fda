"""What only memcached's meta commands say, over a connection of our own.

Their replies are in memcached's protocol.txt, "Meta Get": one line, as no value is asked for.
"""

from __future__ import annotations

import re
from typing import Final

from backends.memcached.errors import CLIENT_ERROR, NOT_FOUND, READ_FAILURE, CommandFailed, refusal
from backends.memcached.expiry import remaining
from backends.memcached.link import Link, take_line

_ABSENT: Final = (b"EN", b"NF")
_UNKNOWN: Final = b"ERROR"
_FOUND = re.compile(rb"HD t(-1|[0-9]+)(?: [A-Za-z][^ ]*)*")


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
