"""Several keys at once: what a request may ask for, and the texts of its answer."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from marshmallow import Schema, ValidationError

from backends.base import MISSING, Missing
from backends.errors import BackendError, Failed, InvalidKey, NotRead
from cacheapi.caching.codec import InvalidJson, Value, entry_text, string_text
from cacheapi.caching.documents import TooManyItems, parse_document
from cacheapi.caching.pairs import Pair, TaggedPair
from cacheapi.caching.service import CacheService
from cacheapi.slips import did_you_mean
from cacheapi.web.errors import ApiError, answer_to, invalid, listed, note
from cacheapi.web.large import LARGE, Turn
from cacheapi.web.plain import plain_pairs
from cacheapi.web.schemas.cache import PairSchema, validation_details
from cacheapi.web.schemas.operations import OperationSchema
from cacheapi.web.values import BadValue, raw_value_of

# The values of one answer to a request for several keys, in bytes, about.
MAX_ANSWER: Final = 32 * 1024 * 1024

# The member of a body that asks for operations, and what such a body is.
OPERATIONS: Final = "operations"
SHAPE: Final = 'The body must be {"operations": [{"get": …}, {"set": …}, …]}.'
_NAMES: Final = frozenset(OperationSchema().fields)

# What a string of JSON has in another form, and what stands between two keys that succeeded.
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_DONE: Final = '","success":true},{"key":"'


def check_keys(cache: CacheService, keys: Sequence[str], most: int) -> None:
    """Refuse a list of keys that is empty, has more than so many, or a bad one, naming each.

    :raises ApiError: 400.
    :raises TooManyItems: there are more.
    """
    if not keys:
        raise ApiError(400, "The list of keys is empty.")
    if len(keys) > most:
        raise TooManyItems(most)
    try:
        cache.check_keys(keys)
    except InvalidKey:
        raise _bad_keys(cache, keys) from None


def _bad_keys(cache: CacheService, keys: Sequence[str]) -> ApiError:
    details = []
    for index, key in enumerate(keys):
        try:
            cache.check_key(key)
        except InvalidKey as error:
            details.append({"index": index, "field": "key", "message": str(error)})
    first = details[0]
    return ApiError(400, f"Key {first['index']}: {first['message']}", context=listed(details))


def read_many(
    cache: CacheService, keys: Sequence[str], turn: Turn | None = None
) -> dict[str, Value | BackendError]:
    """Return the values of those keys that are there, or what stands in the way of one.

    :param turn: waited for before much is read; ``None``: nobody may be waited for.
    :raises ApiError: 400; they are too much for one answer.
    """
    found: dict[str, Value | BackendError] = {}
    unread = keys
    size = 0
    while unread:
        most = max(0, MAX_ANSWER - size)
        if turn is not None and not turn.is_ours:
            most = min(most, LARGE)
        part = cache.get_each(unread, most)
        found.update(part)
        unread = [key for key, value in part.items() if isinstance(value, NotRead)]
        for key in unread:
            del found[key]
        size += sum([len(value.json) for value in part.values() if isinstance(value, Value)])
        if size > MAX_ANSWER and len(found) > 1:
            raise too_large()
        if turn is not None and not turn.take(size):
            found, part, unread, size = {}, {}, keys, 0
            turn.wait()
    return found


def values_of(keys: Sequence[str], found: Mapping[str, Value | BackendError]) -> dict[str, Value]:
    """Return the values of those keys that are there.

    :raises ApiError: of one it is not known; names it.
    """
    values: dict[str, Value] = {}
    for key in keys:
        value = found.get(key)
        if isinstance(value, BackendError):
            made = answer_to(value)
            made.message = f"Key '{key}': {made.message}"
            if isinstance(value, Failed):
                note(value)
            raise made from value
        if value is not None:
            values[key] = value
    return values


def too_large() -> ApiError:
    """Return the answer to a request for values that are too much for one answer."""
    return ApiError(
        400,
        f"The values of these keys have more than {MAX_ANSWER // (1024 * 1024)} MiB together; ask "
        "for fewer at once.",
    )


def left_text(left: float | None) -> str:
    """Return the seconds that a value has left, in whole ones, as JSON; for ever is null."""
    return "null" if left is None else str(math.ceil(left))


def entries_text(
    keys: Sequence[str],
    found: Mapping[str, Value],
    lefts: Mapping[str, float | None] | None = None,
) -> str:
    """Return the JSON text about the keys asked for: entries, and which are missing.

    :param lefts: the seconds that they have left, if they shall be said.
    :raises ApiError: 400; they are too much for one answer.
    """
    there = [key for key in keys if key in found]
    if len(keys) > 1 and sum([len(found[key].json) for key in there]) > MAX_ANSWER:
        raise too_large()
    if lefts is None and len(there) == len(keys) > 1:
        text = _plain_entries(keys, found)
        if text is not None:
            return text
    if lefts is None:
        texts = [entry_text(key, found[key]) for key in there]
    else:
        texts = [entry_text(key, found[key], left_text(lefts[key])) for key in there]
    missing = ",".join([string_text(key) for key in keys if key not in found])
    # What is large is copied once.
    if texts:
        texts[0] = f'{{"resource":[{texts[0]}'
        texts[-1] = f'{texts[-1]}],"meta":{{"missing":[{missing}]}}}}'
        return ",".join(texts)
    return f'{{"resource":[],"meta":{{"missing":[{missing}]}}}}'


def _plain_entries(keys: Sequence[str], found: Mapping[str, Value]) -> str | None:
    """Return the JSON text about keys that are all there, by one join where nothing needs more."""
    values = [found[key] for key in keys]
    texts = [value.json for value in values if value.encoding is None and not value.flags]
    if len(texts) < len(keys) or _ESCAPED.search("".join(keys)):
        return None
    parts = ['},{"key":"'] * (4 * len(keys))
    parts[0] = '{"resource":[{"key":"'
    parts[1::4] = keys
    parts[2::4] = ['","value":'] * len(keys)
    parts[3::4] = texts
    parts.append('}],"meta":{"missing":[]}}')
    return "".join(parts)


@functools.lru_cache(maxsize=64)
def _schema(check_key: Callable[[str], None]) -> PairSchema:
    # To make one costs as much as to load a pair.
    return PairSchema(check_key, many=True)


def read_pairs(
    cache: CacheService, body: bytes, ttl: int | Missing | None, most: int
) -> Sequence[Pair]:
    """Return the pairs of a body, ``{"resource": […]}`` or one bare pair.

    :param ttl: the lifetime of those that bring none; as :meth:`Query.ttl` gives it.
    :param most: how many there may be.
    :raises ApiError: 400; names bad items, and nothing may be stored.
    :raises TooManyItems: there are more.
    :raises InvalidJson: the body is not JSON that can be stored.
    """
    default = None if ttl is MISSING else ttl
    pairs = plain_pairs(body, cache.check_keys, default, most)
    if pairs is not None:
        write = cache.values.write
        try:
            return (
                pairs
                if cache.values.writes_json
                else [
                    Pair(key, write(text.decode() if isinstance(text, bytes) else text), ttl)
                    for key, text, ttl in pairs
                ]
            )
        except InvalidJson:
            # Which of them has no place in the form of the service's values is told below.
            pass
    return _read_any_pairs(cache, body, default, most)


def _read_any_pairs(cache: CacheService, body: bytes, ttl: int | None, most: int) -> list[Pair]:
    document = items = parse_document(body, most)
    if isinstance(document, dict):
        _check_shape(document)
        items = document.get("resource", [document])
    if not isinstance(items, list):
        raise ApiError(400, 'The body must be {"resource": [{"key": …, "value": …}, …]}.')
    if not items:
        raise ApiError(400, "resource is empty: there is nothing to store.")
    if len(items) > most:
        raise TooManyItems(most)
    if items is document and _is_operation(items[0]):
        raise ApiError(400, SHAPE)
    pairs = []
    loaded, faults = load_items(_schema(cache.backend.check_key), items)
    for index, item in loaded:
        try:
            value = raw_value_of(cache, item)
            pair = Pair(item["key"], value, item.get("ttl", ttl))
            tags = item.get("tags")
            pairs.append(TaggedPair(*pair, tags) if tags else pair)
        except BadValue as error:
            faults.append({"index": index, **error.told})
    if faults:
        raise invalid_items(faults)
    return pairs


def _check_shape(document: Mapping[str, Any]) -> None:
    """Refuse an object that is neither pairs nor operations, and cannot have been meant as one.

    :raises ApiError: 400.
    """
    for name in ("resource", OPERATIONS):
        if name in document and len(document) > 1:
            raise ApiError(400, f"Beside {name} the body may have no other member.")
    known = ("resource", OPERATIONS, "key", "value")
    if document.keys().isdisjoint(known):
        hint = did_you_mean(next(iter(document), ""), known)
        raise ApiError(
            400,
            'The body must be {"resource": [{"key": …, "value": …}, …]}, one pair '
            '{"key": …, "value": …}, or {"operations": [{"get": …}, {"set": …}, …]}.' + hint,
        )


def _is_operation(item: Any) -> bool:
    """Return whether what should be a pair was meant as an operation."""
    return isinstance(item, dict) and len(item) == 1 and not item.keys().isdisjoint(_NAMES)


def load_items(
    schema: Schema, items: Sequence[Any]
) -> tuple[list[tuple[int, dict[str, Any]]], list[dict[str, Any]]]:
    """Return those items that a schema of many takes, with their indexes, and what is wrong.

    So what else is wrong with the others can be told with it.
    """
    try:
        return list(enumerate(schema.load(items))), []
    except ValidationError as error:
        faults = validation_details(error.messages)
        bad = {fault["index"] for fault in faults}
        read: Any = error.valid_data
        return [(index, item) for index, item in enumerate(read) if index not in bad], faults


def invalid_items(faults: list[dict[str, Any]]) -> ApiError:
    """Return the answer to items that are wrong, in the order of the request."""
    return invalid(sorted(faults, key=lambda fault: fault["index"]))


def outcomes_text(keys: Sequence[str], outcomes: Sequence[bool | BackendError]) -> str:
    """Return the JSON text about a batch that succeeded.

    :raises ApiError: 500; it did not, and what became of every item.
    """
    failure = None
    if set(map(type, outcomes)) != {bool}:
        failure = next((outcome for outcome in outcomes if isinstance(outcome, BackendError)), None)
    if failure is None:
        if keys and all(outcomes) and not _ESCAPED.search("".join(keys)):
            return f'{{"resource":[{{"key":"{_DONE.join(keys)}","success":true}}]}}'
        texts = [
            f'{{"key":{string_text(key)},"success":{"true" if outcome else "false"}}}'
            for key, outcome in zip(keys, outcomes, strict=True)
        ]
        return f'{{"resource":[{",".join(texts)}]}}'
    resource = [
        {"key": key, "success": False, "message": str(outcome)}
        if isinstance(outcome, BackendError)
        else {"key": key, "success": outcome}
        for key, outcome in zip(keys, outcomes, strict=True)
    ]
    if isinstance(failure, Failed):
        note(failure)
    headers = answer_to(failure).headers
    raise ApiError(500, str(failure), context={"resource": resource}, headers=headers)


def invalid_body(error: ValidationError) -> ApiError:
    """Return the answer to a body that marshmallow refused: each bad member, by item."""
    return invalid(validation_details(error.messages))
