"""``cacheapi get``, ``set``, ``delete``, ``keys`` and ``flush``: the entries of a service."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Final

import click

from backends.base import MISSING
from backends.errors import BackendError
from cacheapi.caching.codec import (
    InvalidJson,
    Value,
    encode,
    entry_text,
    parse_document,
    string_text,
)
from cacheapi.caching.service import MAX_PAGE, CacheService, KeyExists, Pair
from cacheapi.caching.ttl import InvalidTtl, parse_ttl
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.output import (
    emit,
    emit_text,
    for_terminal,
    is_interactive,
    note,
    printable,
)
from cacheapi.commands.session import as_json, of_service, service

_WHITE_SPACE: Final = " \t\n\r"


class Lifetime(click.ParamType[int | None]):
    """A ``ttl`` as the API takes it."""

    name = "ttl"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return a valid ``ttl``."""
        try:
            return parse_ttl(value)
        except InvalidTtl as error:
            self.fail(str(error), param, ctx)


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
    with service(name) as cache:
        for key in keys:
            cache.check_key(key)
        if raw:
            stored = cache.backend.get(keys[0])
            if stored is MISSING:
                raise _absent(keys[0])
            click.echo(stored, nl=False)
            return Exit.DONE
        found = cache.get_many(keys)
    missing = [key for key in keys if key not in found]
    if as_json:
        _emit_values(keys, found, missing)
    else:
        for key in keys:
            if key in found:
                shown = for_terminal(_plain(found[key]) if text else found[key].json)
                emit_text(shown if len(keys) == 1 else f"{printable(key)}\t{shown}")
    for key in missing:
        note(str(_absent(key)))
    return Exit.NO if missing else Exit.DONE


def _emit_values(keys: tuple[str, ...], found: dict[str, Value], missing: list[str]) -> None:
    """Print what the API answers; a value's own text goes in as it is."""
    entries = [entry_text(key, found[key]) for key in keys if key in found]
    if len(keys) == 1:
        emit_text(entries[0] if entries else "null")
        return
    emit_text(f'{{"resource":[{",".join(entries)}],"meta":{{"missing":{encode(missing)}}}}}')


def _plain(value: Value) -> str:
    return str(json.loads(value.json)) if value.json.startswith('"') else value.json


def _absent(key: str) -> Failure:
    return Failure(f"Key '{printable(key)}' does not exist.", Exit.NO)


# A negative number is no option.
@click.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("key")
@click.argument("value")
@of_service
@click.option("--text", is_flag=True, help="VALUE is a text, and not JSON.")
@click.option(
    "--ttl",
    type=Lifetime(),
    metavar="N",
    help="Lifetime: seconds, at most 2592000; more is a Unix time; 0 is for ever. "
    "By default the service's own.",
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
    add: bool,
    replace: bool,
    as_json: bool,
) -> None:
    r"""Store a value under a key.

    VALUE is JSON, so a string has quotes of its own; "-" reads it from stdin. With --add or
    --replace the exit code 1 says that nothing was stored.

    \b
    Examples:
      cacheapi set visits 0 --ttl 3600
      cacheapi set greeting --text "Hello, world"
      curl https://api.example/rates | cacheapi set rates - --add
    """
    if add and replace:
        raise click.UsageError("--add and --replace exclude each other.")
    given = sys.stdin.buffer.read() if value == "-" else _argument_bytes(value)
    stored = _json_text(given, text)
    with service(name, makes=True) as cache:
        cache.check_key(key)
        try:
            _store(cache, key, stored, ttl, "add" if add else "replace" if replace else "set")
        except InvalidJson as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        emit({"key": key, "success": True})


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


def _store(cache: CacheService, key: str, value: str, ttl: int | None, how: str) -> None:
    """Store as ``how`` says.

    :raises Failure: the key is there already, or is not there.
    """
    if how == "add":
        try:
            cache.add(key, value, ttl)
        except KeyExists:
            raise Failure(f"Key '{printable(key)}' exists already.", Exit.NO) from None
    elif how == "replace":
        if not cache.replace(key, value, ttl):
            raise _absent(key)
    else:
        (outcome,) = cache.set_many([Pair(key, value, ttl)])
        if outcome is not True:
            raise outcome


@click.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY…")
@of_service
@as_json
def delete(keys: tuple[str, ...], name: str, as_json: bool) -> int:
    r"""Delete keys from a service.

    A key that was not there is told on stderr, and the exit code is 1 then.

    \b
    Examples:
      cacheapi delete user:1
      cacheapi keys -0 user: | xargs -0 cacheapi delete
    """
    with service(name) as cache:
        for key in keys:
            cache.check_key(key)
        outcomes = cache.delete_many(keys)
    if as_json:
        resource = [
            {"key": key, "success": False, "message": str(outcome)}
            if isinstance(outcome, BackendError)
            else {"key": key, "success": outcome}
            for key, outcome in zip(keys, outcomes, strict=True)
        ]
        emit({"resource": resource})
    for key, outcome in zip(keys, outcomes, strict=True):
        if outcome is False:
            note(str(_absent(key)))
    for outcome in outcomes:
        if isinstance(outcome, BackendError):
            raise outcome
    return Exit.DONE if all(outcomes) else Exit.NO


@click.command()
@click.argument("prefix", default="")
@of_service
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many keys.")
@click.option("--cursor", metavar="C", help="Go on where a listing with --limit ended.")
@click.option("-0", "null", is_flag=True, help="End each key with a zero byte, for xargs -0.")
@as_json
def keys(
    prefix: str, name: str, limit: int | None, cursor: str | None, null: bool, as_json: bool
) -> None:
    r"""List the keys that start with PREFIX, or all.

    memcached cannot list its keys. With --limit, where to go on is told on stderr, or in
    the JSON.

    \b
    Examples:
      cacheapi keys
      cacheapi keys user: --limit 100
      cacheapi keys --service sessions | wc -l
    """
    following = None
    with service(name) as cache:
        if as_json:
            click.echo('{"resource":[', nl=False)
        comma = ""
        # Written page by page: a million keys need not fit into memory.
        for page, following in _pages(cache, prefix, limit, cursor):  # noqa: B007 (the last one's)
            if as_json:
                text = ",".join(f'{{"key":{string_text(key)}}}' for key in page)
                text, comma = f"{comma if page else ''}{text}", "," if page else comma
            else:
                text = "".join(f"{key}\0" if null else f"{printable(key)}\n" for key in page)
            click.echo(text.encode(), nl=False)
    if as_json:
        emit_text(f'],"meta":{{"next":{json.dumps(following)}}}}}')
    elif following is not None:
        note(f"There may be more: --cursor {following}")


def _pages(
    cache: CacheService, prefix: str, limit: int | None, cursor: str | None
) -> Iterator[tuple[list[str], str | None]]:
    """Yield pages of keys, each with the cursor of the next."""
    left = sys.maxsize if limit is None else limit
    while left > 0:
        page, cursor = cache.list_keys(prefix, min(left, MAX_PAGE), cursor)
        yield page, cursor
        left -= len(page)
        if cursor is None:
            return


@click.command()
@of_service
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def flush(name: str, yes: bool, as_json: bool) -> None:
    r"""Delete every key of a service.

    Asks first; where nobody can be asked, it needs --yes.

    \b
    Examples:
      cacheapi flush
      cacheapi flush --service sessions --yes
    """
    with service(name) as cache:
        if not yes:
            if not is_interactive():
                raise Failure("Nobody can be asked here; say --yes to flush.", Exit.USAGE)
            click.confirm(f"Delete every key of {cache.name} ({cache.type})?", abort=True, err=True)
        cache.flush()
    if as_json:
        emit({"success": True})
