"""Who answers a request of a connection: the lane, if it takes it, else the application."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from cacheapi.serving.access_log import Begun
from cacheapi.serving.ending import Ending, Phase
from cacheapi.serving.head import check_fields
from cacheapi.serving.lane import LISTENER, Asker
from cacheapi.serving.recognition import Fields
from cacheapi.serving.remotes import CYCLE
from cacheapi.serving.repeat import GET, Repeat, remember
from cacheapi.serving.site import Site

# More of one connection in one turn would be answers without a bound for who does not read.
TAKEN_AT_ONCE: Final = 32

# What is answered to one connection in a turn is sent together, up to so many bytes.
MOST_HELD: Final = 64 * 1024

_READING: Final = frozenset({b"GET", b"HEAD"})


class Taking(Ending):
    """A connection of a client, as far as it hands over what was read of it.

    The parameters are those of :class:`~cacheapi.serving.ending.Ending`.
    """

    def __init__(self, site: Site, **uvicorn: Any) -> None:
        super().__init__(site, **uvicorn)
        self._logged: deque[Begun] = deque()
        # Whether the request that is being read is the lane's.
        self._ours = False
        # Whether one of the lane's that wait is a store.
        self._stores = False
        # What was told the lane of the read that it took last in this piece; and that read,
        # known by its bytes, for the next piece.
        self._asker: Asker | None = None
        self._repeat: Repeat | None = None
        # Answers that wait for the others of this turn, to be sent with them.
        self._held: list[bytes] = []
        self._held_size = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.lane.forget(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._site.lane.go_on(self)

    def _hand_over(self, version: str, keep_alive: bool) -> None:
        """Hand over a request whose head is there; a store that the lane may take waits."""
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
            self._await_body()
        else:
            self._start_cycle(version, keep_alive)

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
            self._await_request()
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
        self._await_body()

    @property
    def is_full(self) -> bool:
        """Whether what was answered has not left yet; see :class:`Sink`."""
        return self.flow.write_paused and not self.transport.is_closing()

    def flush(self) -> None:
        """Send what waits for further answers; see :class:`Sink`."""
        held, self._held, self._held_size = self._held, [], 0
        if len(held) == 1:
            self.transport.write(held[0])
        elif held:
            self.transport.writelines(held)

    def answer(self, status: int, fields: str, body: bytes | None, keep_alive: bool) -> None:
        """Send an answer of the lane; see :class:`~cacheapi.serving.answers.Sink`."""
        self._taken -= 1
        self._stores = False
        # One that leaves says so with its last answer.
        keep_alive = keep_alive and not (self._leaving and not self._taken)
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
        self._held.append(data)
        self._held_size += len(data)
        if not (self._taken and keep_alive) or self._held_size > MOST_HELD:
            self.flush()
        if not self._taken:
            self._release_bodies()
        if not keep_alive:
            self.transport.close()
        elif not self._taken:
            self._go_on()
        if access_log is not None:
            access_log.note(begun, status, len(body or b""), self.client)
