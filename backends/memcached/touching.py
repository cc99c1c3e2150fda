"""Values that are read and given a new lifetime, in one trip to a memcached.

The lifetimes are sent before the read of them all. Only what is answered as usual counts here.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final

from backends.memcached.changes import TOUCH, Change
from backends.memcached.errors import refusal
from backends.memcached.link import Link, take_lines
from backends.memcached.reader import Read, read_behind

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
    commands = b"".join([command for _, command, _ in touches])
    return read_behind(link, commands, partial(_take_touched, count=len(touches)), keys, most)


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
