"""What was read before, read again: a reply that is as it was is compared, and not taken apart.

The server's whole reply is compared with the one that the values known make, byte for byte. So
it is as sure as reading them, whatever is between, and needs no number of the server's.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterable, Mapping
from typing import Final

from backends.memcached.link import Link, receive
from backends.memcached.reader import Read, take_values

_END: Final = (b"END\r\n",)

# What the server says of each key, in pieces: nothing of one that is absent.
Known = Mapping[bytes, tuple[bytes, ...]]


def known_of(values: Mapping[bytes, bytes | None]) -> Known:
    """Return what the server says of keys with these values; ``None`` is absence.

    Values have no flags: what another program stored with some is never as it was.
    """
    return {
        key: () if value is None else (b"VALUE %b 0 %d\r\n" % (key, len(value)), value, b"\r\n")
        for key, value in values.items()
    }


def joined(several: Iterable[Known]) -> Known | None:
    """Return what is known of all keys; ``None`` if two say different things of one."""
    together: dict[bytes, tuple[bytes, ...]] = {}
    for known in several:
        for key, said in known.items():
            if together.setdefault(key, said) != said:
                return None
    return together


def compare_many(link: Link, known: Known) -> Read | None:
    """Return the values of those keys that the server has; ``None``: all of it is as is known.

    :raises CommandFailed: as of :func:`~backends.memcached.reader.read_many`.
    """
    expected = b"".join(itertools.chain(*known.values(), _END))

    def take(connection: socket.socket, data: bytes) -> Read | None:
        at = 0
        # A reply that begins so and is shorter has not ended: it would say END where this does not.
        while expected.startswith(data, at):
            at += len(data)
            if at == len(expected):
                return None
            data = receive(connection)
        found, _ = take_values(connection, expected[:at] + data, set(known))
        return found

    return link.exchange(b"get %b\r\n" % b" ".join(known), take)
