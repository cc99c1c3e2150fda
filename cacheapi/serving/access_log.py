"""gunicorn's access log, for what its own workers do not serve."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes

Fields = Iterable[tuple[bytes, bytes]]


class AccessLog:
    """Write lines of ``access_log_format``.

    :param log: gunicorn's logger.
    """

    def __init__(self, log: Any) -> None:
        self._log = log

    def note(
        self,
        client: tuple[str, int] | None,
        method: str,
        target: bytes,
        headers: Fields,
        status: int,
        size: int,
        started: float,
    ) -> None:
        """Log an answer.

        :param target: as it was sent.
        :param size: of the body, in bytes.
        :param started: when the request was read, by ``time.monotonic()``.
        """
        path, _, query = target.partition(b"?")
        environ = {
            "REMOTE_ADDR": "-" if client is None else client[0],
            "REQUEST_METHOD": method,
            "RAW_URI": target.decode("latin-1"),
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        names = {"user-agent": "HTTP_USER_AGENT", "referer": "HTTP_REFERER"}
        environ |= {names[name]: value for name, value in fields if name in names}
        self._log.access(
            SimpleNamespace(status=status, sent=size, headers=()),
            SimpleNamespace(headers=fields),
            environ,
            dt.timedelta(seconds=time.monotonic() - started),
        )
