"""``cacheapi keys`` and ``delete``: which keys there are, and fewer of them."""

from __future__ import annotations

import fnmatch
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from backends.errors import BackendError, Failed, Unsupported
from cacheapi.amounts import counted
from cacheapi.caching.codec import string_text
from cacheapi.caching.listing import told
from cacheapi.caching.reading import MAX_PAGE
from cacheapi.caching.service import CacheService
from cacheapi.caching.tags import InvalidTags, purged_text, tags_in
from cacheapi.caching.ttl import FOREVER
from cacheapi.commands.entries import absent
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.lifetimes import shown
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit, emit_text, note, printable
from cacheapi.commands.session import Cache, authored, cache, emptied
from cacheapi.registry import contents

# What is kept in memory of a list that is printed as a whole.
_IN_MEMORY: Final = 16 * 1024 * 1024
# What has a meaning in a pattern.
_MAGIC: Final = re.compile(r"[*?\[]")

_HEADINGS: Final = ("LEFT", "VALUE", "KIND", "KEY")
# How wide the columns before the key are; what does not fit makes its page wider.
_WIDTHS: Final = (7, 9, 6)

Page = list[dict[str, Any]]


@click.command()
@click.argument("prefix", default="")
@of_service
@click.option("--prefix", "also_prefix", metavar="TEXT", help="The same as PREFIX.")
@click.option(
    "--match",
    metavar="PATTERN",
    help="Only keys that are so: * is any text, ? any character, [ab] one of some.",
)
@click.option(
    "--details",
    is_flag=True,
    help="With lifetime left, bytes of the value (VALUE) and kind of each.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many keys.")
@click.option("--cursor", metavar="C", help="Go on where a listing with --limit ended.")
@click.option("-0", "null", is_flag=True, help="End each key with a zero byte, for xargs -0.")
@as_json
def keys(
    prefix: str,
    name: str,
    also_prefix: str | None,
    match: str | None,
    details: bool,
    limit: int | None,
    cursor: str | None,
    null: bool,
    as_json: bool,
) -> None:
    r"""List the keys that start with PREFIX, or all.

    memcached cannot list its keys. With --limit, where to go on is told on stderr, or in
    the JSON; with --match it is the number of keys that are looked at.

    \b
    Examples:
      cacheapi keys
      cacheapi keys user: --limit 100 --details
      cacheapi keys --match 'user:*:cart'
      cacheapi keys --service sessions | wc -l
    """
    if null and details:
        raise click.UsageError("-0 is for keys alone, without --details.")
    if also_prefix is not None:
        # As "delete" has it.
        if prefix:
            raise click.UsageError("Give the prefix once: as PREFIX, or with --prefix.")
        prefix = also_prefix
    if match is not None and not prefix:
        # What stands before the first sign of a pattern every such key begins with.
        prefix = _MAGIC.split(match)[0]
    following = None
    with cache(name) as target, tempfile.SpooledTemporaryFile(_IN_MEMORY) as whole:
        comma, is_any = "", False
        widths: tuple[int, ...] = ()
        # Written page by page: a million keys need not fit into memory.
        for page, following in _pages(target, prefix, limit, cursor, details):  # noqa: B007 (the last one's)
            if match is not None:
                page = [one for one in page if fnmatch.fnmatchcase(one["key"], match)]
            is_any = is_any or bool(page)
            if as_json:
                # Printed once it is whole: half a text is no JSON.
                for one in page:
                    whole.write(f"{comma}{_json(one)}".encode())
                    comma = ","
            elif details:
                widths = _print_details(page, widths)
            else:
                found = (one["key"] for one in page)
                text = "".join(f"{key}\0" if null else f"{printable(key)}\n" for key in found)
                click.echo(text.encode(), nl=False)
        if as_json:
            whole.seek(0)
            click.echo(b'{"resource":[', nl=False)
            while part := whole.read(MAX_PAGE * 100):
                click.echo(part, nl=False)
            emit_text(f'],"meta":{{"next":{json.dumps(following)}}}}}')
    if not is_any and match is None and _MAGIC.search(prefix):
        told = repr(printable(prefix))
        note(f"No key begins with {told}; for a pattern, --match {told}.")
    if following is not None and not as_json:
        note(f"There may be more: --cursor {following}")


def _json(one: dict[str, Any]) -> str:
    more = json.dumps({name: value for name, value in one.items() if name != "key"})
    key = f'{{"key":{string_text(one["key"])}'
    return f"{key}}}" if more == "{}" else f"{key},{more[1:]}"


def _print_details(page: Page, before: tuple[int, ...]) -> tuple[int, ...]:
    """Print keys with what is known of them, in columns; return how wide these are.

    :param before: of the page before; empty: this is the first, and has the headings.
    """
    if not page:
        return before
    rows = [] if before else [_HEADINGS]
    rows += [_cells(one) for one in page]
    widths = tuple(
        max(least, *(len(row[at]) for row in rows)) for at, least in enumerate(before or _WIDTHS)
    )
    for left, size, kind, key in rows:
        emit_text(f"{left:<{widths[0]}}  {size:>{widths[1]}}  {kind:<{widths[2]}}  {key}")
    return widths


def _cells(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    left = one.get("ttl", "")
    life = FOREVER if left is None else shown(left) if left != "" else "-"
    size = f"{one['bytes']} B" if "bytes" in one else "-"
    return life, size, one["kind"], printable(one["key"])


def _pages(
    target: Cache, prefix: str, limit: int | None, cursor: str | None, details: bool
) -> Iterator[tuple[Page, str | None]]:
    """Yield pages of keys, as the API has them, each with the cursor of the next."""
    left = sys.maxsize if limit is None else limit
    while left > 0:
        page, cursor = _page(target, prefix, min(left, MAX_PAGE), cursor, details)
        yield page, cursor
        left -= len(page)
        if cursor is None:
            return


def _page(
    target: Cache, prefix: str, limit: int, cursor: str | None, details: bool
) -> tuple[Page, str | None]:
    try:
        if not isinstance(target, CacheService):
            return target.page(prefix, limit, cursor, details=details)
        listed, following = target.list_keys(prefix, limit, cursor)
    except Unsupported as error:
        raise Failure(
            f"{error} 'cacheapi get KEY' asks by name, 'cacheapi analyze' tells what fills it.",
            Exit.USAGE,
        ) from error
    if not details:
        return [{"key": key} for key in listed], following
    found = target.describe_many(listed)
    return [{"key": key, **told(found[key])} for key in listed if key in found], following


@click.command()
@click.argument("keys", nargs=-1, metavar="[KEY…]")
@of_service
@click.option("--prefix", metavar="TEXT", help="Delete every key that starts so, instead.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Delete what has it, instead.")
@as_json
def delete(
    keys: tuple[str, ...], name: str, prefix: str | None, tags: tuple[str, ...], as_json: bool
) -> int:
    r"""Delete keys from a service.

    A key that was not there is told on stderr, and the exit code is 1 then. With --prefix the
    number of deleted keys is told; memcached cannot list its keys, and so has none of that.

    \b
    Examples:
      cacheapi delete user:1
      cacheapi delete --prefix user:42:
      cacheapi delete --tag article:7
      cacheapi keys --match '*:cart' -0 | xargs -0 cacheapi delete
    """
    if bool(keys) + (prefix is not None) + bool(tags) > 1:
        raise click.UsageError("Give keys to delete, --prefix, or --tag: one, and not both.")
    if prefix is not None:
        return _delete_prefix(name, prefix, as_json)
    if tags:
        return _delete_tags(name, tags, as_json)
    if not keys:
        raise click.UsageError("Missing argument 'KEY…', or --prefix, or --tag.")
    with cache(name) as target:
        for key in keys:
            target.check_key(key)
        return _told(keys, target.delete_many(keys), as_json)


def _told(keys: Sequence[str], outcomes: Sequence[bool | BackendError], as_json: bool) -> Exit:
    """Say what became of keys that were to be deleted.

    :raises BackendError: one of them was not.
    """
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
            note(str(absent(key)))
    for outcome in outcomes:
        if isinstance(outcome, Failed) and len(keys) > 1:
            raise Failure(f"{outcome} {contents.left(outcomes.count(True))}")
        if isinstance(outcome, BackendError):
            raise outcome
    return Exit.DONE if all(outcomes) else Exit.NO


def _delete_prefix(name: str, prefix: str, as_json: bool) -> Exit:
    if not prefix:
        raise click.UsageError("The prefix is empty: 'cacheapi flush' deletes every key.")
    gone: list[int] = []
    with authored(name) as (target, author):
        try:
            deleted = contents.delete_prefix(target, prefix, gone.append, author)
        except Unsupported as error:
            raise Failure(
                f"{error} Delete by name ('cacheapi delete KEY…') or by tag (--tag), "
                "which finds what was stored with tags.",
                Exit.USAGE,
            ) from error
        except Failed as error:
            raise Failure(f"{error} {contents.left(sum(gone))}") from error
    if as_json:
        emit({"success": True, "deleted": deleted})
    else:
        hint = " A prefix is taken as it stands: leave out the '*'." if prefix[-1] == "*" else ""
        note(f"Deleted {counted(deleted, 'key')}.{'' if deleted else hint}")
    return Exit.DONE


def _delete_tags(name: str, tags: tuple[str, ...], as_json: bool) -> Exit:
    try:
        wanted = tags_in(tags)
    except InvalidTags as error:
        raise click.UsageError(f"--tag: {error}") from error
    with emptied(name) as (target, author):
        contents.purge(target, wanted, author)
    if as_json:
        emit({"success": True})
    else:
        note(purged_text(wanted))
    return Exit.DONE
