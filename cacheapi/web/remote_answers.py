"""Services in front of an HTTP API under a server of threads, such as ``gunicorn -k gthread``.

There each request holds its thread while the engine works, in an event loop on a thread of
the process's own. ``cacheapi serve`` does without: see :mod:`cacheapi.serving.remotes`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import quote

from flask import Request, Response, g

from cacheapi.observing.facts import facts
from cacheapi.observing.metrics.meter import Meter
from cacheapi.observing.origins import OriginListener
from cacheapi.observing.troubles import Troubles
from cacheapi.registry.rights import Caller
from cacheapi.responses.answers import Outgoing
from cacheapi.responses.asking import Incoming, NoAnswer, asked_of
from cacheapi.responses.connection import OriginFailed
from cacheapi.responses.engines import Engines
from cacheapi.responses.messages import Fields
from cacheapi.responses.remote import Remote
from cacheapi.responses.timing import Timing, timing
from cacheapi.web.errors import ApiError
from cacheapi.web.http import TUNNELLED, read_body
from cacheapi.web.local_copies import LocalCopies
from cacheapi.web.rates import refusal
from cacheapi.web.remotes import Door, Purge, Sought, refused

T = TypeVar("T")

# The name of an application's RemoteAnswers in its "extensions".
REMOTE_ANSWERS: Final = "cacheapi.web.remote_answers"
ROUTE: Final = "/api/v2/{service}/{path}"
_HITS: Final = frozenset({"hit", "stale", "collapsed"})
_MISSES: Final = frozenset({"miss", "validated"})


class RemoteAnswers:
    """Answers them, for all threads of a process.

    :param meter: where the answers are counted, if anywhere.
    :param troubles: where failures of the APIs are kept.
    """

    def __init__(self, door: Door, meter: Meter | None, troubles: Troubles) -> None:
        self._door = door
        self._meter = meter
        self._troubles = troubles
        self._starting = threading.Lock()
        self._pid: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._copies = LocalCopies()
        self._engines = self._made()

    def _made(self) -> Engines:
        door = self._door
        return Engines(door.find_backend, self.listener, self._copies.forget, door.mount)

    def listener(self, name: str) -> OriginListener:
        """Return who is told of a service."""
        counting = None if self._meter is None else self._meter.flask
        return OriginListener(name, counting, self._troubles)

    def answer(self, request: Request) -> Response | None:
        """Answer a request, ``None`` if it is for no service of this kind.

        :raises ApiError: 401; see :func:`~cacheapi.web.auth.caller_of`.
        """
        environ = request.environ
        sought = self._door.seek(
            # A method that is tunnelled is for caches; here it is the verb as sent.
            "POST" if environ.get(TUNNELLED) else request.method,
            _raw_path(request),
            request.query_string,
            lambda: _fields(request),
        )
        if sought is None:
            return None
        found = facts()
        found.service, found.route = sought.remote.name, ROUTE
        caller = self._door.who(sought)
        standing = self._door.count(caller)
        if standing is not None:
            g.standing = standing
        parts = Timing() if request.headers.get("X-Server-Timing") == "1" else None
        try:
            if standing is not None and standing.is_over:
                raise refusal(standing)
            purge = self._door.plan(sought, caller)
            found.key = sought.key
            body = read_body(request)
            if purge is not None:
                chosen = purge

                async def do_purge() -> Outgoing:
                    engine = self._engines.engine(sought.remote)
                    return await self._door.purge(engine, sought, chosen, caller)

                out = self._run(do_purge())
            else:
                incoming = self._door.incoming(sought, body, None)
                copy = self._copy(sought.remote, incoming)
                out = copy or self._run(self._asked(sought.remote, incoming, parts))
        except (ApiError, NoAnswer) as error:
            out = refused(error)
        if parts is not None:
            found.parts = parts.text
        found.read(out.result in _HITS, (out.result in _HITS) + (out.result in _MISSES))
        if self._meter is not None:
            with self._meter.flask() as tally:
                tally.response(sought.remote.name, out.result)
        return self._response(out)

    def purge(self, remote: Remote, path: bytes, purge: Purge, caller: Caller) -> None:
        """Do a purge for who may.

        :param path: of the URL, below the service's.
        :raises NoAnswer: there is no such URL, or the cache cannot be used.
        """
        sought = Sought(remote, "DELETE", path, b"", ())

        async def work() -> None:
            engine = self._engines.engine(remote)
            await self._door.purge(engine, sought, purge, caller)

        self._run(work())

    def _copy(self, remote: Remote, incoming: Incoming) -> Outgoing | None:
        """Return the answer of a copy that this process holds, if there is one."""
        engine = self._engines.known(remote) if remote.config.local_seconds else None
        if engine is None:
            return None
        return self._copies.answer(engine, asked_of(engine.config, incoming))

    async def _asked(self, remote: Remote, incoming: Incoming, parts: Timing | None) -> Outgoing:
        timing.set(parts)
        return await self._engines.engine(remote).answer(incoming)

    def _response(self, out: Outgoing) -> Response:
        chunks = [out.body] if out.rest is None else self._stream(out)
        response = Response(chunks, out.status)
        response.headers.clear()
        for name, value in out.fields:
            response.headers.add(name, value)
        # Nothing may be added to what is not ours: no content type, and no other location.
        response.autocorrect_location_header = False
        return response

    def _stream(self, out: Outgoing) -> Iterator[bytes]:
        chunks = out.chunks()
        try:
            while (chunk := self._run(_next(chunks))) is not None:
                yield chunk
        except OriginFailed as error:
            # The server closes the connection: what was cut off may not look whole.
            raise ConnectionAbortedError(str(error)) from error
        finally:
            self._run(chunks.aclose())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of this process, made after a fork."""
        with self._starting:
            if self._loop is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                self._engines = self._made()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="responses", daemon=True
                )
                self._thread.start()
            return self._loop

    def watch(self) -> None:
        """Do nothing: the event loop begins with the first request."""

    def close(self) -> None:
        """End the event loop of this process, and its connections to origins."""
        with self._starting:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
            if loop is None or thread is None or self._pid != os.getpid():
                return
            asyncio.run_coroutine_threadsafe(self._engines.end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(chunks, None)


def _raw_path(request: Request) -> bytes:
    """Return the path as it was sent; where a server does not tell, what it was decoded to."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI")
    if raw is None:
        return quote(request.environ["PATH_INFO"].encode("latin-1")).encode()
    path = str(raw).partition("?")[0]
    if "://" in path:
        # The absolute form (RFC 9112, section 3.2.2).
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path.encode("latin-1")


def _fields(request: Request) -> Fields:
    return tuple((name.lower(), value) for name, value in request.headers)
