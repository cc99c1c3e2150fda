"""How what the lane and hits answer goes to a connection."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from cacheapi.responses.ready import Ready
from cacheapi.serving.access_log import Begun
from cacheapi.serving.ending import Ending
from cacheapi.serving.recognition import Fields
from cacheapi.serving.repeat import Repeat
from cacheapi.serving.site import Site
from cacheapi.serving.unsent import LARGE_ANSWER

# What is answered to one connection in a turn is sent together, up to so many bytes.
MOST_HELD: Final = 64 * 1024

# To copy a body of this size costs more than to send it as a piece of its own.
LARGE_BODY: Final = 16 * 1024


class Head(NamedTuple):
    """The head of a request that hits have taken, which says what its parser said."""

    method: bytes
    version: str
    target: bytes
    headers: Fields
    keep_alive: bool

    def get_method(self) -> bytes:
        return self.method

    def get_http_version(self) -> str:
        return self.version

    def should_keep_alive(self) -> bool:
        return self.keep_alive

    def should_upgrade(self) -> bool:
        return False


class Again(NamedTuple):
    """A read that hits have taken again: it is as the one before, but for its target."""

    repeat: Repeat
    target: bytes

    @property
    def head(self) -> Head:
        """Its head."""
        repeat = self.repeat
        return Head(repeat.method, "1.1", self.target, repeat.headers, True)


class Sending(Ending):
    """A connection of a client, as far as it is answered by the lane or hits.

    The parameters are those of :class:`~cacheapi.serving.ending.Ending`.
    """

    def __init__(self, site: Site, **uvicorn: Any) -> None:
        super().__init__(site, **uvicorn)
        self._logged: deque[Begun] = deque()
        # How many plain reads of the lane's wait; before them there may be changes.
        self.reads = 0
        # The head of a request that hits have taken, until it is answered or passed on.
        self._late: Head | Again | None = None
        # Answers that wait for the others of this turn, to be sent with them.
        self._held: list[bytes] = []
        self._held_size = 0

    @property
    def is_full(self) -> bool:
        """Whether what was answered has not left yet; see :class:`Sink`."""
        return self.flow.write_paused and not self.transport.is_closing()

    def flush(self) -> None:
        """Send what waits for further answers; see :class:`Sink`."""
        held, self._held, self._held_size, size = self._held, [], 0, self._held_size
        if len(held) == 1:
            self.transport.write(held[0])
        elif held:
            self.transport.writelines(held)
        if size > LARGE_ANSWER:
            self._site.waiting.add(self.transport, self.client, size)

    def end(self) -> None:
        """Send what waits, and close; see :class:`Sink`."""
        self.flush()
        self.transport.close()

    def give(self, ready: Ready, now: float, body: bytes | None, keep_alive: bool) -> bool:
        """Send a fresh answer, of a read that hits took; see :class:`~.hits.Late`.

        Such a read is the only one of its connection, so its answer goes at once.
        """
        site = self._site
        if not keep_alive or self._leaving or site.access_log is not None:
            fields = ready.fields(now)
            if fields is None:
                return False
            self.answer(ready.status, fields, body, keep_alive, is_dated=ready.is_dated)
            return True
        lines = site.first_lines(
            ready.status, self.server_state.default_headers, is_dated=ready.is_dated
        )
        head = ready.head(lines, now)
        if head is None:
            return False
        self._taken -= 1
        self._late = None
        if self.transport.is_closing():
            return True
        self.server_state.total_requests += 1
        if body is None:
            self.transport.write(head)
        elif len(body) <= LARGE_BODY:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))
            if len(body) > LARGE_ANSWER:
                site.waiting.add(self.transport, self.client, len(body))
        if self._body_held:
            self._release_bodies()
        self._go_on()
        return True

    def answer(
        self,
        status: int,
        fields: str,
        body: bytes | None,
        keep_alive: bool,
        *,
        is_dated: bool = False,
    ) -> None:
        """Send an answer of the lane; see :class:`~cacheapi.serving.answers.Sink`."""
        site, state, transport = self._site, self.server_state, self.transport
        left = self._taken = self._taken - 1
        self._late = None
        if self.reads > left:
            self.reads = left
        # One that leaves says so with its last answer.
        keep_alive = keep_alive and not (self._leaving and not left)
        if transport.is_closing():
            return
        state.total_requests += 1
        access_log = site.access_log
        if access_log is not None:
            begun = self._logged.popleft()
            fields += f"x-request-id: {begun.request_id}\r\n"
        line = site.first_lines(status, state.default_headers, is_dated=is_dated)
        end = "\r\n" if keep_alive else "connection: close\r\n\r\n"
        data = f"{line}{fields}{end}".encode("latin-1")
        if body is not None and len(body) > LARGE_BODY:
            self._held += (data, body)
            self._held_size += len(body) + len(data)
            if not (left and keep_alive) or self._held_size > MOST_HELD:
                self.flush()
        elif left or self._held:
            self._held.append(data + body if body else data)
            self._held_size += len(data)
            if not (left and keep_alive) or self._held_size > MOST_HELD:
                self.flush()
        else:
            # Nearly always it is all that its connection gets in this turn.
            transport.write(data + body if body else data)
        if not left and self._body_held:
            self._release_bodies()
        if not keep_alive:
            transport.close()
        elif not left:
            self._go_on()
        if access_log is not None:
            access_log.note(begun, status, len(body or b""), self.client)
