"""The rules with everything around them that they do not have: a clock, a store, an origin."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cacheapi.responses.cache_status import forward_status, hit_status
from cacheapi.responses.dates import format_date
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
from cacheapi.responses.forwarding import forward
from cacheapi.responses.freshness import current_age
from cacheapi.responses.invalidation import invalidates
from cacheapi.responses.messages import Fields, Request, Response, Stored, first
from cacheapi.responses.policy import DEFAULT, Policy
from cacheapi.responses.serving import Reply, pass_on, serve
from cacheapi.responses.storing import keep, may_store
from cacheapi.responses.updating import combine, update, update_by_head
from cacheapi.responses.vary import add_variant

START = 1_800_000_000.0
URL = "http://origin.test/a"


def fields(*lines: str) -> Fields:
    """Fields as they are written: ``Name: value``."""
    found = []
    for line in lines:
        name, _, value = line.partition(":")
        found.append((name.strip().lower(), value.strip()))
    return tuple(found)


def get(*lines: str, method: str = "GET", url: str = URL) -> Request:
    return Request(method, url, fields(*lines))


def date(offset: float, name: str = "Date", now: float = START) -> str:
    return f"{name}: {format_date(now + offset)}"


@dataclasses.dataclass
class Answer:
    """What the origin answers next; ``None`` for its status: no answer."""

    status: int | None
    fields: Fields
    body: bytes = b"0123456789"


def answer(*lines: str, status: int | None = 200, body: bytes = b"0123456789") -> Answer:
    return Answer(status, fields(*lines), body)


@dataclasses.dataclass
class Got:
    """What the client got."""

    status: int
    fields: Fields
    body: bytes
    asked: list[Request]

    def __getitem__(self, name: str) -> str | None:
        return first(self.fields, name)

    @property
    def cached(self) -> bool:
        return "; hit" in (self["cache-status"] or "")


class Cache:
    """An engine as small as one can be: one URL space, no waiting."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self.now = START
        self.policy = policy
        self.store: dict[str, tuple[Stored, ...]] = {}
        self.bodies: dict[tuple[str, tuple[str | None, ...], tuple[str, ...]], bytes] = {}
        self.answers: list[Answer] = []
        self.asked: list[Request] = []
        self.reasons: list[str | None] = []
        self.decision: Decision | None = None

    def put(
        self,
        *lines: str,
        request: Request | None = None,
        status: int = 200,
        body: bytes = b"0123456789",
    ) -> Got:
        """Ask once, and have the origin answer so."""
        return self.ask(request or get(), answer(*lines, status=status, body=body))

    def ask(self, request: Request, *answers: Answer) -> Got:
        self.answers = list(answers)
        self.asked = []
        reply, body = self._answer(request)
        pieces = [
            piece if isinstance(piece, bytes) else body[piece[0] : piece[1]] for piece in reply.body
        ]
        got = b"".join(pieces)
        length = first(reply.fields, "content-length")
        if reply.body:
            assert length == str(len(got))
        return Got(reply.status, reply.fields, got, self.asked)

    # What follows is what an engine does, in the order that the package's docstring says.

    def _answer(self, request: Request) -> tuple[Reply, bytes]:
        variants = self.store.get(request.target, ())
        decision = self.decision = decide(request, variants, self.now)
        if isinstance(decision, Unavailable):
            return Reply(504, ()), b""
        if isinstance(decision, Hit):
            reply = serve(request, decision.stored, decision.age, hit_status(decision.ttl))
            body = self._body(decision.stored)
            if decision.refresh and self.answers:
                self._fetch(request, refresh_decision(decision))
            return reply, body
        return self._fetch(request, decision)

    def _fetch(self, request: Request, decision: Decision) -> tuple[Reply, bytes]:
        assert not isinstance(decision, (Hit, Unavailable))
        add = None if isinstance(decision, Pass) else decision.add
        self.asked.append(Request(request.method, request.target, forward(request, add)))
        came = self.answers.pop(0) if self.answers else answer()
        if came.status is None or came.status in ERROR_STATUSES:
            stale = on_error(request, decision, self.now)
            if stale is not None:
                member = forward_status(decision.fwd, status=came.status, ttl=stale.ttl)
                return serve(request, stale.stored, stale.age, member), self._body(stale.stored)
            if came.status is None:
                return Reply(502, ()), b""
        response = Response(came.status, came.fields)
        body = b"" if request.method == "HEAD" else came.body
        for url in invalidates(request, response):
            self.store.pop(url, None)
        if came.status == 304 and isinstance(decision, Revalidate):
            return self._not_modified(request, decision, response)
        if isinstance(decision, Complete):
            return self._completed(request, decision, response, body)
        if request.method == "HEAD" and isinstance(decision, (Miss, Revalidate)):
            self._by_head(request, decision.stored, response)
        return self._received(request, decision, response, body)

    def _received(
        self, request: Request, decision: Decision, response: Response, body: bytes
    ) -> tuple[Reply, bytes]:
        assert isinstance(decision, (Miss, Revalidate, Complete, Pass))
        reason = may_store(request, response, self.policy, self.now)
        self.reasons.append(reason)
        stored = None
        if reason is None and (request.method == "POST" or not isinstance(decision, Pass)):
            stored = keep(request, response, self.now, self.now, len(body), self.policy)
        member = forward_status(decision.fwd, stored=stored is not None, detail=reason)
        if stored is None:
            reply = pass_on(response, member)
            whole = ((0, len(body)),) if body else ()
            length = ("content-length", str(len(body)))
            return Reply(reply.status, (*reply.fields, length), whole), body
        self._save(stored, body)
        return serve(request, stored, current_age(stored, self.now), member), body

    def _not_modified(
        self, request: Request, decision: Revalidate, response: Response
    ) -> tuple[Reply, bytes]:
        body = self._body(decision.stored)
        news = update(decision.stored, response, request, self.now, self.now, self.policy)
        if news is None:
            return self._fetch(request, Miss("stale"))
        self.reasons.append(news.reason)
        if news.reason is None:
            self._save(news.stored, body)
        elif news.outdated:
            self._drop(decision.stored)
        member = forward_status(decision.fwd, status=304, stored=news.reason is None)
        age = current_age(news.stored, self.now)
        return serve(request, news.stored, age, member), body

    def _completed(
        self, request: Request, decision: Complete, response: Response, body: bytes
    ) -> tuple[Reply, bytes]:
        if response.status == 200:
            return self._received(request, decision, response, body)
        old = self._body(decision.stored)
        new = None
        if response.status == 206:
            new = keep(request, response, self.now, self.now, len(body), self.policy)
        both = None if new is None else combine(decision.stored, new, self.policy)
        if both is None:
            return self._fetch(request, Miss("partial"))
        whole = b"".join((old, body)[one][start:stop] for one, start, stop in both.pieces)
        self._save(both.stored, whole)
        return serve(request, both.stored, 0, forward_status(decision.fwd, stored=True)), whole

    def _by_head(self, request: Request, stored: Stored | None, response: Response) -> None:
        if stored is None or response.status != 200:
            return
        news = update_by_head(stored, response, request, self.now, self.now, self.policy)
        body = self._body(stored)
        if news is None or news.outdated:
            self._drop(stored)
        elif news.reason is None:
            self._save(news.stored, body)

    def _save(self, stored: Stored, body: bytes) -> None:
        assert stored.length == len(body)
        variants = self.store.get(stored.target, ())
        self.store[stored.target] = add_variant(variants, stored)
        self.bodies[stored.target, stored.selecting, stored.vary] = body

    def _drop(self, stored: Stored) -> None:
        kept = [one for one in self.store[stored.target] if one is not stored]
        self.store[stored.target] = tuple(kept)

    def _body(self, stored: Stored) -> bytes:
        return self.bodies[stored.target, stored.selecting, stored.vary]


def cached_after(lines: Sequence[str], seconds: float = 0.0, status: int = 200) -> bool:
    """Whether a second GET, so much later, is served of what the first got."""
    cache = Cache()
    cache.put(*lines, status=status)
    cache.now += seconds
    return cache.ask(get()).cached
