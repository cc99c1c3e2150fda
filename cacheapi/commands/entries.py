"""``cacheapi get`` and ``set``: the values of a service."""

from __future__ import annotations

import json
import shlex
import sys
import time
from base64 import b64decode
from typing import Final

import click

from backends.base import MISSING
from cacheapi.caching.codec import InvalidJson, Value, encode, entry_text, string_text
from cacheapi.caching.documents import parse_document
from cacheapi.caching.pairs import KeyExists, Pair, TaggedPair
from cacheapi.caching.service import CacheService
from cacheapi.caching.tags import InvalidTags, check_tags
from cacheapi.caching.ttl import is_over
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.lifetimes import HELP, Lifetime, over_text
from cacheapi.commands.misspelt import NegativeNumbers
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit, emit_text, for_terminal, note, printable
from cacheapi.commands.session import Cache, cache

_WHITE_SPACE: Final = " \t\n\r"


@click.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY…")
@of_service
@click.option("--text", is_flag=True, help="Print a string without its quotes and escapes.")
@click.option("--raw", is_flag=True, help="Write the stored bytes of one key, and nothing else.")
@as_json
def get(keys: tuple[str, ...], name: str, text: bool, raw: bool, as_json: bool) -> int:
    r"""Print the values of keys, as JSON.

    Several values are lines of a key, a tab and a value. A key that is not there is told on
    stderr, and the exit code is 1 then.

    \b
    Examples:
      cacheapi get user:1
      cacheapi get --service sessions --json cart:1 cart:2
      cacheapi get --raw thumbnail > thumbnail.png
    """
    if raw and (as_json or text or len(keys) > 1):
        raise click.UsageError("--raw is for one key, without --json or --text.")
    with cache(name) as target:
        for key in keys:
            target.check_key(key)
        if raw:
            click.echo(_stored(target, keys[0]), nl=False)
            return Exit.DONE
        found = target.get_many(keys)
    missing = [key for key in keys if key not in found]
    if as_json:
        _emit_values(keys, found, missing)
    else:
        for key in keys:
            if key in found:
                shown = for_terminal(_plain(found[key]) if text else found[key].json)
                emit_text(shown if len(keys) == 1 else f"{printable(key)}\t{shown}")
    for key in missing:
        note(str(absent(key)))
    return Exit.NO if missing else Exit.DONE


def _stored(target: Cache, key: str) -> bytes:
    """Return the stored bytes of a key.

    :raises Failure: it is not there.
    """
    if isinstance(target, CacheService):
        stored = target.entries.get(key)
        if stored is not MISSING:
            return stored
    elif (value := target.get_many([key]).get(key)) is not None:
        # What the API gives as JSON is stored so, to the letter.
        return b64decode(json.loads(value.json)) if value.encoding else value.json.encode()
    raise absent(key)


def _emit_values(keys: tuple[str, ...], found: dict[str, Value], missing: list[str]) -> None:
    """Print what the API answers; a value's own text goes in as it is."""
    entries = [entry_text(key, found[key]) for key in keys if key in found]
    if len(keys) == 1:
        emit_text(entries[0] if entries else "null")
        return
    emit_text(f'{{"resource":[{",".join(entries)}],"meta":{{"missing":{encode(missing)}}}}}')


def _plain(value: Value) -> str:
    return str(json.loads(value.json)) if value.json.startswith('"') else value.json


def absent(key: str) -> Failure:
    """Return what ends a command whose key is not there."""
    shown = printable(key)
    hint = f" For a pattern: cacheapi keys --match {shlex.quote(shown)}." if "*" in key else ""
    return Failure(f"Key '{shown}' does not exist.{hint}", Exit.NO)


@click.command("set", cls=NegativeNumbers)
@click.argument("key")
@click.argument("value")
@of_service
@click.option("--text", is_flag=True, help="VALUE is a text, and not JSON.")
@click.option(
    "--ttl",
    type=Lifetime(),
    metavar="LIFETIME",
    help=HELP,
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="A tag, by which it can be deleted with others; may be given again.",
)
@click.option("--add", is_flag=True, help="Only if the key is not there yet.")
@click.option("--replace", is_flag=True, help="Only if the key is there already.")
@as_json
def set_(
    key: str,
    value: str,
    name: str,
    text: bool,
    ttl: int | None,
    tags: tuple[str, ...],
    add: bool,
    replace: bool,
    as_json: bool,
) -> None:
    r"""Store a value under a key.

    VALUE is JSON, so a string has quotes of its own; "-" reads it from stdin. With --add or
    --replace the exit code 1 says that nothing was stored.

    \b
    Examples:
      cacheapi set visits 0 --ttl 2h
      cacheapi set greeting --text "Hello, world"
      curl https://api.example/rates | cacheapi set rates - --add
      cacheapi set page:home '"<html>…"' --tag article:7 --tag pages
    """
    if add and replace:
        raise click.UsageError("--add and --replace exclude each other.")
    try:
        tags = check_tags(list(tags))
    except InvalidTags as error:
        raise click.UsageError(f"--tag: {error}") from error
    given = sys.stdin.buffer.read() if value == "-" else _argument_bytes(value)
    stored = _json_text(given, text)
    with cache(name) as target:
        target.check_key(key)
        try:
            how = "add" if add else "replace" if replace else "set"
            _store(target, TaggedPair(key, stored, ttl, tags), how)
        except InvalidJson as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        emit({"key": key, "success": True})
    if is_over(ttl, time.time()):
        note(over_text(key))


def _argument_bytes(value: str) -> bytes:
    # What the shell passed on, also where it is no UTF-8.
    return value.encode(errors="surrogateescape")


def _json_text(given: bytes, is_text: bool) -> str:
    """Return the JSON text of what was given.

    :raises click.UsageError: it has none.
    """
    if is_text:
        try:
            return string_text(given.decode())
        except UnicodeDecodeError as error:
            raise click.UsageError("The value is not UTF-8.") from error
    try:
        parse_document(given)
    except InvalidJson as error:
        fault = str(error).replace("The body", "The value")
        raise click.UsageError(f"{fault} A plain text is stored with --text.") from error
    return given.decode().strip(_WHITE_SPACE)


def _store(target: Cache, pair: TaggedPair, how: str) -> None:
    """Store as ``how`` says.

    :raises Failure: the key is there already, or is not there.
    """
    key, value, ttl = pair
    if how == "add":
        try:
            target.add(key, value, ttl, tags=pair.tags)
        except KeyExists:
            raise Failure(f"Key '{printable(key)}' exists already.", Exit.NO) from None
    elif how == "replace":
        if not target.replace(key, value, ttl, tags=pair.tags):
            raise absent(key)
    else:
        (outcome,) = target.set_many([pair if pair.tags else Pair(*pair)])
        if outcome is not True:
            raise outcome
