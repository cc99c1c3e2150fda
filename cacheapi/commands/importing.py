"""``cacheapi import``: the lines of an export into a service."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import click

from backends.base import Item, with_flags
from backends.errors import BackendError, InvalidKey, Unavailable, ValueTooLarge
from cacheapi.amounts import counted
from cacheapi.caching.service import CacheService
from cacheapi.caching.tags import escaped
from cacheapi.commands import completing, dump
from cacheapi.commands.checkpoint import Checkpoint
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.here import authored_service
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit, note
from cacheapi.commands.progress import bar

# What is stored and acknowledged at once.
MOST_ITEMS: Final = 500
MOST_BYTES: Final = 4 * 1024 * 1024
# How long a cache that is away is waited for, in seconds, again and again.
PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
# How many refused entries are told by name; all are counted.
TOLD: Final = 20
# By so much of its beginning a file is known again.
BEGINNING: Final = 4096


@click.command("import")
@click.argument("file", type=completing.FILE)
@of_service
@click.option("--resume", is_flag=True, help="Go on where an interrupted import ended.")
@click.option("--keep-existing", is_flag=True, help="Leave keys that are there as they are.")
@click.option(
    "--restart-ttl",
    is_flag=True,
    help="Give each entry what it had left at the export, from now on. By default it ends "
    "when it would have ended, and what has ended meanwhile is left out.",
)
@click.option(
    "--checkpoint",
    "kept_at",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Where to keep how far it is; by default FILE.NAME.checkpoint.",
)
@as_json
def import_(
    file: str,
    name: str,
    resume: bool,
    keep_existing: bool,
    restart_ttl: bool,
    kept_at: Path | None,
    as_json: bool,
) -> int:
    r"""Store the entries of FILE, "-" for stdin, as 'cacheapi export' writes it.

    Lines that other programs write need a key and a value, and may have a ttl in seconds.
    Existing keys are overwritten. To import twice is the same as to import once.

    An entry that the service cannot take, such as a key with spaces for memcached, is told on
    stderr and left out; the exit code is 1 then, and also where FILE is not a whole export.

    \b
    Examples:
      cacheapi import cache.ndjson
      cacheapi import cache.ndjson --resume
      CACHE_DRIVER=file cacheapi export - | CACHE_DRIVER=redis cacheapi import -
    """
    if file == "-" and (resume or kept_at):
        raise click.UsageError("stdin cannot be resumed.")
    with authored_service(name) as (cache, author), ExitStack() as stack:
        opened, path = sys.stdin.buffer, None
        if file != "-":
            path = Path(file)
            opened = stack.enter_context(path.open("rb"))
            kept_at = kept_at or path.with_name(f"{path.name}.{cache.name}.checkpoint")
        checkpoint = Checkpoint(kept_at, _about(cache, opened, path))
        state = checkpoint.read() if resume else {}
        if resume and not state:
            note("There is no checkpoint; starting at the beginning.")
        made = _Import(cache, checkpoint, keep_existing, restart_ttl, state)
        had = made.state.stored
        try:
            made.run(opened, path)
        except BaseException:
            if path is not None:
                note(
                    f"{made.state.lines} lines are done; go on with the same command and --resume."
                )
            raise
        finally:
            if made.state.stored > had:
                author.imported(made.state.stored - had)
    _tell(made, as_json)
    return Exit.NO if made.state.refused or not made.is_whole else Exit.DONE


def _about(cache: CacheService, file: BinaryIO, path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    beginning = hashlib.sha256(file.read(BEGINNING)).hexdigest()
    file.seek(0)
    return {"service": cache.name, "type": cache.type, "beginning": beginning}


def _tell(made: _Import, as_json: bool) -> None:
    done = made.state
    if as_json:
        counts = dataclasses.asdict(done)
        emit({name: counts[name] for name in counts if name != "offset"} | {"whole": made.is_whole})
    parts = [f"Imported {counted(done.stored, 'entry', 'entries')}"]
    parts += [f"{done.expired} had expired"] * bool(done.expired)
    parts += [f"{done.existing} {_were(done.existing)} there"] * bool(done.existing)
    parts += [f"{done.refused} {_were(done.refused)} refused"] * bool(done.refused)
    if not as_json:
        note(f"{', '.join(parts)}.")
    if not made.is_whole:
        note("The export was interrupted: its last line is missing. Finish it with --resume.")


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


@dataclasses.dataclass
class _State:
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


class _Import:
    """An import under way."""

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
        self.state = _State(**state)
        # A file of another program has neither a header nor an end.
        self._has_header = self._has_end = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing at the end of the file."""
        return self._has_end or not self._has_header

    def run(self, file: BinaryIO, path: Path | None) -> None:
        """Store what is left to store."""
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
