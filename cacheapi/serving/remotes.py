"""Services in front of an HTTP API, in the event loop: a client that waits holds no thread.

A request comes through the same door as in Flask. What Flask adds to an answer and notes of
it (the id, the limits, the time, the line in the log, the counts) is added and noted here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.origins import OriginListener
from cacheapi.observing.request_log import RequestLog
from cacheapi.observing.tail.watch import Tail
from cacheapi.observing.troubles import Troubles
from cacheapi.registry.rights import Caller
from cacheapi.responses.answers import Outgoing
from cacheapi.responses.asking import NoAnswer
from cacheapi.responses.connection import Inform, OriginFailed
from cacheapi.responses.engine import Engine
from cacheapi.responses.engines import Engines
from cacheapi.responses.looking import Looked
from cacheapi.responses.messages import Fields, Response, first
from cacheapi.responses.ready import finished
from cacheapi.responses.shelf import Shelf
from cacheapi.responses.timing import Timing, timing
from cacheapi.serving.noting import Notes
from cacheapi.web.access import Access
from cacheapi.web.errors import ApiError, internal
from cacheapi.web.rates import Standing, refusal
from cacheapi.web.remotes import Door, Sought, refused

# The names, in the state of an ASGI request, of the cycle of uvicorn that serves it.
CYCLE: Final = "cacheapi.cycle"

# The same, of what hits have found in the store, where they have looked; see :data:`Known`.
KNOWN: Final = "cacheapi.known"

# A body is sent in pieces of so many bytes, each once the client has taken those before.
PIECE: Final = 256 * 1024

# A client that wants to know where the time went sends it with 1.
TIMED: Final = "x-server-timing"
# The engine of a service as it was in that moment, and what its store had of a URL.
Known = tuple[Engine, Looked]
Read = Callable[[dict[str, Any], Any, int], Awaitable[tuple[bytes | None, bool]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Cycle(Protocol):
    """What of uvicorn's request and response is needed here."""

    transport: Any
    default_headers: Any


class Remotes:
    """Serves them; for one event loop.

    :param log: where lines go.
    :param tally: where requests are counted, if anywhere.
    :param access: the application's; a request with a field that is left to Flask is.
    :param troubles: where failures of the APIs are kept.
    :param tail: what who watches is told by.
    :ivar engines: those of the services.
    :ivar shelf: what is held of their answers.
    """

    def __init__(
        self,
        door: Door,
        log: RequestLog,
        tally: Tally | None,
        access: Access,
        troubles: Troubles,
        tail: Tail,
    ) -> None:
        self._door = door
        counting = None if tally is None else lambda: contextlib.nullcontext(tally)
        self.shelf = Shelf()
        self.engines = Engines(
            door.find_backend,
            lambda name: OriginListener(name, counting, troubles),
            self.shelf.forget,
            door.mount,
        )
        self._log = log
        self._notes = Notes(log, tally, tail)
        self._max_body = access.max_body
        self._left = access.left

    def seek(self, scope: dict[str, Any]) -> Sought | None:
        """Return what a request asks of such a service, ``None`` if it is for none."""
        if self._left and any(name in self._left for name, _ in scope["headers"]):
            return None
        return self._door.seek(
            scope["method"], scope["raw_path"], scope["query_string"], lambda: _fields(scope)
        )

    async def end(self) -> None:
        """Close connections and end what is under way, before the event loop ends."""
        await self.engines.end()

    async def answer(
        self, sought: Sought, scope: dict[str, Any], receive: Any, send: Send, read: Read
    ) -> None:
        """Answer a request.

        :param read: reads its body: all of it, and whether that was all.
        """
        started = time.monotonic()
        standing: list[Standing] = []
        timed = first(sought.fields, TIMED) == "1"
        parts = Timing()
        if timed:
            timing.set(parts)
        try:
            out = await self._outgoing(sought, scope, receive, read, standing)
        except (ApiError, NoAnswer) as error:
            out = refused(error)
        except Exception as error:  # noqa: BLE001 (logged, and answered)
            out = refused(internal(error))
        if out is None:
            return
        fields = finished(out, hides_id=self._log.is_on)
        added: list[tuple[str, str]] = []
        for one in standing:
            added += one.headers.items()
        request_id = ""
        if self._log.is_on:
            request_id = self._log.request_id(first(sought.fields, "x-request-id"))
            added.append(("x-request-id", request_id))
        if timed:
            total = (time.monotonic() - started) * 1000
            told = f'total;dur={total:.3f};desc="{out.result}", {parts.text}'
            added.append(("server-timing", told))
        cycle: Cycle | None = scope["state"].get(CYCLE)
        if cycle is not None and first(fields, "date") is not None:
            # The date is the origin's to say; uvicorn would add another.
            cycle.default_headers = []
        ready = time.monotonic()
        size = await self._send(out, (*fields, *added), send, sought.method == "HEAD")
        if out.rest is None:
            # How long the client takes for it is no time of ours.
            started += time.monotonic() - ready
        self._notes.note(sought, scope, out, size, started, request_id)

    async def _outgoing(
        self,
        sought: Sought,
        scope: dict[str, Any],
        receive: Any,
        read: Read,
        standing: list[Standing],
    ) -> Outgoing | None:
        """Return the answer; ``None`` for a client that has gone.

        :param standing: gets where a caller with a limit stands.
        """
        door = self._door
        caller = door.who(sought)
        if caller.rate is not None:
            await self._count(caller, standing)
        purge = door.plan(sought, caller)
        engine = self.engines.engine(sought.remote)
        body, is_whole = await read(scope, receive, self._max_body)
        if body is None:
            return None
        if not is_whole or len(body) > self._max_body:
            megabytes = self._max_body // (1024 * 1024)
            raise ApiError(
                413,
                f"The body is larger than {megabytes} MiB (CACHEAPI_MAX_BODY_MB).",
                headers={"Connection": "close"},
            )
        if purge is not None:
            return await door.purge(engine, sought, purge, caller)
        return await self._asked(engine, sought, scope, body, receive)

    async def _asked(
        self, engine: Engine, sought: Sought, scope: dict[str, Any], body: bytes, receive: Any
    ) -> Outgoing | None:
        """Ask the engine, for as long as the client is there."""
        known: Known | None = scope["state"].get(KNOWN)
        looked = known[1] if known is not None and known[0] is engine else None
        incoming = self._door.incoming(sought, body, _inform(scope))
        asking = asyncio.ensure_future(engine.answer(incoming, looked))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait((asking, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                return None
            return asking.result()
        finally:
            leaving.cancel()
            if not asking.done():
                asking.cancel()

    async def _count(self, caller: Caller, standing: list[Standing]) -> None:
        found = await asyncio.get_running_loop().run_in_executor(None, self._door.count, caller)
        if found is not None:
            standing.append(found)
            if found.is_over:
                raise refusal(found)

    async def _send(self, out: Outgoing, fields: Fields, send: Send, is_head: bool) -> int:
        """Send an answer; return the bytes of its body that were."""
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        await send({"type": "http.response.start", "status": out.status, "headers": headers})
        if out.rest is None and len(out.body) <= PIECE:
            await send({"type": "http.response.body", "body": out.body})
            return 0 if is_head else len(out.body)
        size = 0
        # A body that is cut off is not ended: uvicorn closes the connection.
        with contextlib.suppress(OriginFailed):
            async with contextlib.aclosing(out.chunks()) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    # Whoever takes it slowly shall not have all of it in the connection's buffer.
                    for start in range(0, len(chunk), PIECE):
                        piece = chunk[start : start + PIECE]
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        return 0 if is_head else size


def _fields(scope: dict[str, Any]) -> Fields:
    return tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in scope["headers"]
    )


def _inform(scope: dict[str, Any]) -> Inform | None:
    """Return what sends interim answers, which HTTP/1.0 has none of (RFC 9110, section 15.2)."""
    cycle: Cycle | None = scope["state"].get(CYCLE)
    if cycle is None or scope["http_version"] != "1.1":
        return None

    def inform(response: Response) -> None:
        lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}"]
        lines += [f"{name}: {value}" for name, value in response.fields]
        cycle.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    return inform


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Interim"


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
