"""Keys that the plain commands cannot carry: with white space or control characters in them.

The meta commands of memcached 1.6 take a key in base64 (protocol.txt, "Meta Commands", the
flag ``b``). It is the same key that another client names over the binary protocol.

What does not know a command takes the value behind it for the next one, which a caller chose. So
a store is sent only after the server has shown, on the same connection, that it knows the flag.
"""

from __future__ import annotations

import math
import re
import socket
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from backends.base import MISSING, with_flags
from backends.errors import InvalidKey, NotRead
from backends.memcached.errors import CommandFailed, refusal
from backends.memcached.expiry import EXPIRED
from backends.memcached.link import LONGEST_LINE, Link, receive, take_line
from backends.memcached.reader import Read, Stored, Taken

T = TypeVar("T")

# A command has room for 250 bytes of base64, which is made of whole groups of three bytes.
LONGEST: Final = 250 // 4 * 3
# So many commands fit into the buffers of both sides: the server takes them in while it waits
# for its replies to be read.
KEYS_AT_ONCE: Final = 100
ODD: Final = re.compile(r"[\x00-\x20\x7f]")
NAME: Final = "white space or control characters"
_ODD_BYTES: Final = bytes(range(0x21)) + b"\x7f"
# Of a key that is never stored, so that nothing goes, and no read is counted; what is answered
# otherwise does not know the flag.
PROOF: Final = b"md %b b\r\n" % b2a_base64(b"cacheapi: probe", newline=False)
_PROVEN: Final = (b"NF", b"HD")
_UNKNOWN: Final = (
    b"ERROR",
    b"CLIENT_ERROR invalid flag",
    b"CLIENT_ERROR invalid or duplicate flag",
)


def has_odd(data: bytes) -> bool:
    """Return whether a key, or several that are joined, has what plain commands cannot carry."""
    return len(data.translate(None, _ODD_BYTES)) < len(data)


def encode(key: bytes) -> bytes:
    """Return a key as it is sent, with the flag that says so."""
    return b2a_base64(key, newline=False) + b" b"


def not_carried() -> InvalidKey:
    """Return what to raise where the server does not take such keys."""
    return InvalidKey(
        f"A key with {NAME} needs memcached 1.6, asked without a proxy between: this server "
        "does not know how such a key is sent."
    )


def refuse_too_long(key: str, prefix: str) -> None:
    """Raise for a key with such characters that is too long to be sent encoded."""
    own, most = len(key.encode()), LONGEST - len(prefix.encode())
    if own > most:
        raise InvalidKey(
            f"The key is {own} bytes long; with {NAME} in it, memcached takes at most {most}."
        )


def is_unknown(line: bytes) -> bool:
    """Return whether a reply says that the command, or its flag, is not known."""
    return line.startswith(_UNKNOWN)


def exchange(link: Link, command: bytes, take: Callable[[socket.socket], T]) -> T:
    """Send commands that change something, after the server has shown that it takes such keys.

    :param take: takes their replies.
    :raises CommandFailed: no whole reply came; ``sent`` says whether of the proof alone.
    :raises InvalidKey: the server does not take such keys; nothing else was sent.
    """
    sent = False

    def go_on(connection: socket.socket, data: bytes) -> T:
        nonlocal sent
        line = take_line(connection, data)
        if line not in _PROVEN:
            raise not_carried() if is_unknown(line) else (refusal(line) or ValueError("no proof"))
        sent = True
        connection.sendall(command)
        return take(connection)

    try:
        return link.exchange(PROOF, go_on, changes=True)
    except CommandFailed as error:
        error.sent = error.sent and sent
        raise


def read_many(link: Link, keys: Sequence[bytes], most: float = math.inf) -> Read:
    """Return the values of those different keys that the server has.

    :param most: as of :func:`backends.memcached.reader.read_many`.
    :raises CommandFailed: as of that.
    :raises InvalidKey: the server does not take such keys.
    """
    read: Read = {}
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        found = _values(link, some, b"v f", most) if most >= 0 else []
        for key, stored in zip(some, found, strict=False):
            if stored is not None:
                read[key] = with_flags(stored.value, stored.flags)
                most -= len(stored.value)
        read.update((key, NotRead()) for key in some[len(found) :])
    return read


def read(link: Link, key: bytes) -> Stored | None:
    """Return what the server has under a key, as :func:`read_many` does."""
    return _values(link, [key], b"v f c")[0]


def take_many(link: Link, keys: Sequence[bytes], taken: Taken) -> None:
    """Take values and let them expire, as :func:`backends.memcached.reader.take_many`.

    :raises InvalidKey: as of :func:`read_many`.
    """
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        found: list[Stored | None] = []
        taken.asked.update(some)
        try:
            _values(link, some, b"v f T%d" % EXPIRED, changes=True, found=found)
        finally:
            for key, stored in zip(some, found, strict=False):
                had = MISSING if stored is None else with_flags(stored.value, stored.flags)
                taken.known[key] = had


def _values(
    link: Link,
    keys: Sequence[bytes],
    flags: bytes,
    most: float = math.inf,
    changes: bool = False,
    found: list[Stored | None] | None = None,
) -> list[Stored | None]:
    """Ask for values, one command each; return them in order, or the first ones if enough.

    :param flags: what is asked for; of it comes back ``f``, and ``c`` if it is there.
    :param found: is added to as they come, for who wants those before a reply that is none.
    """
    found = [] if found is None else found

    def take(connection: socket.socket, data: bytes) -> None:
        size = 0
        for _ in keys:
            if size > most:
                return
            stored, data = _value(connection, data)
            found.append(stored)
            size += 0 if stored is None else len(stored.value)
        if data:
            raise ValueError("more than was asked for")

    def take_all(connection: socket.socket, data: bytes) -> None:
        try:
            take(connection, data)
        except ValueError:
            # What is no reply at all is not believed in any part.
            found.clear()
            raise

    commands = b"".join(b"mg %b %b\r\n" % (encode(key), flags) for key in keys)
    link.exchange(commands, take_all, changes=changes)
    if len(found) < len(keys):
        # The rest is still on its way.
        link.close()
    return found


def _value(connection: socket.socket, data: bytes) -> tuple[Stored | None, bytes]:
    """Take one reply; return it, and what has come behind it."""
    while (end := data.find(b"\r\n")) < 0:
        if len(data) > LONGEST_LINE:
            raise ValueError("a line that never ends")
        data += receive(connection)
    line, data = data[:end], data[end + 2 :]
    if line == b"EN":
        return None, data
    name, *words = line.split(b" ")
    numbers = [word[1:] if index else word for index, word in enumerate(words)]
    if name != b"VA" or len(words) not in (2, 3) or not all(map(bytes.isdigit, numbers)):
        if is_unknown(line):
            raise not_carried()
        raise refusal(line) or ValueError("no reply to a read")
    size = int(numbers[0])
    if len(data) < size + 2:
        data += receive(connection, size + 2 - len(data))
    if data[size : size + 2] != b"\r\n":
        raise ValueError("no end of a value where it was announced")
    cas = int(numbers[2]) if len(numbers) == 3 else 0
    return Stored(data[:size], int(numbers[1]), cas), data[size + 2 :]


def count(link: Link, key: bytes, delta: int) -> bytes:
    """Count; return the reply's line, or the number in it.

    :raises CommandFailed: no whole reply came.
    """

    def take(connection: socket.socket, data: bytes) -> bytes:
        while not data.endswith(b"\r\n") or (data.startswith(b"VA ") and data.count(b"\n") < 2):
            if len(data) > LONGEST_LINE:
                raise ValueError("a line that never ends")
            data += receive(connection)
        first, *rest = data[:-2].split(b"\r\n")
        if first.startswith(b"VA ") and len(rest) == 1 and first[3:] == b"%d" % len(rest[0]):
            return rest[0]
        if rest:
            raise ValueError("more than was asked for")
        return first

    mode = b"" if delta >= 0 else b" MD"
    command = b"ma %b D%d%b v\r\n" % (encode(key), abs(delta), mode)
    return link.exchange(command, take, changes=True)
