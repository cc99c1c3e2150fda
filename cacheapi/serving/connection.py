"""HTTP/1.1 on a connection: uvicorn's protocol, with limits, our errors and the lane.

Parsing, pipelining, flow control and the ASGI side are uvicorn's, over httptools. Here is
what a service that strangers reach needs beside it: bounds on what a request's head may be
and on how long each of its parts may take, JSON for every refusal, and an end of a
connection that does not take the answer away from a client that is still sending.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from cacheapi.serving.access_log import Begun
from cacheapi.serving.head import (
    FIELD_FRAME,
    MAX_FIELD,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_TARGET,
    VERSIONS,
    Refused,
    check_fields,
    too_large,
)
from cacheapi.serving.lane import LISTENER, Asker
from cacheapi.serving.recognition import Fields
from cacheapi.serving.refusals import refusal
from cacheapi.serving.remotes import CYCLE
from cacheapi.serving.repeat import GET, Repeat, remember
from cacheapi.serving.site import Site
from cacheapi.web.errors import FRAGMENT

# From the first byte of a request to the end of its head.
HEAD_SECONDS: Final = 10.0
# Between two pieces of a body; and for a client to take a piece of an answer.
STALL_SECONDS: Final = 15.0
# A client that is refused while it sends shall see why.
LINGER_SECONDS: Final = 2.0
# How long a stopping worker waits for the next request of a kept connection.
LEAVE_SECONDS: Final = 0.5

# More of one connection in one turn would be answers without a bound for who does not read.
TAKEN_AT_ONCE: Final = 32

_READING: Final = frozenset({b"GET", b"HEAD"})


class Phase(enum.Enum):
    """Where a connection is in reading a request."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    # Refused or ended; what still comes is thrown away.
    LINGER = enum.auto()


class _Enough(Exception):
    """What follows the last request of a connection is not read."""


class Connection(HttpToolsProtocol):
    """A connection of a client.

    :param site: the worker's.
    :param uvicorn: what uvicorn gives to a protocol.
    """

    def __init__(self, site: Site, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        # uvicorn's own would show the query, which may have an API key.
        self.access_log = False
        self._site = site
        self._logged: deque[Begun] = deque()
        self._phase = Phase.IDLE
        self._deadline = math.inf
        self._write_deadline = math.inf
        # Of the head that is being read: the size of its fields, and the bytes that came.
        self._size = 0
        self._came = 0
        # How many requests began in the piece that is being read.
        self._begun = 0
        # Whether the request that is being read is the lane's, and how many of its wait.
        self._ours = False
        self._taken = 0
        # Whether one of those is a store; and the body of one that the lane may take.
        self._stores = False
        self._body: bytearray | None = None
        # What was told the lane of the read that it took last in this piece; and that read,
        # known by its bytes, for the next piece.
        self._asker: Asker | None = None
        self._repeat: Repeat | None = None
        # Answers that wait for the others of this turn, to be sent with them.
        self._held: list[bytes] = []
        # No request is read after this one; nothing is read at all.
        self._last = False
        self._deaf = False
        self._ended = False
        self._leaving = False
        # The last request that was handed to the application.
        self._started: RequestResponseCycle | None = None
        # Sent once the requests before the refused one are answered.
        self._refusal: bytes | None = None

    # The connection

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.time() + self.timeout_keep_alive
        self._site.watch(self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._started is not None:
            # uvicorn tells the request that came last, and that one may wait for this one.
            self._started.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._repeat is not None:
            data = self._take_again(self._repeat, data)
            if not data:
                return
        phase = self._phase
        self._begun = 0
        self._asker = None
        try:
            self.parser.feed_data(data)
            if phase is self._phase is Phase.IDLE and self._begun == 1:
                self._remember(data)
            if self._phase is Phase.HEAD and self._begun == (phase is Phase.IDLE):
                self._came += len(data)
                if self._came > MAX_HEAD:
                    raise too_large()
        except httptools.HttpParserUpgrade:
            # It stays HTTP/1.1; what follows is for another protocol.
            self._last = self._deaf = True
            self.cycle.keep_alive = False
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, _Enough):
                self._deaf = True
            elif isinstance(cause, Refused):
                self._refuse(cause.status, str(cause))
            else:
                self._refuse(400, "The request's target is not valid.")
        except httptools.HttpParserError as error:
            self._refuse(400, f"The request is not valid HTTP: {error}.")
        except Refused as error:
            self._refuse(error.status, str(error))

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
            if not self._is_busy():
                self.transport.close()
            else:
                self.cycle.keep_alive = False
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
        if self._phase is Phase.IDLE and not self._is_busy():
            self.transport.close()

    def pause_writing(self) -> None:
        self._write_deadline = self.loop.time() + STALL_SECONDS
        super().pause_writing()

    def resume_writing(self) -> None:
        self._write_deadline = math.inf
        super().resume_writing()

    def check(self, now: float) -> None:
        """End the connection if its time is over."""
        if now >= self._write_deadline or (now >= self._deadline and self.transport.is_closing()):
            self.transport.abort()
        elif now >= self._deadline and not self.flow.read_paused:
            self._deadline = now + STALL_SECONDS
            if self._phase is Phase.HEAD:
                self._refuse(408, f"The request's head took longer than {HEAD_SECONDS:.0f} s.")
            elif self._phase is Phase.BODY:
                self._refuse(408, f"Nothing came of the body for {STALL_SECONDS:.0f} s.")
            else:
                self.transport.close()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Reading a request

    def on_message_begin(self) -> None:
        if self._last:
            raise _Enough
        self._phase = Phase.HEAD
        self._deadline = self.loop.time() + HEAD_SECONDS
        self._begun += 1
        self._size = self._came = 0
        self.url = b""
        self.headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_TARGET:
            raise Refused(414, f"The request's target is longer than {MAX_TARGET} bytes.")
        if b"#" in url:
            raise Refused(400, FRAGMENT)

    def on_header(self, name: bytes, value: bytes) -> None:
        size = len(name) + len(value)
        if size > MAX_FIELD:
            raise Refused(431, f"A header field is longer than {MAX_FIELD} bytes.")
        self._size += size + FIELD_FRAME
        if self._size > MAX_HEAD:
            raise too_large()
        if self._phase is not Phase.HEAD:
            # Trailer fields are for nobody here; they may not join the header's.
            return
        self.headers.append((name.lower(), value.strip(b" \t")))
        if len(self.headers) > MAX_FIELDS:
            raise Refused(431, f"There are more than {MAX_FIELDS} header fields.")

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            raise Refused(400, "The version of HTTP is neither 1.1 nor 1.0.")
        keep_alive = version == "1.1" and self.parser.should_keep_alive() and not self._leaving
        self._last = not keep_alive
        lane, target, headers = self._site.lane, self.url, self.headers
        method = self.parser.get_method()
        if self._stores or self._is_busy() or self.flow.write_paused:
            self._start_cycle(version, keep_alive)
        elif method == b"GET" and self._taken < TAKEN_AT_ONCE:
            self._asker = lane.take_read(self, target, headers, keep_alive)
            if self._asker is not None:
                self._ours = True
                self._take("GET", target, headers)
            else:
                self._start_cycle(version, keep_alive)
        elif method == b"POST" and not self._taken and lane.wants_store(target, headers):
            self._body = bytearray()
            self._deadline = self.loop.time() + STALL_SECONDS
        else:
            self._start_cycle(version, keep_alive)
        self._phase = Phase.BODY

    def _remember(self, data: bytes) -> None:
        """Remember the one request that data is, if the lane took it as a read."""
        if self._asker is not None and not self._last:
            self._repeat = remember(data, self.url, self.headers, self._asker)

    def _take_again(self, repeat: Repeat, data: bytes) -> bytes:
        """Take the reads that data begins with and that are known by their bytes.

        :return: what is left for the parser, which is between two requests before and after.
        """
        if (
            self._phase is not Phase.IDLE
            or self._last
            or self._leaving
            or self._stores
            or self.flow.write_paused
            or self._is_busy()
        ):
            return data
        start = 0
        while self._taken < TAKEN_AT_ONCE:
            match = repeat.find(data, start)
            if match is None or not self._site.lane.take_again(self, match, repeat.asker):
                break
            end = match.end()
            self._take("GET", data[start + len(GET) : end], repeat.headers)
            start = end + len(repeat.tail)
        if start:
            self._deadline = self.loop.time() + self.timeout_keep_alive
        return data[start:]

    def _take(self, method: str, target: bytes, headers: Fields) -> None:
        self._taken += 1
        if self._site.access_log is not None:
            self._logged.append(self._site.access_log.begin(method, target, headers))

    def _take_store(self, body: bytes) -> None:
        """Give a request to the lane now that its body is there; else to the application."""
        keep_alive = not self._last
        if self._site.lane.take_store(self, self.url, self.headers, keep_alive, body):
            self._take("POST", self.url, self.headers)
            self._stores = self._ours = True
        else:
            self._start_cycle(self.parser.get_http_version(), keep_alive)
            super().on_body(body)

    def _start_cycle(self, version: str, keep_alive: bool) -> None:
        """Hand the request to uvicorn, and so to the application."""
        url, headers = self.url, self.headers
        stores = self.parser.get_method() not in _READING
        expect = check_fields(headers, version)
        super().on_message_begin()
        # Other programs would take names that differ in "-" and "_" for the same.
        self.headers.extend(field for field in headers if b"_" not in field[0])
        self.url = url
        self.expect_100_continue = expect
        super().on_headers_complete()
        self.cycle.scope["state"][CYCLE] = self.cycle
        self.cycle.scope["state"][LISTENER] = self._site.lane.listener(url, stores=stores)
        if not keep_alive or self._leaving:
            self.cycle.keep_alive = False
        self._deadline = self.loop.time() + STALL_SECONDS

    def on_body(self, body: bytes) -> None:
        self._deadline = self.loop.time() + STALL_SECONDS
        if self._body is not None:
            self._body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._body is not None:
            body, self._body = bytes(self._body), None
            self._take_store(body)
        self._phase = Phase.IDLE
        if self._ours:
            self._ours = False
            self._deadline = self.loop.time() + self.timeout_keep_alive
        else:
            self._deadline = math.inf
            super().on_message_complete()

    # Answering

    def answer(self, status: int, fields: str, body: bytes | None, keep_alive: bool) -> None:
        """Send an answer of the lane; see :class:`~cacheapi.serving.lane.Sink`."""
        self._taken -= 1
        self._stores = False
        keep_alive = keep_alive and not self._leaving
        if self.transport.is_closing():
            return
        self.server_state.total_requests += 1
        access_log = self._site.access_log
        if access_log is not None:
            begun = self._logged.popleft()
            fields += f"x-request-id: {begun.request_id}\r\n"
        head = self._site.status_line(status, self.server_state.default_headers) + fields
        if not keep_alive:
            head += "connection: close\r\n"
        data = (head + "\r\n").encode("latin-1") + (body or b"")
        if self._taken and keep_alive:
            self._held.append(data)
        elif self._held:
            self.transport.writelines([*self._held, data])
            self._held.clear()
        else:
            self.transport.write(data)
        if not keep_alive:
            self.transport.close()
        if access_log is not None:
            access_log.note(begun, status, len(body or b""), self.client)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The site keeps all time limits.
        self._unset_keepalive_if_required()
        if self.transport.is_closing() or self._is_busy():
            return
        if self._refusal is not None:
            self._send_refusal(self._refusal)
        elif self._phase is Phase.IDLE:
            self._deadline = self.loop.time() + self.timeout_keep_alive
            if self._leaving:
                self.loop.call_later(LEAVE_SECONDS, self._leave)

    def _answer_taken(self) -> None:
        if self._taken:
            self._site.lane.answer()

    def _refuse(self, status: int, message: str) -> None:
        """Refuse the request that is being read, once those before it are answered."""
        self._deaf = True
        self._answer_taken()
        self._site.note_refusal(status, self.client)
        data = refusal(status, message)
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
        if self._is_busy():
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
        self._started = cycle
        super()._start_asgi_task(cycle, app)
