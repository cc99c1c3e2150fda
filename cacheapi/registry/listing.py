"""Pages of services and API keys: each costs what is on it, however many there are."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

from cacheapi.registry import key_administration
from cacheapi.registry.database.errors import DatabaseFailed
from cacheapi.registry.database.store import MAX_ID
from cacheapi.registry.definition import Definition
from cacheapi.registry.errors import Fault, Invalid, RegistryUnavailable
from cacheapi.registry.key_administration import ApiKey
from cacheapi.registry.live import Registry

T = TypeVar("T")

# Of a page, where the client says nothing else, and at most.
USUAL: Final = 100
MOST: Final = 1000


class Wanted(NamedTuple):
    """Which page of a list somebody wants to have.

    :ivar cursor: of the page; ``None`` for the first one.
    :ivar search: what is on none of the pages unless it has this in its name; empty for all.
    """

    limit: int = USUAL
    cursor: str | None = None
    search: str = ""


@dataclasses.dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list.

    :ivar items: what is on it.
    :ivar following: the cursor of the next page; ``None``: that is all.
    :ivar count: how many there are on all pages.
    """

    items: Sequence[T]
    following: str | None
    count: int


def services(
    registry: Registry, wanted: Wanted, service_type: str | None = None
) -> Page[Definition]:
    """Return a page of the services of all sources, by name.

    The cursor is the last name of the page before; labels are searched as well.

    :param service_type: their type; ``None`` for all.
    """
    limit, cursor, search = wanted
    snapshot = registry.snapshot
    names: Sequence[str] = snapshot.names
    if search or service_type is not None:
        text = search.casefold()
        names = [
            name for name in names if _is_wanted(snapshot.definitions[name], text, service_type)
        ]
    start = 0 if cursor is None else bisect.bisect_right(names, cursor)
    items = [snapshot.definitions[name] for name in names[start : start + limit]]
    is_last = start + limit >= len(names)
    return Page(items, None if is_last else items[-1].name, len(names))


def _is_wanted(definition: Definition, text: str, service_type: str | None) -> bool:
    if service_type is not None and definition.type != service_type:
        return False
    return text in definition.name or text in definition.label.casefold()


def api_keys(registry: Registry, wanted: Wanted) -> Page[ApiKey]:
    """Return a page of the API keys but those of the environment, by id.

    The cursor is the last id of the page before; what keys begin with is searched as well.

    :raises Invalid: the cursor is none.
    :raises RegistryUnavailable: the database cannot be reached.
    """
    limit, cursor, search = wanted
    after = 0 if cursor is None else _id(cursor)
    try:
        rows, count = registry.store.page_of_keys(after, limit + 1, search)
    except DatabaseFailed as error:
        raise RegistryUnavailable from error
    items = [key_administration.api_key_of(registry, row) for row in islice(rows, limit)]
    following = str(items[-1].number) if len(rows) > limit else None
    return Page(items, following, count)


def every_api_key(registry: Registry) -> Iterable[ApiKey]:
    """Yield all API keys but those of the environment.

    :raises RegistryUnavailable: the database cannot be reached.
    """
    cursor: str | None = None
    while True:
        page = api_keys(registry, Wanted(MOST, cursor))
        yield from page.items
        cursor = page.following
        if cursor is None:
            return


def _id(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > 10 or int(cursor) > MAX_ID:
        raise Invalid([Fault("It must be meta.next of the page before.", "cursor")])
    return int(cursor)
