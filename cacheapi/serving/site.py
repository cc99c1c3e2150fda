"""What the connections of a worker share."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Final

from cacheapi.observing.metrics.families import MALFORMED, REASONS
from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.tail.watch import Tail
from cacheapi.serving.access_log import AccessLog
from cacheapi.serving.hits import Hits
from cacheapi.serving.lane import Lane
from cacheapi.serving.recognition import Fields
from cacheapi.web.origins import ORIGIN, fields_for

SWEEP_SECONDS: Final = 1.0
# How many of the largest bodies there may be at a time.
MOST_BODIES: Final = 8


class Site:
    """What the connections of a worker share, and the watch over their time limits.

    :param lane: for what they have to answer themselves.
    :param hits: the same, for fresh answers of HTTP APIs.
    :param max_body: the largest body that the application takes, in bytes.
    :param access_log: where the lane's answers and refusals are logged, if anywhere.
    :param tally: where refusals are counted, if anywhere.
    :param origins: whose pages may see answers.
    :param base: the path that the service is mounted under; empty for none.
    :param tail: what who watches is told of refusals by, if anything.
    """

    def __init__(
        self,
        lane: Lane,
        hits: Hits,
        max_body: int,
        access_log: AccessLog | None,
        tally: Tally | None,
        origins: Collection[str] = (),
        base: str = "",
        tail: Tail | None = None,
    ) -> None:
        self.lane = lane
        self.hits = hits
        self._origins = origins
        self.base = base.encode()
        self._tail = tail
        self.waiting = lane.waiting
        self.max_body = max_body
        # What is held of bodies, in bytes, and what may be.
        self.bodies = 0
        self.most_bodies = MOST_BODIES * max_body
        self.access_log = access_log
        self._tally = tally
        self._running = False
        self._default_headers: list[tuple[bytes, bytes]] | None = None
        self._first_lines: dict[int, str] = {}
        self._bare_lines: dict[int, str] = {}

    def watch(self, connections: Collection[Any]) -> None:
        """Check the connections every second from now on, while there are any."""
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep, connections)

    def _sweep(self, connections: Collection[Any]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(connections):
            connection.check(now)
        self._running = bool(connections)
        if self._running:
            loop.call_later(SWEEP_SECONDS, self._sweep, connections)

    def note_refusal(self, status: int, client: tuple[str, int] | None) -> None:
        """Take note of a request that no application sees."""
        if self._tally is not None:
            self._tally.refused(REASONS.get(status, MALFORMED))
        if self.access_log is not None:
            self.access_log.note_refusal(status, client)
        if self._tail is not None and self._tail.wanted:
            self._tail.note("", "", "", None, status, 0.0, 0, "")

    def told(self, headers: Fields) -> dict[str, str]:
        """Return the fields that let a page see a refusal, by what was read of its request."""
        if not self._origins:
            return {}
        origin = next((value for name, value in headers if name == ORIGIN), b"")
        return {"Vary": "Origin", **fields_for(origin.decode("latin-1"), self._origins)}

    def first_lines(
        self, status: int, default_headers: list[tuple[bytes, bytes]], *, is_dated: bool
    ) -> str:
        """Return the first lines of a response: its status, and what uvicorn adds to all.

        :param is_dated: whether it has all its fields, so that nothing is added.
        """
        # uvicorn makes a new list for each new date.
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            self._first_lines = {}
        lines = (self._bare_lines if is_dated else self._first_lines).get(status)
        if lines is None:
            lines = self._bare_lines[status] = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            if not is_dated:
                fields = b"".join(b"%b: %b\r\n" % field for field in default_headers)
                lines = self._first_lines[status] = lines + fields.decode()
        return lines
