"""``cacheapi analyze``: what fills a service, by the prefixes of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from cacheapi.amounts import counted, share, size
from cacheapi.caching.service import CacheService
from cacheapi.commands import completing
from cacheapi.commands.lifetimes import shown
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit, emit_text, note, printable, table
from cacheapi.commands.progress import bar
from cacheapi.commands.session import Cache, cache
from cacheapi.observing import analysis
from cacheapi.observing.prefixes import (
    CLASSES,
    DEEPEST,
    DEPTH,
    LONGEST_SEPARATOR,
    SEPARATOR,
)

# More than there can be.
_EVERYTHING: Final = 2**62
_BAR: Final = 20
_CLASS_WORDS: Final = {
    "minute": "≤1m",
    "hour": "≤1h",
    "day": "≤1d",
    "week": "≤7d",
    "longer": ">7d",
    "forever": "forever",
}


@click.command()
@click.argument("named", default="", metavar="[SERVICE]", shell_complete=completing.services)
@of_service
@click.option(
    "--sample",
    type=click.IntRange(1, analysis.MOST),
    default=analysis.USUAL,
    show_default=True,
    metavar="N",
    help="About how many entries are looked at.",
)
@click.option("--all", "whole", is_flag=True, help="Look at all, however long it takes.")
@click.option(
    "--depth",
    type=click.IntRange(1, DEEPEST),
    default=DEPTH,
    show_default=True,
    metavar="N",
    help="How many parts of a key a prefix has at most.",
)
@click.option(
    "--separator",
    default=SEPARATOR,
    show_default=True,
    metavar="TEXT",
    help="What a part of a key ends with.",
)
@as_json
def analyze(
    named: str, name: str, sample: int, whole: bool, depth: int, separator: str, as_json: bool
) -> None:
    r"""Show what fills a service: its entries by the prefixes of their keys.

    Number, bytes, share and lifetimes left of each prefix, and the largest entries. BYTES are
    those of whole entries, with their keys, where 'cacheapi keys --details' has values alone. A key
    a:b:c is of the prefix a:b:*; where there are too many, as with ids, they are told as a:*.
    Of a service that holds more than the sample, a random part is looked at, and the numbers
    are estimates. Between its steps the servers are let alone for as long as a step took.

    \b
    Examples:
      cacheapi analyze
      cacheapi analyze sessions --sample 100000
      cacheapi analyze --depth 1 --json | jq '.prefixes[0]'
    """
    if not 1 <= len(separator) <= LONGEST_SEPARATOR:
        raise click.UsageError(f"--separator must have 1 to {LONGEST_SEPARATOR} characters.")
    with cache(named or name) as target:
        found = _analyze(target, sample, whole, depth, separator)
    if as_json:
        emit(found)
    else:
        _show(found)


def _analyze(target: Cache, sample: int, whole: bool, depth: int, separator: str) -> dict[str, Any]:
    if isinstance(target, CacheService):
        with bar("Looking at", None if whole else sample) as move:
            done = analysis.analyze(
                target,
                _EVERYTHING if whole else sample,
                depth=depth,
                separator=separator,
                moved=lambda looked_at, _: move(looked_at, looked_at),
            )
        return analysis.shown(target, done)
    if whole:
        raise click.UsageError(f"--all is for this machine; with --url up to {analysis.MOST}.")
    with bar("Looking at", sample) as move:
        # Nothing tells how far a service elsewhere is.
        some = min(sample, analysis.FIRST)
        while True:
            told = target.analyze(some, depth, separator)
            move(some, told["looked_at"])
            if some == sample or told["complete"]:
                return told
            some = min(sample, some * analysis.GROWTH)


def _show(found: Mapping[str, Any]) -> None:
    looked_at, about = found["looked_at"], "" if found["complete"] else "about "
    emit_text(
        f"{printable(found['name'])} ({found['type']}): {about}{counted(found['keys'], 'key')}, "
        f"{about}{size(found['bytes'])}"
    )
    if not found["complete"]:
        emit_text(f"Estimated from {looked_at} of {counted(found['held'], 'entry', 'entries')}.")
    # A service of before counts them among the others.
    own = found.get("own")
    if own and own["keys"]:
        emit_text(
            f"Beside these cacheapi keeps {about}{counted(own['keys'], 'entry', 'entries')}, "
            f"{about}{size(own['bytes'])}, for itself: {analysis.OWN}."
        )
    for text in found["notes"]:
        note(text)
    if not found["prefixes"]:
        return
    emit_text("")
    table(
        ("PREFIX", "KEYS", "BYTES", "SHARE", "", "LIFETIMES LEFT"),
        [
            (
                f"{each['prefix']}*",
                each["keys"],
                size(each["bytes"]),
                f"{share(each['share'], 1)}%",
                "#" * round(each["share"] * _BAR),
                _lifetimes(each),
            )
            for each in found["prefixes"]
        ],
    )
    emit_text("")
    table(
        ("LARGEST", "BYTES", "LEFT"),
        [(each["key"], size(each["bytes"]), shown(each["ttl"])) for each in found["largest"]],
    )


def _lifetimes(group: Mapping[str, Any]) -> str:
    """Return how many percent of a group's entries are in each class of lifetimes."""
    return ", ".join(
        f"{_CLASS_WORDS[name]} {share(number / max(1, group['keys']))}%"
        for name in CLASSES
        if (number := group["lifetimes"].get(name))
    )
