"""The application beside the lane: WSGI on a bounded number of threads, through a2wsgi.

A thread is taken only for work. The body of a request is read before, on the event loop,
and the answer is sent after, so a client that is slow at either holds no thread.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from a2wsgi import WSGIMiddleware

from cacheapi.codec import error_text
from cacheapi.errors import internal
from cacheapi.serving.access_log import AccessLog
from cacheapi.serving.lane import LISTENER

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# How much of a body that is too large is taken all the same, and for how long: a client
# that is still sending when the connection closes would never see the answer.
DRAINED_LIMITS: Final = 8
DRAIN_SECONDS: Final = 5.0
DRAIN_PAUSE_SECONDS: Final = 0.5

_BODY: Final = "cacheapi.body"

Message = MutableMapping[str, Any]


class Application:
    """The ASGI application over a WSGI application.

    :param wsgi: the application; it sees no request whose body was cut short.
    :param threads: how many requests it serves at a time.
    :param max_body: in bytes. Of a body that is longer the application gets one byte more,
        or nothing where the length was announced: enough to refuse it.
    :param access_log: where answers are logged, if anywhere.
    """

    def __init__(
        self,
        wsgi: WSGIApplication,
        threads: int,
        max_body: int,
        access_log: AccessLog | None,
    ) -> None:
        self._wsgi = wsgi
        self._max_body = max_body
        self._access_log = access_log
        self._in_threads = WSGIMiddleware(self._call, workers=threads)  # type: ignore[arg-type]

    def _call(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        scope = environ["asgi.scope"]
        # The bytes that were sent: a2wsgi has the text, where all that is not UTF-8 is alike.
        environ["PATH_INFO"] = unquote_to_bytes(scope["raw_path"]).decode("latin-1")
        environ["wsgi.input"] = io.BytesIO(scope[_BODY])
        return self._wsgi(environ, start_response)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request."""
        started = time.monotonic()
        body, complete = await self._read(scope, receive)
        if body is None:
            return
        scope[_BODY] = body
        began = time.monotonic()
        answer = await self._answer(scope, receive)
        start, *parts = answer
        listener = scope["state"].get(LISTENER)
        if listener is not None:
            listener(time.monotonic() - began, start["status"])
        content = b"".join(part.get("body", b"") for part in parts)
        if not complete:
            start["headers"] = [
                *(field for field in start["headers"] if field[0] != b"connection"),
                (b"connection", b"close"),
            ]
        await send(start)
        await send({"type": "http.response.body", "body": content, "more_body": not complete})
        if not complete:
            await self._drain(receive)
            await send({"type": "http.response.body", "body": b""})
        if self._access_log is not None:
            self._access_log.note(
                scope["client"],
                scope["method"],
                scope["raw_path"],
                scope["headers"],
                start["status"],
                len(content),
                started,
            )

    async def _answer(self, scope: dict[str, Any], receive: Any) -> list[Message]:
        """Run the application and return its answer as the messages of ASGI."""
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        try:
            await self._in_threads(scope, receive, collect)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 (logged, and answered)
            refusal = internal(error)
            content = error_text(refusal.status, refusal.message).encode()
            fields = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(content)),
            ]
            return [
                {"type": "http.response.start", "status": 500, "headers": fields},
                {"type": "http.response.body", "body": content},
            ]
        return messages

    async def _read(self, scope: dict[str, Any], receive: Any) -> tuple[bytes | None, bool]:
        """Return the body, ``None`` if it never came, and whether it is all of it."""
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._max_body:
                return b"", False
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None, False
            body += message["body"]
            if not message["more_body"]:
                return bytes(body), True
            if len(body) > self._max_body:
                return bytes(body[: self._max_body + 1]), False

    async def _drain(self, receive: Any) -> None:
        left = DRAINED_LIMITS * self._max_body
        deadline = time.monotonic() + DRAIN_SECONDS
        while left > 0 and time.monotonic() < deadline:
            try:
                # A client that waits for the answer sends nothing more.
                message = await asyncio.wait_for(receive(), DRAIN_PAUSE_SECONDS)
            except TimeoutError:
                return
            if message["type"] != "http.request" or not message["more_body"]:
                return
            left -= len(message["body"])
