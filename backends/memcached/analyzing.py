"""What fills a memcached, from its LRU crawler: ``lru_crawler metadump``.

It tells operators key, lifetime and size of every entry, though clients cannot list keys. A
dump in the order of the hash table is a random sample wherever it is cut off; servers that do
not have that order dump class by class. A server does one crawl at a time.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Final
from urllib.parse import unquote_to_bytes

from backends.capabilities import Capability
from backends.errors import BackendError, Failed, NotNow, Unsupported
from backends.memcached.errors import READ_FAILURE, TIMEOUT, CommandFailed, failure
from backends.memcached.expiry import remaining
from backends.memcached.link import READ_SIZE
from backends.memcached.opening import Opening
from backends.portions import Measured, Portion, name_of
from backends.statistics import ServerStatistics

# Of one portion.
LINES: Final = 1000
# A key of 250 bytes, each as three characters, and the rest of its line.
LONGEST_LINE: Final = 2048
# The server crawls by itself now and then, which takes it milliseconds.
ATTEMPTS: Final = 10
PAUSE_SECONDS: Final = 0.1
BY_CLASSES: Final = (
    "The server is too old to dump its entries in random order, so what was looked at, of "
    "different sizes about as many each, may not be typical of all."
)
_BUSY: Final = b"BUSY"
_NO_SUCH_ORDER: Final = (b"BADCLASS", b"CLIENT_ERROR")
_REFUSALS: Final = (_BUSY, b"BADCLASS", b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR", b"NOSPARE")


class _Busy(Exception):
    """The server crawls for somebody else."""


class Dump:
    """The dump of one server.

    :param place: the server, as a message names it.
    :param held: how many entries it has.
    """

    def __init__(self, address: str, held: int, opening: Opening, timeout: float) -> None:
        self.place = f"memcached at {address}"
        self.held = held
        self.quota: float = math.inf
        self.seen = 0
        self.is_random = True
        self.done = False
        self._address, self._opening, self._timeout = address, opening, timeout

    def lines(self) -> Iterator[list[bytes]]:
        """Yield some lines after the other; ``done`` says whether all came.

        :raises BackendError: it cannot be had.
        """
        try:
            for attempt in range(ATTEMPTS):
                try:
                    yield from self._dump(b"hash" if self.is_random else b"all")
                except _Busy:
                    time.sleep(PAUSE_SECONDS * (attempt + 1))
                else:
                    return
        except CommandFailed as error:
            raise failure(error, self.place, sent=False) from error
        except TimeoutError as error:
            raise failure(CommandFailed(TIMEOUT), self.place, sent=False) from error
        except (OSError, ValueError) as error:
            raise failure(CommandFailed(READ_FAILURE), self.place, sent=False) from error
        raise NotNow(f"{self.place} crawls for somebody else all the time; try again later.")

    def _dump(self, order: bytes) -> Iterator[list[bytes]]:
        with closing(self._opening.connect(self._address, self._timeout)) as connection:
            connection.settimeout(self._timeout)
            self._opening.begin(connection, self._timeout)
            connection.sendall(b"lru_crawler metadump %b\r\n" % order)
            found: list[bytes] = []
            for line in _lines(connection):
                if line == b"END":
                    self.done = True
                    break
                if not line.startswith(b"key="):
                    if self._refused(line):
                        yield from self._dump(b"all")
                        return
                    continue
                found.append(line)
                self.seen += 1
                if len(found) == LINES:
                    yield found
                    found = []
                if self.seen >= self.quota:
                    break
            if found:
                yield found

    def _refused(self, line: bytes) -> bool:
        """Return whether another order may be had; raise for what else is no entry."""
        if not line.startswith(_REFUSALS):
            # An empty line is nothing.
            if line:
                raise ValueError("no reply to metadump")
            return False
        if line.startswith(_BUSY):
            raise _Busy
        if self.is_random and line.startswith(_NO_SUCH_ORDER):
            self.is_random = False
            return True
        said = line[:100].decode("ascii", "replace").strip()
        raise Unsupported(
            self.place,
            Capability.ANALYZE,
            f"it answers {said!r}; memcached's -X and -o no_lru_crawler forbid it",
        )


def _lines(connection: socket.socket) -> Iterator[bytes]:
    data = b""
    while True:
        part = connection.recv(READ_SIZE)
        if not part:
            raise ConnectionError("closed by the server")
        *lines, data = (data + part).split(b"\n")
        if len(data) > LONGEST_LINE:
            raise ValueError("a line that never ends")
        for line in lines:
            yield line.rstrip(b"\r")


def portions(
    servers: Sequence[ServerStatistics],
    opening: Opening,
    timeout: float,
    prefix: bytes,
    most: int,
    clock: Callable[[], float] = time.time,
) -> Iterator[Portion]:
    """Yield what the servers have under a prefix; the size is that of the whole item.

    A server that fails is left out, and a note says so; all of them fail as the first does.

    :param servers: as their statistics tell of them.
    :param timeout: bound on connecting and on each wait, in seconds.
    :param most: about how many entries are looked at.
    :raises BackendError: nothing could be looked at.
    """
    notes = [f"Not looked at: {each.error}" for each in servers if each.figures is None]
    dumps = [
        Dump(each.server, each.figures.curr_items or 0, opening, timeout)
        for each in servers
        if each.figures is not None
    ]
    if not dumps:
        raise Failed(servers[0].error or "", servers[0].cause)
    held = sum(dump.held for dump in dumps)
    if held > most:
        for dump in dumps:
            dump.quota = math.ceil(most * dump.held / held)
    failures: list[BackendError] = []
    running = [(dump, dump.lines()) for dump in dumps]
    while running:
        for dump, lines in list(running):
            try:
                some = next(lines, None)
            except BackendError as error:
                failures.append(error)
                if len(failures) == len(dumps):
                    raise
                notes.append(f"Not looked at to the end: {error}")
                some = None
            if some is None:
                running.remove((dump, lines))
                continue
            entries = [each for line in some if (each := _measured(line, prefix, clock()))]
            yield Portion(entries, len(some), held, notes=tuple(notes))
    whole = len(dumps) == len(servers) and all(dump.done for dump in dumps)
    if not whole and not all(dump.is_random for dump in dumps):
        notes.append(BY_CLASSES)
    yield Portion([], 0, held, whole, tuple(notes))


def _measured(line: bytes, prefix: bytes, now: float) -> Measured | None:
    """Return what a line tells of an entry that is of this prefix, and lives.

    :raises ValueError: the line is none.
    """
    fields = dict(field.partition(b"=")[::2] for field in line.split(b" "))
    stored = unquote_to_bytes(fields[b"key"])
    expires = int(fields.get(b"exp", b"-1"))
    left = None if expires < 0 else expires - now
    if not stored.startswith(prefix) or (left is not None and left <= 0):
        return None
    ttl = None if left is None else remaining(int(left))
    return Measured(name_of(stored, len(prefix)), int(fields.get(b"size", b"0")), ttl)
