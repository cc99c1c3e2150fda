"""The application beside the lane: WSGI on a bounded number of threads.

A thread is taken only for work. The body of a request is read before, on the event loop,
and the answer is sent after, in one piece, so a client that is slow at either holds no thread.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from cacheapi.caching.codec import error_text
from cacheapi.observing.facts import STARTED
from cacheapi.responses.budget import CROWDED
from cacheapi.serving.beside import (
    AT_ONCE_SECONDS,
    LISTENER,
    MOST_NEAR,
    READING,
    TUNNEL,
    WEIGHT,
    Beside,
)
from cacheapi.serving.environment import environ_of, lowered
from cacheapi.serving.giving import give
from cacheapi.serving.health import BYTES_A_SECOND
from cacheapi.serving.heavy import Heavy
from cacheapi.serving.receiving import Bodies
from cacheapi.serving.recognition import service_of
from cacheapi.serving.remotes import CYCLE, Remotes
from cacheapi.serving.threads import Threads
from cacheapi.serving.unsent import LARGE_ANSWER, Waiting
from cacheapi.web.access import WITHIN, Access
from cacheapi.web.errors import RETRY_AFTER_SECONDS, internal
from cacheapi.web.large import NO_ROOM

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# Questions of operators' programs. They have threads of their own: they are answered while a
# cache that hangs holds all others, and hold up nobody when they wait for one themselves.
_OPERATING: Final = (b"/health/", b"/metrics")
OPERATING_THREADS: Final = 2

Fields = list[tuple[bytes, bytes]]

# What an answer has only of a request that was counted.
_COUNTED: Final = b"ratelimit-"
# What an answer keeps of the one in whose place it is.
_KEPT: Final = (b"access-control-", b"vary", b"x-request-id", _COUNTED)
_PULLS: Final = frozenset({"clear", "pull"})
_ABOUT: Final = frozenset({"check_exist"})


def _json(content: bytes) -> Fields:
    return [
        (b"content-type", b"application/json"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", b"%d" % len(content)),
    ]


def _verb(scope: dict[str, Any]) -> bytes:
    method = next((value for name, value in scope["headers"] if name == TUNNEL), b"")
    return method.upper() or scope["method"].encode()


def _asks(scope: dict[str, Any], names: frozenset[str]) -> bool:
    """Return whether a request has one of some parameters."""
    query = scope["query_string"].decode("latin-1")
    return not names.isdisjoint(name for name, _ in parse_qsl(query, keep_blank_values=True))


def _size(method: str, body: int, status: int, fields: Fields, content: bytes) -> int:
    """Return the bytes that a request stored, or that its answer has; of HEAD, would have."""
    if status >= 300:
        return 0
    if method == "HEAD":
        return next((int(value) for name, value in fields if name == b"content-length"), 0)
    return max(body, len(content))


def _may_be_asked_again(scope: dict[str, Any]) -> bool:
    """Return whether a request has changed nothing: a value that is pulled is gone."""
    return _verb(scope) == b"GET" and not _asks(scope, _PULLS)


class Application:
    """The ASGI application over a WSGI application.

    :param wsgi: the application; it sees no request whose body was cut short.
    :param threads: how many requests it serves at a time.
    :param access: the application's.
    :param remotes: what serves services in front of an HTTP API, without a thread.
    :param waiting: the answers that wait for their clients.
    :param beside: knows of which requests the loop may wait for the application.
    :param heavy: lets in requests about large values, the lane's too.
    """

    def __init__(
        self,
        wsgi: WSGIApplication,
        threads: int,
        access: Access,
        remotes: Remotes | None = None,
        waiting: Waiting | None = None,
        beside: Beside | None = None,
        heavy: Heavy | None = None,
    ) -> None:
        self._wsgi = wsgi
        self._beside = beside
        self._remotes = remotes
        self._bodies = Bodies(access)
        self._base = access.base
        self._threads = Threads(threads, "wsgi")
        self._waiting = Waiting() if waiting is None else waiting
        self._heavy = Heavy(self._waiting) if heavy is None else heavy
        self._operating = Threads(OPERATING_THREADS, "operating")

    async def end(self) -> None:
        """Close what is open, before the event loop ends."""
        if self._remotes is not None:
            await self._remotes.end()

    def _run(self, environ: Any) -> tuple[int, Fields, bytes, float]:
        """Run the application, here and now.

        :return: its status, header fields and content, and what it took of this thread's time, in
            seconds.
        """
        began = time.thread_time()
        started: list[Any] = []
        written: list[bytes] = []

        def start_response(
            status: str, fields: list[tuple[str, str]], *_error: Any
        ) -> Callable[[bytes], Any]:
            # Nothing is sent yet, so a second call may always take the place of the first.
            started[:] = [status, fields]
            return written.append

        chunks = self._wsgi(environ, start_response)
        try:
            written.extend(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        status, fields = started
        encoded = [(lowered(name), text.encode("latin-1")) for name, text in fields]
        return int(status.split()[0]), encoded, b"".join(written), time.thread_time() - began

    async def _serve(
        self, scope: dict[str, Any], environ: Any, size: int
    ) -> tuple[int, Fields, bytes, float]:
        """Have the application answer, here or on a thread; as :meth:`_run`.

        :param size: of the body.
        """
        target, stores = scope["raw_path"], scope["method"] not in READING
        beside = self._beside
        name = None
        if beside is not None and not scope["state"].get(WEIGHT):
            name = beside.near(target, scope["headers"], size, stores=stores)
        if beside is not None and name is not None:
            environ[WITHIN] = AT_ONCE_SECONDS
            try:
                return self._run(environ)
            finally:
                beside.note_near(name, environ[STARTED], stores=stores)
        threads = self._operating if target.startswith(_OPERATING) else self._threads
        return await threads.run(self._run, environ)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request."""
        sought = None if self._remotes is None else self._remotes.seek(scope)
        if self._remotes is not None and sought is not None:
            await self._remotes.answer(sought, scope, receive, send, self._bodies.read)
            return
        environ = environ_of(scope, self._base)
        body, complete = await self._bodies.read(scope, receive, environ=environ)
        if body is None:
            return
        environ[STARTED] = time.monotonic()
        environ["wsgi.input"] = io.BytesIO(body)
        weight, client = scope["state"].get(WEIGHT, 0), scope.get("client")
        if len(body) > MOST_NEAR:
            weight = max(weight, len(body))
        service = service_of(scope["raw_path"]) or "" if weight else ""
        if weight:
            gives = _verb(scope) == b"GET" and not _asks(scope, _ABOUT)
            takes = gives and _asks(scope, _PULLS)
            if not await self._heavy.enter(weight, service, client, gives=gives, takes=takes):
                environ[NO_ROOM] = True
        entered = time.monotonic()
        try:
            status, fields, content, seconds = await self._serve(scope, environ, len(body))
            if self._beside is not None:
                size = _size(scope["method"], len(body), status, fields, content)
                self._beside.note(scope["raw_path"], seconds, size)
        except Exception as error:  # noqa: BLE001 (logged, and answered)
            refusal = internal(error)
            status, content = refusal.status, error_text(refusal.status, refusal.message).encode()
            fields = _json(content)
        finally:
            if weight:
                self._heavy.leave(weight, service)
        cycle = scope["state"].get(CYCLE)
        is_crowded = len(content) > LARGE_ANSWER and not self._waiting.room().has(client)
        if is_crowded and _may_be_asked_again(scope):
            status = 503
            content = error_text(status, CROWDED).encode()
            fields = [field for field in fields if field[0].startswith(_KEPT)] + _json(content)
            fields.append((b"retry-after", RETRY_AFTER_SECONDS.encode()))
        listener = scope["state"].get(LISTENER)
        if listener is not None:
            waited = time.monotonic() - entered - weight / BYTES_A_SECOND
            is_counted = any(name.startswith(_COUNTED) for name, _ in fields)
            listener(waited, status, is_counted=is_counted)
        if not complete:
            fields = [field for field in fields if field[0] != b"connection"]
            fields.append((b"connection", b"close"))
        size = len(content) if len(content) > LARGE_ANSWER else 0
        if not (complete and cycle is not None and give(cycle, status, fields, content)):
            # Perhaps not before the client has taken what it was sent earlier.
            self._waiting.hold(size, client)
            try:
                await send({"type": "http.response.start", "status": status, "headers": fields})
                await send(
                    {"type": "http.response.body", "body": content, "more_body": not complete}
                )
            finally:
                self._waiting.hold(-size, client)
        if size and cycle is not None:
            self._waiting.add(cycle.transport, client, size)
        if not complete:
            await self._bodies.drain(receive)
            await send({"type": "http.response.body", "body": b""})
