"""The answers of the lane: what was taken, and the bytes that it gets, which are Flask's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from backends.columns import keys_of
from backends.errors import Failed
from backends.operations import Operation
from cacheapi.caching.codec import Value, entry_text, error_text
from cacheapi.caching.conditions import Condition, NotModified
from cacheapi.caching.pairs import Pair
from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Rate
from cacheapi.serving.unsent import Client
from cacheapi.web.batch import entries_text, outcomes_text, values_of
from cacheapi.web.errors import (
    CACHE_CONTROL,
    ApiError,
    absent,
    answer_to,
    in_words,
    note,
    without_places,
)

_FIELDS: Final = f"cache-control: {CACHE_CONTROL}\r\n"
_SEALED: Final = "x-content-type-options: nosniff\r\n"
# So many bytes of a body are to a turn what a key is.
LOAD_BYTES: Final = 128
# What has a size: a value, or its bytes.
SIZED: Final = (Value, bytes)
_JSON_FIELDS: Final = f"{_FIELDS}content-type: application/json\r\n"


class Sink(Protocol):
    """A connection, as the lane sees it."""

    # How many plain reads of it wait for an answer; before them there may be changes.
    reads: int
    # Host and port.
    client: Client

    @property
    def is_full(self) -> bool:
        """Whether what was answered has not left yet."""

    def flush(self) -> None:
        """Send what waits for further answers."""

    def end(self) -> None:
        """Send what waits, and close the connection: nothing more will be answered."""

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


class Request(msgspec.Struct):
    """A request that was taken.

    :ivar method: as the client wrote it.
    :ivar sees: whether an error may tell where a cache is.
    :ivar limit: the name and the limit by which it is yet to be counted.
    :ivar told: header fields that tell where its caller stands.
    :ivar refusal: what it gets instead, for being one too many.
    :ivar outcomes: what became of what it asked for, one a pair or operation, where it is no read.
    """

    sink: Sink
    keep_alive: bool
    service: CacheService
    sees: bool
    limit: tuple[str, Rate] | None
    told: str = ""
    refusal: ApiError | None = None
    method: str = "GET"
    outcomes: Sequence[Any] = ()


class Read(Request, kw_only=True):
    """A plain read.

    :ivar key: where it is for this one alone.
    :ivar condition: what it demands, where it is for one key.
    """

    keys: list[str]
    key: str | None
    condition: Condition | None

    @property
    def load(self) -> int:
        """What it takes of what a turn may."""
        return len(self.keys)


class Store(Request, kw_only=True):
    """A store of pairs; ``size``: of its body, in bytes."""

    pairs: Sequence[Pair]
    size: int
    method: str = "POST"

    @property
    def load(self) -> int:
        """What it takes of what a turn may."""
        return max(len(self.pairs), self.size // LOAD_BYTES)


class Act(Request, kw_only=True):
    """An act that was taken.

    :ivar keys: what it is about.
    :ivar lists: whether they are a list.
    :ivar size: of its body, in bytes.
    :ivar operations: what it takes.
    :ivar finish: answers it, once their outcomes are there.
    :ivar tag: the header field with the tag of what it stores, for who may read that.
    :ivar tells: whether its caller may read what is there when it is done.
    :ivar default: what a read is answered with where its key is absent.
    :ivar reads: whether its key is read.
    :ivar hit: whether that was there, once that is known.
    :ivar brings: whether its key's value is brought here for it, which may be large: then it is
        the last act of its connection in a turn, and may be left for another.
    :ivar gives: whether that value is its answer.
    :ivar since: when that first had to wait for others' answers to leave.
    :ivar is_large: whether an outcome is the bytes of a large value.
    """

    keys: list[str]
    size: int
    operations: list[Operation]
    finish: Finish
    tag: str = ""
    tells: bool = False
    default: Value | None = None
    lists: bool = False
    reads: bool = False
    hit: bool | None = None
    brings: bool = False
    gives: bool = False
    since: float = math.inf
    is_large: bool = False

    @property
    def load(self) -> int:
        """What it takes of what a turn may."""
        return len(self.keys) + self.size // LOAD_BYTES


# Of a request: the connection, whether it stays, the service, whether errors tell where a cache
# is, and the limit by which the request is counted.
Common = tuple[Sink, bool, CacheService, bool, tuple[str, Rate] | None]
# What the lane takes.
Taken = Read | Store | Act

Answered = tuple[int, int]
# What answers an act, once the outcomes of its operations are known.
Finish = Callable[["Act", Sequence[Any]], Answered]
# What the keys of a service have, or what all who asked for them get: a value, of a large one its
# bytes, or why it is not known.
Found = dict[str, Any] | ApiError


def value_sizes(outcomes: Iterable[Any]) -> list[int]:
    """Return how large those outcomes are that are values, or their bytes, in bytes."""
    return [
        len(one) if isinstance(one, bytes) else len(one.json)
        for one in outcomes
        if isinstance(one, SIZED)
    ]


def tag_field(etag: str) -> str:
    """Return the header field with the tag of a value."""
    return f'etag: "{etag}"\r\n'


def answer_read(read: Read, found: Found) -> Answered:
    """Answer a read; return the status and the size of the body."""
    if isinstance(found, ApiError):
        raise found
    key = read.key
    if key is None:
        return answer_json(read, 200, entries_text(read.keys, values_of(read.keys, found)))
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
            fields = f'{_FIELDS}etag: "{etag}"\r\n{read.told}{_SEALED}'
            read.sink.answer(304, fields, None, read.keep_alive)
            return 304, 0
    return answer_json(read, 200, entry_text(key, value), tag_field(etag))


def answer_store(store: Store) -> Answered:
    """Answer a store; as :func:`answer_read`."""
    own = store.outcomes
    if own and isinstance(own[0], ApiError):
        raise own[0]
    return answer_json(store, 201, outcomes_text(keys_of(store.pairs), own))


def answer_error(request: Request, error: ApiError) -> Answered:
    """Answer with an error; as :func:`answer_read`."""
    error = in_words(error, request.service.backend.told)
    error = error if request.sees else without_places(error)
    fields = "".join(f"{name.lower()}: {text}\r\n" for name, text in error.headers.items())
    text = error_text(error.status, error.message, error.context)
    return answer_json(request, error.status, text, fields)


def answer_json(request: Request, status: int, text: str, more: str = "") -> Answered:
    """Answer with a JSON text; as :func:`answer_read`.

    :param more: header fields.
    """
    body = text.encode()
    size = len(body)
    fields = f"{_JSON_FIELDS}content-length: {size}\r\n{more}{request.told}{_SEALED}"
    if request.method == "HEAD":
        request.sink.answer(status, fields, None, request.keep_alive)
        return status, 0
    request.sink.answer(status, fields, body, request.keep_alive)
    return status, size
