"""A service in front of an origin: a request in, an answer out, for one event loop.

The rules say what may be done; here it is done, in this order: look at what is stored, decide,
and fetch, alone or with all others who ask for the same. While the cache is down the origin
is asked all the same, or nobody is, as the service is configured.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from cacheapi.responses.answers import Answers, Outgoing
from cacheapi.responses.asking import Asked, Incoming, NoAnswer, asked_of
from cacheapi.responses.budget import CROWDED, Budget, Crowded
from cacheapi.responses.cache_status import forward_status
from cacheapi.responses.calls import THREADS, CacheDown, Calls
from cacheapi.responses.config import Config
from cacheapi.responses.connection import OriginFailed
from cacheapi.responses.deciding import (
    ERROR_STATUSES,
    Decision,
    Hit,
    Miss,
    Pass,
    Unavailable,
    decide,
)
from cacheapi.responses.entries import Variant
from cacheapi.responses.exchange import Exchange
from cacheapi.responses.fetched import Fetched
from cacheapi.responses.fetching import Fetching
from cacheapi.responses.forwarding import CONDITIONS
from cacheapi.responses.freshness import current_age
from cacheapi.responses.herd import Alone, Arrived
from cacheapi.responses.listening import Listener
from cacheapi.responses.looking import Looked, variant_of
from cacheapi.responses.origin import Origin
from cacheapi.responses.purging import Purging
from cacheapi.responses.standing import Standing
from cacheapi.responses.store import Store, Ticket
from cacheapi.responses.updating import as_asked


class Engine(Purging):
    """A service in front of an origin.

    :param mount: the path of the service, as ``Location`` names it.
    :param store: its stored answers.
    :param threads: for calls of the store.
    :param budget: what bodies may take, those of other services too.
    :param tls: for an origin over TLS; by default what the system trusts.
    :param listener: is told how the origin does, and what is purged.
    :param clock: Unix time; for tests.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        store: Store,
        *,
        mount: str,
        threads: ThreadPoolExecutor | None = None,
        budget: Budget | None = None,
        tls: ssl.SSLContext | None = None,
        listener: Listener | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        listener = listener or Listener()
        threads = threads or ThreadPoolExecutor(THREADS, thread_name_prefix="responses")
        super().__init__(config, Calls(store, threads, budget), listener)
        self.name = name
        self._clock = clock
        self._answers = Answers(config.base, mount)
        self._origin = Origin(
            config.base,
            connect_seconds=config.connect_seconds,
            read_seconds=config.read_seconds,
            ignores_codings=config.ignores_codings,
            tls=tls,
            listener=listener,
            clock=clock,
        )
        self._standing = Standing(self._calls, self._answers, clock)
        self._exchange = Exchange(config, self._origin, self._calls, clock)
        waited = 2 * (config.connect_seconds + config.read_seconds)
        self._fetching = Fetching(name, self._calls, self._exchange, waited, clock)

    async def answer(self, incoming: Incoming, looked: Looked | None = None) -> Outgoing:
        """Answer a request.

        :param looked: what the store had of it since it came; by default it is asked.
        :raises NoAnswer: there is none but an error of the service's own.
        """
        asked = asked_of(self.config, incoming)
        request = asked.request
        if not self.config.is_on:
            return await self._passed(asked, "bypass", "off")
        if request.method not in ("GET", "HEAD"):
            return await self._written(asked)
        try:
            if looked is None:
                looked = await self._calls.run(self.store.look, request.target)
            return await self._read(asked, looked)
        except CacheDown as error:
            if not self.config.pass_when_down:
                status = forward_status("bypass", detail="cache-down")
                message = f"The cache cannot be used: {error}"
                raise NoAnswer(503, message, status) from error
            return await self._passed(asked, "bypass", "cache-down")

    def fresh(self, asked: Asked, looked: Looked) -> tuple[Hit, Variant] | None:
        """Return what answers a read without anybody being asked, if there is such."""
        decision = looked.decide(asked.request, self._clock())
        if not isinstance(decision, Hit) or decision.refresh or decision.ttl <= 0:
            return None
        variant = variant_of(looked, decision.stored)
        return None if variant is None else (decision, variant)

    def serve(self, asked: Asked, hit: Hit, body: bytes) -> Outgoing:
        """Return the answer of what is stored."""
        return self._standing.serve(asked, hit, body)

    async def try_store(self, keys: Iterable[str]) -> None:
        """Ask the store, on a thread, to know whether it answers.

        :raises CacheDown: it does not.
        """
        await self._calls.run(self.store.backend.get_many, keys)

    def cut_off(self, failure: str) -> None:
        """Take the store for down, as somebody else has found."""
        self._calls.cut_off(failure)

    @property
    def is_cut_off(self) -> bool:
        """Whether the store is known to be down."""
        return self._calls.is_down

    def now(self) -> float:
        """Return the time by this engine's clock."""
        return self._clock()

    def close(self) -> None:
        """End what is under way, and close what is kept."""
        self._fetching.close()
        self._calls.close()
        self._origin.close()

    async def end(self) -> None:
        """As :meth:`close`; return once all of it is gone, for the event loop ends."""
        await self._fetching.end()
        self._calls.close()
        await self._origin.end()

    async def _read(self, asked: Asked, looked: Looked) -> Outgoing:
        decision = looked.decide(asked.request, self._clock())
        if isinstance(decision, Hit):
            hit = await self._hit(asked, decision, looked)
            if hit is not None:
                return hit
            # Its body is gone.
            left = tuple(one for one in looked.variants if one.stored is not decision.stored)
            looked = looked._replace(variants=left)
            decision = looked.decide(asked.request, self._clock())
        if isinstance(decision, Hit):
            decision = Miss("stale", decision.stored)
        if isinstance(decision, Unavailable):
            raise NoAnswer(
                504,
                "Nothing is stored that answers this, and the request wants no other answer.",
                "cacheapi; detail=only-if-cached",
            )
        if isinstance(decision, Pass):
            return await self._passed(asked, decision.fwd, decision.fwd)
        if self._fetching.is_shared(asked, decision, looked):
            return await self._together(asked, decision, looked)
        return await self._alone(asked, decision, looked)

    # Ways to an answer

    async def _hit(self, asked: Asked, hit: Hit, looked: Looked) -> Outgoing | None:
        try:
            out = await self._standing.find(asked, hit, looked)
        except Crowded:
            return await self._crowded(asked)
        if out is not None and hit.refresh:
            self._fetching.refresh(asked, hit)
        return out

    async def _alone(
        self, asked: Asked, decision: Decision, looked: Looked, ticket: Ticket | None = None
    ) -> Outgoing:
        try:
            fetched = await self._fetching.alone(asked, decision, looked, ticket)
        except OriginFailed as error:
            return await self._failed(asked, decision, looked, error)
        return await self._came(asked, decision, looked, fetched)

    async def _together(self, asked: Asked, decision: Decision, looked: Looked) -> Outgoing:
        try:
            came = await self._fetching.together(asked, decision, looked)
        except OriginFailed as error:
            return await self._failed(asked, decision, looked, error)
        if came is None or isinstance(came, Alone):
            ticket = None if came is None else came.ticket
            return await self._alone(asked, decision, looked, ticket)
        if isinstance(came, Fetched):
            return await self._came(asked, decision, looked, came)
        return await self._arrived(asked, decision, looked, came)

    async def _arrived(
        self, asked: Asked, decision: Decision, looked: Looked, came: Arrived
    ) -> Outgoing:
        """Serve what another client's fetch brought, if it answers this one too."""
        found = decide(asked.request, came.stored, self._clock())
        if isinstance(found, Hit):
            body = came.bodies.get(id(found.stored))
            if body is not None:
                fwd = getattr(decision, "fwd", "uri-miss")
                status = forward_status(fwd, ttl=found.ttl, collapsed=True)
                return self._answers.stored(
                    asked, found.stored, found.age, status, body, "collapsed", came.hold
                )
        return await self._alone(asked, decision, looked)

    async def _passed(self, asked: Asked, fwd: str, reason: str) -> Outgoing:
        try:
            fetched = await self._exchange.pass_on(asked, reason)
        except OriginFailed as error:
            raise NoAnswer(error.status, str(error), forward_status(fwd)) from error
        detail = None if reason == fwd else reason
        status = forward_status(fwd, detail=detail)
        return self._answers.handed(asked, fetched, status, "bypass" if fwd == "bypass" else "pass")

    async def _crowded(self, asked: Asked) -> Outgoing:
        """Answer what is stored, and too large to be held beside all that is: pass it through."""
        if isinstance(decide(asked.request, (), self._clock()), Unavailable):
            raise NoAnswer(503, CROWDED, forward_status("bypass", detail="crowded"))
        return await self._passed(asked, "bypass", "crowded")

    async def _written(self, asked: Asked) -> Outgoing:
        """Pass on a method that may write, and forget what it has made invalid."""
        try:
            fetched = await self._exchange.write(asked, lambda head: self._forget(asked, head))
        except OriginFailed as error:
            raise NoAnswer(error.status, str(error), forward_status("method")) from error
        is_stored = fetched.reason is None
        detail = None if is_stored or fetched.reason == "method" else fetched.reason
        status = forward_status("method", stored=is_stored, detail=detail)
        return self._answers.handed(asked, fetched, status, "pass")

    # Answers

    async def _came(
        self, asked: Asked, decision: Decision, looked: Looked, fetched: Fetched
    ) -> Outgoing:
        fwd = getattr(decision, "fwd", "uri-miss")
        now = self._clock()
        if fetched.head.status in ERROR_STATUSES:
            stale = await self._standing.find_stale(asked, decision, looked)
            if stale is not None:
                fetched.close()
                return stale
        stored = fetched.stored
        if stored is not None and fetched.validated:
            age = current_age(stored, now)
            status = forward_status(
                fwd,
                status=fetched.head.status,
                ttl=stored.lifetime - age,
                stored=fetched.reason is None,
                detail=fetched.reason,
            )
            own = as_asked(stored, fetched.head)
            return self._answers.stored(
                asked, own, age, status, fetched.body, "validated", fetched.hold
            )
        is_stored = stored is not None and fetched.reason is None
        ttl = None
        if stored is not None and is_stored:
            ttl = stored.lifetime - current_age(stored, now)
        status = forward_status(fwd, ttl=ttl, stored=is_stored, detail=fetched.reason)
        asks_more = any(name in CONDITIONS for name, _ in asked.request.fields)
        if stored is not None and asks_more and stored.status == 200:
            # The origin was asked without the client's conditions.
            age = current_age(stored, now)
            own = as_asked(stored, fetched.head)
            return self._answers.stored(asked, own, age, status, fetched.body, "miss", fetched.hold)
        return self._answers.handed(asked, fetched, status, "miss")

    async def _failed(
        self, asked: Asked, decision: Decision, looked: Looked, error: OriginFailed
    ) -> Outgoing:
        stale = await self._standing.find_stale(asked, decision, looked)
        if stale is not None:
            return stale
        status = forward_status(getattr(decision, "fwd", "uri-miss"))
        raise NoAnswer(error.status, str(error), status) from error
