"""A cache of a service elsewhere: what the commands do to one, asked of its API.

:class:`RemoteCache` has the methods of :class:`~cacheapi.caching.service.CacheService` that the
commands use.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import click

from backends.base import MISSING, Missing
from cacheapi.caching.codec import Value, string_text
from cacheapi.caching.pairs import KeyExists, Pair, TaggedPair
from cacheapi.commands import cache_shapes as shapes
from cacheapi.commands.elsewhere import Elsewhere
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.refusals import Refused
from cacheapi.commands.system_shapes import Service
from cacheapi.registry.names import name_fault


class RemoteCache:
    """A service of :class:`Elsewhere`; each method does what that of a ``CacheService`` does.

    :raises Failure: no service can be called so.
    """

    def __init__(self, place: Elsewhere, name: str) -> None:
        if name_fault(name) is not None:
            # Something else may be at that path.
            raise place.unknown(name)
        self._place = place
        self.name = name
        self.type = place.url
        self._path = f"/{quote(name, safe='')}"

    def check_key(self, key: str) -> None:
        """Leave that to the service: it says which keys its cache takes."""
        if not key:
            raise click.UsageError("A key may not be empty.")

    def get_many(self, keys: Iterable[str]) -> dict[str, Value]:
        """Return the values of those keys that are there."""
        body = json.dumps({"resource": list(keys)}).encode()
        with _as_here():
            answer, _ = self._place.call("POST", self._path, body, X_HTTP_Method="GET")
        found = self._place.read(answer, shapes.Entries).resource
        return {each.key: self._value(each) for each in found}

    def operations(self, body: bytes) -> tuple[list[tuple[bool, str]], Failure | None]:
        """Do operations; return of each whether it was done and the JSON about it.

        And why those after them are not to be tried.

        :raises Failure: none is done.
        """
        failure = None
        try:
            answer, _ = self._place.call("POST", self._path, body)
        except Refused as error:
            if error.status != 500 or error.done is None:
                raise
            answer, failure = error.done, error
        read = self._place.read
        told = read(answer, shapes.Outcomes).resource
        return [(read(each, shapes.Done)["success"], str(each, "utf-8")) for each in told], failure

    def set_many(self, pairs: Sequence[Pair]) -> list[Any]:
        """Store, overwriting; what the service refuses is raised."""
        items = ",".join(f"{{{_member(pair)}}}" for pair in pairs)
        body = f'{{"resource":[{items}]}}'.encode()
        with _as_here():
            self._place.json("POST", self._path, shapes.DoneMany, body)
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
        with _as_here():
            told = self._place.json(
                "POST", self._path, shapes.DoneMany, document, X_HTTP_Method="DELETE"
            )
        done: list[Any] = [each["success"] for each in told["resource"]]
        if len(done) != len(keys):
            raise self._place.strange
        return done

    def delete_prefix(self, prefix: str, done: Callable[[int], None]) -> int:
        """Delete what starts so; return how many keys that were.

        :param done: is told that number too.
        """
        query = urlencode({"prefix": prefix})
        with _as_here():
            told = self._place.json("DELETE", f"{self._path}?{query}", shapes.Deleted)
        deleted: int = told["deleted"]
        done(deleted)
        return deleted

    def purge(self, tags: Sequence[str]) -> None:
        """Make gone what has one of some tags."""
        self._place.json(
            "DELETE", f"{self._path}?{urlencode({'tag': ','.join(tags)})}", shapes.Done
        )

    def page(
        self, prefix: str, limit: int, cursor: str | None, *, details: bool
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of keys, as the API has them, and the cursor of the next."""
        query = {"prefix": prefix, "limit": str(limit), "details": str(details).lower()}
        if cursor is not None:
            query["cursor"] = cursor
        path = f"{self._path}?{urlencode(query)}"
        shape = shapes.KeysWithDetails if details else shapes.Keys
        with _as_here():
            told = self._place.json("GET", path, shape)
        following = told["meta"]["next"]
        if following is not None and following == cursor:
            # It would have no end.
            raise self._place.strange
        return told["resource"], following

    def remaining_ttl(self, key: str) -> float | Missing | None:
        """Return the seconds that a key has left; ``None`` for ever."""
        path = f"{self._path}/{quote(key, safe='')}?check_exist=true&ttl=true"
        told = self._place.json("GET", path, shapes.Life)
        return told.get("ttl") if told["exists"] else MISSING

    def touch(self, key: str, ttl: int | None) -> bool:
        """Give a new lifetime; return whether the key is there."""
        return self._found(lambda: self._patch(key, {"ttl": ttl}, shapes.Done))

    def increment(
        self, key: str, delta: int, initial: int | None, ttl: int | None
    ) -> int | Missing:
        """Count; return the number, or that there is none."""
        document: dict[str, Any] = {"increment": delta, "ttl": ttl}
        if initial is not None:
            document["initial"] = initial
        counted: list[int] = []
        if not self._found(
            lambda: counted.append(self._patch(key, document, shapes.Counted)["value"])
        ):
            return MISSING
        return counted[0]

    def statistics(self, section: str | None) -> dict[str, Any]:
        """Return what the servers of the service say of themselves."""
        query = f"?{urlencode({'section': section})}" if section else ""
        path = f"/system/service{self._path}/stats{query}"
        return self._place.json("GET", path, shapes.Statistics)

    def analyze(self, sample: int, depth: int, separator: str) -> dict[str, Any]:
        """Return what fills the service."""
        query = urlencode({"sample": sample, "depth": depth, "separator": separator})
        path = f"/system/service{self._path}/analysis?{query}"
        return self._place.json("GET", path, shapes.Analysis)

    def sharing(self) -> list[str]:
        """Return what there is to say of services that share keys with it, a sentence each.

        None to whom is no administrator.
        """
        try:
            told = self._place.json("GET", f"/system/service{self._path}", Service)
        except Failure:
            return []
        found: list[str] = told.get("warnings", [])
        return found

    def flush(self) -> None:
        """Delete every key of the service."""
        self._place.json("DELETE", self._path, shapes.Done)

    def _put(self, pair: Pair, **headers: str) -> None:
        text = _member(pair, with_key=False)
        path = f"{self._path}/{quote(pair.key, safe='')}"
        self._place.json("PUT", path, shapes.Done, f"{{{text}}}".encode(), **headers)

    def _patch(self, key: str, document: Any, shape: Any) -> dict[str, Any]:
        return self._place.json("PATCH", f"{self._path}/{quote(key, safe='')}", shape, document)

    def _value(self, entry: shapes.Entry) -> Value:
        """Return a value, whose text may be of another program.

        :raises Failure: it is not what it is said to be.
        """
        try:
            text = bytes(entry.value).decode()
            if entry.encoding is not None:
                b64decode(json.loads(text), validate=True)
        # No UTF-8; no string.
        except (ValueError, TypeError) as error:
            raise self._place.strange from error
        return Value(text, entry.encoding, entry.flags)

    def _found(self, ask: Callable[[], Any]) -> bool:
        """Ask, and return whether there is such a key."""
        try:
            ask()
        except Refused as error:
            if error.status == 404 and error.code == Exit.NO:
                return False
            raise
        return True


@contextmanager
def _as_here() -> Iterator[None]:
    """Raise what the machine itself does for the same."""
    try:
        yield
    except Refused as error:
        raise error.plain from error


def _member(pair: Pair, *, with_key: bool = True) -> str:
    """Return the members of a pair as JSON text; the value goes in as it is."""
    assert isinstance(pair.value, str)
    key = f'"key":{string_text(pair.key)},' if with_key else ""
    ttl = "null" if pair.ttl is None else pair.ttl
    tags = pair.tags if isinstance(pair, TaggedPair) else ()
    tagged = f',"tags":{json.dumps(tags)}' if tags else ""
    return f'{key}"value":{pair.value},"ttl":{ttl}{tagged}'
