"""The fast lane: plain reads and stores, answered without Flask.

Its one rule: it takes a request only when it is sure of it; everything else is Flask's. It
holds no rules of its own: the application says who may, :mod:`cacheapi.web.batch` what a list
of keys or pairs is, :class:`~cacheapi.caching.service.CacheService` what is there, and the texts
of the answers are those that the views give.

The requests that arrive in one turn of the event loop are gathered and answered at its
end, with one call a service for the reads and one for the stores. A request that comes
alone waits for nobody. What is gathered came at the same time, so the stores may go first;
of one connection's requests, those behind a store wait for its answer.
"""

from __future__ import annotations

import functools
import re
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from werkzeug.http import parse_etags

from backends.base import MISSING
from backends.errors import BackendError, Failed, InvalidKey
from cacheapi.caching.codec import InvalidJson, Value, entry_text, error_text
from cacheapi.caching.conditions import Condition, NotModified
from cacheapi.caching.service import CacheService, Pair
from cacheapi.observing.metrics.tally import Tally
from cacheapi.serving.health import SLOW_SECONDS, Health, Way
from cacheapi.serving.recognition import (
    UNSURE,
    Fields,
    Target,
    asked_by,
    read_fields,
    read_target,
    service_of,
)
from cacheapi.web.access import Access
from cacheapi.web.batch import check_keys, entries_text, outcomes_text, read_pairs, values_of
from cacheapi.web.errors import CACHE_CONTROL, ApiError, absent, answer_to, internal, note

# A larger store would hold up the others of its turn.
MAX_STORE: Final = 256 * 1024
# A turn that has so many keys and pairs, or so many KiB of pairs, takes no further list: where
# many clients send long ones, their sum would stop the worker for longer than it may be silent.
MOST_AT_ONCE: Final = 5_000

_FIELDS: Final = f"cache-control: {CACHE_CONTROL}\r\n"
_JSON_FIELDS: Final = f"{_FIELDS}content-type: application/json\r\n"

# The name, in the state of an ASGI request, of what :meth:`Lane.listener` returned.
LISTENER: Final = "cacheapi.listener"


class Sink(Protocol):
    """A connection, as the lane sees it."""

    def answer(self, status: int, fields: str, body: bytes | None, keep_alive: bool) -> None:
        """Send a response.

        :param fields: its header fields but for ``connection`` and what uvicorn adds.
        :param body: ``None`` for a status that has none.
        """


class Asker(msgspec.Struct):
    """What the header fields of a read say: who asks, and what they have already.

    :ivar digest: of their API key.
    :ivar tags: If-None-Match.
    """

    digest: bytes
    tags: str | None


class _Read(msgspec.Struct):
    sink: Sink
    keep_alive: bool
    service: CacheService
    keys: list[str]
    # Where it is for this one alone.
    key: str | None
    tags: str | None


class _Store(msgspec.Struct):
    sink: Sink
    keep_alive: bool
    service: CacheService
    pairs: list[Pair]
    size: int


_Answered = tuple[int, int]


class Lane:
    """The fast lane of a worker.

    :param access: the application's.
    :param loop: the worker's.
    :param tally: where answers are counted, if anywhere.
    """

    def __init__(self, access: Access, loop: AbstractEventLoop, tally: Tally | None) -> None:
        self._access = access
        self._unsure = UNSURE | access.left
        self._loop = loop
        self._tally = tally
        self._taken: list[_Read | _Store] = []
        # When the first of those came, and what they have of MOST_AT_ONCE.
        self._since = 0.0
        self._load = 0
        # By a service's name, and whether it is about its stores.
        self._troubled: dict[tuple[str, bool], Health] = {}

    # Taking

    def take_read(
        self, sink: Sink, target: bytes, headers: Fields, keep_alive: bool
    ) -> Asker | None:
        """Take a GET request if sure of it, and answer by the end of this turn.

        :param target: the request's target as it was sent.
        :param headers: names in lower case, and values.
        :return: what they say, for :meth:`take_again`; ``None``: it is not taken.
        """
        asked = read_target(target)
        said = None if asked is None else read_fields(headers, self._unsure)
        if asked is None or said is None or said.length is not None or not said.shown:
            return None
        asker = Asker(self._access.digest(said.shown), said.tags)
        return asker if self._take_read(sink, asked, asker, keep_alive) else None

    def take_again(self, sink: Sink, match: re.Match[bytes], asker: Asker) -> bool:
        """Take a read with the header fields of one that was taken; return whether it is.

        :param match: of its target.
        """
        if self._troubled:
            # Where it goes is asked once a request, since one is let through to Flask.
            return False
        asked = asked_by(match)
        return asked is not None and self._take_read(sink, asked, asker, keep_alive=True)

    def _take_read(self, sink: Sink, asked: Target, asker: Asker, keep_alive: bool) -> bool:
        service = self._access.find(asked.service)
        if service is None:
            return False
        key, keys = asked.key, asked.keys
        try:
            if key is not None:
                keys = [key]
                service.check_key(key)
            elif keys is not None:
                if self._load >= MOST_AT_ONCE:
                    return False
                check_keys(service, keys)
            else:
                return False
        except (ApiError, InvalidKey):
            return False
        if not self._access.may(asker.digest, "GET", service.name, keys):
            return False
        if self._troubled and self._way(service.name, stores=False) is Way.FLASK:
            return False
        self._gather(_Read(sink, keep_alive, service, keys, key, asker.tags), len(keys))
        return True

    def wants_store(self, target: bytes, headers: Fields) -> bool:
        """Return whether to wait for the body of a POST request and call :meth:`take_store`."""
        asked = read_target(target)
        if asked is None or asked.key is not None or asked.keys is not None:
            return False
        service = self._access.find(asked.service)
        said = read_fields(headers, self._unsure)
        return (
            service is not None
            and service.sets_many_at_once
            and said is not None
            and said.is_json
            and said.length is not None
            and said.length <= min(MAX_STORE, self._access.max_body)
        )

    def take_store(
        self, sink: Sink, target: bytes, headers: Fields, keep_alive: bool, body: bytes
    ) -> bool:
        """Take a POST request that :meth:`wants_store`; as :meth:`take_read`."""
        asked, said = read_target(target), read_fields(headers, self._unsure)
        assert asked is not None
        assert said is not None
        service = self._access.find(asked.service)
        if service is None or not said.shown or self._load >= MOST_AT_ONCE:
            return False
        digest = self._access.digest(said.shown)
        # Before the body is parsed: who may nothing shall cost nothing.
        if not self._access.may(digest, "POST", service.name, ()):
            return False
        try:
            pairs = read_pairs(service, body, MISSING)
        except (ApiError, InvalidJson):
            return False
        keys = [pair.key for pair in pairs]
        if not self._access.may(digest, "POST", service.name, keys):
            return False
        if self._way(service.name, stores=True) is not Way.LANE:
            return False
        load = max(len(pairs), len(body) // 1024)
        self._gather(_Store(sink, keep_alive, service, pairs, len(body)), load)
        return True

    def listener(self, target: bytes, *, stores: bool) -> Callable[[float, int], None] | None:
        """Return what wants to hear the seconds and the status of a request that Flask serves."""
        name = service_of(target) if self._troubled else None
        service = None if name is None else self._access.find(name)
        return None if service is None else functools.partial(self._hear, service.name, stores)

    def _hear(self, name: str, stores: bool, seconds: float, status: int) -> None:
        now = time.monotonic()
        own, reads = self._troubled.get((name, stores)), self._troubled.get((name, False))
        if own is not None:
            own.heard(now, seconds, status)
        # A service that stores can be read; one that is read may be locked for stores.
        if stores and reads is not None and status < 500:
            reads.heard(now, seconds, status)

    def _way(self, name: str, *, stores: bool) -> Way:
        if not self._troubled:
            return Way.LANE
        health = self._troubled.get((name, stores))
        if health is None:
            return Way.LANE
        way = health.way(time.monotonic())
        if way is Way.LANE:
            del self._troubled[name, stores]
        return way

    def _gather(self, request: _Read | _Store, load: int) -> None:
        if not self._taken:
            self._loop.call_soon(self.answer)
            self._since = time.monotonic()
        self._taken.append(request)
        self._load += load

    # Answering

    def answer(self) -> None:
        """Answer what was taken, in the order of arrival."""
        taken, self._taken = self._taken, []
        self._load = 0
        stores: dict[CacheService, list[Pair]] = {}
        reads: dict[CacheService, list[str]] = {}
        for request in taken:
            if isinstance(request, _Read):
                reads.setdefault(request.service, []).extend(request.keys)
            else:
                stores.setdefault(request.service, []).extend(request.pairs)
        stored = {service: iter(self._set(service, pairs)) for service, pairs in stores.items()}
        found = {service: self._get(service, keys) for service, keys in reads.items()}
        answered = []
        for request in taken:
            try:
                if isinstance(request, _Read):
                    answered.append(_answer_read(request, found[request.service]))
                else:
                    answered.append(_answer_store(request, stored[request.service]))
            except ApiError as error:
                answered.append(_answer_error(request, error))
        if self._tally is not None:
            self._count(self._tally, taken, answered, found)

    def _count(
        self,
        tally: Tally,
        taken: list[_Read | _Store],
        answered: list[_Answered],
        found: Mapping[CacheService, dict[str, Value | BackendError] | ApiError],
    ) -> None:
        """Count what was answered in this turn; all of it took as long."""
        numbers: dict[str, int] = {}
        for request, (status, size) in zip(taken, answered, strict=True):
            name = request.service.name
            numbers[name] = numbers.get(name, 0) + 1
            if isinstance(request, _Read) and request.key is not None:
                tally.read_one(name, status, size)
                continue
            if isinstance(request, _Store):
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
        seconds = time.monotonic() - self._since
        for name, number in numbers.items():
            tally.took(name, seconds, number)
        if self._troubled:
            self._count_failures(tally, taken, answered)

    def _count_failures(
        self, tally: Tally, taken: list[_Read | _Store], answered: list[_Answered]
    ) -> None:
        for request, (status, _) in zip(taken, answered, strict=True):
            name = request.service.name
            health = self._troubled.get((name, isinstance(request, _Store)))
            if status >= 500 and health is not None and health.failure is not None:
                tally.failed(name, type(health.failure).__name__)

    def _get(
        self, service: CacheService, keys: list[str]
    ) -> dict[str, Value | BackendError] | ApiError:
        """Return the values of those keys that are there; or the answer that all shall get.

        An error in place of a value is about that key alone, and says nothing of the service.
        """
        health = self._troubled.get((service.name, False))
        if health is not None and health.failure is not None:
            return answer_to(health.failure)
        started = time.monotonic()
        failure = None
        try:
            return service.get_each(keys)
        except Failed as error:
            note(error)
            failure = error
            return answer_to(error)
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            return internal(error)
        finally:
            self._look(service, started, failure, stores=False)

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
        self._look(service, started, failure, stores=True)
        if failure is None and self._troubled:
            self._hear(service.name, True, time.monotonic() - started, 201)
        return outcomes

    def _look(
        self, service: CacheService, started: float, failure: Failed | None, *, stores: bool
    ) -> None:
        ended = time.monotonic()
        if failure is not None or ended - started > SLOW_SECONDS:
            health = self._troubled.setdefault((service.name, stores), Health())
            health.failed(ended, failure)


def _answer_read(read: _Read, found: dict[str, Value | BackendError] | ApiError) -> _Answered:
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
    if read.tags is not None:
        try:
            Condition(if_none_match=parse_etags(read.tags)).check(etag)
        except NotModified:
            read.sink.answer(304, f'{_FIELDS}etag: "{etag}"\r\n', None, read.keep_alive)
            return 304, 0
    return _answer_json(read, 200, entry_text(key, value), f'etag: "{etag}"\r\n')


def _answer_store(store: _Store, outcomes: Any) -> _Answered:
    own = [next(outcomes) for _ in store.pairs]
    if own and isinstance(own[0], ApiError):
        raise own[0]
    return _answer_json(store, 201, outcomes_text([pair.key for pair in store.pairs], own))


def _answer_error(request: _Read | _Store, error: ApiError) -> _Answered:
    fields = "".join(f"{name.lower()}: {text}\r\n" for name, text in error.headers.items())
    text = error_text(error.status, error.message, error.context)
    return _answer_json(request, error.status, text, fields)


def _answer_json(request: _Read | _Store, status: int, text: str, more: str = "") -> _Answered:
    body = text.encode()
    fields = f"{_JSON_FIELDS}content-length: {len(body)}\r\n{more}"
    request.sink.answer(status, fields, body, request.keep_alive)
    return status, len(body)
