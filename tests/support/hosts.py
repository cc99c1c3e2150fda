"""A server that hears which host requests are for, and requests that say it or not."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def hosts_heard() -> Iterator[tuple[int, list[str | None]]]:
    """Run a server; give its port, and the field ``Host`` of each request that came."""
    hosts: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hosts.append(self.headers["Host"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], hosts
        finally:
            server.shutdown()


def asked(port: int, version: str, *fields: str) -> None:
    """Send one request, and wait until it is answered."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        lines = [f"GET /c/ {version}", *fields, "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        while connection.recv(4096):
            pass
