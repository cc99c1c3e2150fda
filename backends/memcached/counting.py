"""Counts, and values that are read behind them, in one trip to a memcached.

Only counts on keys that nobody else writes are sent like this: what others may have written has to
be looked at before.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from backends.memcached.changes import COUNT, Change
from backends.memcached.link import Link, take_lines
from backends.memcached.reader import Read, read_behind
from backends.memcached.stores import meaning

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
    commands = b"".join([command for _, command, _ in counts])
    take = functools.partial(take_lines, count=len(counts), mean=_meaning)
    return read_behind(link, commands, take, keys, most)
