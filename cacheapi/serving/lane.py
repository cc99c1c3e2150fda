"""The fast lane: plain reads of one key, answered without Flask.

Its one rule: it takes a request only when it is sure of the answer, a value, a plain miss
or a 304; everything else is Flask's. It holds no rules of its own: the application says
who may read, :class:`~cacheapi.services.CacheService` what is there, and the texts are
those that the views use.

The requests that arrive in one turn of the event loop are gathered and answered at its
end with one call a service. A request that comes alone waits for nobody.
"""

from __future__ import annotations

import re
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from werkzeug.http import parse_etags

from backends.base import MISSING, Missing
from backends.errors import Failed, InvalidKey
from cacheapi.auth import HEADER, bearer_token
from cacheapi.codec import Value, entry_text, error_text
from cacheapi.conditions import Condition, NotModified
from cacheapi.errors import CACHE_CONTROL, ApiError, absent, answer_to, internal, note
from cacheapi.services import CacheService
from cacheapi.serving.health import SLOW_SECONDS, Health, Way

# A query, a fragment, a percent sign in the service's name: not sure.
_PLAIN = re.compile(rb"/api/v2/([a-z][a-z0-9_-]*)/([^?#]+)")
_SERVICE = re.compile(rb"/api/v2/([a-z][a-z0-9_-]*)")
_HOST = re.compile(rb"[A-Za-z0-9.-]+(?::[0-9]+)?")

_API_KEY: Final = HEADER.lower().encode()
_AUTHORIZATION: Final = b"authorization"
_IF_NONE_MATCH: Final = b"if-none-match"
_HOST_NAME: Final = b"host"
# Header fields that Flask, or HTTP itself, has something to say about.
_UNSURE: Final = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"expect",
        b"if-match",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"range",
        b"transfer-encoding",
        b"upgrade",
        b"x-http-method",
    }
)
_ONCE: Final = frozenset({_API_KEY, _AUTHORIZATION, _IF_NONE_MATCH, _HOST_NAME})


_FIELDS: Final = f"cache-control: {CACHE_CONTROL}\r\n"
_JSON_FIELDS: Final = f"{_FIELDS}content-type: application/json\r\n"

# The name, in the state of an ASGI request, of the Health that wants to hear its outcome.
HEALTH: Final = "cacheapi.health"
# The name of an application's Access in its "extensions".
ACCESS: Final = "cacheapi.access"


class Access(NamedTuple):
    """What serving asks of the application; each answer holds for its moment only.

    :ivar find: returns the service of a name.
    :ivar may: returns whether an API key may use a method on a key of a service.
    :ivar watch: makes ``find`` and ``may`` follow changes, in a process that serves.
    :ivar max_body: the largest request body, in bytes.
    """

    find: Callable[[str], CacheService | None]
    may: Callable[[str, str, str, str], bool]
    watch: Callable[[], None]
    max_body: int


class Sink(Protocol):
    """A connection, as the lane sees it."""

    def answer(self, status: int, fields: str, body: bytes | None, keep_alive: bool) -> None:
        """Send a response.

        :param fields: its header fields but for ``connection`` and what uvicorn adds.
        :param body: ``None`` for a status that has none.
        """


class _Read(NamedTuple):
    sink: Sink
    keep_alive: bool
    service: CacheService
    key: str
    if_none_match: str | None


class Lane:
    """The fast lane of a worker.

    :param access: the application's.
    :param loop: the worker's.
    """

    def __init__(self, access: Access, loop: AbstractEventLoop) -> None:
        self._access = access
        self._loop = loop
        self._taken: list[_Read] = []
        self._troubled: dict[str, Health] = {}

    def take(
        self,
        sink: Sink,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        keep_alive: bool,
    ) -> bool:
        """Take a GET request if sure of the answer, which is sent by the end of this turn.

        :param target: the request's target as it was sent.
        :param headers: names in lower case, and values.
        :return: whether it is taken; else it is Flask's.
        """
        plain = _PLAIN.fullmatch(target)
        if plain is None:
            return False
        name = plain[1].decode()
        service = self._access.find(name)
        if service is None:
            return False
        seen: dict[bytes, bytes] = {}
        for field, value in headers:
            if field in _ONCE:
                if field in seen:
                    return False
                seen[field] = value
            elif field in _UNSURE:
                return False
        host = seen.get(_HOST_NAME)
        if host is None or not _HOST.fullmatch(host):
            return False
        shown = seen.get(_API_KEY, b"").decode("latin-1") or bearer_token(
            seen.get(_AUTHORIZATION, b"").decode("latin-1")
        )
        try:
            key = (unquote_to_bytes(plain[2]) if b"%" in plain[2] else plain[2]).decode()
            service.check_key(key)
        except (UnicodeDecodeError, InvalidKey):
            return False
        if not (shown and self._access.may(shown, "GET", name, key)):
            return False
        health = self._troubled.get(name)
        if health is not None:
            way = health.way(time.monotonic())
            if way is Way.FLASK:
                return False
            if way is Way.LANE:
                del self._troubled[name]
        if not self._taken:
            self._loop.call_soon(self.answer)
        tags = seen.get(_IF_NONE_MATCH)
        if_none_match = None if tags is None else tags.decode("latin-1")
        self._taken.append(_Read(sink, keep_alive, service, key, if_none_match))
        return True

    def trouble(self, target: bytes) -> Health | None:
        """Return the health of the service that a target names, where it is not well."""
        if not self._troubled:
            return None
        name = _SERVICE.match(target)
        return None if name is None else self._troubled.get(name[1].decode())

    def answer(self) -> None:
        """Answer what was taken, in the order of arrival."""
        reads, self._taken = self._taken, []
        keys: dict[CacheService, list[str]] = {}
        for read in reads:
            keys.setdefault(read.service, []).append(read.key)
        found = {service: self._get(service, asked) for service, asked in keys.items()}
        for read in reads:
            values = found[read.service]
            if isinstance(values, ApiError):
                _send_error(read, values)
            else:
                _send(read, values.get(read.key, MISSING))

    def _get(self, service: CacheService, keys: list[str]) -> dict[str, Value] | ApiError:
        """Return the values of those keys that are there; or the answer that all shall get."""
        health = self._troubled.get(service.name)
        if health is not None and health.failure is not None:
            return answer_to(health.failure)
        started = time.monotonic()
        failure = None
        try:
            return service.get_many(keys)
        except Failed as error:
            note(error)
            failure = error
            return answer_to(error)
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            return internal(error)
        finally:
            ended = time.monotonic()
            if failure is not None or ended - started > SLOW_SECONDS:
                health = self._troubled.setdefault(service.name, Health())
                health.failed(ended, failure)


def _send(read: _Read, value: Value | Missing) -> None:
    if value is MISSING:
        _send_error(read, absent(read.key))
        return
    etag = value.etag
    if read.if_none_match is not None:
        try:
            Condition(if_none_match=parse_etags(read.if_none_match)).check(etag)
        except NotModified:
            read.sink.answer(304, f'{_FIELDS}etag: "{etag}"\r\n', None, read.keep_alive)
            return
    body = entry_text(read.key, value).encode()
    fields = f'{_JSON_FIELDS}content-length: {len(body)}\r\netag: "{etag}"\r\n'
    read.sink.answer(200, fields, body, read.keep_alive)


def _send_error(read: _Read, error: ApiError) -> None:
    body = error_text(error.status, error.message, error.context).encode()
    fields = f"{_JSON_FIELDS}content-length: {len(body)}\r\n" + "".join(
        f"{name.lower()}: {text}\r\n" for name, text in error.headers.items()
    )
    read.sink.answer(error.status, fields, body, read.keep_alive)
