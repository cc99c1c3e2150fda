"""What a cache does, without a connection: generators of steps, driven with or without await."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from cacheapi_client.errors import CacheError
from cacheapi_client.lease import beside
from cacheapi_client.messages import (
    Answer,
    Request,
    Step,
    lifetime,
    many,
    no_cacheapi,
    operation,
    pair,
    path,
    value_of,
)

TTL = int | timedelta | None
_log = logging.getLogger("cacheapi_client")
_PAUSE = 1.0
"""How long a cache that gave no answer is not asked again, in seconds."""


class Operations:
    """The operations of one cache, and what is known of its state.

    :param strict: raise :class:`CacheError` where the cache is away or refuses.
    :param on_error: called with what went wrong, once until it changes.
    """

    def __init__(self, strict: bool, on_error: Callable[[str], object] | None) -> None:
        self._strict = strict
        self._on_error = on_error or _log.warning
        self._away_until = 0.0
        self.last_error: str | None = None

    def is_away(self) -> bool:
        """Return whether the cache gave no answer just now, and is not to be asked."""
        return time.monotonic() < self._away_until

    def still_away(self) -> Answer:
        return Answer(0, self.last_error or "The cache was away just now.")

    def went_away(self, error: Exception) -> Answer:
        """Note that there was no answer."""
        self._away_until = time.monotonic() + _PAUSE
        return Answer(0, f"No answer: {(str(error) or type(error).__name__).rstrip('.')}.")

    def succeeded(self, answer: Answer, member: str = "") -> bool:
        """Return whether it is a success; what is none is told, or raised."""
        message = answer.message
        if 200 <= answer.status < 300:
            document = answer.document
            if isinstance(document, dict) and (not member or member in document):
                self.last_error = None
                return True
            message = no_cacheapi(answer.status)
        told, self.last_error = self.last_error, message
        if self._strict:
            raise CacheError(message, answer.status)
        if message != told:
            self._on_error(message)
        return False

    def missed(self, answer: Answer) -> bool:
        """Return whether the cache, which works, said that there is no such key."""
        if answer.is_miss:
            self.last_error = None
        return answer.is_miss

    def read(self, key: str) -> Generator[Step, Any, tuple[bool, list[Any]]]:
        """Return whether the cache said that there is nothing, and the value in a list."""
        answer = yield Request("GET", path(key))
        if self.missed(answer):
            return True, []
        return False, [value_of(answer.document)] if self.succeeded(answer, "value") else []

    def get(self, key: str, default: Any) -> Generator[Step, Any, Any]:
        _, found = yield from self.read(key)
        return found[0] if found else default

    def get_many(self, keys: Iterable[str]) -> Generator[Step, Any, dict[str, Any]]:
        wanted = list(keys)
        answer = (yield many("GET", wanted)) if wanted else None
        if answer is None or not self.succeeded(answer, "resource"):
            return {}
        return {item["key"]: value_of(item) for item in answer.document["resource"]}

    def set_many(
        self, values: Mapping[str, Any], ttl: TTL, tags: Collection[str] = ()
    ) -> Generator[Step, Any, dict[str, bool]]:
        """Return whether each was stored."""
        pairs = [pair(key, value, ttl, tags) for key, value in values.items()]
        answer = (yield Request("POST", body={"resource": pairs})) if pairs else None
        if answer is None or self.succeeded(answer):
            return dict.fromkeys(values, True)
        stored = dict.fromkeys(values, False)
        for item in answer.partly or ():
            stored[item["key"]] = item["success"]
        return stored

    def create(
        self, key: str, value: Any, ttl: TTL, tags: Collection[str] = ()
    ) -> Generator[Step, Any, Answer]:
        """Store unless there is something: 200, 412, or 0 for a failure, which was told."""
        body = pair(key, value, ttl, tags)
        del body["key"]
        fields = {"If-None-Match": "*"}
        answer: Answer = yield Request("PUT", path(key), body, fields, again=False)
        if answer.status == 412:
            self.last_error = None
            return answer
        if self.succeeded(answer, "success"):
            return answer
        return answer._replace(status=0)

    def add(
        self, key: str, value: Any, ttl: TTL, tags: Collection[str] = ()
    ) -> Generator[Step, Any, bool]:
        answer = yield from self.create(key, value, ttl, tags)
        return answer.status == 200

    def ttl(self, key: str) -> Generator[Step, Any, int | None]:
        """Return the seconds left, 0 for ever; None where there is nothing."""
        answer = yield Request("GET", f"{path(key)}?check_exist=true&ttl=true")
        if not self.succeeded(answer, "exists") or not answer.document["exists"]:
            return None
        left: int | None = answer.document["ttl"]
        return 0 if left is None else max(1, left)

    def perform(
        self, operations: Iterable[Mapping[str, Any]]
    ) -> Generator[Step, Any, list[dict[str, Any]] | None]:
        """Return an outcome each; None where the cache is away, or refuses all."""
        asked = [operation(each) for each in operations]
        if not asked:
            return []
        answer = yield Request("POST", body={"operations": asked}, again=False)
        told = answer.document["resource"] if self.succeeded(answer, "resource") else answer.partly
        if told is None:
            return None
        return [
            {
                name: value_of(item) if name == "value" else value
                for name, value in item.items()
                if name != "encoding"
            }
            for item in told
        ]

    def delete_tags(self, tags: Iterable[str]) -> Generator[Step, Any, bool]:
        wanted = list(tags)
        if not wanted:
            return True
        query = "&".join(f"tag={quote(tag, safe='')}" for tag in wanted)
        return self.succeeded((yield Request("DELETE", f"?{query}")))

    def delete_many(self, keys: Iterable[str]) -> Generator[Step, Any, dict[str, bool] | None]:
        """Return which were there; None where the cache is away."""
        wanted = list(keys)
        if not wanted:
            return {}
        answer = yield many("DELETE", [*wanted, *(beside(key, "stale") for key in wanted)])
        if not self.succeeded(answer, "resource"):
            return None
        there = {item["key"]: item["success"] for item in answer.document["resource"]}
        return {key: there[key] for key in wanted}

    def clear(self) -> Generator[Step, Any, bool]:
        return self.succeeded((yield Request("DELETE")))

    def has(self, key: str) -> Generator[Step, Any, bool]:
        answer = yield Request("GET", f"{path(key)}?check_exist=true")
        return self.succeeded(answer, "exists") and bool(answer.document["exists"])

    def increment(
        self, key: str, by: int, initial: int | None, ttl: TTL
    ) -> Generator[Step, Any, Answer]:
        """Count: 200, 404 where there is nothing and ``initial`` is None, or 0 for a failure."""
        body = {"increment": by, **({} if initial is None else {"initial": initial})}
        answer: Answer = yield Request("PATCH", path(key), body | lifetime(ttl), again=False)
        if self.missed(answer) or self.succeeded(answer, "value"):
            return answer
        return answer._replace(status=0)

    def touch(self, key: str, ttl: TTL) -> Generator[Step, Any, bool]:
        answer = yield Request("PATCH", path(key), lifetime(ttl) or {"ttl": None})
        return not self.missed(answer) and self.succeeded(answer)
