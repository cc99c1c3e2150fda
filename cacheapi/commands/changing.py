"""``cacheapi touch``, ``ttl`` and ``incr``: what changes, or tells, without a value."""

from __future__ import annotations

import math
import time
from typing import Final

import click

from backends.base import MISSING
from backends.errors import BackendError
from cacheapi.caching.ttl import is_over
from cacheapi.commands.entries import absent
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.lifetimes import HELP, Lifetime, over_text, shown
from cacheapi.commands.misspelt import NegativeNumbers
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit, emit_text, note, printable
from cacheapi.commands.session import Cache, cache

# Of a key whose time is past.
_OVER: Final = "over already"


@click.command()
@click.argument("key")
@of_service
@click.option(
    "--ttl",
    type=Lifetime(),
    metavar="LIFETIME",
    help=HELP,
)
@as_json
def touch(key: str, name: str, ttl: int | None, as_json: bool) -> None:
    r"""Give a key a new lifetime, and leave its value.

    The exit code is 1 where there is no such key.

    \b
    Examples:
      cacheapi touch session:7 --ttl 30m
      cacheapi touch session:7 --ttl forever
    """
    with cache(name) as target:
        target.check_key(key)
        if not target.touch(key, ttl):
            raise absent(key)
        left = None if as_json else _left(target, key)
    if as_json:
        emit({"key": key, "success": True})
    if is_over(ttl, time.time()):
        note(over_text(key))
    if as_json or left == _OVER:
        return
    whose = "a new lifetime" if ttl is not None else "the service's default lifetime"
    note(f"Key '{printable(key)}' has {whose}{f': {left}' if left else ''}.")


def _left(target: Cache, key: str) -> str:
    """Return what a key has left, in words; empty where that is not told.

    What was asked for is done by then, and an API key may write and not read.
    """
    try:
        left = target.remaining_ttl(key)
    except (BackendError, Failure):
        return ""
    # As a Unix time that is past.
    return _OVER if left is MISSING else shown(left)


@click.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY…")
@of_service
@as_json
def ttl(keys: tuple[str, ...], name: str, as_json: bool) -> int:
    r"""Say how long keys have left.

    In words, such as "1h 5m", or "forever"; --json has the seconds, null for ever. Of several
    keys each has its line. A key that is not there is told on stderr, and the exit code is 1
    then.

    \b
    Examples:
      cacheapi ttl session:7
      cacheapi ttl session:7 --json | jq .ttl
    """
    with cache(name) as target:
        for key in keys:
            target.check_key(key)
        lefts = {key: target.remaining_ttl(key) for key in keys}
    found = {key: left for key, left in lefts.items() if left is not MISSING}
    if as_json:
        told = [
            {"key": key, "ttl": None if left is None else math.ceil(left)}
            for key, left in found.items()
        ]
        if len(keys) > 1:
            emit({"resource": told, "meta": {"missing": [key for key in keys if key not in found]}})
        else:
            emit(told[0] if told else None)
    else:
        for key, left in found.items():
            text = shown(left)
            emit_text(text if len(keys) == 1 else f"{printable(key)}\t{text}")
    missing = [key for key in lefts if key not in found]
    for key in missing:
        note(str(absent(key)))
    return Exit.NO if missing else Exit.DONE


@click.command(cls=NegativeNumbers)
@click.argument("key")
@click.argument("number", type=int, default=None, required=False, metavar="[N]")
@of_service
@click.option("--by", type=int, metavar="N", help="The same as N.")
@click.option("--initial", type=int, metavar="N", help="What a key that is not there becomes.")
@click.option(
    "--ttl",
    type=Lifetime(),
    metavar="LIFETIME",
    help=f"With --initial. {HELP}",
)
@as_json
def incr(
    key: str,
    number: int | None,
    name: str,
    by: int | None,
    initial: int | None,
    ttl: int | None,
    as_json: bool,
) -> None:
    r"""Count: add N, or 1, to a stored number, in one atomic step; print the number.

    N may be negative. A key that is not there is an exit code of 1, unless --initial says what
    it becomes. The lifetime of a number that is there stays as it is.

    \b
    Examples:
      cacheapi incr visits
      cacheapi incr stock -3
      cacheapi incr visits --initial 1 --ttl 1d
    """
    if ttl is not None and initial is None:
        raise click.UsageError("--ttl goes with --initial; 'cacheapi touch' changes a lifetime.")
    if by is not None and number is not None:
        raise click.UsageError("Give the number to add once: as N, or with --by.")
    step = next((each for each in (number, by) if each is not None), 1)
    with cache(name) as target:
        target.check_key(key)
        counted = target.increment(key, step, initial, ttl)
        tells = (
            initial is not None
            and counted is not MISSING
            and (not as_json or is_over(ttl, time.time()))
        )
        left = _left(target, key) if tells else ""
    if counted is MISSING:
        raise Failure(f"{absent(key)} With --initial {step} it is made, and begins there.", Exit.NO)
    if as_json:
        emit({"key": key, "value": counted})
    else:
        emit_text(str(counted))
    if left == _OVER and ttl is not None:
        note(over_text(key))
    elif left and not as_json:
        # That of a number that was there is not the one that was given.
        note(f"Lifetime left: {left}.")
