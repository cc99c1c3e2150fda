"""Requests and answers, as values: how they are sent is up to who drives the operations."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

from cacheapi_client.errors import InvalidKey

_MONTH = 2_592_000
"""The service takes a longer lifetime as a Unix time."""
_LONGEST_QUERY = 4000
"""A list of keys that makes a longer query goes as a body."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send, below the service's address.

    :ivar again: whether a second time does no harm, where the first one got no answer.
    """

    method: str
    path: str = ""
    body: Any = None
    fields: Mapping[str, str] = field(default_factory=dict)
    again: bool = True

    def content(self) -> bytes | None:
        """Return the body as JSON.

        :raises TypeError, ValueError: JSON cannot carry a value of it.
        """
        if self.body is None:
            return None
        return json.dumps(self.body, ensure_ascii=False, allow_nan=False).encode()


class Answer(NamedTuple):
    """What came back; the status is 0 if nothing did."""

    status: int
    message: str
    document: Any = None
    etag: str = ""

    @property
    def is_miss(self) -> bool:
        """Whether there is no such key; a service that is not there is a 404, too."""
        return self.status == 404 and self.message.startswith("Key '")

    @property
    def partly(self) -> list[dict[str, Any]] | None:
        """What became of each item, where the cache failed at some of several."""
        error = self.document.get("error") if isinstance(self.document, dict) else None
        context = error.get("context") if isinstance(error, dict) else None
        return context.get("resource") if isinstance(context, dict) else None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for some seconds; or, for ``longest`` at most, until this program has filled ``key``."""

    seconds: float
    key: str
    longest: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call the caller's function and send back what it returns."""

    function: Callable[[], Any]


Step = Request | Sleep | Call
"""What an operation asks its driver to do."""


def no_cacheapi(status: int) -> str:
    """Say what answered, where it was something else: another site, or what stands before it."""
    if 300 <= status < 400:
        return (
            f"What answers with HTTP {status} leads elsewhere, which is not followed: "
            "give the address that it leads to."
        )
    return f"What answers with HTTP {status} is no cacheapi."


def answer(status: int, text: bytes | bytearray, etag: str) -> Answer:
    """Read an answer."""
    message = no_cacheapi(status)
    try:
        document = json.loads(text)
    except ValueError:
        return Answer(status, message)
    if isinstance(document, dict) and isinstance(document.get("error"), dict):
        message = str(document["error"].get("message", message))
    return Answer(status, message, document, etag)


def path(key: str) -> str:
    """Return a key's path below its service.

    :raises InvalidKey: it is empty, has lone surrogates, or is ``.`` or ``..``.
    """
    check(key)
    return f"/{quote(key, safe='')}"


def check(key: str) -> str:
    """Return a key that a cache may take.

    :raises TypeError: it is no text.
    :raises InvalidKey: it is empty, has lone surrogates, or is ``.`` or ``..``.
    """
    if not isinstance(key, str):
        raise TypeError(f"A key is a str, not {type(key).__name__}.")
    if not key:
        raise InvalidKey("A key may not be empty.")
    if key in {".", ".."}:
        raise InvalidKey(f"A URL cannot carry the key {key!r}.")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InvalidKey(f"The key {key!r} has lone surrogates.") from None
    return key


def many(method: str, keys: Collection[str]) -> Request:
    """Return the request for several keys: in the URL, or where that grows too long, as a body."""
    query = "&".join(f"key={quote(check(key), safe='')}" for key in keys)
    if len(query) <= _LONGEST_QUERY:
        return Request(method, f"?{query}")
    return Request("POST", "", {"resource": list(keys)}, {"X-HTTP-Method": method})


def lifetime(ttl: int | timedelta | None) -> dict[str, int]:
    """Return the member ``ttl``, or none for the default.

    :raises TypeError: it is no whole number of seconds and no timedelta.
    :raises ValueError: it is negative.
    """
    if ttl is None:
        return {}
    if isinstance(ttl, timedelta):
        # What lives at all does not live for ever.
        ttl = max(1, -(-ttl // timedelta(seconds=1))) if ttl > timedelta() else -1
    if not isinstance(ttl, int) or isinstance(ttl, bool):
        raise TypeError("A ttl is None, whole seconds or a timedelta.")
    if ttl < 0:
        raise ValueError("A ttl is 0 (for ever) or more seconds from now.")
    return {"ttl": int(time.time()) + ttl if ttl > _MONTH else ttl}


def pair(
    key: str, value: Any, ttl: int | timedelta | None, tags: Collection[str] = ()
) -> dict[str, Any]:
    """Return an item to store."""
    tagged = {"tags": list(tags)} if tags else {}
    return {"key": check(key), "value": value, **lifetime(ttl), **tagged}


def operation(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return one of several operations as the service takes it.

    :raises InvalidKey: a key of it is none.
    :raises TypeError, ValueError: a ttl of it is none.
    """
    made: dict[str, Any] = {}
    for name, what in asked.items():
        if isinstance(what, Mapping):
            check(what["key"])
            made[name] = {**what, **lifetime(what["ttl"])} if "ttl" in what else dict(what)
            if made[name].get("ttl", 0) is None:
                # The default is what is not given; of "touch" the service wants it said.
                made[name]["ttl"] = -1
        else:
            made[name] = check(what)
    return made


def value_of(item: Mapping[str, Any]) -> Any:
    """Return an item's value; bytes that another program stored are bytes."""
    value = item["value"]
    return base64.b64decode(value) if item.get("encoding") == "base64" else value


Steps = Generator[Step, Any, Any]
