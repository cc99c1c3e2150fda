"""``cacheapi import``: the lines of an export into a service."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from cacheapi.amounts import counted
from cacheapi.caching.service import CacheService
from cacheapi.commands import completing
from cacheapi.commands.checkpoint import Checkpoint
from cacheapi.commands.failures import Exit
from cacheapi.commands.here import authored_service
from cacheapi.commands.loading import Loading
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit, note

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
        made = Loading(cache, checkpoint, keep_existing, restart_ttl, state)
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


def _tell(made: Loading, as_json: bool) -> None:
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
