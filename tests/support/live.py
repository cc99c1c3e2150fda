"""Talk to a live service: over connections that are kept, and byte by byte."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.http.client import Answer
from tests.support.processes import Service

CACHE = "/api/v2/cache"


class Connection:
    """A connection that is kept between requests, and opened anew once it is broken."""

    def __init__(self, port: int, key: str = Service.api_key) -> None:
        self.key = key
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request with the API key; a body goes as JSON."""
        sent = {"X-DreamFactory-API-Key": self.key, **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        try:
            self._http.request(method, path, data, sent)
            response = self._http.getresponse()
            return Answer(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self._http.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()


def call(port: int, method: str, path: str, body: Any = None, **more: Any) -> Answer:
    """Send one request over a connection of its own."""
    with Connection(port, **more) as connection:
        return connection.call(method, path, body)


class Wire:
    """A plain connection, to send what no client library would."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._replies = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        # A server that refuses need not read on.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def status(self) -> int:
        """Take the first line of an answer."""
        version, status, _ = self._replies.readline().split(maxsplit=2)
        assert version == b"HTTP/1.1"
        return int(status)

    def answer(self) -> Answer:
        status = self.status()
        headers = http.client.parse_headers(self._replies)
        body = self._replies.read(int(headers.get("Content-Length", 0)))
        return Answer(status, headers, body)

    def is_closed(self) -> bool:
        """Wait until the server closes the connection; return whether it sent nothing before."""
        return self._replies.read(1) == b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._replies.close()
        self._socket.close()


def head(line: str, *fields: str, key: str = Service.api_key) -> bytes:
    """Return a request's line and header fields, with the API key and a JSON content type."""
    lines = [
        f"{line} HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-DreamFactory-API-Key: {key}",
        "Content-Type: application/json",
        *fields,
    ]
    return "".join(f"{text}\r\n" for text in [*lines, ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body; the empty one is the last."""
    return b"%x\r\n%s\r\n" % (len(data), data)
