"""What a service elsewhere answers about a cache, as far as a command uses it.

What has another shape never reaches a command. What a service says beside that, as a newer one may,
stays in the answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
# By the names of the figures; one that is not there is not known.
Figures = dict[str, int | float | None]


class Entry(msgspec.Struct):
    """A key with its value, as JSON text."""

    key: str
    value: msgspec.Raw
    encoding: Literal["base64"] | None = None
    flags: int = 0


class Entries(msgspec.Struct):
    """Those of the keys asked for that are there."""

    resource: list[Entry]


class Done(TypedDict):
    """Whether something was done."""

    success: bool


class DoneMany(TypedDict):
    """That, of each key."""

    resource: list[Done]


class Outcomes(msgspec.Struct):
    """What became of each operation, as :class:`Done` and more, in the text that it has."""

    resource: list[msgspec.Raw]


class Deleted(TypedDict):
    """How many keys were."""

    deleted: Count


class Counted(TypedDict):
    """What a count is now."""

    value: int


class Name(TypedDict):
    """A service that may be used."""

    name: str


class Names(TypedDict):
    """All of them."""

    services: list[Name]


class Life(TypedDict):
    """Whether a key is there, and how long it has left."""

    exists: bool
    ttl: NotRequired[float | None]


class Next(TypedDict):
    """Where a list goes on."""

    next: str | None


class Key(TypedDict):
    """A key of a list."""

    key: str


class Keys(TypedDict):
    """A page of keys."""

    resource: list[Key]
    meta: Next


class KeyWithDetails(Key):
    """A key of a list, and what it is."""

    kind: str
    ttl: NotRequired[float | None]
    bytes: NotRequired[Count]


class KeysWithDetails(TypedDict):
    """A page of them."""

    resource: list[KeyWithDetails]
    meta: Next


class Server(TypedDict):
    """A server of a service."""

    server: str
    stats: Figures | None
    error: str | None
    raw: dict[str, Any]


class Advice(TypedDict):
    """What to look into."""

    rule: str
    message: str


class Statistics(TypedDict):
    """How the servers of a service are used."""

    name: str
    type: str
    stats: Figures | None
    servers: list[Server]
    advice: list[Advice]
    results: NotRequired[dict[str, Count]]


class Amount(TypedDict):
    """How many entries, and how large."""

    keys: Count
    bytes: Count


class Group(Amount):
    """Some entries of a service."""

    share: Part
    lifetimes: dict[str, Count]


class Prefix(Group):
    """Those whose keys begin so."""

    prefix: str


class Large(TypedDict):
    """One that is large."""

    key: str
    bytes: Count
    ttl: float | None


class Analysis(Group):
    """What fills a service."""

    name: str
    type: str
    complete: bool
    looked_at: Count
    held: Count
    own: NotRequired[Amount]
    prefixes: list[Prefix]
    largest: list[Large]
    notes: list[str]
