"""What the lane answers in one turn of the event loop.

One call a service for the reads and one for the stores. What is gathered came at the same
time, so the stores may go first. The texts of the answers are those that the views give.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec

from backends.errors import BackendError, Failed
from cacheapi.caching.codec import Value, entry_text, error_text
from cacheapi.caching.conditions import Condition, NotModified
from cacheapi.caching.service import CacheService, Pair
from cacheapi.observing.metrics.tally import Tally
from cacheapi.serving.health import Troubles
from cacheapi.web.batch import entries_text, outcomes_text, values_of
from cacheapi.web.errors import CACHE_CONTROL, ApiError, absent, answer_to, internal, note

_FIELDS: Final = f"cache-control: {CACHE_CONTROL}\r\n"
_JSON_FIELDS: Final = f"{_FIELDS}content-type: application/json\r\n"


class Sink(Protocol):
    """A connection, as the lane sees it."""

    def answer(self, status: int, fields: str, body: bytes | None, keep_alive: bool) -> None:
        """Send a response.

        :param fields: its header fields but for ``connection`` and what uvicorn adds.
        :param body: ``None`` for a status that has none.
        """


class Read(msgspec.Struct):
    """A read that was taken."""

    sink: Sink
    keep_alive: bool
    service: CacheService
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
    pairs: list[Pair]
    size: int


Answered = tuple[int, int]
# The values of a service's keys that are there, or what all who asked for them get.
Found = dict[str, Value | BackendError] | ApiError


class Answering:
    """Answers what was taken.

    :param troubles: learns of calls that failed or took long.
    :param tally: where answers are counted, if anywhere.
    """

    def __init__(self, troubles: Troubles, tally: Tally | None) -> None:
        self._troubles = troubles
        self._tally = tally

    def answer(self, taken: list[Read | Store], since: float) -> None:
        """Answer what was taken, in the order of arrival.

        :param since: when the first of it came.
        """
        stores: dict[CacheService, list[Pair]] = {}
        reads: dict[CacheService, list[str]] = {}
        for request in taken:
            if isinstance(request, Read):
                reads.setdefault(request.service, []).extend(request.keys)
            else:
                stores.setdefault(request.service, []).extend(request.pairs)
        stored = {service: iter(self._set(service, pairs)) for service, pairs in stores.items()}
        found = {service: self._get(service, keys) for service, keys in reads.items()}
        answered = []
        for request in taken:
            try:
                if isinstance(request, Read):
                    answered.append(_answer_read(request, found[request.service]))
                else:
                    answered.append(_answer_store(request, stored[request.service]))
            except ApiError as error:
                answered.append(_answer_error(request, error))
        if self._tally is not None:
            self._count(self._tally, taken, answered, found, time.monotonic() - since)

    def _count(
        self,
        tally: Tally,
        taken: list[Read | Store],
        answered: list[Answered],
        found: Mapping[CacheService, Found],
        seconds: float,
    ) -> None:
        """Count what was answered in this turn; all of it took as long."""
        numbers: dict[str, int] = {}
        for request, (status, size) in zip(taken, answered, strict=True):
            name = request.service.name
            numbers[name] = numbers.get(name, 0) + 1
            if isinstance(request, Read) and request.key is not None:
                tally.read_one(name, status, size)
                continue
            if isinstance(request, Store):
                tally.answered(name, "POST", status, size)
                tally.batch(name, "POST", len(request.pairs))
                tally.received(name, request.size)
                continue
            tally.answered(name, "GET", status, size)
            tally.batch(name, "GET", len(request.keys))
            values = found[request.service]
            if status == HTTPStatus.OK and not isinstance(values, ApiError):
                hits = sum(map(values.__contains__, request.keys))
                tally.read(name, hits, len(request.keys) - hits)
        for name, number in numbers.items():
            tally.took(name, seconds, number)
        if self._troubles:
            self._count_failures(tally, taken, answered)

    def _count_failures(
        self, tally: Tally, taken: list[Read | Store], answered: list[Answered]
    ) -> None:
        for request, (status, _) in zip(taken, answered, strict=True):
            name = request.service.name
            failure = self._troubles.failure(name, stores=isinstance(request, Store))
            if status >= 500 and failure is not None:
                tally.failed(name, type(failure).__name__)

    def _get(self, service: CacheService, keys: list[str]) -> Found:
        """Return the values of those keys that are there; or the answer that all shall get.

        An error in place of a value is about that key alone, and says nothing of the service.
        """
        failure = self._troubles.failure(service.name, stores=False)
        if failure is not None:
            return answer_to(failure)
        started = time.monotonic()
        try:
            return service.get_each(keys)
        except Failed as error:
            note(error)
            failure = error
            return answer_to(error)
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            return internal(error)
        finally:
            self._troubles.look(service.name, started, failure, stores=False)

    def _set(self, service: CacheService, pairs: list[Pair]) -> list[Any]:
        """Return one outcome a pair."""
        started = time.monotonic()
        outcomes: list[Any] = []
        try:
            outcomes = service.set_many(pairs)
        except BackendError as error:
            outcomes = [error] * len(pairs)
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            outcomes = [internal(error)] * len(pairs)
        failures = (outcome for outcome in outcomes if isinstance(outcome, Failed))
        failure = next((one for one in failures if not one.apart), None)
        self._troubles.look(service.name, started, failure, stores=True)
        if failure is None and self._troubles:
            self._troubles.hear(service.name, True, time.monotonic() - started, 201)
        return outcomes


def _answer_read(read: Read, found: Found) -> Answered:
    """Answer a read; return the status and the size of the body."""
    if isinstance(found, ApiError):
        raise found
    key = read.key
    if key is None:
        return _answer_json(read, 200, entries_text(read.keys, values_of(read.keys, found)))
    value = found.get(key)
    if value is None:
        return _answer_error(read, absent(key))
    if not isinstance(value, Value):
        if isinstance(value, Failed):
            note(value)
        raise answer_to(value)
    etag = value.etag
    if read.condition is not None:
        try:
            read.condition.check(etag)
        except NotModified:
            read.sink.answer(304, f'{_FIELDS}etag: "{etag}"\r\n', None, read.keep_alive)
            return 304, 0
    return _answer_json(read, 200, entry_text(key, value), f'etag: "{etag}"\r\n')


def _answer_store(store: Store, outcomes: Any) -> Answered:
    own = [next(outcomes) for _ in store.pairs]
    if own and isinstance(own[0], ApiError):
        raise own[0]
    return _answer_json(store, 201, outcomes_text([pair.key for pair in store.pairs], own))


def _answer_error(request: Read | Store, error: ApiError) -> Answered:
    fields = "".join(f"{name.lower()}: {text}\r\n" for name, text in error.headers.items())
    text = error_text(error.status, error.message, error.context)
    return _answer_json(request, error.status, text, fields)


def _answer_json(request: Read | Store, status: int, text: str, more: str = "") -> Answered:
    body = text.encode()
    fields = f"{_JSON_FIELDS}content-length: {len(body)}\r\n{more}"
    request.sink.answer(status, fields, body, request.keep_alive)
    return status, len(body)
