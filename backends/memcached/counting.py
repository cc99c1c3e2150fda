"""Counts, and values that are read behind them, in one trip to a memcached.

A server answers in the order in which it was asked, so what became of each count is known however
much of the values is read. Only counts on keys that nobody else writes are sent like this: what
others may have written has to be looked at before.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Sequence
from typing import Any, Final

from backends.errors import NotRead
from backends.memcached.link import Link, take_lines
from backends.memcached.reader import Read, take_values
from backends.memcached.stores import COUNT, Change, meaning

# What is counted, and the values; the replies to the counts fit into the buffers of both sides.
Counted = tuple[list[Any], Read]

_meaning: Final = functools.partial(meaning, kind=COUNT)


def counting(key: bytes, delta: int) -> Change:
    """Return the change that counts on a number that is there."""
    name = b"incr" if delta >= 0 else b"decr"
    return key, b"%b %b %d\r\n" % (name, key, abs(delta)), COUNT


def count_and_read_many(
    link: Link, counts: Sequence[Change], keys: Sequence[bytes], most: float
) -> Counted:
    """Count; return what each count was answered, and the values of the keys behind them.

    :param counts: of :func:`counting`, some dozens at most, with plain keys.
    :param keys: different ones, plain as well.
    :param most: as of :func:`~backends.memcached.reader.read_many`.
    :raises CommandFailed: a reply was another; the connection is closed. Each may have been done.
    """
    left: set[bytes] = set()

    def take(connection: socket.socket, data: bytes) -> Counted:
        nonlocal left
        replies, data = take_lines(connection, data, len(counts), _meaning)
        read, left = take_values(connection, data, set(keys), most)
        return replies, read

    commands = [command for _, command, _ in counts]
    commands.append(b"get %b\r\n" % b" ".join(keys))
    replies, read = link.exchange(b"".join(commands), take, changes=True)
    if left:
        link.close()
        read.update((key, NotRead()) for key in left)
    return replies, read
