"""``cacheapi export``: every entry of a service, as lines of a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from backends.base import Backend
from backends.capabilities import Capability
from backends.errors import BackendError, NotRead, Unsupported, WrongType
from cacheapi.amounts import counted
from cacheapi.caching.reading import MAX_PAGE
from cacheapi.caching.service import CacheService
from cacheapi.caching.tags import Tagged
from cacheapi.commands import completing, dump
from cacheapi.commands.checkpoint import Checkpoint
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.here import service
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit, note
from cacheapi.commands.progress import bar
from cacheapi.observing.statistics import figures_of

# What is read at once; of large values it is fewer, so that they fit into memory.
MOST_KEYS: Final = 500
MOST_BYTES: Final = 16 * 1024 * 1024


@click.command("export")
@click.argument("file", type=completing.FILE)
@of_service
@click.option("--prefix", default="", metavar="TEXT", help="Only the keys that start so.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted export ended.")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@as_json
def export(file: str, name: str, prefix: str, resume: bool, overwrite: bool, as_json: bool) -> None:
    r"""Write the entries of a service to FILE, "-" for stdout.

    One line of JSON each: the key, the exact bytes of the value, and how long it has left.
    Any service can import it. memcached cannot list its keys, and so cannot be exported.

    How far it is stands in FILE.checkpoint until the end: whatever stops it, --resume goes
    on from there. What changes meanwhile may be in the file as it was or as it is.

    \b
    Examples:
      cacheapi export cache.ndjson
      cacheapi export cache.ndjson --resume
      cacheapi export - --service sessions --prefix user: | gzip > users.ndjson.gz
    """
    if file == "-" and (resume or overwrite or as_json):
        raise click.UsageError("stdout cannot be resumed, overwritten, or shared with --json.")
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other.")
    with service(name) as cache, ExitStack() as stack:
        _check_abilities(cache.backend)
        if file == "-":
            made = _Export(cache, prefix, sys.stdout.buffer, Checkpoint(None, {}))
        else:
            path = Path(file)
            about = {"service": cache.name, "type": cache.type, "prefix": prefix}
            checkpoint = Checkpoint(path.with_name(f"{path.name}.checkpoint"), about)
            state = _state(path, checkpoint) if resume else {}
            opened = stack.enter_context(_open(path, state, overwrite=overwrite))
            made = _Export(cache, prefix, opened, checkpoint, state)
        try:
            made.run()
        except BaseException:
            if file != "-":
                done = counted(made.entries, "entry is", "entries are")
                note(f"{done} in {file!r}; go on with the same command and --resume.")
            raise
    if as_json:
        emit({"file": file, "entries": made.entries})
    else:
        note(f"Exported {counted(made.entries, 'entry', 'entries')}.")


def _check_abilities(backend: Backend) -> None:
    for ability in (Capability.LIST_KEYS, Capability.REMAINING_TTL):
        if ability not in backend.capabilities:
            raise Failure(
                f"{Unsupported(backend.label, ability)} What is on a file or on Redis can be "
                "exported.",
                Exit.USAGE,
            )


def _state(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return how far the export to a file came.

    :raises Failure: there is nothing to go on from.
    """
    state = checkpoint.read()
    if not state:
        done = " It is a whole export already." if path.exists() else ""
        raise Failure(f"There is no checkpoint of {str(path)!r}.{done}", Exit.USAGE)
    if not path.exists() or path.stat().st_size < state["offset"]:
        raise Failure(f"{str(path)!r} is shorter than it was; export anew with --overwrite.")
    return state


def _open(path: Path, state: dict[str, Any], *, overwrite: bool) -> BinaryIO:
    """Open the file where the export goes on, readable by its owner only.

    :raises Failure: it is there already.
    """
    flags = os.O_WRONLY | os.O_CREAT
    if not state:
        flags |= os.O_TRUNC if overwrite else os.O_EXCL
    try:
        opened = os.fdopen(os.open(path, flags, 0o600), "wb")
    except FileExistsError:
        raise Failure(
            f"{str(path)!r} exists; say --resume to go on with it, or --overwrite.", Exit.USAGE
        ) from None
    offset = state.get("offset", 0)
    opened.truncate(offset)
    opened.seek(offset)
    return opened


class _Export:
    """An export under way."""

    def __init__(
        self,
        cache: CacheService,
        prefix: str,
        file: BinaryIO,
        checkpoint: Checkpoint,
        state: dict[str, Any] | None = None,
    ) -> None:
        state = state or {}
        self._cache = cache
        self._prefix = prefix
        self._file = file
        self._checkpoint = checkpoint
        self._cursor: str | None = state.get("cursor")
        self._offset: int = state.get("offset", 0)
        self.entries: int = state.get("entries", 0)

    def run(self) -> None:
        """Write what is left to write, and the end."""
        if not self._offset:
            self._write(dump.header(self._cache.name, self._cache.type, self._prefix))
            self._keep()
        with bar("Exporting", self._about()) as move:
            last = False
            while not last:
                last = self._page()
                move(self.entries, self.entries)
        self._write(dump.end(self.entries))
        self._file.flush()
        self._checkpoint.remove()

    def _about(self) -> int | None:
        """Return how many entries there may be: servers count those of others too."""
        if self._prefix or self._cache.backend.prefix:
            return None
        if Capability.STATS not in self._cache.backend.capabilities:
            return None
        return figures_of(self._cache.backend).curr_items

    def _page(self) -> bool:
        """Write a page of entries; return whether it was the last."""
        keys, following = self._cache.list_keys(self._prefix, MAX_PAGE, self._cursor)
        entries = 0
        for line in _lines(self._cache, keys):
            self._write(line)
            entries += 1
        self._cursor = following
        self.entries += entries
        if following is None:
            return True
        self._keep()
        return False

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._offset += len(line)

    def _keep(self) -> None:
        # The checkpoint is never ahead of the file.
        self._file.flush()
        self._checkpoint.write(
            {"cursor": self._cursor, "offset": self._offset, "entries": self.entries}
        )


def _values(found: Mapping[str, bytes | BackendError]) -> dict[str, bytes]:
    """Return the values; what another program stored as something else is not exported."""
    for error in found.values():
        if isinstance(error, BackendError) and not isinstance(error, WrongType | NotRead):
            raise error
    return {key: value for key, value in found.items() if isinstance(value, bytes)}


def _lines(cache: CacheService, keys: list[str]) -> Iterator[bytes]:
    """Yield the lines of those keys that are still there."""
    most = MOST_KEYS
    while keys:
        some, keys = keys[:most], keys[most:]
        found = cache.entries.get_each(some, MOST_BYTES)
        keys = [*(key for key in some if isinstance(found.get(key), NotRead)), *keys]
        values = _values(found)
        now = time.time()
        left = cache.remaining_ttl_many(list(values))
        for key, value in values.items():
            if key in left:
                tags = value.names if isinstance(value, Tagged) else ()
                yield dump.write(key, value, left[key], now, tags)
        size = sum(map(len, values.values()))
        most = max(1, most // 4) if size > MOST_BYTES else min(MOST_KEYS, most * 2)
