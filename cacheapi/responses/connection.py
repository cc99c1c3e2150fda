"""One connection to the origin: a request out, and the parts of its answer as they come.

Parsing is h11's, which refuses what could be read in two ways (RFC 9112, section 6.3): two
lengths, an unknown ``Transfer-Encoding``, fields that are none. Here are the bounds in
bytes and time, and the words for what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import h11

from cacheapi.responses.codings import Heads
from cacheapi.responses.messages import Fields, Response

# RFC 9110, section 15: beyond it is an error of the server, and no server of ours can say it.
LAST_STATUS: Final = 599
MAX_HEAD: Final = 64 * 1024
MAX_INFORMATIONAL: Final = 16
# Servers close a connection that is idle; many after 5 seconds.
IDLE_SECONDS: Final = 4.0
AT_ONCE: Final = 64 * 1024

Inform = Callable[[Response], None]


class OriginFailed(Exception):
    """The origin gave no whole answer; ``str()`` says why, in words for a client.

    :ivar status: 502, or 504 where a time limit passed (RFC 9110, section 15.6).
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Gone(Exception):
    """A kept connection was closed before it took the request."""


class Answer:
    """The answer of an origin, its head read, its body not.

    :ivar head: status and fields, all of them.
    :ivar reason: the words after the status.
    :ivar length: bytes of the body, where the head announces them.
    :ivar trailers: the fields after the body, once it is read.
    :ivar request_time: Unix time before the request was sent.
    :ivar response_time: Unix time when the head was there.
    """

    def __init__(
        self,
        connection: Connection,
        head: Response,
        reason: str,
        times: tuple[float, float],
        *,
        has_body: bool,
    ) -> None:
        self._connection = connection
        self._is_over = False
        self._told: Callable[[OriginFailed], None] | None = None
        self.head = head
        self.reason = reason
        self.request_time, self.response_time = times
        self.trailers: Fields = ()
        # Beside a Transfer-Encoding a length says nothing (RFC 9112, section 6.3).
        names = dict(head.fields)
        is_chunked = "transfer-encoding" in names
        self.length: int | None = None
        if not has_body:
            self.length = 0
        elif not is_chunked and "content-length" in names:
            self.length = int(names["content-length"])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; it is whole only if this ends without an error.

        :raises OriginFailed: it was cut off, is malformed, or stalled.
        """
        connection = self._connection
        try:
            while True:
                event = await connection.event(connection.read_seconds)
                if isinstance(event, h11.Data):
                    yield bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self.trailers = _fields(event.headers)
                    self._is_over = True
                    connection.release()
                    return
                else:
                    raise OriginFailed(502, "The origin closed the connection within its answer.")
        except OriginFailed as error:
            if self._told is not None:
                self._told(error)
            raise
        finally:
            self.close()

    def on_failure(self, told: Callable[[OriginFailed], None]) -> None:
        """Have somebody told if the body is not whole."""
        self._told = told

    def close(self) -> None:
        """Give up what was not read of the answer."""
        if not self._is_over:
            self._is_over = True
            self._connection.close()


class Pool(Protocol):
    """Who has made a connection, as it is seen from there."""

    read_seconds: float
    ignores_codings: bool

    def keep(self, connection: Connection) -> None:
        """Take back a connection that can be used again."""

    def left(self, connection: Connection) -> None:
        """Note that a connection is closed."""


class Connection:
    """A connection to the origin: one request at a time."""

    def __init__(
        self, pool: Pool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._since = 0.0
        self._is_open = True
        # Of the answer that is being read.
        self._came = 0
        self._heads: Heads | None = None
        self.read_seconds = pool.read_seconds

    async def exchange(
        self,
        method: str,
        target: str,
        fields: list[tuple[str, str]],
        body: bytes,
        inform: Inform | None,
        request_time: float,
        clock: Callable[[], float],
    ) -> Answer:
        """Send a request and read the head of the answer."""
        self._came = 0
        self._heads = Heads(MAX_HEAD) if self._pool.ignores_codings else None
        http = self._http
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        head = http.send(h11.Request(method=method, target=target, headers=raw))
        data = http.send(h11.Data(data=body)) if body else b""
        end = http.send(h11.EndOfMessage())
        try:
            async with asyncio.timeout(self.read_seconds):
                # An answer may come before all of the body is taken: it is read all the same.
                self._writer.write((head or b"") + (data or b"") + (end or b""))
                with contextlib.suppress(OSError):
                    await self._writer.drain()
                for _ in range(MAX_INFORMATIONAL + 1):
                    event = await self.event(None)
                    if not isinstance(event, h11.InformationalResponse):
                        break
                    if inform is not None and event.status_code != 100:
                        inform(Response(event.status_code, _fields(event.headers)))
                else:
                    raise OriginFailed(502, "The origin sends interim answers without end.")
        except TimeoutError as error:
            raise OriginFailed(504, "The origin sent no answer in time.") from error
        if not isinstance(event, h11.Response):
            raise Gone
        names = {name for name, _ in event.headers}
        if event.http_version < b"1.1" and b"transfer-encoding" in names:
            # RFC 9112, section 6.1.
            raise OriginFailed(502, "The origin's answer has a Transfer-Encoding of no HTTP/1.0.")
        if event.status_code > LAST_STATUS:
            raise OriginFailed(
                502, f"The origin's answer has a status that is none: {event.status_code}."
            )
        return Answer(
            self,
            Response(event.status_code, _fields(event.headers)),
            bytes(event.reason).decode("latin-1"),
            (request_time, clock()),
            has_body=method != "HEAD" and event.status_code not in (204, 304),
        )

    async def event(self, seconds: float | None) -> object:
        """Return the next part of the answer; ``None`` if the connection ended before one."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if not self._came:
                    raise Gone from error
                raise OriginFailed(502, f"The origin's answer is not valid HTTP: {error}.") from (
                    error
                )
            if event is not h11.NEED_DATA:
                return None if isinstance(event, h11.ConnectionClosed) else event
            try:
                if seconds is None:
                    data = await self._reader.read(AT_ONCE)
                else:
                    async with asyncio.timeout(seconds):
                        data = await self._reader.read(AT_ONCE)
            except TimeoutError as error:
                raise OriginFailed(504, "The origin stalled within its answer.") from error
            except OSError as error:
                if not self._came:
                    raise Gone from error
                raise OriginFailed(502, "The origin broke the connection off.") from error
            self._came += len(data)
            ready = data if self._heads is None else self._heads.take(data)
            # h11 takes nothing for the end.
            if ready or not data:
                self._http.receive_data(ready)

    def is_usable(self, now: float) -> bool:
        """Return whether a kept connection can take a request."""
        return now - self._since < IDLE_SECONDS and not (
            self._reader.at_eof() or self._writer.is_closing()
        )

    def release(self) -> None:
        """Keep the connection for another request, if both sides may."""
        http = self._http
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
            if not http.trailing_data[0]:
                self._since = time.monotonic()
                self._pool.keep(self)
                return
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._is_open:
            self._is_open = False
            self._writer.close()
            self._pool.left(self)

    async def abort(self) -> None:
        """Close it without a farewell, for which TLS would wait."""
        self.close()
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def _fields(raw: object) -> Fields:
    pairs: h11._headers.Headers = raw  # type: ignore[assignment]
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs)
