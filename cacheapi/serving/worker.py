"""gunicorn's threaded worker, with errors of the HTTP layer in the one JSON shape.

gunicorn repeats, in its answer and in its log, the line of a request that it cannot read.
It may have an API key in it, so what is quoted is left out of both.
"""

from __future__ import annotations

import logging
import re
import socket

from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

from cacheapi.codec import error_text

_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
# An API key may be a parameter, its name percent-encoded in any way.
_QUERY = re.compile(r"\?\S+")


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Answer a request that gunicorn refused before the application saw it.

    Takes the place, and has the parameters, of gunicorn's own, which answers in HTML.
    """
    body = error_text(status_int, hide_keys(mesg) or reason).encode()
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin-1") + body)


def hide_keys(text: str) -> str:
    """Return a message of gunicorn's without what it quotes of a request."""
    return _QUERY.sub("?…", _QUOTED.sub("'…'", text))


class _HideKeys(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide_keys(record.getMessage()), None
        return True


class Worker(ThreadWorker):  # type: ignore[misc]
    """The worker class of ``gunicorn.conf.py``."""

    def init_process(self) -> None:
        """Start serving in the forked process."""
        util.write_error = write_error
        self.log.error_log.addFilter(_HideKeys())
        super().init_process()
