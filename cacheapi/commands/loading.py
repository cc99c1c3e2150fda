"""The entries of an export on their way into a service: some at a time, and what became of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from backends.base import Item, with_flags
from backends.errors import BackendError, InvalidKey, Unavailable, ValueTooLarge
from cacheapi.caching.service import CacheService
from cacheapi.caching.tags import escaped
from cacheapi.commands import dump
from cacheapi.commands.checkpoint import Checkpoint
from cacheapi.commands.failures import Failure
from cacheapi.commands.output import note
from cacheapi.commands.progress import bar

# What is stored and acknowledged at once.
MOST_ITEMS: Final = 500
MOST_BYTES: Final = 4 * 1024 * 1024
# How long a cache that is away is waited for, in seconds, again and again.
PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
# How many refused entries are told by name; all are counted.
TOLD: Final = 20


@dataclasses.dataclass
class State:
    """How far it is: so many bytes and lines, and what became of them."""

    offset: int = 0
    lines: int = 0
    stored: int = 0
    expired: int = 0
    existing: int = 0
    refused: int = 0


class _Batch(NamedTuple):
    """Some entries with the numbers of their lines, and the place behind them."""

    entries: list[tuple[int, dump.Entry]]
    offset: int
    lines: int


class Loading:
    """An import under way.

    :param checkpoint: where it writes how far it is.
    :param keep_existing: leave keys that are there as they are.
    :param restart_ttl: give each entry what it had left at the export, from now on.
    :param state: what a checkpoint has kept; nothing at the beginning.
    """

    def __init__(
        self,
        cache: CacheService,
        checkpoint: Checkpoint,
        keep_existing: bool,
        restart_ttl: bool,
        state: dict[str, Any],
    ) -> None:
        self._backend = cache.entries
        self._check_key = cache.check_key
        # What JSON has where it is stored by a client.
        self._json_flags = cache.values.json_flags
        self._checkpoint = checkpoint
        self._keep_existing = keep_existing
        self._restart_ttl = restart_ttl
        self.state = State(**state)
        # A file of another program has neither a header nor an end.
        self._has_header = self._has_end = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end of the file."""
        return self._has_end or not self._has_header

    def run(self, file: BinaryIO, path: Path | None) -> None:
        """Store what is left to store.

        :param path: of the file, where it has one, and so a size.
        :raises Failure: a line of it is no entry.
        :raises BackendError: the cache is away for long, or has no room.
        """
        if path is not None:
            self._has_header = file.readline().startswith(dump.MARK)
            file.seek(self.state.offset)
        with bar("Importing", None if path is None else path.stat().st_size) as move:
            for batch in self._batches(file):
                self._store(batch.entries)
                self.state.offset, self.state.lines = batch.offset, batch.lines
                self._checkpoint.write(dataclasses.asdict(self.state))
                move(batch.offset, self.state.stored)
        self._checkpoint.remove()

    def _batches(self, file: BinaryIO) -> Iterator[_Batch]:
        """Yield the entries of a file, some at a time.

        :raises Failure: a line is none; what is before it was yielded.
        """
        entries: list[tuple[int, dump.Entry]] = []
        offset, number, size = self.state.offset, self.state.lines, 0
        fault: Failure | None = None
        for line in file:
            if line.startswith(dump.MARK):
                self._has_header = True
                self._has_end = dump.is_end(line)
            elif line.strip():
                try:
                    entries.append((number + 1, dump.read(line)))
                except dump.BadLine as error:
                    # Without its newline it is what an interrupted export left.
                    if line.endswith(b"\n") or not self._has_header:
                        fault = Failure(f"Line {number + 1}: {error}")
                    break
            offset += len(line)
            number += 1
            size += len(line)
            if len(entries) >= MOST_ITEMS or size >= MOST_BYTES:
                yield _Batch(entries, offset, number)
                entries, size = [], 0
        yield _Batch(entries, offset, number)
        if fault is not None:
            raise fault

    def _store(self, entries: list[tuple[int, dump.Entry]]) -> None:
        """Store entries, and wait for a cache that is away for a while.

        :raises BackendError: it did not come back, or has no room.
        """
        waiting = [
            (number, item, entry.tags)
            for number, entry in entries
            if (item := self._item(number, entry))
        ]
        for pause in (*PAUSES, None):
            failed: BackendError | None = None
            again = []
            for one, outcome in zip(waiting, self._outcomes(waiting), strict=True):
                number, item, _ = one
                if isinstance(outcome, Unavailable):
                    failed = failed or outcome
                    again.append(one)
                elif isinstance(outcome, ValueTooLarge):
                    self._refuse(number, item.key, outcome)
                elif isinstance(outcome, BackendError):
                    raise outcome
                elif outcome:
                    self.state.stored += 1
                else:
                    self.state.existing += 1
            if failed is None:
                return
            if pause is None:
                raise failed
            waiting = again
            time.sleep(pause)

    def _outcomes(
        self, waiting: list[tuple[int, Item, tuple[str, ...]]]
    ) -> list[bool | BackendError]:
        items = [item for _, item, _ in waiting]
        if any(tags for _, _, tags in waiting):
            try:
                values = self._backend.give(
                    [item.value for item in items], [tags for _, _, tags in waiting]
                )
            except BackendError as error:
                return [error] * len(items)
            items = [item._replace(value=value) for item, value in zip(items, values, strict=True)]
        if not self._keep_existing:
            return list(self._backend.set_many(items))
        outcomes: list[bool | BackendError] = []
        for item in items:
            try:
                outcomes.append(self._backend.add(*item))
            except BackendError as error:
                outcomes.append(error)
        return outcomes

    def _item(self, number: int, entry: dump.Entry) -> Item | None:
        """Return what to store, if anything."""
        try:
            self._check_key(entry.key)
        except InvalidKey as error:
            self._refuse(number, entry.key, error)
            return None
        ttl = entry.ttl
        if entry.expires is not None and not self._restart_ttl:
            ttl = entry.expires - time.time()
        if ttl is not None and ttl <= 0:
            self.state.expired += 1
            return None
        value = with_flags(entry.value, self._json_flags if entry.is_json else 0)
        return Item(entry.key, value if entry.is_json else escaped(value), ttl)

    def _refuse(self, number: int, key: str, error: BackendError) -> None:
        self.state.refused += 1
        if self.state.refused <= TOLD:
            note(f"Line {number}, key '{key}': {error}")
        if self.state.refused == TOLD:
            note("More refused entries are counted, and not told.")
