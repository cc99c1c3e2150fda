"""A line in the log for a request: as text or as JSON, with no value and no API key in it.

A line has names and numbers alone: the path stands there without what a client put into it,
the query and the header fields not at all. So it is of no use to whoever looks for secrets.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote

from cacheapi.caching.codec import encode
from cacheapi.observing import logged_keys

# No state that others share: Python's own generator is everybody's, tests' too.
_RANDOM = secrets.SystemRandom()
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# The name of an application's RequestLog in its "extensions".
REQUEST_LOG: Final = "cacheapi.observing.request_log"
STDOUT: Final = 1


class Answered(NamedTuple):
    """A request and its answer.

    :ivar request_id: see :meth:`RequestLog.request_id`; empty where it has none.
    :ivar size: bytes of the answer's body.
    :ivar started: when it was there, by ``time.monotonic()``.
    :ivar client: the address of who is connected: a proxy's, if there is one.
    :ivar route: the path, with names instead of what stands in it.
    """

    request_id: str
    method: str
    route: str
    service: str
    key: str | None
    status: int
    size: int
    started: float
    lane: str
    client: str


class RequestLog:
    """Writes lines.

    :ivar write: takes a line.
    :param successes: which part of the requests that succeeded gets a line, from 0 to 1; others
        get one always. A key that is absent is a success: a cache has said so. ``None``: no
        request gets one.
    :param as_json: JSON, else text.
    :param keys: what a line says of the key; see :mod:`~cacheapi.observing.logged_keys`.
    :param is_secret: whether a text is an API key, which no line may have, whoever put it where.
    :param write: by default a line goes to the standard output at once.
    """

    def __init__(
        self,
        successes: float | None,
        *,
        as_json: bool,
        keys: str,
        is_secret: Callable[[str], bool],
        write: Callable[[str], object] | None = None,
    ) -> None:
        self._successes = successes
        self._as_json = as_json
        self._keys = keys
        self._is_secret = is_secret
        self.write = write or _write
        self._start = secrets.token_hex(4)
        self._pid: int | None = None
        self._number = 0

    @property
    def is_on(self) -> bool:
        """Whether lines are written at all."""
        return self._successes is not None

    def go_to(self, write: Callable[[str], object]) -> None:
        """Write elsewhere; if nothing was to be written, then about all requests."""
        self.write = write
        self._successes = 1.0 if self._successes is None else self._successes

    def request_id(self, given: str | None) -> str:
        """Return the id of a request: the one that it brought, if that is plain; else a new one."""
        if given is not None and _PLAIN_ID.fullmatch(given) and not self._is_secret(given):
            return given
        if self._pid != os.getpid():
            # A forked worker counts for itself.
            self._pid, self._start = os.getpid(), secrets.token_hex(4)
        self._number += 1
        return f"{self._start}-{self._number}"

    def takes(self, status: int, *, is_for_cache: bool) -> bool:
        """Return whether an answer gets a line; of many successes, a part of them does.

        :param is_for_cache: a service was asked, and so a 404 is its answer.
        """
        part = self._successes
        if part is None:
            return False
        if status >= 400 and not (status == HTTPStatus.NOT_FOUND and is_for_cache):
            return True
        # Chance, so that no rhythm of a client is missed.
        return part >= 1 or (part > 0 and _RANDOM.random() < part)

    def note(self, answered: Answered) -> None:
        """Write the line of a request that :meth:`takes` one."""
        fields = self._fields(answered)
        if self._as_json:
            self.write(encode(fields))
        else:
            self.write(" ".join(f"{name}={_bare(value)}" for name, value in fields.items()))

    def _fields(self, answered: Answered) -> dict[str, str | int | float]:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        fields: dict[str, str | int | float] = {
            "time": now.replace("+00:00", "Z"),
            "request_id": answered.request_id,
            "client": answered.client,
            "method": answered.method,
            "route": answered.route,
            "service": answered.service,
            "status": answered.status,
            "ms": round((time.monotonic() - answered.started) * 1000, 3),
            "bytes": answered.size,
            "lane": answered.lane,
        }
        shown = logged_keys.shown(answered.key, self._keys, self._is_secret)
        if shown is not None:
            # A text has no space and no quote, as in a URL.
            fields["key"] = shown if self._as_json else quote(shown, safe="/:")
        return fields


def _bare(value: str | float) -> str:
    """Return a value as the text of a line; all that goes in has no space and no quote."""
    return str(value) or "-"


def _write(line: str) -> None:
    # In one piece, since all processes write to the same place.
    with contextlib.suppress(OSError):
        os.write(STDOUT, f"{line}\n".encode())
