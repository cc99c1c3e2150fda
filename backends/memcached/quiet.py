"""Stores on one memcached that are answered with one line together.

A server that answers each store sends some lines of reply for every few of them, and each time both
sides are woken. A quiet store of the meta commands (protocol.txt, the flag ``q``) is answered only
where it was not done, and ``mn`` behind them says where the answers end. If that is all that comes,
all were done. If not, which were not done is not told, so all are sent again as plain stores,
which are answered each: to store a value twice means what it means once.

What does not know a command takes the value behind it for the next one, which a caller chose. So
such stores are sent only after the server has shown, on the same connection, that it knows
the flag.
"""

from __future__ import annotations

import socket
from typing import Final

from backends.memcached.link import Link, NotProven, receive, take_lines

# Of fewer the answers come together anyway.
LEAST: Final = 4
# Of a key that is never stored, so that nothing goes and nothing is counted as a read. The flag "b"
# says that it takes the size of a value where it is written below.
PROOF: Final = b"md Y2FjaGVhcGk6IHByb2Jl b q\r\nmn\r\n"
NAME: Final = b"ms "
_LAST: Final = b"mn\r\n"
_END: Final = b"MN\r\n"
# Which some versions tell of a key that was to be deleted quietly, and others do not.
_ABSENT: Final = b"NF"
# Of refusals of so many stores as are sent at once.
_LONGEST: Final = 64 * 1024


def head(size: int, exptime: int) -> bytes:
    """Return what stands between the key and the value of a quiet store, behind :data:`NAME`."""
    return b" %d T%d q\r\n" % (size, exptime)


def store(link: Link, commands: bytes) -> bool:
    """Send quiet stores; return whether all were done.

    :raises CommandFailed: no whole reply came; the connection is closed.
    """
    try:
        done = link.exchange(commands + _LAST, _take, changes=True, proof=_prove)
    except NotProven:
        return False
    if not done:
        # What refuses some, being full perhaps, refuses the next ones: to ask twice is in vain.
        link.doubt()
    return done


def _prove(connection: socket.socket) -> None:
    connection.sendall(PROOF)
    lines, rest = take_lines(connection, receive(connection), 1, _line)
    if lines == [_ABSENT]:
        lines, rest = take_lines(connection, rest or receive(connection), 1, _line)
    if lines != [_END[:-2]] or rest:
        raise ValueError("no proof")


def _line(line: bytes) -> bytes:
    return line


def _take(connection: socket.socket, data: bytes) -> bool:
    while not data.endswith(_END):
        if len(data) > _LONGEST:
            raise ValueError("an answer that never ends")
        data += receive(connection)
    if not data.endswith(b"\r\n" + _END) and data != _END:
        raise ValueError("no reply to stores")
    return data == _END
