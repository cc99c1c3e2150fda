"""gunicorn's worker class of this service."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from uvicorn_worker import UvicornWorker

from cacheapi.serving.access_log import AccessLog
from cacheapi.serving.connection import Connection, Site
from cacheapi.serving.lane import ACCESS, Access, Lane
from cacheapi.serving.wsgi import Application


class Worker(UvicornWorker):  # type: ignore[misc]
    """Serve a WSGI application, its plain reads by the fast lane."""

    CONFIG_KWARGS = {  # noqa: RUF012 (so in the base class)
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "off",
        "interface": "asgi3",
        "proxy_headers": False,
        "server_header": False,
    }

    async def _serve(self) -> None:
        wsgi: Any = self.wsgi  # type: ignore[has-type]
        access: Access = wsgi.extensions[ACCESS]
        access_log = AccessLog(self.log) if self.log.access_log_enabled else None
        site = Site(Lane(access, asyncio.get_running_loop()), access.max_body, access_log)
        self.config.http = functools.partial(Connection, site)
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout
        self.wsgi = Application(wsgi, self.cfg.threads, access.max_body, access_log)
        await super()._serve()
