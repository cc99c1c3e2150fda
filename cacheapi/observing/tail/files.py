"""The files of a machine's processes: requests as they come, and the mark of who watches.

The requests are lines of files with rising numbers. Who writes goes to the next one when a file
is full, and removes all but the one before. A place in them is the number of a file and of bytes:
so no number is taken twice, also where all files were removed between.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from backends import owned

# The directory of the files, in that of the data.
FOLDER: Final = "tail"
# How long somebody is taken to watch on, after the last look.
WATCHED_SECONDS: Final = 10.0
# Of one file, and there are two of them; and what is read of one at a time.
MOST_BYTES: Final = 1024 * 1024
READ_BYTES: Final = 256 * 1024
_MARK: Final = "watched"
# It has the highest number that was taken when nobody watched any more.
_LOCK: Final = "lock"
_DIGITS: Final = 20
_PLACE: Final = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A request that was answered, without anything that a client put into it.

    :ivar time: Unix time of its end.
    :ivar route: the path, with names instead of what stands in it.
    :ivar service: the name of a service that there is; else empty.
    :ivar key: what logs may have of its key; empty: nothing.
    :ivar ms: how long it took.
    :ivar size: bytes of the answer's body.
    :ivar more: how many others that process has left out since the one before.
    """

    time: float
    method: str
    route: str
    service: str
    key: str
    status: int
    ms: float
    size: int
    lane: str
    more: int = 0

    @property
    def fails(self) -> bool:
        """Whether it failed; see :func:`fails`."""
        return fails(self.status, self.service)


class Part(NamedTuple):
    """Some requests, and the place behind them."""

    requests: list[Seen]
    place: str


class BadPlace(ValueError):
    """A text is no place in the files."""


encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Seen)


class TailFiles:
    """The files, in a directory that the processes share.

    :param directory: made by the first that watches.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    # For who watches

    def watch(self) -> None:
        """Let all processes know that somebody watches, for some seconds.

        :raises OSError: they cannot be told.
        """
        owned.folder(self.directory)
        descriptor = owned.opened(self.directory / _MARK, os.O_WRONLY)
        try:
            os.utime(descriptor)
        finally:
            os.close(descriptor)

    def read(self, place: str | None) -> Part:
        """Return what came since a place, the oldest first; a part of it, where it is much.

        :param place: what was returned before; ``None``: from now on.
        :raises BadPlace: it is none.
        """
        found = self._numbers()
        if place is None:
            last = found[-1] if found else 1
            return Part([], f"{last}-{self._size(last)}")
        match = _PLACE.fullmatch(place)
        if match is None:
            raise BadPlace(place)
        number, offset = int(match[1]), int(match[2])
        if number not in found:
            # It was removed, or nothing was written yet, or all was since.
            number, offset = (found[0], 0) if found else (number, 0)
        elif offset > self._size(number):
            # Somebody has removed the whole directory, and another file has this number now.
            offset = 0
        data = self._bytes(number, offset)
        end = data.rfind(b"\n") + 1
        if not end and found and number < found[-1]:
            # Nobody writes to this one any more; what a crash has cut short has no end.
            number, offset = min(each for each in found if each > number), 0
            data = self._bytes(number, offset)
            end = data.rfind(b"\n") + 1
        requests = _requests(data[:end].split(b"\n"))
        return Part(requests, f"{number}-{offset + end}")

    def latest(self, most: int) -> list[Seen]:
        """Return the requests that came last, the newest first."""
        found: list[Seen] = []
        for number in reversed(self._numbers()):
            offset = max(0, self._size(number) - READ_BYTES)
            lines = self._bytes(number, offset).split(b"\n")
            # The first one of a part may be cut.
            found = _requests(lines[1:] if offset else lines) + found
            if len(found) >= most:
                break
        return found[::-1][:most]

    # For the processes

    def is_watched(self) -> bool:
        """Return whether somebody watches."""
        try:
            since = time.time() - (self.directory / _MARK).stat().st_mtime
        except OSError:
            return False
        # A clock that was set back makes nobody watch for ever.
        return abs(since) < WATCHED_SECONDS

    def write(self, requests: Iterable[Seen]) -> None:
        """Add requests.

        :raises OSError: they cannot be kept.
        """
        data = b"".join(encoder.encode(each) + b"\n" for each in requests)
        with owned.locked(self.directory / _LOCK) as lock:
            found = self._numbers()
            number = found[-1] if found else _taken(lock) + 1
            if self._size(number) + len(data) > MOST_BYTES:
                number += 1
            for old in found:
                if old < number - 1:
                    self._file(old).unlink(missing_ok=True)
            descriptor = owned.opened(self._file(number), os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)

    def clear(self) -> None:
        """Remove what nobody watches any more."""
        with contextlib.suppress(OSError), owned.locked(self.directory / _LOCK) as lock:
            found = self._numbers()
            if found and not self.is_watched():
                # First: what a crash leaves is a number too many, and none that comes again.
                os.pwrite(lock, b"%0*d" % (_DIGITS, max(found[-1], _taken(lock))), 0)
                for number in found:
                    self._file(number).unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        names = (path.stem for path in self.directory.glob("*.lines"))
        return sorted(int(name) for name in names if name.isdigit())

    def _file(self, number: int) -> Path:
        return self.directory / f"{number}.lines"

    def _size(self, number: int) -> int:
        try:
            return self._file(number).stat().st_size
        except OSError:
            return 0

    def _bytes(self, number: int, offset: int) -> bytes:
        try:
            with self._file(number).open("rb") as file:
                file.seek(offset)
                return file.read(READ_BYTES)
        except OSError:
            return b""


def _taken(lock: int) -> int:
    """Return the highest number that a file had when all were removed, or 0."""
    written = os.pread(lock, _DIGITS, 0)
    return int(written) if written.isdigit() else 0


def _requests(lines: Iterable[bytes]) -> list[Seen]:
    """Return the requests of lines by time; one that is damaged is left out."""
    found = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):
            found.append(_decoder.decode(line))
    # Each process writes several at once.
    return sorted(found, key=lambda each: each.time)


def fails(status: int, service: str) -> bool:
    """Return whether a request failed; a key that is absent is an answer of the cache."""
    return status >= 400 and not (status == 404 and service)


def shown(seen: Seen) -> dict[str, Any]:
    """Return a request as the API has it."""
    return {
        "time": seen.time,
        "method": seen.method,
        "route": seen.route,
        "service": seen.service,
        "key": seen.key or None,
        "status": seen.status,
        "ms": seen.ms,
        "bytes": seen.size,
        "lane": seen.lane,
    }
