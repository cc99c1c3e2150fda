"""The answers of the lane: what was taken, and the bytes that it gets, which are Flask's."""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from backends.errors import BackendError, Failed
from cacheapi.caching.codec import Value, entry_text, error_text
from cacheapi.caching.conditions import Condition, NotModified
from cacheapi.caching.service import CacheService, Pair
from cacheapi.web.batch import entries_text, outcomes_text, values_of
from cacheapi.web.errors import CACHE_CONTROL, ApiError, absent, answer_to, note, without_places

_FIELDS: Final = f"cache-control: {CACHE_CONTROL}\r\n"
_SEALED: Final = "x-content-type-options: nosniff\r\n"
_JSON_FIELDS: Final = f"{_FIELDS}content-type: application/json\r\n"


class Sink(Protocol):
    """A connection, as the lane sees it."""

    @property
    def is_full(self) -> bool:
        """Whether what was answered has not left yet."""

    def flush(self) -> None:
        """Send what waits for further answers."""

    def answer(
        self,
        status: int,
        fields: str,
        body: bytes | None,
        keep_alive: bool,
        *,
        is_dated: bool = False,
    ) -> None:
        """Send a response.

        :param fields: its header fields but for ``connection`` and what uvicorn adds.
        :param body: ``None`` for a status that has none.
        :param is_dated: whether the fields have a date already.
        """


class Read(msgspec.Struct):
    """A read that was taken."""

    sink: Sink
    keep_alive: bool
    service: CacheService
    # Whether an error may tell where a cache is.
    sees: bool
    keys: list[str]
    # Where it is for this one alone.
    key: str | None
    # What it demands, where it is for one key.
    condition: Condition | None


class Store(msgspec.Struct):
    """A store that was taken; ``size``: of its body, in bytes."""

    sink: Sink
    keep_alive: bool
    service: CacheService
    # Whether an error may tell where a cache is.
    sees: bool
    pairs: list[Pair]
    size: int


Answered = tuple[int, int]
# The values of a service's keys that are there, or what all who asked for them get.
Found = dict[str, Value | BackendError] | ApiError


def answer_read(read: Read, found: Found) -> Answered:
    """Answer a read; return the status and the size of the body."""
    if isinstance(found, ApiError):
        raise found
    key = read.key
    if key is None:
        return _answer_json(read, 200, entries_text(read.keys, values_of(read.keys, found)))
    value = found.get(key)
    if value is None:
        return answer_error(read, absent(key))
    if not isinstance(value, Value):
        if isinstance(value, Failed):
            note(value)
        raise answer_to(value)
    etag = value.etag
    if read.condition is not None:
        try:
            read.condition.check(etag)
        except NotModified:
            read.sink.answer(304, f'{_FIELDS}etag: "{etag}"\r\n{_SEALED}', None, read.keep_alive)
            return 304, 0
    return _answer_json(read, 200, entry_text(key, value), f'etag: "{etag}"\r\n')


def answer_store(store: Store, outcomes: Any) -> Answered:
    """Answer a store; as :func:`answer_read`."""
    own = [next(outcomes) for _ in store.pairs]
    if own and isinstance(own[0], ApiError):
        raise own[0]
    return _answer_json(store, 201, outcomes_text([pair.key for pair in store.pairs], own))


def answer_error(request: Read | Store, error: ApiError) -> Answered:
    """Answer with an error; as :func:`answer_read`."""
    error = error if request.sees else without_places(error)
    fields = "".join(f"{name.lower()}: {text}\r\n" for name, text in error.headers.items())
    text = error_text(error.status, error.message, error.context)
    return _answer_json(request, error.status, text, fields)


def _answer_json(request: Read | Store, status: int, text: str, more: str = "") -> Answered:
    body = text.encode()
    fields = f"{_JSON_FIELDS}content-length: {len(body)}\r\n{more}{_SEALED}"
    request.sink.answer(status, fields, body, request.keep_alive)
    return status, len(body)
