"""A service in front of an origin: a request in, an answer out, for one event loop.

The rules say what may be done; here it is done, in this order: look at what is stored, decide,
and fetch, alone or with all others who ask for the same. While the cache is down the origin
is asked all the same, or nobody is, as the service is configured.
"""

from __future__ import annotations

import dataclasses
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cacheapi.responses import entries
from cacheapi.responses.addresses import BadAddress, kept_query
from cacheapi.responses.cache_status import forward_status, hit_status
from cacheapi.responses.calls import THREADS, CacheDown, Calls
from cacheapi.responses.config import Config
from cacheapi.responses.connection import Inform, OriginFailed
from cacheapi.responses.deciding import (
    ERROR_STATUSES,
    Complete,
    Decision,
    Hit,
    Miss,
    Pass,
    Revalidate,
    Unavailable,
    decide,
    on_error,
    refresh_decision,
)
from cacheapi.responses.entries import Variant
from cacheapi.responses.exchange import Asked, Exchange, Fetched
from cacheapi.responses.forwarding import CONDITIONS
from cacheapi.responses.freshness import current_age
from cacheapi.responses.herd import Arrived, Fetch, Herd
from cacheapi.responses.invalidation import invalidates
from cacheapi.responses.listening import ALL, TAG, URL, Listener
from cacheapi.responses.looking import Looked, variant_of
from cacheapi.responses.messages import Fields, Request, Response, Stored, without
from cacheapi.responses.origin import Origin
from cacheapi.responses.sandboxing import SANDBOX, is_inert
from cacheapi.responses.screening import screened
from cacheapi.responses.serving import Reply, pass_on, serve
from cacheapi.responses.store import Store
from cacheapi.responses.vary import selecting_values

# The parameter by which a client may show its API key; never the origin's.
KEY_PARAMETER: Final = "api_key"
# TRACE would show a client the secret fields that are sent (RFC 9110, section 9.3.8).
_NEVER: Final = frozenset({"CONNECT", "TRACE"})
# A fetch by a client's own wish is its own.
_OWN_WAY: Final = frozenset({"range", "authorization"})


class NoAnswer(Exception):
    """There is no answer but an error of the service's own; ``str()`` says why.

    :ivar status: its status.
    :ivar cache_status: what ``Cache-Status`` says; ``None`` where the cache was not asked.
    """

    def __init__(self, status: int, message: str, cache_status: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.cache_status = cache_status


@dataclasses.dataclass(frozen=True)
class Incoming:
    """A request of a client.

    :ivar path: below the service's, percent-encoded as it came; empty, or with a slash first.
    :ivar query: as it came, without its ``?``.
    :ivar fields: lower-case names, in the order received.
    :ivar body: all of it.
    :ivar inform: gets the origin's interim answers, if the client can.
    """

    method: str
    path: bytes
    query: bytes = b""
    fields: Fields = ()
    body: bytes = b""
    inform: Inform | None = None


@dataclasses.dataclass
class Outgoing:
    """An answer to a client.

    :ivar body: all of it.
    :ivar rest: what comes after that, where the answer is passed on as it comes; to be closed.
    :ivar result: what the cache did, in a word for metrics: ``hit``, ``stale``, ``validated``,
        ``miss``, ``collapsed``, ``pass`` or ``bypass``.
    """

    status: int
    fields: Fields
    body: bytes
    result: str
    rest: Fetched | None = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body.

        :raises OriginFailed: it was cut off; what came of it may not look whole.
        """
        if self.rest is None:
            yield self.body
            return
        try:
            async for chunk in self.rest.chunks():
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Give up what was not read."""
        if self.rest is not None:
            self.rest.close()


class Engine:
    """A service in front of an origin.

    :param mount: the path of the service, as ``Location`` names it.
    :param store: its stored answers.
    :param threads: for calls of the store.
    :param tls: for an origin over TLS; by default what the system trusts.
    :param listener: is told how the origin does, and what is purged.
    :param clock: Unix time; for tests.
    :ivar purges: how many were made here: what was held before one is not to be served.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        store: Store,
        *,
        mount: str,
        threads: ThreadPoolExecutor | None = None,
        tls: ssl.SSLContext | None = None,
        listener: Listener | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._listener = listener or Listener()
        self.config = config
        self.store = store
        self.purges = 0
        self._mount = mount
        self._clock = clock
        self._threads = threads or ThreadPoolExecutor(THREADS, thread_name_prefix="responses")
        self._calls = Calls(store, self._threads)
        self._origin = Origin(
            config.base,
            connect_seconds=config.connect_seconds,
            read_seconds=config.read_seconds,
            ignores_codings=config.ignores_codings,
            tls=tls,
            listener=self._listener,
            clock=clock,
        )
        self._exchange = Exchange(config, self._origin, self._calls, clock)
        waited = 2 * (config.connect_seconds + config.read_seconds)
        self._herd = Herd(self._calls, waited, clock)

    async def answer(self, incoming: Incoming) -> Outgoing:
        """Answer a request.

        :raises NoAnswer: there is none but an error of the service's own.
        """
        asked = self.asked(incoming)
        request = asked.request
        if not self.config.is_on:
            return await self._passed(asked, "bypass", "off")
        if request.method not in ("GET", "HEAD"):
            return await self._written(asked)
        try:
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
        decision = self._decide(asked, looked)
        if not isinstance(decision, Hit) or decision.refresh or decision.ttl <= 0:
            return None
        variant = variant_of(looked, decision.stored)
        return None if variant is None else (decision, variant)

    def serve(self, asked: Asked, hit: Hit, body: bytes) -> Outgoing:
        """Return the answer of what is stored."""
        status = hit_status(hit.ttl)
        return self._served(asked, hit.stored, hit.age, status, body, _kind(hit))

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

    def target(self, path: bytes, query: bytes) -> tuple[str, str]:
        """As :func:`target_of`, for this service."""
        return target_of(self.config, path, query)

    async def purge(self, path: bytes, query: bytes, *, soft: bool) -> None:
        """Make all variants of a URL gone, or stale.

        :raises NoAnswer: 400, or 500 where the cache cannot be used.
        """
        url, _ = self.target(path, query)
        await self._purged(URL, lambda: self.store.purge_url(url, soft=soft))

    async def purge_tags(self, tags: Sequence[str], *, soft: bool) -> None:
        """Make gone, or stale, everything that carries one of some tags.

        :raises NoAnswer: 500; the cache cannot be used.
        """
        await self._purged(TAG, lambda: self.store.purge_tags(tags, soft=soft))

    async def purge_all(self, *, soft: bool) -> None:
        """Make gone, or stale, everything of the service.

        :raises NoAnswer: 500; the cache cannot be used.
        """
        await self._purged(ALL, lambda: self.store.purge_all(soft=soft))

    async def _purged(self, scope: str, work: Callable[[], None]) -> None:
        try:
            await self._calls.run(work)
            self.purges += 1
        except CacheDown as error:
            raise NoAnswer(500, f"Nothing was purged: {error}") from error
        self._listener.purged(scope)

    def close(self) -> None:
        """End what is under way, and close what is kept."""
        self._herd.close()
        self._calls.close()
        self._origin.close()

    async def end(self) -> None:
        """As :meth:`close`; return once all of it is gone, for the event loop ends."""
        await self._herd.end()
        self._calls.close()
        await self._origin.end()

    # Requests

    def asked(self, incoming: Incoming) -> Asked:
        """Return a request as the rules take it, without what the origin may not see.

        :raises NoAnswer: 400 or 405; it goes no further.
        """
        config = self.config
        method = incoming.method
        allowed = config.methods
        if method in _NEVER or (
            allowed and method not in allowed and not (method == "HEAD" and "GET" in allowed)
        ):
            raise NoAnswer(405, f"This service does not pass on the method {method}.")
        url, target = self.target(incoming.path, incoming.query)
        fields = screened(
            incoming.fields, cookies=config.cookies, authorization=config.authorization
        )
        return Asked(Request(method, url, fields), target, incoming.body, incoming.inform)

    async def _read(self, asked: Asked, looked: Looked) -> Outgoing:
        decision = self._decide(asked, looked)
        if isinstance(decision, Hit):
            hit = await self._hit(asked, decision, looked)
            if hit is not None:
                return hit
            # Its body is gone.
            left = tuple(one for one in looked.variants if one.stored is not decision.stored)
            looked = looked._replace(variants=left)
            decision = self._decide(asked, looked)
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
        if self._is_shared(asked, decision, looked):
            return await self._together(asked, decision, looked)
        return await self._alone(asked, decision, looked)

    def _decide(self, asked: Asked, looked: Looked) -> Decision:
        return decide(asked.request, (one.stored for one in looked.variants), self._clock())

    def _is_shared(self, asked: Asked, decision: Decision, looked: Looked) -> bool:
        """Whether others who ask for the same could use the answer."""
        request = asked.request
        if request.method != "GET" or isinstance(decision, Complete):
            return False
        if getattr(decision, "fwd", "") not in ("uri-miss", "vary-miss", "stale"):
            return False
        if any(name in _OWN_WAY for name, _ in request.fields):
            return False
        record = looked.record
        return record is None or record.alone_until <= self._clock()

    # Ways to an answer

    async def _hit(self, asked: Asked, hit: Hit, looked: Looked) -> Outgoing | None:
        variant = variant_of(looked, hit.stored)
        body = None if variant is None else await self._calls.run(self.store.body, variant)
        if body is None:
            return None
        if hit.refresh:
            self._refresh(asked, hit)
        return self.serve(asked, hit, body)

    async def _alone(self, asked: Asked, decision: Decision, looked: Looked) -> Outgoing:
        try:
            ticket = await self._calls.run(self.store.begin, asked.request.target, looked)
            fetched = await self._exchange.fetch(asked, decision, looked, ticket)
        except OriginFailed as error:
            return await self._failed(asked, decision, looked, error)
        return await self._came(asked, decision, looked, fetched)

    async def _together(self, asked: Asked, decision: Decision, looked: Looked) -> Outgoing:
        key = self._flight_key(asked, looked)
        try:
            if self._herd.is_flying(key):
                came: Fetched | Arrived | None = await self._herd.join(key)
                if came is None:
                    return await self._alone(asked, decision, looked)
            else:
                came = await self._herd.fly(key, asked, self._fetch(asked, decision))
        except OriginFailed as error:
            return await self._failed(asked, decision, looked, error)
        if isinstance(came, Fetched):
            return await self._came(asked, decision, looked, came)
        assert came is not None
        return await self._arrived(asked, decision, looked, came)

    def _flight_key(self, asked: Asked, looked: Looked) -> str:
        names = looked.variants[0].stored.vary if looked.variants else ()
        selecting = selecting_values(asked.request.fields, names)
        return entries.lease_key(self.name, asked.request.target, selecting)

    def _fetch(self, asked: Asked, decision: Decision) -> Fetch:
        async def fetch(looked: Looked, alone: Callable[[], None]) -> Fetched:
            again = self._decide(asked, looked)
            if not isinstance(again, (Miss, Revalidate)):
                again = Miss(getattr(decision, "fwd", "stale"))
            ticket = await self._calls.run(self.store.begin, asked.request.target, looked)
            return await self._exchange.fetch(asked, again, looked, ticket, alone)

        return fetch

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
                return self._served(asked, found.stored, found.age, status, body, "collapsed")
        return await self._alone(asked, decision, looked)

    def _refresh(self, asked: Asked, hit: Hit) -> None:
        """Fetch in the background what was served stale; one does so in all workers."""
        request = asked.request
        fields = without(request.fields, CONDITIONS | {"range", "if-range"})
        own = dataclasses.replace(
            asked, request=Request("GET", request.target, fields), body=b"", inform=None
        )
        key = entries.lease_key(
            self.name, request.target, selecting_values(fields, hit.stored.vary)
        )
        if self._herd.is_flying(key):
            return

        async def fetch(looked: Looked, alone: Callable[[], None]) -> Fetched:
            again = self._decide(own, looked)
            if not isinstance(again, Hit):
                decision = again if isinstance(again, (Miss, Revalidate)) else Miss("stale")
            elif again.refresh:
                decision = refresh_decision(again)
            else:
                # Somebody has been faster.
                return Fetched(Response(304))
            ticket = await self._calls.run(self.store.begin, own.request.target, looked)
            fetched = await self._exchange.fetch(own, decision, looked, ticket, alone)
            fetched.close()
            return fetched

        task = self._herd.start(key, own, fetch, waits=False)
        # Its failure is told by the next who asks.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _sent(self, asked: Asked, fwd: str, reason: str) -> Fetched:
        try:
            return await self._exchange.pass_on(asked, reason)
        except OriginFailed as error:
            raise NoAnswer(error.status, str(error), forward_status(fwd)) from error

    async def _passed(self, asked: Asked, fwd: str, reason: str) -> Outgoing:
        fetched = await self._sent(asked, fwd, reason)
        detail = None if reason == fwd else reason
        status = forward_status(fwd, detail=detail)
        return self._handed(asked, fetched, status, "bypass" if fwd == "bypass" else "pass")

    async def _written(self, asked: Asked) -> Outgoing:
        """Pass on a method that may write, and forget what it has made invalid."""
        try:
            fetched = await self._exchange.write(asked, lambda head: self._forget(asked, head))
        except OriginFailed as error:
            raise NoAnswer(error.status, str(error), forward_status("method")) from error
        is_stored = fetched.reason is None
        detail = None if is_stored or fetched.reason == "method" else fetched.reason
        status = forward_status("method", stored=is_stored, detail=detail)
        return self._handed(asked, fetched, status, "pass")

    async def _forget(self, asked: Asked, head: Response) -> None:
        for url in invalidates(asked.request, head):
            target = self._known(url)
            if target is not None:
                self.purges += 1
                try:
                    await self._calls.run(self.store.purge_url, target)
                except CacheDown:
                    self._calls.owe_purge(target)

    def _known(self, url: str) -> str | None:
        """Return a URL of the origin in the one way to write it; ``None`` if it is none."""
        root = self.config.base.root
        if not url.startswith(root):
            return None
        path, _, query = url[len(root) :].partition("?")
        if not path.startswith(self.config.base.path):
            return None
        below = path[len(self.config.base.path) :]
        try:
            return self.target(below.encode(), query.encode())[0]
        except NoAnswer:
            return None

    # Answers

    async def _came(
        self, asked: Asked, decision: Decision, looked: Looked, fetched: Fetched
    ) -> Outgoing:
        fwd = getattr(decision, "fwd", "uri-miss")
        now = self._clock()
        if fetched.head.status in ERROR_STATUSES:
            stale = await self._stale(asked, decision, looked)
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
            return self._served(asked, stored, age, status, fetched.body, "validated")
        is_stored = stored is not None and fetched.reason is None
        ttl = None
        if stored is not None and is_stored:
            ttl = stored.lifetime - current_age(stored, now)
        status = forward_status(fwd, ttl=ttl, stored=is_stored, detail=fetched.reason)
        asks_more = any(name in CONDITIONS for name, _ in asked.request.fields)
        if stored is not None and asks_more and stored.status == 200:
            # The origin was asked without the client's conditions.
            age = current_age(stored, now)
            return self._served(asked, stored, age, status, fetched.body, "miss")
        return self._handed(asked, fetched, status, "miss")

    async def _failed(
        self, asked: Asked, decision: Decision, looked: Looked, error: OriginFailed
    ) -> Outgoing:
        stale = await self._stale(asked, decision, looked)
        if stale is not None:
            return stale
        status = forward_status(getattr(decision, "fwd", "uri-miss"))
        raise NoAnswer(error.status, str(error), status) from error

    async def _stale(self, asked: Asked, decision: Decision, looked: Looked) -> Outgoing | None:
        """Return what may be served instead of an error (RFC 5861, section 4)."""
        hit = on_error(asked.request, decision, self._clock())
        variant = None if hit is None else variant_of(looked, hit.stored)
        if hit is None or variant is None:
            return None
        body = await self._calls.run(self.store.body, variant)
        if body is None:
            return None
        status = hit_status(hit.ttl, "stale-if-error")
        return self._served(asked, hit.stored, hit.age, status, body, "stale")

    def _served(
        self, asked: Asked, stored: Stored, age: float, status: str, body: bytes, result: str
    ) -> Outgoing:
        reply = serve(asked.request, stored, age, status)
        pieces = [
            piece if isinstance(piece, bytes) else body[piece[0] : piece[1]] for piece in reply.body
        ]
        return Outgoing(
            reply.status,
            self._mounted(reply, asked.target, stored.fields),
            pieces[0] if len(pieces) == 1 else b"".join(pieces),
            result,
        )

    def _handed(self, asked: Asked, fetched: Fetched, status: str, result: str) -> Outgoing:
        """Return the origin's answer as it is."""
        reply = pass_on(fetched.head, status)
        rest = fetched if fetched.rest is not None else None
        if rest is None and asked.request.method != "HEAD" and reply.status not in (204, 304):
            # It may have come in chunks; now its length is known.
            fields = without(reply.fields, ("content-length",))
            length = ("content-length", str(len(fetched.body)))
            reply = Reply(reply.status, (*fields, length))
        fields = self._mounted(reply, asked.target, reply.fields)
        return Outgoing(reply.status, fields, fetched.body, result, rest)

    def _mounted(self, reply: Reply, target: str, whole: Fields) -> Fields:
        """Return an answer's fields with a ``Location`` that a client of ours can follow.

        A page of the origin is sandboxed.

        :param whole: fields that say of what type the body is: a 304 does not.
        """
        base = self.config.base
        fields = tuple(
            (name, base.mounted(value, target, self._mount) if name == "location" else value)
            for name, value in reply.fields
        )
        return fields if is_inert(whole) else (*fields, SANDBOX)


def target_of(config: Config, path: bytes, query: bytes) -> tuple[str, str]:
    """Return the URL that a path and query of a service mean, and the path and query of it.

    :param path: below the service's, as it came; empty, or with a slash first.
    :raises NoAnswer: 400; they mean none.
    """
    query = kept_query(
        query, without=(KEY_PARAMETER, *config.ignore_params), is_sorted=config.sort_query
    )
    try:
        target = config.base.target(path, query)
    except BadAddress as error:
        raise NoAnswer(400, str(error)) from error
    return config.base.root + target, target


def _kind(hit: Hit) -> str:
    return "hit" if hit.ttl > 0 else "stale"
