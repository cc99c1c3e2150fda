"""Errors of the HTTP layer, for requests that no application sees: in the one JSON shape.

gunicorn repeats, in its answer and in its log, the line of a request that it cannot read.
It may have an API key in it, so what is quoted is left out of both.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from gunicorn import util

from cacheapi.caching.codec import error_text
from cacheapi.web.errors import RETRY_AFTER_SECONDS

_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
RETRY = f"retry-after: {RETRY_AFTER_SECONDS}\r\n"
# An API key may be a parameter, its name percent-encoded in any way.
_QUERY = re.compile(r"\?\S+")


def refusal(status: int, message: str, more: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """Return a whole response that refuses a request and ends the connection.

    :param more: header fields.
    """
    body = error_text(status, message).encode()
    fields = "".join(f"{name.lower()}: {text}\r\n" for name, text in more.items())
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"{RETRY if status == 503 else ''}"
        f"{fields}"
        "connection: close\r\n"
        "x-content-type-options: nosniff\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def install(log: logging.Logger) -> None:
    """Make gunicorn's own workers refuse in our shape, and its log show no key.

    :param log: gunicorn's error log.
    """
    util.write_error = write_error
    log.addFilter(HideKeys())


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Answer a request that gunicorn refused before the application saw it.

    Takes the place, and has the parameters, of gunicorn's own, which answers in HTML.
    """
    util.write_nonblock(sock, refusal(status_int, hide_keys(mesg) or reason))


def hide_keys(text: str) -> str:
    """Return a message of gunicorn's without what it quotes of a request."""
    return _QUERY.sub("?…", _QUOTED.sub("'…'", text))


class HideKeys(logging.Filter):
    """Hide API keys in a log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide_keys(record.getMessage()), None
        return True
