"""How both clients speak to the service: one httpx client for each process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import httpx

from cacheapi_client.messages import Request

BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""A connection that was there, and then was not."""

Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)


class Connection(Generic[Client]):
    """A client of httpx for one service, made by :meth:`open`, or when it is first asked for.

    :raises ValueError: the API key cannot stand in a header field, or the address is none.
    """

    def __init__(
        self,
        url: str,
        key: str,
        connect_timeout: float,
        timeout: float,
        make: Callable[..., Client],
    ) -> None:
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError("An API key is printable ASCII without spaces.")
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no address of a service: http://… or https://….")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._make: Callable[..., Client] = make
        self._settings: dict[str, Any] = {
            # A redirect would lead the API key elsewhere; nothing that comes is inflated.
            "follow_redirects": False,
            "headers": {
                "X-DreamFactory-API-Key": key,
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
            },
            "timeout": httpx.Timeout(timeout, connect=min(connect_timeout, timeout)),
            # Made once: it takes longer than a request.
            "verify": httpx.create_ssl_context(),
        }
        self._process = 0

    def open(self) -> None:
        """Make the client. Who has threads does so before they start: each would make one."""
        self._process = os.getpid()
        self._client: Client = self._make(**self._settings)

    @property
    def client(self) -> Client:
        """The client of this process: a connection is not for two."""
        if self._process != os.getpid():
            self.open()
        return self._client

    def stream(self, request: Request, content: bytes | None) -> Any:
        """Send a request; what is returned is to be entered."""
        url = self.url + request.path
        return self.client.stream(request.method, url, content=content, headers=request.fields)
