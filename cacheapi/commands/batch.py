"""``cacheapi batch``: several different operations, many in one go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import click
import msgspec

from backends.base import MISSING
from cacheapi.amounts import counted
from cacheapi.caching.codec import InvalidJson
from cacheapi.caching.documents import TooManyItems
from cacheapi.caching.service import CacheService
from cacheapi.caching.ttl import is_over
from cacheapi.commands.cache_shapes import Done, Outcomes
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.lifetimes import over_text
from cacheapi.commands.options import as_json, of_service
from cacheapi.commands.output import emit_text, for_terminal, note, quiet
from cacheapi.commands.session import Cache, cache

# Of one request, and of one transaction or round trip.
AT_ONCE: Final = 500

_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_LINES: Final = msgspec.json.Decoder(msgspec.Raw)


class _Lifetime(msgspec.Struct):
    key: str
    ttl: int | None = None


class _Gives(msgspec.Struct):
    """An operation that gives a lifetime; a number that is there keeps its own."""

    set: _Lifetime | None = None
    add: _Lifetime | None = None
    replace: _Lifetime | None = None
    touch: _Lifetime | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    operations: list[msgspec.Raw]


_GIVES: Final = msgspec.json.Decoder(_Gives)
_BODY: Final = msgspec.json.Decoder(_Body)
_OUTCOMES: Final = msgspec.json.Decoder(Outcomes)
_OUTCOME: Final = msgspec.json.Decoder(Done)

# Whether an operation was done, and the JSON about it.
_Told = tuple[bool, str]


@click.command()
@click.argument("file", type=click.File("rb"), default="-", metavar="[FILE]")
@of_service
@as_json
def batch(file: BinaryIO, name: str, as_json: bool) -> int:
    r"""Do several different operations, in order; print what became of each.

    FILE, or stdin, has them as JSON: one a line, or an array of them. There are get, pull,
    exists, set, add, replace, touch, increment and delete, as the API has them. What is printed
    is a line of JSON each. The exit code is 1 where one was not done, and 2 where one is no
    operation: then none of the 500 that it goes with is done, and none after.

    \b
    Examples:
      cacheapi batch changes.jsonl
      echo '{"set": {"key": "a", "value": 1, "tags": ["x"]}}' | cacheapi batch
      cacheapi batch --json <<< '[{"get": "a"}, {"increment": {"key": "n", "by": 2, "initial": 2}}]'
    """
    refused, over = 0, list[str]()
    told: list[str] = []
    # Whether there is such a service is said before anything about the file.
    with cache(name) as target:
        operations = _operations(file.read())
        for start in range(0, len(operations), AT_ONCE):
            some, failure = _perform(target, operations[start : start + AT_ONCE], start)
            for operation, (is_done, text) in zip(operations[start:], some, strict=False):
                refused += not is_done
                if is_done:
                    over += _over(operation)
                if as_json:
                    told.append(text)
                else:
                    emit_text(for_terminal(text))
            if failure is not None:
                _end(told, as_json)
                raise failure
    _end(told, as_json)
    if refused:
        note(f"{refused} of {len(operations)} not done.")
    if over:
        more = f" So it is with {counted(len(over) - 1, 'other operation')}." if over[1:] else ""
        note(f"{over_text(over[0])}{more}")
    return Exit.NO if refused else Exit.DONE


def _end(told: Sequence[str], as_json: bool) -> None:
    if as_json:
        emit_text(f'{{"resource":[{",".join(told)}]}}')


def _over(operation: msgspec.Raw) -> list[str]:
    """Return the key of an operation that gave a lifetime that is past."""
    try:
        found = _GIVES.decode(operation)
    # That of another shape, as by a service elsewhere of another version.
    except msgspec.MsgspecError:
        return []
    given = found.set or found.add or found.replace or found.touch
    if given is None or not is_over(given.ttl, time.time()):
        return []
    return [given.key]


def _operations(given: bytes) -> list[msgspec.Raw]:
    """Return the operations of a file, each as the text that it is.

    :raises click.UsageError: it has none, or is something else.
    """
    text = given.strip()
    try:
        if text.startswith(b"["):
            found = _LIST.decode(text)
        elif text.startswith(b'{"operations"'):
            found = _BODY.decode(text).operations
        else:
            found = list(_by_line(text))
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"The operations are no JSON array: {error}.") from error
    if not found:
        raise click.UsageError("There are no operations: give one a line, or an array of them.")
    return found


def _by_line(text: bytes) -> Iterator[msgspec.Raw]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield _LINES.decode(line)
        except msgspec.MsgspecError as error:
            raise click.UsageError(f"Line {number} is no JSON: {error}.") from error


def _perform(
    target: Cache, operations: Sequence[msgspec.Raw], start: int
) -> tuple[list[_Told], Failure | None]:
    """Do operations; return the outcomes, and why those that follow are not to be tried.

    :param start: how many were before, for a message that counts.
    :raises Failure: one is wrong, and none is done.
    """
    where = f" (Items are counted from the {start} that are done.)" if start else ""
    body = b'{"operations":[' + b",".join(map(bytes, operations)) + b"]}"
    if not isinstance(target, CacheService):
        try:
            return target.operations(body)
        except Failure as error:
            if error.code != Exit.USAGE:
                raise
            raise Failure(f"{error}{where}", Exit.USAGE) from error
    # It takes a while to import, as the whole API.
    from cacheapi.web.errors import ApiError
    from cacheapi.web.large import Turn
    from cacheapi.web.operations import read_operations
    from cacheapi.web.performing import perform, performed_text

    try:
        asked = read_operations(target, body, MISSING, AT_ONCE)
        assert asked is not None
        made = [each.operation for each in asked]
        # What failed is told as the error of the command.
        with quiet(), Turn(may_wait=True) as turn:
            text = performed_text(made, perform(target, made, turn), target.backend.told)
        return _outcomes(text), None
    except (InvalidJson, TooManyItems) as error:
        raise Failure(str(error), Exit.USAGE) from error
    except ApiError as error:
        if error.status != 500:
            raise Failure(f"{error.message}{where}", Exit.USAGE) from error
        return _outcomes(str(error.context)), Failure(target.backend.told(error.message))


def _outcomes(text: str) -> list[_Told]:
    return [
        (_OUTCOME.decode(each)["success"], str(each, "utf-8"))
        for each in _OUTCOMES.decode(text).resource
    ]
