"""gunicorn's worker class of this service."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final

from uvicorn_worker import UvicornWorker

from cacheapi.serving.access_log import AccessLog
from cacheapi.serving.connection import Connection
from cacheapi.serving.lane import ACCESS, Access, Lane
from cacheapi.serving.site import Site
from cacheapi.serving.wsgi import Application

# How uvicorn shall serve.
UVICORN: Final[dict[str, Any]] = {
    "loop": "uvloop",
    "ws": "none",
    "lifespan": "off",
    "interface": "asgi3",
    "proxy_headers": False,
    "server_header": False,
}


def assemble(
    wsgi: Any, threads: int, access_log: AccessLog | None
) -> tuple[Application, Callable[..., Connection]]:
    """Put the parts together for the running event loop.

    :param wsgi: the WSGI application, with an :data:`ACCESS` in its ``extensions``.
    :param threads: how many requests it serves at a time.
    :return: the ASGI application, and what makes the protocol of a connection.
    """
    access: Access = wsgi.extensions[ACCESS]
    access.watch()
    site = Site(Lane(access, asyncio.get_running_loop()), access.max_body, access_log)
    application = Application(wsgi, threads, access.max_body, access_log)
    return application, functools.partial(Connection, site)


class Worker(UvicornWorker):  # type: ignore[misc]
    """Serve the WSGI application, and what is plain by the fast lane."""

    CONFIG_KWARGS = UVICORN

    async def _serve(self) -> None:
        access_log = AccessLog(self.log) if self.log.access_log_enabled else None
        wsgi = self.wsgi  # type: ignore[has-type]
        self.wsgi, self.config.http = assemble(wsgi, self.cfg.threads, access_log)
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout
        await super()._serve()
