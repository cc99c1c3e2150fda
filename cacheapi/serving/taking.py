"""Who answers a request of a connection: the lane, if it takes it, else the application."""

from __future__ import annotations

import math
from typing import Any, Final, cast

from cacheapi.serving.acts import WITH_BODY, WITHOUT_BODY
from cacheapi.serving.beside import LISTENER, WEIGHT
from cacheapi.serving.ending import Phase
from cacheapi.serving.head import check_fields
from cacheapi.serving.lane import Asker
from cacheapi.serving.readers import Reader
from cacheapi.serving.recognition import Fields
from cacheapi.serving.remotes import CYCLE, KNOWN, Known
from cacheapi.serving.repeat import Repeat, remember
from cacheapi.serving.sending import Again, Head, Sending
from cacheapi.serving.site import Site

# More of one connection in one turn would be answers without a bound for who does not read.
TAKEN_AT_ONCE: Final = 32

_READING: Final = frozenset({b"GET", b"HEAD"})


class Taking(Sending):
    """A connection of a client, as far as it hands over what was read of it.

    The parameters are those of :class:`~cacheapi.serving.ending.Ending`.
    """

    def __init__(self, site: Site, **uvicorn: Any) -> None:
        super().__init__(site, **uvicorn)
        # Whether the request that is being read is the lane's.
        self._ours = False
        # What was told of the request that was taken last in this piece; and that one, known by
        # its bytes, for the next piece.
        self._asker: Asker | Reader | None = None
        self._repeat: Repeat | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.lane.turns.forget(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._site.lane.turns.go_on(self)

    def _hand_over(self, version: str, keep_alive: bool) -> None:
        """Hand over a request whose head is there; one whose body the lane wants waits."""
        lane, target, headers = self._site.lane, self.url, self.headers
        method = self.parser.get_method()
        if self._is_busy() or self.flow.write_paused or self._taken >= TAKEN_AT_ONCE:
            self._start_cycle(version, keep_alive)
        elif self._take_hit(Head(method, version, target, headers, keep_alive)):
            self._ours = True
        elif method in WITHOUT_BODY:
            self._asker = lane.take(self, method, target, headers, keep_alive)
            if self._asker is not None:
                self._ours = True
                self._take(method, target, headers)
            else:
                self._start_cycle(version, keep_alive)
        elif not self.reads and method in WITH_BODY and lane.wants_body(method, target, headers):
            self._body = bytearray()
            self._await_body()
        else:
            self._start_cycle(version, keep_alive)

    def _take_hit(self, head: Head) -> bool:
        """Give a read of an HTTP API's answer to hits; return whether they take it.

        That of one connection alone: what is no hit goes to the application, in its turn.
        """
        if self._taken or head.method not in _READING:
            return False
        hits = self._site.hits
        reader = hits.take(self, head.method, head.target, head.headers, head.keep_alive)
        if reader is None:
            return False
        self._asker = reader if head.method == b"GET" else None
        self._hold(head, reader)
        return True

    def _hold(self, late: Head | Again, reader: Reader) -> None:
        self._late = late
        if self._site.access_log is None:
            self._taken += 1
            return
        head = late.head if isinstance(late, Again) else late
        line = self._site.hits.line(reader, head.target)
        self._take(head.method, head.target, head.headers, line)

    def _settle(self) -> None:
        """Have what hits took answered, or passed on, before anything else is read."""
        self._site.hits.answer()

    def pass_on(self, known: Known | None = None) -> None:
        """Hand the request that hits took to the application; see :class:`~.hits.Late`."""
        held, self._late = self._late, None
        late = held.head if isinstance(held, Again) else held
        self._taken -= 1
        if self._site.access_log is not None:
            self._logged.pop()
        if late is None or self.transport.is_closing():
            return
        # uvicorn asks its parser; that may have parsed another request before, or none.
        parser, self.parser = self.parser, cast("Any", late)
        self.url, self.headers = late.target, list(late.headers)
        try:
            self._start_cycle(late.version, late.keep_alive)
            self.cycle.scope["state"][KNOWN] = known
            self._deadline = math.inf
            super().on_message_complete()
        finally:
            self.parser = parser

    def _remember(self, data: bytes) -> None:
        """Remember the one request that data is, if it was taken."""
        if self._asker is not None and not self._last:
            method = self.parser.get_method()
            self._repeat = remember(
                method, data, self.url, self.headers, self._asker, self._site.base
            )

    def _take_again(self, repeat: Repeat, data: bytes) -> bytes:
        """Take the requests that data begins with and that are known by their bytes.

        :return: what is left for the parser, which is between two requests before and after.
        """
        if (
            self._phase is not Phase.IDLE
            or self._last
            or self._leaving
            or self.flow.write_paused
            or self._is_busy()
        ):
            return data
        asker = repeat.asker
        if isinstance(asker, Reader):
            start = self._take_hit_again(repeat, asker, data)
        else:
            start = self._take_lanes(repeat, asker, data)
        if start:
            self._await_request()
        return data[start:]

    def _take_lanes(self, repeat: Repeat, asker: Asker, data: bytes) -> int:
        """Give requests that come again to the lane; return where the last that it took ends."""
        start, size = 0, len(data)
        lane, is_logged = self._site.lane, self._site.access_log is not None
        while start < size and self._taken < TAKEN_AT_ONCE:
            found = repeat.find(data, start)
            if found is None:
                break
            match, body, end = found
            if not lane.take_again(self, repeat.method, match, asker, body):
                break
            if is_logged:
                self._take(repeat.method, repeat.target_of(match), repeat.headers)
            else:
                self._taken += 1
            start = end
        return start

    def _take_hit_again(self, repeat: Repeat, reader: Reader, data: bytes) -> int:
        """Give a read that comes again to hits; return where it ends, 0 if they do not take it."""
        target = None if self._taken else repeat.find_target(data, 0)
        if target is None or not self._site.hits.take_again(self, target, reader):
            return 0
        self._hold(Again(repeat, target), reader)
        return repeat.size(target)

    def _take(
        self,
        method: bytes,
        target: bytes,
        headers: Fields,
        line: tuple[str, str, str | None] | None = None,
    ) -> None:
        self._taken += 1
        if self._site.access_log is not None:
            begun = self._site.access_log.begin(method.decode(), target, headers, line)
            self._logged.append(begun)

    def _take_body(self, body: bytes) -> None:
        """Give a request to the lane now that its body is there; else to the application."""
        keep_alive, method = not self._last, self.parser.get_method()
        lane, target, headers = self._site.lane, self.url, self.headers
        self._asker = lane.take(self, method, target, headers, keep_alive, body)
        if self._asker is not None:
            self._take(method, target, headers)
            self._ours = True
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
        state, beside = self.cycle.scope["state"], self._site.lane.beside
        state[CYCLE] = self.cycle
        state[LISTENER] = beside.listener(url, stores=stores)
        state[WEIGHT] = beside.weigh(url)
        if not keep_alive or self._leaving:
            self.cycle.keep_alive = False
        self._await_body()
