"""The origin over HTTP/1.1: one client an origin and event loop, with a pool of connections.

A connection is made on first use, so the client can be made before a fork.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final

import h11

from cacheapi.responses.addresses import Base
from cacheapi.responses.connection import (
    AT_ONCE,
    Answer,
    Connection,
    Gone,
    Inform,
    OriginFailed,
)
from cacheapi.responses.listening import Listener
from cacheapi.responses.messages import Fields
from cacheapi.responses.timing import ORIGIN, waiting

MAX_CONNECTIONS: Final = 1024
MAX_IDLE: Final = 64
END_SECONDS: Final = 2.0
# RFC 9110, section 9.2.2: may be sent again where a kept connection turns out to be gone.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class Origin:
    """A client of one origin; for one event loop.

    :param base: where it is.
    :param connect_seconds: the longest wait for a connection, its TLS included.
    :param read_seconds: the longest wait for the head of an answer, and for each piece of
        its body.
    :param ignores_codings: take a ``Transfer-Encoding`` that is none of HTTP's for nothing.
    :param tls: for an origin over TLS; by default what the system trusts.
    :param listener: is told of each answer and failure.
    :param clock: Unix time; for tests.
    """

    def __init__(
        self,
        base: Base,
        *,
        connect_seconds: float,
        read_seconds: float,
        ignores_codings: bool = False,
        tls: ssl.SSLContext | None = None,
        listener: Listener | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.base = base
        self._listener = listener or Listener()
        self.read_seconds = read_seconds
        self.ignores_codings = ignores_codings
        self._connect_seconds = connect_seconds
        self._tls = tls
        self._clock = clock
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)

    async def send(
        self,
        method: str,
        target: str,
        fields: Fields,
        body: bytes = b"",
        inform: Inform | None = None,
    ) -> Answer:
        """Send a request; return once the head of its final answer is there.

        :param target: path and query, as :meth:`~cacheapi.responses.addresses.Base.target`
            gives it.
        :param fields: without ``Host`` and those of a connection.
        :param body: not sent with a ``GET`` or ``HEAD``.
        :param inform: gets each interim answer (RFC 9110, section 15.2).
        :raises OriginFailed: there is no such answer.
        """
        started = time.monotonic()
        listener = self._listener
        try:
            with waiting(ORIGIN):
                answer = await self._send(method, target, fields, body, inform)
        except OriginFailed as error:
            took = time.monotonic() - started
            listener.failed(method, target, error.status, str(error), took)
            raise
        listener.answered(method, target, answer.head.status, time.monotonic() - started)
        answer.on_failure(
            lambda error: listener.failed(method, target, error.status, str(error), None)
        )
        return answer

    async def _send(
        self, method: str, target: str, fields: Fields, body: bytes, inform: Inform | None
    ) -> Answer:
        if method in ("GET", "HEAD"):
            body = b""
        sent = [("host", self.base.authority), *fields]
        if body or method in ("POST", "PUT", "PATCH"):
            sent.append(("content-length", str(len(body))))
        request_time = self._clock()
        # What may not be sent twice is never sent where it might be lost.
        connection = self._kept() if method in _IDEMPOTENT else None
        while True:
            kept = connection is not None
            if connection is None:
                connection = await self._connect()
            try:
                return await connection.exchange(
                    method, target, sent, body, inform, request_time, self._clock
                )
            except Gone:
                connection.close()
                if not kept:
                    raise OriginFailed(
                        502, "The origin closed the connection without an answer."
                    ) from None
                connection = None
            except h11.LocalProtocolError as error:
                connection.close()
                raise OriginFailed(502, f"The request cannot be sent: {error}.") from error
            except BaseException:
                connection.close()
                raise

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    async def end(self) -> None:
        """Break off all connections, and return once they are gone: the event loop ends."""
        gone = [connection.abort() for connection in list(self._open)]
        if gone:
            await asyncio.wait([asyncio.ensure_future(one) for one in gone], timeout=END_SECONDS)

    def _kept(self) -> Connection | None:
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable(now):
                return connection
            connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Take back a connection that can be used again."""
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def left(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        self._open.discard(connection)
        self._room.release()

    async def _connect(self) -> Connection:
        base = self.base
        tls = None
        if base.scheme == "https":
            tls = self._tls = self._tls or ssl.create_default_context()
        made = False
        try:
            async with asyncio.timeout(self._connect_seconds):
                await self._room.acquire()
                made = True
                reader, writer = await asyncio.open_connection(
                    base.host, base.port, ssl=tls, limit=AT_ONCE
                )
        except BaseException as error:
            if made:
                self._room.release()
            if isinstance(error, TimeoutError):
                raise OriginFailed(504, "The origin took no connection in time.") from error
            if isinstance(error, ssl.SSLError):
                raise OriginFailed(502, "No TLS connection to the origin could be made.") from error
            if isinstance(error, OSError):
                raise OriginFailed(502, f"The origin takes no connection: {_words(error)}.") from (
                    error
                )
            raise
        connection = Connection(self, reader, writer)
        self._open.add(connection)
        return connection


def _words(error: OSError) -> str:
    """Return what went wrong without the address, which is nobody's business."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return (error.strerror or "it cannot be reached").split("(")[0].strip().lower()[:80]
