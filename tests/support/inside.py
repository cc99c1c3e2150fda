"""What a worker runs, in a thread of this process: the same parts on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.server import Server

from cacheapi.serving.site import Site
from cacheapi.serving.worker import UVICORN, assemble
from tests.support.processes import Service, eventually

THREADS = 8


class Inside:
    """A service in this process.

    :ivar site: what its connections share, once it has started.
    :ivar log: a file that stays empty; a worker's complaints fail the test by themselves.
    """

    api_key = Service.api_key

    def __init__(self, wsgi: Any, directory: Path, keep_alive: int = 15) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.log.touch()
        self._wsgi = wsgi
        self._keep_alive = keep_alive
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = int(self._socket.getsockname()[1])
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        eventually(lambda: self._server is not None and self._server.started)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        application, connection = assemble(self._wsgi, THREADS)
        self.site: Site = connection.args[0]  # type: ignore[attr-defined]
        config = Config(
            application,
            http=connection,
            log_config=None,
            timeout_keep_alive=self._keep_alive,
            timeout_graceful_shutdown=5,
            **UVICORN,
        )
        self._server = Server(config)
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            await application.end()

    def workers(self) -> list[int]:
        return [os.getpid()]

    def begin_to_stop(self) -> None:
        """Do what TERM does, and do not wait."""
        assert self._server is not None
        self._server.should_exit = True

    def stop(self) -> None:
        self.begin_to_stop()
        self._thread.join()


@contextlib.contextmanager
def inside(wsgi: Any, directory: Path, **options: Any) -> Iterator[Inside]:
    """Run a service in this process."""
    live = Inside(wsgi, directory, **options)
    try:
        yield live
    finally:
        live.stop()
