"""Around the application: count each request that Flask serves, and write its line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from cacheapi.observing.facts import STARTED, Facts, attach
from cacheapi.observing.metrics.families import METHODS, OTHER_METHOD, REASONS
from cacheapi.observing.metrics.meter import Meter
from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.request_log import Answered, RequestLog
from cacheapi.observing.tail.watch import OWN, Tail
from cacheapi.observing.watching import Stopwatch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from cacheapi.observing.tracing.spans import Tracing

REQUEST_ID: Final = "X-Request-ID"
TIMING: Final = "Server-Timing"
LANE: Final = "flask"
_TIMING_WANTED: Final = "HTTP_X_SERVER_TIMING"
# Probes come every few seconds, and are no part of any trace.
_OPERATING: Final = ("/health/", "/metrics")
_NO_BODY: Final = frozenset({204, 304})


class Observed:
    """WSGI middleware.

    :ivar tracing: what makes a span for each request, if anything.
    :param meter: what counts, if anything.
    :param tail: what who watches is told by.
    :param log: where lines go. While it is on, each answer has the request's id.
    """

    def __init__(
        self,
        app: WSGIApplication,
        meter: Meter | None,
        log: RequestLog,
        tail: Tail,
        tracing: Tracing | None = None,
    ) -> None:
        self.tracing = tracing
        self._app = app
        self._meter = meter
        self._log = log
        self._tail = tail

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started: float = environ.get(STARTED) or time.monotonic()
        facts = attach(environ)
        tracing = self.tracing
        if tracing is None or environ["PATH_INFO"].startswith(_OPERATING):
            return self._serve(environ, start_response, started, facts)[0]
        facts.around = tracing.call
        with tracing.request(environ) as span:
            chunks, method, status = self._serve(environ, start_response, started, facts)
            tracing.tell(span, method, facts, status)
        return chunks

    def _serve(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        started: float,
        facts: Facts,
    ) -> tuple[Iterable[bytes], str, int]:
        """Return the answer's content, and the method and status."""
        request_id = ""
        if self._log.is_on:
            request_id = self._log.request_id(environ.get("HTTP_X_REQUEST_ID"))
        watch = None
        if environ.get(_TIMING_WANTED) == "1":
            watch = Stopwatch()
            facts.around = watch.beside(facts.around)
        said: list[Any] = []

        def start(
            status: str, fields: list[tuple[str, str]], *error: Any
        ) -> Callable[[bytes], object]:
            if watch is not None:
                fields = [
                    *fields,
                    (TIMING, _timing(time.monotonic() - started, watch, facts.parts)),
                ]
            if request_id:
                fields = [*fields, (REQUEST_ID, request_id)]
            said[:] = [status, fields]
            return start_response(status, fields, *error)

        chunks = self._app(environ, start)
        status, size = _answer(environ, *said)
        method = environ["REQUEST_METHOD"]
        if method not in METHODS:
            method = OTHER_METHOD
        seconds = time.monotonic() - started
        if self._tail.takes(seconds) and not environ["PATH_INFO"].startswith(OWN):
            self._tail.note(
                method, facts.route, facts.service, facts.key, status, seconds, size, LANE
            )
        if self._meter is not None:
            with self._meter.flask() as tally:
                tally.answered(facts.service, method, status, size)
                tally.took(facts.service, seconds)
                _count(tally, environ, method, facts, status)
        if self._log.takes(status, is_for_cache=bool(facts.service)):
            self._log.note(
                Answered(
                    request_id,
                    method,
                    facts.route,
                    facts.service,
                    facts.key,
                    status,
                    size,
                    started,
                    LANE,
                    environ.get("REMOTE_ADDR") or "-",
                )
            )
        return chunks, method, status


def _timing(seconds: float, watch: Stopwatch, parts: str) -> str:
    if parts:
        return f"total;dur={seconds * 1000:.3f}, {parts}"
    calls = "call" if watch.calls == 1 else "calls"
    return (
        f"total;dur={seconds * 1000:.3f}, "
        f'cache;dur={watch.seconds * 1000:.3f};desc="{watch.calls} {calls}"'
    )


def _answer(
    environ: WSGIEnvironment, status: str, fields: list[tuple[str, str]]
) -> tuple[int, int]:
    """Return an answer's status, and the size of its body as far as it is announced."""
    code = int(status.split(maxsplit=1)[0])
    if environ["REQUEST_METHOD"] == "HEAD" or code in _NO_BODY:
        return code, 0
    lengths = [text for name, text in fields if name.lower() == "content-length"]
    return code, int(lengths[0]) if lengths else 0


def _count(tally: Tally, environ: WSGIEnvironment, method: str, facts: Facts, status: int) -> None:
    """Count what there is to say beside the answer."""
    service = facts.service
    if status in REASONS:
        tally.refused(REASONS[status])
    if not service:
        return
    length = environ.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        tally.received(service, int(length))
    if facts.hits or facts.misses:
        tally.read(service, facts.hits, facts.misses)
    if facts.batch is not None:
        tally.batch(service, method, facts.batch)
    if facts.error is not None:
        tally.failed(service, facts.error)
