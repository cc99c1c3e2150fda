"""What the lane does beside plain reads and stores of pairs: as operations, and its answers.

An act is a request that changes keys, or asks more of one key than its value. It says which
operations it takes, and what is answered once their outcomes are known; the texts are those that
the views give. What a view would refuse, and what it does with conditions, is left to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from backends.base import MISSING
from backends.capabilities import Capability
from backends.errors import InvalidKey, Refused
from backends.operations import Delete, Get, GetAndDelete, Operation
from cacheapi.caching.codec import InvalidJson, Value, encode
from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Caller
from cacheapi.serving import finishing
from cacheapi.serving.answers import Act, Finish
from cacheapi.serving.recognition import Target
from cacheapi.web.batch import check_keys
from cacheapi.web.errors import ApiError
from cacheapi.web.plain import plain_change, plain_value
from cacheapi.web.query import Query

# What needs a body, and what may have none.
WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
WITHOUT_BODY: Final = frozenset({b"GET", b"HEAD", b"DELETE"})

_OPTIONS: Final = frozenset({"check_exist", "clear", "default", "pull"})


class Unsure(Exception):
    """The request is Flask's."""


class Asking(NamedTuple):
    """What a request says, and whose it is.

    :ivar most: how many keys a list has at most.
    """

    service: CacheService
    asked: Target
    body: bytes
    most: int
    caller: Caller

    @property
    def key(self) -> str:
        """The one key; for who may use a verb on it."""
        key = self.asked.key
        if key is None:
            raise Unsure
        self.service.check_key(key)
        return key

    def needs(self, verb: str, keys: Sequence[str]) -> None:
        """Leave to Flask who may not."""
        if not self.caller.may_each(verb, self.service.name, keys):
            raise Unsure

    def shown(self, value: Value, key: str) -> Value | None:
        """Return a value for who may read it: its tag would tell a guess from a wrong one."""
        return value if self.caller.may("GET", self.service.name, key) else None


def plan(method: str, asking: Asking, make: Callable[..., Act]) -> Act | None:
    """Return what a request does; ``None``: it is Flask's.

    :param make: makes an act of what is known here.
    """
    try:
        return _PLANS[method](asking, make)
    except (Unsure, ApiError, InvalidJson, InvalidKey, Refused):
        return None


def _put(asking: Asking, make: Callable[..., Act]) -> Act:
    return _store(asking, make, "PUT", asking.service.make.replace, finishing.replace)


def _post(asking: Asking, make: Callable[..., Act]) -> Act:
    return _store(asking, make, "POST", asking.service.make.add, finishing.add)


def _store(
    asking: Asking,
    make: Callable[..., Act],
    verb: str,
    operation: Callable[[str, str, int | None], Operation],
    finish: Finish,
) -> Act:
    key = asking.key
    asking.needs(verb, [key])
    read = plain_value(asking.body)
    if read is None:
        raise Unsure
    value, ttl = read
    stored = operation(key, value, ttl)
    shown = asking.shown(asking.service.values.shown(value), key)
    return make(verb, [key], [stored], finish, value=shown)


def _patch(asking: Asking, make: Callable[..., Act]) -> Act:
    key, service = asking.key, asking.service
    asking.needs("PATCH", [key])
    change = plain_change(asking.body)
    if change is None:
        raise Unsure
    ttl, delta, initial = change
    if delta is not MISSING:
        _able(service, Capability.INCREMENT)
        if delta == 0:
            asking.needs("GET", [key])
        operation = service.make.increment(
            key,
            delta,
            None if initial is MISSING else initial,
            None if ttl is MISSING else ttl,
        )
        # Whether its tag is told: the number is not known yet.
        told = asking.shown(Value(""), key) if service.values.writes_json else None
        return make("PATCH", [key], [operation], finishing.count, value=told)
    if ttl is MISSING or initial is not MISSING:
        raise Unsure
    _able(service, Capability.TOUCH)
    told = asking.shown(Value(""), key)
    operations = [Get(key), service.make.touch(key, ttl)]
    return make("PATCH", [key], operations, finishing.touch, value=told, brings=True)


def _delete(asking: Asking, make: Callable[..., Act]) -> Act:
    if asking.asked.keys is not None:
        keys = asking.asked.keys
        check_keys(asking.service, keys, asking.most)
        asking.needs("DELETE", keys)
        return make(
            "DELETE",
            keys,
            [Delete(key) for key in keys],
            finishing.deletions,
            lists=True,
        )
    key = asking.key
    asking.needs("DELETE", [key])
    return make("DELETE", [key], [Delete(key)], finishing.delete)


def _get(asking: Asking, make: Callable[..., Act], method: str = "GET") -> Act:
    key = asking.key
    asking.needs("GET", [key])
    query = Query(asking.asked.query)
    if not query.names() <= _OPTIONS:
        raise Unsure
    asks = query.flag("check_exist")
    takes = (query.flag("clear") or query.flag("pull")) and not asks
    if takes:
        asking.needs("DELETE", [key])
    operation: Operation = Get(key)
    if takes and method != "HEAD":
        _able(asking.service, Capability.GET_AND_DELETE)
        operation = GetAndDelete(key)
    default = query.text("default")
    return make(
        method,
        [key],
        [operation],
        finishing.exists if asks else finishing.read,
        value=None if default is None else Value(encode(default)),
        reads=type(operation) is Get,
        brings=True,
        gives=method != "HEAD" and not asks,
    )


_PLANS: Final[dict[str, Callable[[Asking, Callable[..., Act]], Act]]] = {
    "DELETE": _delete,
    "GET": _get,
    "HEAD": functools.partial(_get, method="HEAD"),
    "PATCH": _patch,
    "POST": _post,
    "PUT": _put,
}


def _able(service: CacheService, capability: Capability) -> None:
    if capability not in service.backend.capabilities:
        raise Unsure
