"""How a connection ends: in time, refused, or because the worker stops.

Parsing, pipelining, flow control and the ASGI side are uvicorn's, over httptools. Here is
what a service that strangers reach needs beside it: a bound on how long each part of a
request and of an answer may take, JSON for every refusal, and an end of a connection that
does not take the answer away from a client that is still sending.
"""

from __future__ import annotations

import enum
import math
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from cacheapi.serving.head import Refused
from cacheapi.serving.refusals import refusal
from cacheapi.serving.site import Site
from cacheapi.serving.unsent import count_unsent

# From the first byte of a request to the end of its head.
HEAD_SECONDS: Final = 10.0
# Between two pieces of a body; and for a client to take a piece of an answer.
STALL_SECONDS: Final = 15.0
# What a client takes in that time at least, of an answer that waits for it.
STALL_BYTES: Final = 16 * 1024
# What a body may take at least, and how many bytes of it have to come in each further second.
BODY_SECONDS: Final = 30.0
BODY_RATE: Final = 4096
# A body of this size is taken however many others are on their way.
SMALL_BODY: Final = 64 * 1024
# A client that is refused while it sends shall see why.
LINGER_SECONDS: Final = 2.0
# How long a stopping worker waits for the next request of a kept connection.
LEAVE_SECONDS: Final = 0.5


class Phase(enum.Enum):
    """Where a connection is in reading a request."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    # Refused or ended; what still comes is thrown away.
    LINGER = enum.auto()


class Ending(HttpToolsProtocol):
    """A connection of a client, as far as its time limits and its end go.

    :param site: the worker's.
    :param uvicorn: what uvicorn gives to a protocol.
    """

    def __init__(self, site: Site, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        # uvicorn's own would show the query, which may have an API key.
        self.access_log = False
        self._site = site
        self._phase = Phase.IDLE
        self._deadline = math.inf
        self._write_deadline = math.inf
        # What was not sent yet when that was set.
        self._unsent = 0
        # Of the body that is being read: since when, and how much of it came.
        self._body_since = 0.0
        self._body_came = 0
        # What is held of bodies of this connection.
        self._body_held = 0
        # How many requests wait for the lane; and the body of one that it may take.
        self._taken = 0
        self._body: bytearray | None = None
        # No request is read after this one; nothing is read at all.
        self._last = False
        self._deaf = False
        self._ended = False
        self._leaving = False
        # The last request that was handed to the application.
        self._started: RequestResponseCycle | None = None
        # Sent once the requests before the refused one are answered.
        self._refusal: bytes | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_request()
        self._site.watch(self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self._release_bodies()
        if self._started is not None:
            # uvicorn tells the request that came last, and that one may wait for this one.
            self._started.disconnected = True
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked before the client ended its side, then close."""
        self._ended = True
        if self._phase is Phase.HEAD:
            self._refuse(400, "The request ended within its head.")
        elif self._phase is Phase.BODY:
            length = int(dict(self.headers).get(b"content-length", 0))
            if length > self._site.max_body:
                # The application refuses it, and does not wait for it.
                self.cycle.keep_alive = False
            elif length:
                self._refuse(400, f"The body ended before the {length} bytes announced.")
            else:
                self._refuse(400, "The body could not be read to its end.")
        elif self._phase is Phase.LINGER:
            self.transport.close()
        else:
            self._answer_taken()
            if self._is_busy():
                self.cycle.keep_alive = False
            elif not self._taken:
                self.transport.close()
        # Over TLS one side cannot end alone.
        return self.scheme != "https"

    def shutdown(self) -> None:
        """Finish what is in flight, tell clients that keep the connection to come anew."""
        self._answer_taken()
        self._leaving = True
        if self._phase is Phase.LINGER:
            self.transport.close()
        elif self._is_busy():
            self._last = True
            self.cycle.keep_alive = False
        else:
            # A client that was about to send is told with its answer, not by a reset.
            self.loop.call_later(LEAVE_SECONDS, self._leave)

    def _leave(self) -> None:
        self._answer_taken()
        if self._phase is Phase.IDLE and not self._is_busy() and not self._taken:
            self.transport.close()

    def pause_writing(self) -> None:
        self._write_deadline = self.loop.time() + STALL_SECONDS
        self._unsent = count_unsent(self.transport)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._write_deadline = math.inf
        super().resume_writing()
        self._go_on()

    def check(self, now: float) -> None:
        """End the connection if its time is over."""
        if self.flow.write_paused or self.transport.is_closing():
            self._check_reader(now)
        elif now >= self._deadline and not self.flow.read_paused:
            self._deadline = now + STALL_SECONDS
            if self._phase is Phase.HEAD:
                self._refuse(408, f"The request's head took longer than {HEAD_SECONDS:.0f} s.")
            elif self._phase is Phase.BODY:
                self._refuse(408, f"Nothing came of the body for {STALL_SECONDS:.0f} s.")
            elif not self._taken:
                # Else it waits for us: where many ask for large values, some for many turns.
                self.transport.close()
        elif self._phase is Phase.BODY:
            if self.flow.read_paused:
                # It waits for us.
                self._body_since = max(self._body_since, now - self._body_came / BODY_RATE)
            elif now > self._body_since + BODY_SECONDS + self._body_came / BODY_RATE:
                self._refuse(408, f"The body came slower than {BODY_RATE} bytes a second.")

    def _check_reader(self, now: float) -> None:
        """End the connection if the client does not take its answers.

        Slow is no fault; but it has to be more than a trickle.
        """
        unsent = count_unsent(self.transport)
        if unsent <= self._unsent - STALL_BYTES or self._write_deadline == math.inf:
            self._unsent = unsent
            self._write_deadline = now + STALL_SECONDS
        elif now >= self._write_deadline:
            self.transport.abort()

    def _await_head(self) -> None:
        self._deadline = self.loop.time() + HEAD_SECONDS

    def _await_body(self) -> None:
        self._deadline = self.loop.time() + STALL_SECONDS

    def _hold_body(self, size: int) -> None:
        """Count what is held of a body.

        :raises Refused: bodies of all clients are too much together.
        """
        self._body_held += size
        self._site.bodies += size
        if self._site.bodies > self._site.most_bodies and self._body_held > SMALL_BODY:
            raise Refused(503, "Too many large bodies are on their way; try again in a second.")

    def _release_bodies(self) -> None:
        self._site.bodies -= self._body_held
        self._body_held = 0

    def _await_request(self) -> None:
        self._deadline = self.loop.time() + self.timeout_keep_alive

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The site keeps all time limits.
        self._unset_keepalive_if_required()
        if self._is_busy():
            return
        self._release_bodies()
        if self.transport.is_closing():
            return
        if self._refusal is not None:
            self._send_refusal(self._refusal)
        elif self._phase is Phase.IDLE:
            self._await_request()
            if self._leaving:
                self.loop.call_later(LEAVE_SECONDS, self._leave)

    def _answer_taken(self) -> None:
        if self._taken:
            self._site.lane.turns.answer()
            self._site.hits.answer()

    def _refuse(self, status: int, message: str) -> None:
        """Refuse the request that is being read, once those before it are answered."""
        self._deaf = True
        self._answer_taken()
        self._release_bodies()
        self._site.note_refusal(status, self.client)
        data = refusal(status, message, self._site.told(self.headers or ()))
        cycle = self.cycle
        if self._phase is Phase.BODY and self._body is None:
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
                self.cycle = self.pipeline[0][0] if self.pipeline else self._started  # type: ignore[assignment]
            else:
                cycle.disconnected = True
                cycle.message_event.set()
                cycle.response_complete = True
                if cycle.response_started:
                    self._linger()
                    return
        if self._is_busy() or self._taken:
            self._refusal = data
        else:
            self._send_refusal(data)

    def _send_refusal(self, data: bytes) -> None:
        self.transport.write(data)
        self._linger()

    def _linger(self) -> None:
        """End our side; the connection closes once the client has ended its own, or soon.

        To close while it still sends would reset the connection and lose it the answer.
        """
        self._phase = Phase.LINGER
        self._deaf = True
        self._deadline = self.loop.time() + LINGER_SECONDS
        self.flow.resume_reading()
        if self._ended or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._taken or self.flow.write_paused:
            # What was asked before is not answered yet, or has not left.
            self.flow.pause_reading()
            self.pipeline.append((cycle, app))
        else:
            self._started = cycle
            super()._start_asgi_task(cycle, app)

    def _go_on(self) -> None:
        """Go on with what waited for earlier answers to be given, or to leave."""
        if not self.pipeline and self._refusal is None and not self._ended:
            # Nearly always nothing does.
            return
        if self._taken or self.flow.write_paused or self.transport.is_closing():
            return
        if self.pipeline and (self._started is None or self._started.response_complete):
            self._start_asgi_task(*self.pipeline.pop())
        elif self._is_busy():
            pass
        elif self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            self._send_refusal(refusal)
        elif self._ended:
            self.transport.close()
