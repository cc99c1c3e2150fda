"""A live service, and what may stand where one is expected."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conformance import cases
from tests.support.live import CACHE
from tests.support.processes import Service, free_port, service


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("clients")
    with service(directory, CACHE_DRIVER="file", WEB_CONCURRENCY="2") as started:
        yield started


@pytest.fixture(scope="session")
def away() -> str:
    """The address of a service where nobody listens."""
    return f"http://127.0.0.1:{free_port()}{CACHE}"


class _Page(http.server.BaseHTTPRequestHandler):
    """Answers everything with a page, as what stands before a cache may."""

    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        page = b"<h1>Welcome</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def other() -> Iterator[str]:
    """The address of something that is no cacheapi."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{CACHE}"
    server.shutdown()
    thread.join()
    with contextlib.suppress(OSError):
        server.server_close()


@pytest.fixture
def table(live: Service, away: str, other: str) -> list[dict[str, Any]]:
    return cases(live, away, other)
