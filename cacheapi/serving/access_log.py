"""Lines in the log for what no application sees: the lane's answers, and refusals."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from cacheapi.observing.request_log import Answered, RequestLog
from cacheapi.serving.recognition import Fields, read_target

REQUEST_ID: Final = b"x-request-id"
LANE: Final = "fast"
ONE_KEY: Final = "/api/v2/{service}/{key}"
SERVICE: Final = "/api/v2/{service}"

Client = tuple[str, int] | None


class Begun(NamedTuple):
    """A request that the lane has taken.

    :ivar request_id: for its answer, and its line.
    :ivar line: route, service and key, where its target alone does not tell.
    """

    request_id: str
    started: float
    method: str
    target: bytes
    line: tuple[str, str, str | None] | None = None


class AccessLog:
    """Writes the lines.

    :param log: the application's.
    """

    def __init__(self, log: RequestLog) -> None:
        self._log = log

    def begin(
        self,
        method: str,
        target: bytes,
        headers: Fields,
        line: tuple[str, str, str | None] | None = None,
    ) -> Begun:
        """Note what the lane took, for :meth:`note`; see :class:`Begun`."""
        given = None
        for name, value in headers:
            if name == REQUEST_ID:
                given = value.decode("latin-1")
                break
        return Begun(self._log.request_id(given), time.monotonic(), method, target, line)

    def note(self, begun: Begun, status: int, size: int, client: Client) -> None:
        """Log an answer of the lane; ``size``: of its body, in bytes."""
        if not self._log.takes(status, is_for_cache=True):
            return
        if begun.line is None:
            asked = read_target(begun.target)
            # The lane takes only what it understands.
            assert asked is not None
            line = (SERVICE if asked.key is None else ONE_KEY, asked.service, asked.key)
        else:
            line = begun.line
        self._log.note(
            Answered(
                begun.request_id,
                begun.method,
                *line,
                status,
                size,
                begun.started,
                LANE,
                _address(client),
            )
        )

    def note_refusal(self, status: int, client: Client) -> None:
        """Log that a request was refused before it was read to its end."""
        if self._log.takes(status, is_for_cache=False):
            now = time.monotonic()
            self._log.note(Answered("", "", "", "", None, status, 0, now, "", _address(client)))


def _address(client: Client) -> str:
    return "-" if client is None else client[0]
