"""Several different operations in one request: what its body asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from backends.base import MISSING, Missing
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    GetAndDelete,
    Increment,
    Item,
    Operation,
    Replace,
)
from cacheapi.caching.documents import OPERATION_LEVELS, TooManyItems, parse_document
from cacheapi.caching.making import OutOfRange
from cacheapi.caching.service import CacheService
from cacheapi.web.batch import OPERATIONS, SHAPE, invalid_items, load_items
from cacheapi.web.errors import ApiError
from cacheapi.web.schemas.operations import OperationSchema
from cacheapi.web.values import BadValue, raw_value_of

# The rights that one needs for each.
VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "get": ("GET",),
    "pull": ("GET", "DELETE"),
    "exists": ("GET",),
    "set": ("POST",),
    "add": ("POST",),
    "replace": ("PUT",),
    "touch": ("PATCH",),
    "increment": ("PATCH",),
    "delete": ("DELETE",),
}
# Pairs are many, and not parsed twice. A name with an escape in it may be any name.
_STARTS: Final = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"(?:operations"|[^"\\]*\\)')


class Asked(NamedTuple):
    """One operation that a client asks for.

    :ivar name: the client's, see :data:`VERBS`.
    """

    name: str
    operation: Operation

    @property
    def verbs(self) -> tuple[str, ...]:
        """The rights that it needs on its key."""
        made = self.operation
        if isinstance(made, Increment) and made.delta == 0:
            # It tells the value.
            return ("PATCH", "GET")
        return VERBS[self.name]


def asks_operations(body: bytes) -> bool:
    """Return whether a body seems to ask for operations: that is its first member."""
    return _STARTS.match(body) is not None


def read_operations(
    cache: CacheService, body: bytes, ttl: int | Missing | None, most: int
) -> list[Asked] | None:
    """Return the operations of a body ``{"operations": […]}``; ``None`` if it has none.

    The array alone is taken too: who has a list beside pairs asks :func:`asks_operations` first.

    :param ttl: the lifetime of those that bring none; as :meth:`Query.ttl` gives it.
    :param most: how many there may be.
    :raises ApiError: 400; names bad items, and nothing may be done.
    :raises TooManyItems: there are more.
    :raises InvalidJson: the body is not JSON that can be stored.
    :raises BackendError: tags could not be looked up; nothing was done.
    """
    document = parse_document(body, most, OPERATION_LEVELS)
    if isinstance(document, list):
        document = {OPERATIONS: document}
    if not isinstance(document, dict) or OPERATIONS not in document:
        return None
    items = document[OPERATIONS]
    if len(document) > 1:
        raise ApiError(400, "Beside operations the body may have no other member.")
    if not isinstance(items, list):
        raise ApiError(400, SHAPE)
    if not items:
        raise ApiError(400, "operations is empty: there is nothing to do.")
    if len(items) > most:
        raise TooManyItems(most)
    loaded, faults = load_items(OperationSchema(cache.check_key, many=True), items)
    made: list[Asked] = []
    for index, item in loaded:
        ((name, what),) = item.items()
        try:
            made.append(Asked(name, _MAKERS[name](cache, what, ttl)))
        except BadValue as error:
            field = f"{name}.{error.told['field']}"
            faults.append({"index": index, "field": field, "message": error.told["message"]})
        except OutOfRange as error:
            field = f"{name}.{error.member}"
            faults.append({"index": index, "field": field, "message": str(error)})
    if faults:
        raise invalid_items(faults)
    return _tagged(cache, made, [_tags_of(item) for _, item in loaded])


def _tags_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    (what,) = item.values()
    return (what.get("tags") or ()) if isinstance(what, dict) else ()


def _tagged(cache: CacheService, made: list[Asked], tags: list[tuple[str, ...]]) -> list[Asked]:
    """Give the values to store their tags."""
    indexes = [index for index, some in enumerate(tags) if some]
    if not indexes:
        return made
    stores = [cast("Item | Add | Replace", made[index].operation) for index in indexes]
    values = cache.entries.give([one.value for one in stores], [tags[index] for index in indexes])
    for index, store, value in zip(indexes, stores, values, strict=True):
        made[index] = made[index]._replace(operation=store._replace(value=value))
    return made


def _ttl_of(what: Mapping[str, Any], ttl: int | Missing | None) -> int | None:
    own: int | Missing | None = what.get("ttl", ttl)
    return None if own is MISSING else own


def _storing(way: str) -> Callable[[CacheService, Any, Any], Operation]:
    def make(cache: CacheService, what: Any, ttl: int | Missing | None) -> Operation:
        value = raw_value_of(cache, what)
        made: Operation = getattr(cache.make, way)(what["key"], value, _ttl_of(what, ttl))
        return made

    return make


def _touch(cache: CacheService, what: Any, ttl: int | Missing | None) -> Operation:
    if "ttl" not in what and ttl is MISSING:
        raise BadValue("ttl", "It must be given.")
    return cache.make.touch(what["key"], _ttl_of(what, ttl))


def _increment(cache: CacheService, what: Any, ttl: int | Missing | None) -> Operation:
    return cache.make.increment(what["key"], what["by"], what.get("initial"), _ttl_of(what, ttl))


_MAKERS: Final[Mapping[str, Callable[[CacheService, Any, Any], Operation]]] = {
    "get": lambda cache, key, ttl: Get(key),
    "pull": lambda cache, key, ttl: GetAndDelete(key),
    "exists": lambda cache, key, ttl: Exists(key),
    "set": _storing("set"),
    "add": _storing("add"),
    "replace": _storing("replace"),
    "touch": _touch,
    "increment": _increment,
    "delete": lambda cache, key, ttl: Delete(key),
}
