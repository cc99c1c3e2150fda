"""The fast lane: plain reads and stores, answered without Flask.

Its one rule: it takes a request only when it is sure of it; everything else is Flask's. It
holds no rules of its own: the application says who may, :mod:`cacheapi.web.batch` what a list
of keys or pairs is, :class:`~cacheapi.caching.service.CacheService` what is there, and the texts
of the answers are those that the views give.

The requests that arrive in one turn of the event loop are gathered here, and answered at its
end by :mod:`~cacheapi.serving.answering`. A request that comes alone waits for nobody. Of one
connection's requests, those behind a store wait for its answer.
"""

from __future__ import annotations

import re
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final

import msgspec

from backends.base import MISSING
from backends.errors import InvalidKey
from cacheapi.caching.codec import InvalidJson
from cacheapi.caching.conditions import Condition, InvalidCondition, parse_tags
from cacheapi.observing.metrics.tally import Tally
from cacheapi.serving.answering import Answering
from cacheapi.serving.answers import Read, Sink, Store
from cacheapi.serving.health import Troubles, Way
from cacheapi.serving.recognition import (
    UNSURE,
    Fields,
    Said,
    Target,
    asked_by,
    read_fields,
    read_target,
    service_of,
)
from cacheapi.web.access import Access
from cacheapi.web.batch import check_keys, read_pairs
from cacheapi.web.errors import ApiError

# A larger store would hold up the others of its turn.
MAX_STORE: Final = 256 * 1024
# A turn that has so many keys and pairs, or so many KiB of pairs, takes no further list: where
# many clients send long ones, their sum would stop the worker for longer than it may be silent.
MOST_AT_ONCE: Final = 5_000

# The name, in the state of an ASGI request, of what :meth:`Lane.listener` returned.
LISTENER: Final = "cacheapi.listener"


class Asker(msgspec.Struct):
    """What the header fields of a read say: who asks, and what they have already.

    :ivar digest: of their API key.
    :ivar condition: of If-None-Match.
    :ivar sees: whether errors may tell them where a cache is.
    """

    digest: bytes
    condition: Condition | None
    sees: bool = False


def _condition(tags: str | None) -> Condition | None:
    return None if tags is None else Condition(if_none_match=parse_tags("If-None-Match", tags))


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
        self._taken: list[Read | Store] = []
        # When the first of those came, and what they have of MOST_AT_ONCE.
        self._since = 0.0
        self._load = 0
        # What waits for a connection to take what it was answered before.
        self._waiting: dict[Sink, list[Read]] = {}
        self._troubles = Troubles()
        self._answering = Answering(self._troubles, tally)

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
        if asked is None or said is None or said.length or not said.shown:
            return None
        try:
            condition = _condition(said.tags)
        except InvalidCondition:
            return None
        digest = self._access.digest(said.shown)
        asker = Asker(digest, condition, self._access.sees(digest))
        return asker if self._take_read(sink, asked, asker, keep_alive) else None

    def take_again(self, sink: Sink, match: re.Match[bytes], asker: Asker) -> bool:
        """Take a read with the header fields of one that was taken; return whether it is.

        :param match: of its target.
        """
        if self._troubles:
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
                if self._load >= MOST_AT_ONCE or asker.condition is not None:
                    return False
                check_keys(service, keys, self._access.max_batch)
            else:
                return False
        except (ApiError, InvalidJson, InvalidKey):
            return False
        if not self._access.may(asker.digest, "GET", service.name, keys):
            return False
        if self._troubles and self._troubles.way(service.name, stores=False) is Way.FLASK:
            return False
        if self._answering.large and any(self._answering.is_large(service, key) for key in keys):
            return False
        self._gather(
            Read(sink, keep_alive, service, asker.sees, keys, key, asker.condition), len(keys)
        )
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
            and self._may_store(said, service.name)
            and service.sets_many_at_once
            and said is not None
            and said.is_json
            and said.tags is None
            and said.length is not None
            and said.length <= min(MAX_STORE, self._access.max_body)
        )

    def _may_store(self, said: Said | None, service: str) -> bool:
        # Nothing is waited for of who may not.
        if said is None or not said.shown:
            return False
        return self._access.may(self._access.digest(said.shown), "POST", service, ())

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
            pairs = read_pairs(service, body, MISSING, self._access.max_batch)
        except (ApiError, InvalidJson):
            return False
        keys = [pair.key for pair in pairs]
        if not self._access.may(digest, "POST", service.name, keys):
            return False
        if self._troubles.way(service.name, stores=True) is not Way.LANE:
            return False
        load = max(len(pairs), len(body) // 1024)
        self._gather(
            Store(sink, keep_alive, service, self._access.sees(digest), pairs, len(body)), load
        )
        return True

    def listener(self, target: bytes, *, stores: bool) -> Callable[[float, int], None] | None:
        """Return what wants to hear the seconds and the status of a request that Flask serves."""
        name = service_of(target) if self._troubles else None
        service = None if name is None else self._access.find(name)
        return None if service is None else self._troubles.listener(service.name, stores=stores)

    def _gather(self, request: Read | Store, load: int) -> None:
        if not self._taken:
            self._loop.call_soon(self.answer)
            self._since = time.monotonic()
        self._taken.append(request)
        self._load += load

    def answer(self) -> None:
        """Answer what was taken until now."""
        taken, self._taken = self._taken, []
        self._load = 0
        for read in self._answering.answer(taken, self._since):
            read.sink.flush()
            if read.sink.is_full:
                self._waiting.setdefault(read.sink, []).append(read)
            else:
                self._gather(read, len(read.keys))

    def go_on(self, sink: Sink) -> None:
        """Answer what waited for earlier answers of a connection to leave."""
        for read in self._waiting.pop(sink, ()):
            self._gather(read, len(read.keys))

    def forget(self, sink: Sink) -> None:
        """Forget what waited for a connection that is gone."""
        self._waiting.pop(sink, None)
