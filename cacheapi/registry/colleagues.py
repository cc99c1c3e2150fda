"""The processes of a machine that serve: a change is in force in all before it is answered.

Each has two files in a directory: a pipe that wakes it, which nobody can write to once it is gone,
and the number of the last change that it has in force. So the answer to a change waits for no
longer than they need, and for a process that hangs no longer than :data:`MOST_SECONDS`.

Where there can be no such files, changes are seen as on other machines: at the next look.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import select
import struct
import threading
import time
from pathlib import Path
from typing import Final

from backends import owned

log = logging.getLogger(__name__)

# What is promised anyway.
MOST_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.002
_NUMBER: Final = struct.Struct("!q")
_PIPE: Final = ".wake"
_SEEN: Final = ".seen"


class Colleagues:
    """What this process and the others say to each other, in a directory that they share.

    :param directory: where; made when the first one begins.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._name = ""
        self._pipe: int | None = None
        self._seen: int | None = None

    def begin(self, number: int) -> None:
        """Become one of them, in a process that is new.

        :param number: of the last change that is in force here.
        """
        # A forked child has those of its parent, who goes on with them.
        self._close()
        name = secrets.token_hex(8)
        draft = self._directory / name
        try:
            owned.folder(self._directory)
            self._seen = owned.opened(self._directory / f"{name}{_SEEN}", os.O_RDWR)
            self.note(number)
            os.mkfifo(draft, 0o600)
            # Open before it has its name: a pipe that nobody reads is a dead one's.
            self._pipe = os.open(draft, os.O_RDWR | os.O_NONBLOCK)
            draft.rename(self._directory / f"{name}{_PIPE}")
        except OSError as error:
            log.info("Changes are seen here within a second, and not at once: %s", error.strerror)
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            self._close()
            return
        self._name = name
        for other in self._others():
            # One that was killed has left its files.
            self._wake(other)

    def end(self) -> None:
        """Be none of them any more."""
        if self._name:
            self._remove(self._name)
        self._close()

    def note(self, number: int) -> None:
        """Let the others know which change is in force here."""
        if self._seen is not None:
            os.pwrite(self._seen, _NUMBER.pack(number), 0)

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Wait until somebody has changed something, or so long."""
        if self._pipe is None:
            stop.wait(seconds)
            return
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        if not stop.is_set() and poll.poll(seconds * 1000):
            with contextlib.suppress(BlockingIOError):
                os.read(self._pipe, 4096)

    def wake(self) -> None:
        """End the wait of this process's own thread."""
        if self._pipe is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._pipe, b"!")

    def tell(self, number: int) -> bool:
        """Wake the others, and wait until all have a change in force; return whether they have.

        :param number: of the change.
        """
        behind = [name for name in self._others() if self._wake(name)]
        deadline = time.monotonic() + MOST_SECONDS
        while behind := [name for name in behind if self._number(name) < number]:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def _others(self) -> list[str]:
        found = [path.stem for path in self._directory.glob(f"*{_PIPE}")]
        return [name for name in found if name != self._name]

    def _wake(self, name: str) -> bool:
        """Wake another one; return whether it is there."""
        try:
            pipe = os.open(self._directory / f"{name}{_PIPE}", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            # It was killed.
            self._remove(name)
            return False
        try:
            with contextlib.suppress(BlockingIOError):
                os.write(pipe, b"!")
        finally:
            os.close(pipe)
        return True

    def _number(self, name: str) -> float:
        try:
            (number,) = _NUMBER.unpack((self._directory / f"{name}{_SEEN}").read_bytes())
        except (OSError, struct.error):
            # It has ended meanwhile.
            return float("inf")
        return float(number)

    def _remove(self, name: str) -> None:
        for ending in (_PIPE, _SEEN):
            with contextlib.suppress(OSError):
                (self._directory / f"{name}{ending}").unlink(missing_ok=True)

    def _close(self) -> None:
        for descriptor in (self._pipe, self._seen):
            if descriptor is not None:
                os.close(descriptor)
        self._pipe = self._seen = None
        self._name = ""
