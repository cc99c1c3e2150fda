"""The fast lane: plain requests about keys, answered without Flask.

Its one rule: it takes a request only when it is sure of it; everything else is Flask's. It
holds no rules of its own: the application says who may, :mod:`cacheapi.web.batch` what a list
of keys or pairs is, :mod:`~cacheapi.serving.acts` what else is asked of keys,
:class:`~cacheapi.caching.service.CacheService` what is there, and the texts of the answers are
those that the views give.

What is taken is gathered by :mod:`~cacheapi.serving.turns`, and answered by the end of this turn of
the event loop.
"""

from __future__ import annotations

import re
from asyncio import AbstractEventLoop
from typing import Final

import msgspec

from backends.base import MISSING
from backends.columns import keys_of
from backends.errors import InvalidKey
from cacheapi.caching.codec import InvalidJson
from cacheapi.caching.conditions import Condition, InvalidCondition, parse_tags
from cacheapi.caching.service import CacheService
from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.tail.watch import Tail
from cacheapi.registry.rights import Caller, Rate
from cacheapi.serving.acts import Asking, plan
from cacheapi.serving.answering import Answering
from cacheapi.serving.answers import Act, Common, Read, Sink, Store
from cacheapi.serving.beside import READING, Beside
from cacheapi.serving.health import Troubles, Way
from cacheapi.serving.heavy import Heavy
from cacheapi.serving.largeness import Largeness
from cacheapi.serving.making import Beneath
from cacheapi.serving.recognition import (
    UNSURE,
    Fields,
    Said,
    Target,
    asked_by,
    read_fields,
    read_target,
)
from cacheapi.serving.turns import Turns
from cacheapi.serving.unsent import Waiting
from cacheapi.web.access import Access
from cacheapi.web.batch import check_keys, read_pairs
from cacheapi.web.errors import ApiError
from cacheapi.web.operations import asks_operations
from cacheapi.web.rates import name_of

# A larger store would hold up the others of its turn.
MAX_STORE: Final = 256 * 1024
# A turn that has so many keys and pairs, or bodies of 640 kB, takes no further list or body: where
# many clients send long ones, their sum would hold up all others.
MOST_AT_ONCE: Final = 5_000


class Asker(msgspec.Struct):
    """What the header fields of a request say: who asks, and what they have already.

    :ivar digest: of their API key.
    :ivar condition: of If-None-Match.
    """

    digest: bytes
    condition: Condition | None


def _condition(tags: str | None) -> Condition | None:
    return None if tags is None else Condition(if_none_match=parse_tags("If-None-Match", tags))


class Lane:
    """The fast lane of a worker.

    :param access: the application's.
    :param loop: the worker's.
    :param tally: where answers are counted, if anywhere.
    :param tail: what who watches is told by, if anything.
    :ivar waiting: the large answers of the worker that wait for their clients.
    :ivar heavy: lets in requests about large values that are served on threads.
    :ivar turns: what was taken and is not answered yet.
    :ivar beside: what is known here of the requests that Flask serves.
    """

    def __init__(
        self,
        access: Access,
        loop: AbstractEventLoop,
        tally: Tally | None,
        tail: Tail | None = None,
    ) -> None:
        self._access = access
        self._unsure = UNSURE | access.left
        self._most_store = min(MAX_STORE, access.max_body)
        self.waiting = Waiting()
        self._troubles = Troubles()
        self._large = Largeness(self._troubles)
        self.beside = Beside(access, loop, self._troubles, self._large)
        self.heavy = Heavy(self.waiting)
        hands = Beneath(self.waiting, self.heavy)
        self._answering = Answering(
            self._troubles, tally, access.counts, self.waiting, self._large, tail, hands
        )
        self.turns = Turns(loop, self._answering)
        self._gather = self.turns.gather

    def take(
        self,
        sink: Sink,
        method: bytes,
        target: bytes,
        headers: Fields,
        keep_alive: bool,
        body: bytes = b"",
    ) -> Asker | None:
        """Take a request if sure of it, and answer by the end of this turn.

        :param target: the request's target as it was sent.
        :param headers: names in lower case, and values.
        :param body: all of it, of a request for which :meth:`wants_body`.
        :return: what they say, for :meth:`take_again`; ``None``: it is not taken.
        """
        asked = read_target(target)
        said = None if asked is None else read_fields(headers, self._unsure)
        if asked is None or said is None or not said.shown or (said.length or 0) != len(body):
            return None
        try:
            condition = _condition(said.tags)
        except InvalidCondition:
            return None
        asker = Asker(self._access.digest(said.shown), condition)
        return asker if self._take(sink, method, asked, asker, keep_alive, body) else None

    def take_again(
        self, sink: Sink, method: bytes, match: re.Match[bytes], asker: Asker, body: bytes = b""
    ) -> bool:
        """Take a request with the header fields of one that was taken; return whether it is.

        :param match: of its target.
        """
        if self._troubles:
            # Where it goes is asked once a request, since one is let through to Flask.
            return False
        asked = asked_by(match)
        return asked is not None and self._take(sink, method, asked, asker, True, body)

    def _take(
        self,
        sink: Sink,
        method: bytes,
        asked: Target,
        asker: Asker,
        keep_alive: bool,
        body: bytes,
    ) -> bool:
        named = asked.service, asker.digest
        known = self.turns.known.get(named)
        if known is not None:
            return self._take_known(sink, method, asked, asker, keep_alive, body, *known)
        service = self._access.find(asked.service)
        caller = self._access.who(asker.digest)
        if service is None or caller is None:
            return False
        rate = caller.rate
        limit = None if rate is None else (name_of(caller.digest), rate)
        known = service, caller, limit
        taken = self._take_known(sink, method, asked, asker, keep_alive, body, *known)
        if taken:
            self.turns.known[named] = known
        return taken

    def _take_known(
        self,
        sink: Sink,
        method: bytes,
        asked: Target,
        asker: Asker,
        keep_alive: bool,
        body: bytes,
        service: CacheService,
        caller: Caller,
        limit: tuple[str, Rate] | None,
    ) -> bool:
        if self.turns.crowded and sink in self.turns.crowded:
            # Flask's come behind the lane's.
            return False
        if limit is not None and self._troubles and not self._counts_well():
            return False
        common = (sink, keep_alive, service, caller.administrator, limit)
        if method == b"GET" and not asked.query:
            return self._take_read(common, asked, caller, asker.condition)
        # All else is done before the reads, and a connection's requests keep their order.
        if sink.reads or asker.condition is not None or len(body) > self._most_store:
            return False
        if self.turns.load >= MOST_AT_ONCE:
            return False
        if method == b"POST" and asked.key is None:
            return self._take_store(common, asked, caller, body)
        return self._take_act(common, method.decode(), asked, caller, body)

    def _counts_well(self) -> bool:
        return self._troubles.way(self._access.counts.name, stores=True) is Way.LANE

    def _take_read(
        self, common: Common, asked: Target, caller: Caller, condition: Condition | None
    ) -> bool:
        service = common[2]
        key, keys = asked.key, asked.keys
        try:
            if key is not None:
                keys = [key]
                service.check_key(key)
            elif keys is not None and condition is None and self.turns.load < MOST_AT_ONCE:
                check_keys(service, keys, self._access.max_batch)
            else:
                return False
        except (ApiError, InvalidJson, InvalidKey):
            return False
        if not caller.may_each("GET", service.name, keys):
            return False
        if self._troubles and self._troubles.way(service.name, stores=False) is Way.FLASK:
            return False
        if self._large.sizes and any(self._large.size(service, key) for key in keys):
            return False
        read = Read(*common, keys=keys, key=key, condition=condition)
        read.sink.reads += 1
        self._gather(read)
        return True

    def wants_body(self, method: bytes, target: bytes, headers: Fields) -> bool:
        """Return whether to wait for the body of a request and call :meth:`take` with it."""
        asked = read_target(target)
        if asked is None or asked.keys is not None or asked.query:
            return False
        service = self._access.find(asked.service)
        said = read_fields(headers, self._unsure)
        if service is None or said is None:
            return False
        at_once = service.sets_many_at_once if asked.key is None else service.performs_at_once
        return (
            at_once
            and self._may_begin(said, method.decode(), asked, service.name)
            and said.is_json
            and said.tags is None
            and said.length is not None
            and said.length <= self._most_store
        )

    def _may_begin(self, said: Said, verb: str, asked: Target, service: str) -> bool:
        # Nothing is waited for of who may not.
        if not said.shown or (asked.key is None and verb != "POST"):
            return False
        caller = self._access.who(self._access.digest(said.shown))
        if caller is None:
            return False
        if asked.key is None:
            return caller.may_some((verb,), service)
        return caller.may(verb, service, asked.key)

    def _take_store(self, common: Common, asked: Target, caller: Caller, body: bytes) -> bool:
        service = common[2]
        # Before the body is parsed: who may nothing shall cost nothing.
        if asked.keys is not None or not caller.may_some(("POST",), service.name):
            return False
        if asks_operations(body):
            # Only to be parsed again there.
            return False
        try:
            pairs = read_pairs(service, body, MISSING, self._access.max_batch)
        except (ApiError, InvalidJson):
            return False
        if not caller.may_each("POST", service.name, keys_of(pairs)):
            return False
        if self._troubles.way(service.name, stores=True) is not Way.LANE:
            return False
        store = Store(*common, pairs=pairs, size=len(body))
        self._gather(store)
        return True

    def _take_act(
        self, common: Common, method: str, asked: Target, caller: Caller, body: bytes
    ) -> bool:
        service = common[2]
        # Of one key: other verbs take no parameters here.
        if not service.performs_at_once or (asked.query and method not in READING):
            return False
        act = plan(method, Asking(service, asked, body, self._access.max_batch, caller, common))
        if act is None or self._troubles.way(service.name, stores=not act.reads) is not Way.LANE:
            return False
        if act.brings:
            if self._large.sizes and self._is_better_on_a_thread(act):
                return False
            act.sink.reads += 1
        self._gather(act)
        return True

    def _is_better_on_a_thread(self, act: Act) -> bool:
        size = self._large.size(act.service, act.keys[0])
        return bool(size) and not (act.gives and self._answering.crowd.is_crowded(act.sink))
