"""What a service elsewhere answers to its administrators, as far as a command uses it.

See :mod:`~cacheapi.commands.cache_shapes`.
"""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

import msgspec

from cacheapi.commands.cache_shapes import Count as Count
from cacheapi.commands.cache_shapes import Done as Done
from cacheapi.commands.cache_shapes import Next as Next
from cacheapi.moments import LATEST

Moment = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]


class Service(TypedDict):
    """A service, to an administrator."""

    name: str
    type: str
    source: str
    label: str
    aliases: list[str]
    is_active: bool
    fault: str | None
    # One that is older does not say it.
    warnings: NotRequired[list[str]]


class Services(TypedDict):
    """A page of services."""

    resource: list[Service]
    meta: NotRequired[Next]


class MadeService(TypedDict):
    """A service that is new."""

    id: int
    name: str
    warnings: list[str]


class MadeServices(TypedDict):
    """It, as the one of a list."""

    resource: Annotated[list[MadeService], msgspec.Meta(min_length=1)]


class Field(TypedDict):
    """What a service of a type can be told."""

    name: str
    label: str
    type: str
    description: str
    # One that is older does not say it.
    unit: NotRequired[str | None]


class Type(TypedDict):
    """A type of services."""

    name: str
    config_schema: list[Field]


class Types(TypedDict):
    """All of them."""

    resource: list[Type]


class Step(TypedDict):
    """A step of a trial."""

    name: str
    success: bool
    ms: float
    message: str


class Trial(TypedDict):
    """How a service did."""

    success: bool
    cause: str | None
    steps: Annotated[list[Step], msgspec.Meta(min_length=1)]


class Rule(TypedDict):
    """What an API key may do with a service."""

    service: str
    verbs: list[str]
    keys: str


class Rate(TypedDict):
    """How often it may be used."""

    requests: int
    seconds: int


class ApiKey(TypedDict):
    """An API key, without the key."""

    id: int
    name: str
    prefix: str
    administrator: bool
    rules: list[Rule]
    expires: str | None
    rate_limit: Rate | None
    last_used: str | None


class ApiKeys(TypedDict):
    """A page of them."""

    resource: list[ApiKey]
    meta: NotRequired[Next]


class MadeApiKey(TypedDict):
    """An API key that is new."""

    id: int
    name: str
    api_key: str
    warnings: NotRequired[list[str]]


class MadeApiKeys(TypedDict):
    """It, as the one of a list."""

    resource: Annotated[list[MadeApiKey], msgspec.Meta(min_length=1)]


class Request(TypedDict):
    """A request that was answered."""

    time: Moment
    method: str | None
    status: int
    ms: float
    lane: str | None
    service: str | None
    route: str | None
    key: str | None


class Requests(TypedDict):
    """The slowest of them."""

    resource: list[Request]


class Since(TypedDict):
    """Where a look begins that goes on from another."""

    next: str
    left_out: Count


class Look(Requests):
    """Those since the last look."""

    meta: Since


class Act(TypedDict):
    """Who changed what; a service of before tells no detail."""

    time: Moment
    who: str
    caller: str
    action: str
    kind: str
    id: int | None
    name: str
    detail: NotRequired[str]


class OfMachine(TypedDict):
    """Whose acts they are; a service of before does not say."""

    machine: NotRequired[str]
    whole: NotRequired[bool]


class Acts(TypedDict):
    """The newest of them."""

    resource: list[Act]
    meta: OfMachine
