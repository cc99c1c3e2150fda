"""The last failures of the origins, on disk: a small file of lines for each service.

Any process may read it any time, so that each shows what all have met. A line is only ever
appended, or the whole file replaced by a shorter one; one that is damaged is left out.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from backends import owned

# How many are shown.
LATEST: Final = 20
# An origin that is down fails as often as it is asked: one line a second and process.
PAUSE_SECONDS: Final = 1.0
LONGEST_PATH: Final = 200
_MOST_BYTES: Final = 64 * 1024
_SUFFIX: Final = ".troubles"
# The name of an application's Troubles in its "extensions".
TROUBLES: Final = "cacheapi.observing.troubles"


class Trouble(msgspec.Struct, frozen=True, array_like=True):
    """A failure of an origin.

    :ivar time: Unix time.
    :ivar path: at the origin, without its query, which may have secrets.
    :ivar status: the origin's own, or 502 or 504 where it gave no whole answer.
    :ivar more: how many others there were since the one before, in that process.
    """

    time: float
    method: str
    path: str
    status: int
    message: str
    more: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Trouble)


class Troubles:
    """The last failures, by the names of services; for all threads.

    :param directory: made by the first that has something to keep.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # When a process has last kept one, and how many it has left out since.
        self._kept: dict[str, tuple[float, int]] = {}

    def latest(self, name: str) -> list[Trouble]:
        """Return the last :data:`LATEST` of a service, the newest first."""
        try:
            lines = self._file(name).read_bytes().split(b"\n")
        except OSError:
            return []
        found = []
        for line in reversed(lines):
            with contextlib.suppress(msgspec.DecodeError):
                found.append(_decoder.decode(line))
            if len(found) == LATEST:
                break
        return found

    def add(self, name: str, method: str, target: str, status: int, message: str) -> None:
        """Keep one, or count it with the next; one that cannot be kept is lost."""
        now = time.monotonic()
        last, more = self._kept.get(name, (-PAUSE_SECONDS, 0))
        if now - last < PAUSE_SECONDS:
            self._kept[name] = (last, more + 1)
            return
        self._kept[name] = (now, 0)
        path = target.partition("?")[0][:LONGEST_PATH]
        trouble = Trouble(time.time(), method[:LONGEST_PATH], path, status, message, more)
        with contextlib.suppress(OSError):
            owned.folder(self._directory)
            file = self._file(name)
            # A line that a crash has cut short does not take the next with it.
            self._write(file, os.O_APPEND, b"\n" + _encoder.encode(trouble))
            if file.stat().st_size > _MOST_BYTES:
                draft = self._directory / f"{name}.{os.getpid()}.draft"
                lines = [_encoder.encode(each) for each in reversed(self.latest(name))]
                self._write(draft, os.O_TRUNC, b"\n".join(lines))
                draft.replace(file)

    @staticmethod
    def _write(file: Path, flag: int, data: bytes) -> None:
        descriptor = owned.opened(file, os.O_WRONLY | flag)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"
