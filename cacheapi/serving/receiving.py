"""The body of a request, read on the event loop: as much as who sends it may send, and no more."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from cacheapi.web.access import Access

# How much of a body that is too large is taken all the same, and for how long: a client
# that is still sending when the connection closes would never see the answer.
DRAINED_LIMITS: Final = 8
DRAIN_SECONDS: Final = 5.0
DRAIN_PAUSE_SECONDS: Final = 0.5

_ANNOUNCING: Final = (b"content-length", b"transfer-encoding")


class Bodies:
    """Reads them.

    :param access: the application's. Of a body that is longer than it takes of who sends it, the
         application gets one byte more, or nothing where the length was announced: enough to
         refuse it.
    """

    def __init__(self, access: Access) -> None:
        self._max_body = access.max_body
        self._most_body = access.most_body

    async def read(
        self,
        scope: dict[str, Any],
        receive: Any,
        most: int | None = None,
        environ: Any = None,
    ) -> tuple[bytes | None, bool]:
        """Return the body, ``None`` if it never came, and whether it is all of it.

        :param most: how many bytes are read, where that is known already.
        :param environ: the request's environment, where that is not.
        """
        limit = self._max_body
        for name, value in scope["headers"]:
            if name in _ANNOUNCING and value != b"0":
                limit = self._most_body(environ) if most is None else most
                if not limit or (name == b"content-length" and int(value) > limit):
                    return b"", False
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None, False
            body += message["body"]
            if not message["more_body"]:
                return bytes(body), True
            if len(body) > limit:
                return bytes(body[: limit + 1]), False

    async def drain(self, receive: Any) -> None:
        """Take what a client still sends of a body that was refused, some of it and for a while."""
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
