"""Reading requests of a connection: HTTP/1.1, within bounds on what a head may be."""

from __future__ import annotations

import math
from typing import Any, Final

import httptools

from cacheapi.serving.ending import Phase
from cacheapi.serving.head import (
    FIELD_FRAME,
    MAX_FIELD,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_TARGET,
    VERSIONS,
    Refused,
    too_large,
)
from cacheapi.serving.site import Site
from cacheapi.serving.taking import Taking
from cacheapi.web.errors import FRAGMENT
from cacheapi.web.mounting import below

UPGRADE: Final = b"upgrade"


class _Enough(Exception):
    """What follows the last request of a connection is not read."""


def plain_parser(protocol: Any) -> httptools.HttpRequestParser:
    """Return a parser for a connection whose requests stay those of HTTP/1.1."""
    parser = httptools.HttpRequestParser(protocol)
    # As uvicorn's: what is behind the last request may be there, and is not read.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class Connection(Taking):
    """A connection of a client.

    The parameters are those of :class:`~cacheapi.serving.ending.Ending`.
    """

    def __init__(self, site: Site, **uvicorn: Any) -> None:
        super().__init__(site, **uvicorn)
        # Of the head that is being read: the size of its fields, and the bytes that came.
        self._size = 0
        self._came = 0
        # How many requests began in the piece that is being read.
        self._begun = 0
        # What came in the pieces that had nothing but parts of a body.
        self._framing = 0
        # Whether the request that is being read offers another protocol; and its line.
        self._offers = False
        self._line = b""

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._late is not None:
            self._settle()
        if self._repeat is not None:
            data = self._take_again(self._repeat, data)
            if not data:
                return
        phase = self._phase
        self._begun = 0
        self._asker = None
        try:
            self._feed(data)
            if phase is self._phase is Phase.IDLE and self._begun == 1:
                self._remember(data)
            if phase is self._phase is Phase.BODY and not self._begun:
                self._check_framing(len(data))
            if self._phase is Phase.HEAD and self._begun == (phase is Phase.IDLE):
                self._came += len(data)
                if self._came > MAX_HEAD:
                    raise too_large()
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

    def _check_framing(self, size: int) -> None:
        """Bound what comes with a body beside it: extensions of chunks, and a trailer.

        :raises Refused: it is too much (RFC 9112, section 7.1.1).
        """
        self._framing += size
        # A chunk of one byte has five beside it.
        if self._framing - self._body_came > MAX_HEAD + 8 * self._body_came:
            raise Refused(431, f"Beside the body there are more than {MAX_HEAD} bytes.")

    def _feed(self, data: bytes) -> None:
        """Parse what came.

        llhttp takes what follows an offer to change the protocol for that protocol's, and so
        would lose a body. Nobody need take an offer (RFC 9110, section 7.8): such a request is
        parsed anew without it, by the same rules, and stays one of HTTP/1.1.
        """
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:
                rest = rest[offer.args[0] :]
                self.parser = plain_parser(self)
                self._offers = False
                self.parser.feed_data(self._head_without_offer())
            else:
                return

    def _head_without_offer(self) -> bytes:
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != UPGRADE]
        return b"%b\r\n%b\r\n" % (self._line, b"".join(fields))

    def on_message_begin(self) -> None:
        if self._last:
            raise _Enough
        if self._late is not None:
            self._settle()
        self._phase = Phase.HEAD
        self._await_head()
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
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise Refused(400, "CONNECT is for proxies.")
        if self.parser.should_upgrade():
            self._offers = True
            self._line = b"%b %b HTTP/%b" % (method, self.url, version.encode())
            return
        keep_alive = version == "1.1" and self.parser.should_keep_alive() and not self._leaving
        self._last = not keep_alive
        self._body_since = self.loop.time()
        self._body_came = self._framing = 0
        if self._site.base:
            self.url = below(self.url, self._site.base)
        self._hand_over(version, keep_alive)
        self._phase = Phase.BODY

    def on_body(self, body: bytes) -> None:
        self._await_body()
        self._body_came += len(body)
        if self._body is not None or not self.cycle.response_started:
            self._hold_body(len(body))
        if self._body is not None:
            self._body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._offers:
            return
        if self._body is not None:
            body, self._body = bytes(self._body), None
            self._take_body(body)
        self._phase = Phase.IDLE
        if self._ours:
            self._ours = False
            self._await_request()
        else:
            self._deadline = math.inf
            super().on_message_complete()
