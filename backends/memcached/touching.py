"""Values that are read and given a new lifetime, in one trip to a memcached.

The lifetimes are sent before the read of them all: a server answers in that order, so what became
of each is known however much of the values is read. Only what is answered as usual counts here.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Sequence
from typing import Final

from backends.errors import NotRead
from backends.memcached.errors import refusal
from backends.memcached.link import Link, take_lines
from backends.memcached.reader import Read, take_values
from backends.memcached.stores import TOUCH, Change

_TOUCHED: Final = b"TOUCHED\r\n"


def get_and_touch_many(
    link: Link, touches: Sequence[Change], most: float = math.inf
) -> tuple[list[bool], Read]:
    """Give keys new lifetimes; return whether each was there, and the values of all.

    :param touches: with plain keys, of which some may be equal; the replies to all fit into the
        buffers of both sides.
    :param most: as of :func:`~backends.memcached.reader.read_many`.
    :raises CommandFailed: a reply was another; the connection is closed. Each may have been done.
    """
    keys = list(dict.fromkeys([key for key, _, _ in touches]))
    left: set[bytes] = set()

    def take(connection: socket.socket, data: bytes) -> tuple[list[bool], Read]:
        nonlocal left
        touched, data = _take_touched(connection, data, len(touches))
        read, left = take_values(connection, data, set(keys), most)
        return touched, read

    commands = [command for _, command, _ in touches]
    commands.append(b"get %b\r\n" % b" ".join(keys))
    touched, read = link.exchange(b"".join(commands), take, changes=True)
    if left:
        link.close()
        read.update((key, NotRead()) for key in left)
    return touched, read


def _take_touched(connection: socket.socket, data: bytes, count: int) -> tuple[list[bool], bytes]:
    """Take so many lines; return what they mean, and what has come behind them."""
    usual = _TOUCHED * count
    if data.startswith(usual):
        return [True] * count, data[len(usual) :]
    return take_lines(connection, data, count, _meaning)


def _meaning(line: bytes) -> bool:
    if line not in TOUCH.says:
        raise refusal(line) or ValueError("no reply to a new lifetime")
    return bool(TOUCH.says[line])
