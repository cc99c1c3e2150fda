"""A service elsewhere, over HTTP: what the commands do to a cache, asked of its API.

:class:`Elsewhere` is the connection, with errors as commands have them; :class:`RemoteCache` has
the methods of :class:`~cacheapi.caching.service.CacheService` that the commands use.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import click
import msgspec

from backends.base import MISSING, Missing
from cacheapi.caching.codec import Value, string_text
from cacheapi.caching.service import KeyExists, Pair, TaggedPair
from cacheapi.commands.failures import Exit, Failure

TIMEOUT_SECONDS: Final = 30
_API: Final = "/api/v2"
_CODES: Final = {400: Exit.USAGE, 404: Exit.NO, 409: Exit.NO, 412: Exit.NO, 413: Exit.USAGE}


class _Entry(msgspec.Struct):
    key: str
    value: msgspec.Raw
    encoding: str | None = None
    flags: int = 0


class _Entries(msgspec.Struct):
    resource: list[_Entry]


class _Fault(msgspec.Struct):
    context: msgspec.Raw


class _Refusal(msgspec.Struct):
    error: _Fault


class Refused(Failure):
    """The service has said no.

    :param answer: what it said.
    :ivar status: of its answer.
    """

    def __init__(self, status: int, message: str, answer: bytes = b"") -> None:
        # An unknown service is wrong use, as it is on the machine itself.
        is_key = message.startswith(("Key ", "API key "))
        code = Exit.USAGE if status == 404 and not is_key else _CODES.get(status, Exit.FAILED)
        super().__init__(message, code)
        self.status = status
        self._answer = answer

    @property
    def done(self) -> bytes | None:
        """What became of each operation, as JSON, where one of several failed."""
        try:
            context = msgspec.json.decode(self._answer, type=_Refusal).error.context
        except msgspec.MsgspecError:
            return None
        return bytes(context) if bytes(context).startswith(b"{") else None


def _document(told: Any) -> Any:
    if not isinstance(told, dict):
        raise TypeError
    return told


class Elsewhere:
    """A service by its address; a path in it is what it is mounted under.

    :param key: the API key, or ``@`` and the file that has it.
    :raises click.UsageError: there can be no such address, or there is no key.
    """

    def __init__(self, url: str, key: str | None) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise click.UsageError(f"--url: {url!r} is no address: {error}.") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.UsageError(f"--url: {url!r} is none like https://cache.example or "
                                   "http://127.0.0.1:8000.")  # fmt: skip
        # What all its paths begin with is often in an address that was copied.
        self.url = url.rstrip("/").removesuffix(_API)
        self._key = _key(key)
        self._base = parts.path.rstrip("/").removesuffix(_API)
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                parts.hostname,
                port,
                timeout=TIMEOUT_SECONDS,
                context=ssl.create_default_context(),
            )
        else:
            self._connection = http.client.HTTPConnection(
                parts.hostname, port, timeout=TIMEOUT_SECONDS
            )

    def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[bytes, http.client.HTTPMessage]:
        """Send a request; return the body of its answer, and the header fields.

        :param path: below ``/api/v2``.
        :raises Failure: it cannot be reached, refuses, or is something else.
        """
        sent = {
            "X-DreamFactory-API-Key": self._key,
            "Accept": "application/json",
            # A service in front of an HTTP API would pass the request on to that.
            "X-Service-Kind": "cache",
        }
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            self._connection.request(method, f"{self._base}{_API}{path}", body, sent)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Failure(f"{self.url} cannot be reached: {reason}.") from error
        if "Cache-Status" in response.headers:
            # Only what stands in front of an API has it.
            raise self.strange
        if 200 <= response.status < 300:
            return answer, response.headers
        message = self._message(response.status, response.headers, answer)
        raise Refused(response.status, message, answer)

    def json(
        self,
        method: str,
        path: str,
        document: Any = None,
        take: Callable[[Any], Any] = _document,
        **headers: str,
    ) -> Any:
        """Do as :meth:`call` with a document, and return the answer's.

        :param document: as JSON text where it is bytes.
        :param take: returns what is wanted of it, and may fail where it has another shape.
        """
        if document is not None and not isinstance(document, bytes):
            document = json.dumps(document).encode()
        answer, _ = self.call(method, path, document, **headers)
        try:
            return take(json.loads(answer))
        except (ValueError, LookupError, TypeError) as error:
            raise self.strange from error

    @property
    def strange(self) -> Failure:
        """What is raised for an answer of another shape than a cache's."""
        return Failure(f"{self.url} is something else than cacheapi, or no cache of it answers.")

    def close(self) -> None:
        """Close the connection; the next request opens one."""
        self._connection.close()

    def _message(self, status: int, headers: http.client.HTTPMessage, answer: bytes) -> str:
        if 300 <= status < 400:
            return f"{self.url} leads to {headers.get('Location')!r}: name that address."
        try:
            message = str(json.loads(answer)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return f"{self.url} answers {status}, and not as cacheapi does."
        return message


def _key(given: str | None) -> str:
    if given is None:
        raise click.UsageError(
            "The service elsewhere wants an API key: set CACHEAPI_KEY, or say --key @FILE."
        )
    if not given.startswith("@"):
        return given.strip()
    return Path(given[1:]).read_text(encoding="utf-8").strip()


class RemoteCache:
    """A service of :class:`Elsewhere`; each method does what that of a ``CacheService`` does."""

    def __init__(self, place: Elsewhere, name: str) -> None:
        self._place = place
        self.name = name
        self.type = place.url
        self._path = f"/{quote(name, safe='')}"

    @property
    def strange(self) -> Failure:
        """As :attr:`Elsewhere.strange`."""
        return self._place.strange

    def check_key(self, key: str) -> None:
        """Leave that to the service: it says which keys its cache takes."""
        if not key:
            raise click.UsageError("A key may not be empty.")

    def get_many(self, keys: Iterable[str]) -> dict[str, Value]:
        """Return the values of those keys that are there."""
        body = json.dumps({"resource": list(keys)}).encode()
        answer, _ = self._place.call("POST", self._path, body, X_HTTP_Method="GET")
        try:
            found = msgspec.json.decode(answer, type=_Entries).resource
        except msgspec.MsgspecError as error:
            raise self._place.strange from error
        return {
            each.key: Value(bytes(each.value).decode(), each.encoding, each.flags) for each in found
        }

    def operations(self, body: bytes) -> tuple[bytes, Failure | None]:
        """Do operations; return the JSON about them, and why those after them are not to be tried.

        :raises Failure: none is done.
        """
        try:
            answer, _ = self._place.call("POST", self._path, body)
        except Refused as error:
            if error.status != 500 or error.done is None:
                raise
            return error.done, error
        return answer, None

    def set_many(self, pairs: Sequence[Pair]) -> list[Any]:
        """Store, overwriting; what the service refuses is raised."""
        items = ",".join(f"{{{_member(pair)}}}" for pair in pairs)
        body = f'{{"resource":[{items}]}}'.encode()
        self._place.json("POST", self._path, body, lambda told: told["resource"])
        return [True] * len(pairs)

    def add(
        self, key: str, value: str | bytes, ttl: int | None, tags: tuple[str, ...] = ()
    ) -> None:
        """Create a key.

        :raises KeyExists: it is there already.
        """
        try:
            self._put(TaggedPair(key, value, ttl, tags), If_None_Match="*")
        except Refused as error:
            if error.status != 412:
                raise
            raise KeyExists(key) from error

    def replace(
        self, key: str, value: str | bytes, ttl: int | None, tags: tuple[str, ...] = ()
    ) -> bool:
        """Store under a key that is there; return whether it is."""
        return self._found(lambda: self._put(TaggedPair(key, value, ttl, tags)))

    def delete_many(self, keys: Sequence[str]) -> list[Any]:
        """Delete; return of each whether it was there."""
        document = {"resource": list(keys)}
        done: list[Any] = self._place.json(
            "POST",
            self._path,
            document,
            lambda told: [each["success"] for each in told["resource"]],
            X_HTTP_Method="DELETE",
        )
        if len(done) != len(keys):
            raise self._place.strange
        return done

    def delete_prefix(self, prefix: str, done: Callable[[int], None]) -> int:
        """Delete what starts so; return how many keys that were.

        :param done: is told that number too.
        """
        query = urlencode({"prefix": prefix})
        deleted: int = self._place.json(
            "DELETE", f"{self._path}?{query}", take=lambda told: int(told["deleted"])
        )
        done(deleted)
        return deleted

    def purge(self, tags: Sequence[str]) -> None:
        """Make gone what has one of some tags."""
        self._place.json("DELETE", f"{self._path}?{urlencode({'tag': ','.join(tags)})}")

    def page(
        self, prefix: str, limit: int, cursor: str | None, *, details: bool
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of keys, as the API has them, and the cursor of the next."""
        query = {"prefix": prefix, "limit": str(limit), "details": str(details).lower()}
        if cursor is not None:
            query["cursor"] = cursor
        path = f"{self._path}?{urlencode(query)}"
        found: tuple[list[dict[str, Any]], str | None] = self._place.json(
            "GET", path, take=lambda told: (list(map(dict, told["resource"])), told["meta"]["next"])
        )
        return found

    def remaining_ttl(self, key: str) -> float | Missing | None:
        """Return the seconds that a key has left; ``None`` for ever."""
        path = f"{self._path}/{quote(key, safe='')}?check_exist=true&ttl=true"
        left: float | Missing | None = self._place.json(
            "GET", path, take=lambda told: told["ttl"] if told["exists"] else MISSING
        )
        return left

    def touch(self, key: str, ttl: int | None) -> bool:
        """Give a new lifetime; return whether the key is there."""
        return self._found(lambda: self._patch(key, {"ttl": ttl}, lambda told: told["success"]))

    def increment(
        self, key: str, delta: int, initial: int | None, ttl: int | None
    ) -> int | Missing:
        """Count; return the number, or that there is none."""
        document: dict[str, Any] = {"increment": delta, "ttl": ttl}
        if initial is not None:
            document["initial"] = initial
        counted: list[int] = []
        if not self._found(
            lambda: counted.append(self._patch(key, document, lambda told: int(told["value"])))
        ):
            return MISSING
        return counted[0]

    def statistics(self, section: str | None) -> dict[str, Any]:
        """Return what the servers of the service say of themselves."""
        query = f"?{urlencode({'section': section})}" if section else ""
        told: dict[str, Any] = self._place.json("GET", f"/system/service{self._path}/stats{query}")
        return told

    def analyze(self, sample: int, depth: int, separator: str) -> dict[str, Any]:
        """Return what fills the service."""
        query = urlencode({"sample": sample, "depth": depth, "separator": separator})
        told: dict[str, Any] = self._place.json(
            "GET", f"/system/service{self._path}/analysis?{query}"
        )
        return told

    def flush(self) -> None:
        """Delete every key of the service."""
        self._place.json("DELETE", self._path)

    def _put(self, pair: Pair, **headers: str) -> None:
        text = _member(pair, with_key=False)
        path = f"{self._path}/{quote(pair.key, safe='')}"
        self._place.json(
            "PUT", path, f"{{{text}}}".encode(), lambda told: told["success"], **headers
        )

    def _patch(self, key: str, document: Any, take: Callable[[Any], Any]) -> Any:
        return self._place.json("PATCH", f"{self._path}/{quote(key, safe='')}", document, take)

    def _found(self, ask: Callable[[], Any]) -> bool:
        """Ask, and return whether there is such a key."""
        try:
            ask()
        except Refused as error:
            if error.status == 404 and error.code == Exit.NO:
                return False
            raise
        return True


def _member(pair: Pair, *, with_key: bool = True) -> str:
    """Return the members of a pair as JSON text; the value goes in as it is."""
    assert isinstance(pair.value, str)
    key = f'"key":{string_text(pair.key)},' if with_key else ""
    ttl = "null" if pair.ttl is None else pair.ttl
    tags = pair.tags if isinstance(pair, TaggedPair) else ()
    tagged = f',"tags":{json.dumps(tags)}' if tags else ""
    return f'{key}"value":{pair.value},"ttl":{ttl}{tagged}'
