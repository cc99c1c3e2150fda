"""What only memcached's meta commands say, over a connection of our own.

Their replies are in memcached's protocol.txt, "Meta Get": one line, as no value is asked for.
A server counts that as a hit or a miss, which a look is not. "Meta Debug" it counts nowhere.
"""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from backends.base import MISSING, Missing
from backends.memcached.errors import CLIENT_ERROR, NOT_FOUND, READ_FAILURE, CommandFailed, refusal
from backends.memcached.expiry import remaining
from backends.memcached.link import LONGEST_LINE, Link, receive, take_line, take_lines

_ABSENT: Final = (b"EN", b"NF")
_UNKNOWN: Final = b"ERROR"
_FOUND = re.compile(rb"HD t(-1|[0-9]+)(?: [A-Za-z][^ ]*)*")
_LOOKED_AT = re.compile(rb"ME [^ ]+ exp=(-?[0-9]+) .*")
_FOR_EVER: Final = -1
_VERSION = re.compile(rb"VERSION ([0-9]+)\.([0-9]+)\.([0-9]+)")
# Before this, memcached told seconds left as a negative number, so that -1 may be one second.
_TELLS_SECONDS: Final = (1, 6, 24)
# Nothing stands behind the answer to this, whether one line or two came before it.
_LAST: Final = (b"VERSION ", b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")
_SHOWN: Final = b"VERSION "
# What fits into the buffers of both sides, so that the server takes in all that is sent before one
# answer is read; and what an answer to a look has beside the key.
_AT_ONCE: Final = 48 * 1024
_A_LOOK: Final = 160


def look_at_ttl(link: Link, key: bytes) -> int | None:
    """Return what :func:`remaining_ttl` does of a plain key, counted as no read where possible.

    It is counted where the server tells it by no other command, and of a value that stays for ever
    on a server older than 1.6.24.

    :raises CommandFailed: as of that.
    """
    looked, *_, last = link.exchange(_look(key), _take_looked)
    if looked in _ABSENT:
        raise CommandFailed(NOT_FOUND)
    try:
        return _left(looked, last)
    except ValueError:
        return remaining_ttl(link, key)


def look_at_ttl_many(link: Link, keys: Sequence[bytes]) -> dict[bytes, int | Missing | None]:
    """Return what :func:`look_at_ttl` does of plain keys, many in one trip; not none.

    The first goes alone: what does not know the command answers to many of them as it likes.

    :return: by key; those that were not told are left out.
    :raises CommandFailed: no whole reply came; the connection is closed.
    """
    found: dict[bytes, int | Missing | None] = {}
    unsure: list[bytes] = []
    looked, *_, last = link.exchange(_look(keys[0]), _take_looked)
    answers = [(looked, last)]
    if not last.startswith(_SHOWN) or not (looked in _ABSENT or _LOOKED_AT.fullmatch(looked)):
        return found
    for some in _portions(keys[1:]):
        commands = b"".join(map(_look, some))
        answers += link.exchange(commands, functools.partial(_take_many_looked, count=len(some)))
    for key, (looked, last) in zip(keys, answers, strict=True):
        try:
            found[key] = MISSING if looked in _ABSENT else _left(looked, last)
        except ValueError:
            unsure.append(key)
    for some in _portions(unsure):
        commands = b"".join([b"mg %b t\r\n" % key for key in some])
        lines = link.exchange(commands, functools.partial(_take_many, count=len(some)))
        for key, line in zip(some, lines, strict=True):
            told = _FOUND.fullmatch(line)
            if told is not None:
                found[key] = remaining(int(told[1]))
            elif line in _ABSENT:
                found[key] = MISSING
    return found


def _portions(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start = size = 0
    for index, key in enumerate(keys):
        size += len(key) + _A_LOOK
        if size > _AT_ONCE:
            yield keys[start:index]
            start, size = index, len(key) + _A_LOOK
    if start < len(keys):
        yield keys[start:]


def _look(key: bytes) -> bytes:
    return b"me %b\r\nversion\r\n" % key


def _left(looked: bytes, last: bytes) -> int | None:
    """Return the seconds that a value has left, by a look at it; ``None`` for ever.

    :param last: the answer behind it.
    :raises ValueError: it does not tell.
    """
    found = _LOOKED_AT.fullmatch(looked)
    if found is None:
        raise ValueError(looked)
    told = int(found[1])
    if told != _FOR_EVER:
        return remaining(abs(told))
    version = _VERSION.match(last)
    if version is not None and tuple(map(int, version.groups())) >= _TELLS_SECONDS:
        return None
    raise ValueError(looked)


def _take_looked(connection: socket.socket, data: bytes) -> list[bytes]:
    """Take the lines of an answer to ``me``, of which old servers send two, and to ``version``.

    :raises ValueError: there is no such answer.
    :raises OSError: it did not come, or not in time.
    """
    while True:
        *lines, rest = data.split(b"\r\n")
        if len(lines) > 1 and not rest and lines[-1].startswith(_LAST):
            return lines
        if len(data) > 2 * LONGEST_LINE:
            raise ValueError("lines that never end")
        data += receive(connection)


def _take_many_looked(
    connection: socket.socket, data: bytes, count: int
) -> list[tuple[bytes, bytes]]:
    """Take so many answers as :func:`_take_looked` takes one; return the two lines of each.

    :raises ValueError: they are none.
    :raises OSError: they did not come, or not in time.
    """
    most = _AT_ONCE + 2 * LONGEST_LINE
    while not data.endswith(b"\r\n") or _shown(data) < count:
        if len(data) > most:
            raise ValueError("more than was asked for")
        data += receive(connection)
    answers: list[tuple[bytes, bytes]] = []
    looked = b""
    for line in data.split(b"\r\n")[:-1]:
        if line.startswith(_SHOWN):
            answers.append((looked, line))
            looked = b""
        else:
            looked = looked or line
    if looked or len(answers) != count or not all(looked for looked, _ in answers):
        raise ValueError("something else than was asked for")
    return answers


def _shown(data: bytes) -> int:
    return data.count(b"\r\n" + _SHOWN)


def _take_many(connection: socket.socket, data: bytes, count: int) -> list[bytes]:
    lines, rest = take_lines(connection, data, count, bytes)
    if rest:
        raise ValueError("more than was asked for")
    return lines


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
