"""Values read from one memcached over a connection of our own.

What is asked and answered is said in memcached's protocol.txt, "Retrieval command". A key
is absent only if the server said so, and bytes are what is stored, whatever their flags say.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from backends.base import MISSING, Missing, with_flags
from backends.errors import InvalidKey, NotRead
from backends.memcached.errors import CommandFailed, refusal
from backends.memcached.expiry import EXPIRED
from backends.memcached.link import LONGEST_LINE, Link, receive

T = TypeVar("T")

_FIRST: Final = b"VALUE "
_NEXT: Final = b"\r\nVALUE "
_LAST: Final = b"\r\nEND\r\n"
_END: Final = b"\r\n"
LEAST_MORE: Final = 16 * 1024
# What is larger is not taken as a usual reply, which is copied more often.
USUAL_BYTES: Final = 1024 * 1024


# What was read, by key: a value, or why it was not read.
Read = dict[bytes, bytes | NotRead | InvalidKey]


class Stored(NamedTuple):
    """A value as the server has it.

    :ivar flags: what the program that stored it noted about its type.
    :ivar cas: the unique number of its last store.
    """

    value: bytes
    flags: int
    cas: int


class Taken:
    """What of several keys was taken out of a server, however far that came.

    :ivar known: what each key had, that is known of: a value, nothing, or why it was not asked for.
    :ivar asked: the keys that were sent; of the others nothing was taken.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, bytes | InvalidKey | Missing] = {}
        self.asked: set[bytes] = set()

    def left(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those keys of which nothing is known yet."""
        return [key for key in keys if key not in self.known]


def read_many(link: Link, keys: Sequence[bytes], most: float = math.inf) -> Read:
    """Return the values of those different keys that the server has.

    :param most: once they have more bytes than this together, what else is on its way is left:
        the connection is closed, and the rest is :class:`~backends.errors.NotRead`.
    :raises CommandFailed: the server said no, or the reply was not whole; the connection is
        closed.
    """
    _, read = read_behind(link, b"", _take_nothing, keys, most)
    return read


def read_behind(
    link: Link,
    commands: bytes,
    take: Callable[[socket.socket, bytes], tuple[T, bytes]],
    keys: Sequence[bytes],
    most: float,
) -> tuple[T, Read]:
    """Send commands and then a read, in one trip; return what became of both.

    A server answers in that order, so what became of the commands is known however much of the
    values is read.

    :param commands: they change something; or there are none. The replies to all fit into the
        buffers of both sides.
    :param take: takes those replies from the connection, of which some bytes may have come; returns
        what they mean, and what has come behind them.
    :param keys: different ones.
    :param most: as of :func:`read_many`.
    :raises CommandFailed: as there. The commands may have been done.
    """
    left: set[bytes] = set()

    def take_both(connection: socket.socket, data: bytes) -> tuple[T, Read]:
        nonlocal left
        done, data = take(connection, data)
        found, left = take_values(connection, data, set(keys), most)
        return done, found

    data = b"%bget %b\r\n" % (commands, b" ".join(keys))
    done, read = link.exchange(data, take_both, changes=bool(commands))
    if left:
        link.close()
        read.update((key, NotRead()) for key in left)
    return done, read


def _take_nothing(_: socket.socket, data: bytes) -> tuple[None, bytes]:
    return None, data


def take_values(
    connection: socket.socket, data: bytes, wanted: set[bytes], most: float = math.inf
) -> tuple[Read, set[bytes]]:
    """Take a reply to ``get`` from the connection; return the values in it.

    :param data: what has come of it already.
    :param wanted: the keys that were asked for.
    :param most: as of :func:`read_many`.
    :return: also the keys of which it is not known, since there were enough.
    """
    data = _more(connection, data, most)
    found = _usual(data, wanted)
    if found is not None:
        return found, set()
    parts, left = _reply(connection, data, wanted, 4, most)
    return {**_by_key(parts)}, left


def take_many(link: Link, keys: Sequence[bytes], taken: Taken) -> None:
    """Take the values of those different keys that the server has, and let them expire.

    Each is one step of the server (protocol.txt, "Get And Touch"), so of several who take a value
    at the same time one gets it.

    :param taken: is told of each value, also of those that came before the reply broke off.
    :raises CommandFailed: as of :func:`read_many`; or the server does not know the command.
    """
    wanted = set(keys)
    found: list[tuple[list[bytes], bytes]] = []

    def take(connection: socket.socket, data: bytes) -> None:
        # What is no reply at all is not believed in any part.
        try:
            _reply(connection, data, wanted, 4, found=found)
        except (OSError, CommandFailed):
            taken.known.update(_by_key(found))
            raise

    taken.asked.update(keys)
    link.exchange(b"gat %d %b\r\n" % (EXPIRED, b" ".join(keys)), take, changes=True)
    taken.known.update({**dict.fromkeys(keys, MISSING), **_by_key(found)})


def size_of(read: Mapping[bytes, object]) -> int:
    """Return how many bytes the values have together, of which some may not have been read."""
    return sum([len(value) for value in read.values() if isinstance(value, bytes)])


def read(link: Link, key: bytes) -> Stored | None:
    """Return what the server has under a key, as :func:`read_many` does."""

    def take(connection: socket.socket, data: bytes) -> Stored | None:
        found, _ = _reply(connection, data, {key}, 5)
        for header, value in found:
            return Stored(value, int(header[2]), int(header[4]))
        return None

    return link.exchange(b"gets %b\r\n" % key, take)


def _by_key(found: Sequence[tuple[list[bytes], bytes]]) -> dict[bytes, bytes]:
    return {header[1]: with_flags(value, int(header[2])) for header, value in found}


def _more(connection: socket.socket, data: bytes, most: float) -> bytes:
    """Return what came of a reply to ``get``, with what else comes of it if it seems to be usual.

    :param most: so many bytes, about; what is more may be left.
    """
    # What is little has come whole, or is soon seen to be no reply at all.
    if len(data) < LEAST_MORE or data.endswith(_LAST) or not data.startswith(_FIRST):
        return data
    parts, size, tail = [data], len(data), data[-LONGEST_LINE:]
    while not (tail.endswith(_LAST) or size > most or size > USUAL_BYTES or _refuses(tail)):
        part = receive(connection)
        parts.append(part)
        size += len(part)
        tail = (tail + part)[-LONGEST_LINE:]
    return b"".join(parts)


def _refuses(tail: bytes) -> bool:
    """Return whether a reply may end here, with a line that says no."""
    return tail.endswith(_END) and refusal(tail[:-2].rpartition(_END)[2]) is not None


def _usual(data: bytes, wanted: set[bytes]) -> Read | None:
    """Return the values of a reply to ``get`` that came whole, the quick way.

    It is cut where a value seems to begin. If all sizes are those announced, the cuts are right:
    what a value itself contains would have made the one before it too short.

    :return: ``None`` for any other reply, good or bad.
    """
    if not (data.startswith(_FIRST) and data.endswith(_LAST)):
        return None
    found: Read = {}
    parts = data[len(_FIRST) : -len(_LAST)].split(_NEXT)
    for part in parts:
        header, _, value = part.partition(_END)
        words = header.split(b" ")
        if len(words) != 3:
            return None
        key, flags, size = words
        if not (flags.isdigit() and size.isdigit() and int(size) == len(value)):
            return None
        found[key] = value if flags == b"0" else with_flags(value, int(flags))
    return found if len(found) == len(parts) and found.keys() <= wanted else None


def _reply(
    connection: socket.socket,
    data: bytes,
    wanted: set[bytes],
    parts: int,
    most: float = math.inf,
    found: list[tuple[list[bytes], bytes]] | None = None,
) -> tuple[list[tuple[list[bytes], bytes]], set[bytes]]:
    """Take one reply from the connection; return each header, in its parts, and its value.

    :param data: what has come of it already.
    :param parts: how many a header has.
    :param most: as of :func:`read_many`.
    :param found: is added to as they come, for who wants those of a reply that breaks off.
    :return: also the keys of which it is not known, since there were enough; the rest of the
        reply is then still to come.
    :raises CommandFailed: the server said no.
    :raises ValueError: it is not a reply to these keys.
    :raises OSError: it did not come, or not in time.
    """
    found = [] if found is None else found
    at = size = 0
    while True:
        start = data.find(b"\r\n", at) + 2
        if start < 2:
            if len(data) - at > LONGEST_LINE:
                raise ValueError("a line that never ends")
            data, at = data[at:] + receive(connection), 0
            continue
        line = data[at : start - 2]
        header = line.split(b" ")
        if len(header) != parts or header[0] != b"VALUE":
            if line == b"END" and start == len(data):
                return found, set()
            raise (start == len(data) and refusal(line)) or ValueError("no reply to a read")
        if header[1] not in wanted:
            raise ValueError("no value that was asked for")
        if not (header[2].isdigit() and header[3].isdigit() and header[-1].isdigit()):
            raise ValueError("no numbers where they belong")
        if found and size > most:
            return found, wanted
        size += int(header[3])
        wanted.remove(header[1])
        at = start + int(header[3]) + 2
        if at > len(data):
            data, at = data[start:] + receive(connection, at - len(data)), at - start
            start = 0
        if data[at - 2 : at] != b"\r\n":
            raise ValueError("no end of a value where it was announced")
        found.append((header, data[start : at - 2]))
