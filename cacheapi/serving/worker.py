"""gunicorn's worker class of this service."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from uvicorn_worker import UvicornWorker

from cacheapi.observing.metrics.meter import METER, Meter
from cacheapi.observing.request_log import REQUEST_LOG, RequestLog
from cacheapi.observing.tail.watch import TAIL, Tail
from cacheapi.observing.troubles import TROUBLES
from cacheapi.serving.access_log import AccessLog
from cacheapi.serving.connection import Connection
from cacheapi.serving.forking import ENDING
from cacheapi.serving.hits import Hits
from cacheapi.serving.lane import Lane
from cacheapi.serving.memory import give_back_large
from cacheapi.serving.remotes import Remotes
from cacheapi.serving.site import Site
from cacheapi.serving.wsgi import Application
from cacheapi.web.access import ACCESS, Access
from cacheapi.web.remotes import DOOR

# How uvicorn shall serve.
UVICORN: Final[dict[str, Any]] = {
    "loop": "uvloop",
    "ws": "none",
    "lifespan": "off",
    "interface": "asgi3",
    "proxy_headers": False,
    "server_header": False,
}


def assemble(wsgi: Any, threads: int) -> tuple[Application, Callable[..., Connection]]:
    """Put the parts together for the running event loop.

    :param wsgi: the WSGI application, with an :data:`ACCESS` in its ``extensions``.
    :param threads: how many requests it serves at a time.
    :return: the ASGI application, and what makes the protocol of a connection.
    """
    access: Access = wsgi.extensions[ACCESS]
    access.watch()
    requests: RequestLog = wsgi.extensions[REQUEST_LOG]
    access_log = AccessLog(requests) if requests.is_on else None
    meter: Meter | None = wsgi.extensions[METER]
    tally = None if meter is None else meter.fast
    door, loop = wsgi.extensions[DOOR], asyncio.get_running_loop()
    tail: Tail = wsgi.extensions[TAIL]
    remotes = Remotes(door, requests, tally, access, wsgi.extensions[TROUBLES], tail)
    hits = Hits(door, remotes, access, loop, tally, tail, hides_id=requests.is_on)
    lane = Lane(access, loop, tally, tail)
    site = Site(lane, hits, access.max_body, access_log, tally, access.origins, access.base, tail)
    application = Application(wsgi, threads, access, remotes, site.waiting, lane.beside, lane.heavy)
    return application, functools.partial(Connection, site)


def _end(_number: int, _frame: Any) -> None:
    sys.exit(0)


class Worker(UvicornWorker):  # type: ignore[misc]
    """Serve the WSGI application, and what is plain by the fast lane."""

    CONFIG_KWARGS = UVICORN

    def init_signals(self) -> None:
        # One that comes before the worker is ready waits until uvicorn can hear it: what a handler
        # raises is lost where it meets a callback that Python lets raise nothing.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        super().init_signals()
        # After its work uvicorn raises again the signal that ended it: that is no fault of the
        # worker, and gunicorn would log one.
        for number in ENDING:
            signal.signal(number, _end)

    def _install_sigquit_handler(self) -> None:
        # gunicorn sends it where it got INT or QUIT: what is in flight may finish all the same.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGQUIT, os.kill, os.getpid(), signal.SIGTERM)

    async def _serve(self) -> None:
        give_back_large()
        wsgi = self.wsgi  # type: ignore[has-type]
        if self.log.access_log_enabled:
            # By gunicorn's option --access-logfile: our lines, where that says.
            wsgi.extensions[REQUEST_LOG].go_to(self.log.access_log.info)
        application, self.config.http = assemble(wsgi, self.cfg.threads)
        self.wsgi = application
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout
        # Without gunicorn's wrappers, which hide from the loop that these are sockets: it closes
        # their descriptors, and the wrapper would then close what may be another's by now.
        given = self.sockets  # type: ignore[has-type]
        self.sockets = [getattr(each, "sock", each) for each in given]
        # By the loop's next turn uvicorn has its handlers.
        loop = asyncio.get_running_loop()
        loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, ENDING)
        try:
            await super()._serve()
        finally:
            await application.end()
