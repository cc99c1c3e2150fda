"""What the lane does beside plain reads and stores of pairs: as operations, and its answers.

An act is a request that changes keys, or asks more of one key than its value. It says which
operations it takes, and what is answered once their outcomes are known; the texts are those that
the views give. What a view would refuse, and what it does with conditions, is left to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from backends.base import MISSING
from backends.capabilities import Capability
from backends.errors import InvalidKey, Refused
from backends.operations import Delete, Get, GetAndDelete, Operation
from cacheapi.caching.codec import InvalidJson, Value, encode, etag_of
from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Caller
from cacheapi.serving import finishing
from cacheapi.serving.answers import Act, Common, Finish, tag_field
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
    :ivar common: of the connection; see :data:`~cacheapi.serving.answers.Common`.
    """

    service: CacheService
    asked: Target
    body: bytes
    most: int
    caller: Caller
    common: Common

    def key(self, verb: str) -> str:
        """Return the one key; leave to Flask who may not use a verb on it."""
        key = self.asked.key
        if key is None:
            raise Unsure
        self.service.check_key(key)
        if not self.caller.may(verb, self.service.name, key):
            raise Unsure
        return key

    def may_read(self, key: str) -> bool:
        """Return whether a value may be shown: its tag would tell a guess from a wrong one."""
        return self.caller.may("GET", self.service.name, key)

    def act(
        self, method: str, keys: list[str], operations: list[Operation], finish: Finish, **more: Any
    ) -> Act:
        """Return what it does."""
        return Act(
            *self.common,
            method=method,
            keys=keys,
            size=len(self.body),
            operations=operations,
            finish=finish,
            **more,
        )


def plan(method: str, asking: Asking) -> Act | None:
    """Return what a request does; ``None``: it is Flask's."""
    try:
        return _PLANS[method](asking)
    except (Unsure, ApiError, InvalidJson, InvalidKey, Refused):
        return None


def _put(asking: Asking) -> Act:
    return _store(asking, "PUT", asking.service.make.replace, finishing.replace)


def _post(asking: Asking) -> Act:
    return _store(asking, "POST", asking.service.make.add, finishing.add)


def _store(
    asking: Asking,
    verb: str,
    operation: Callable[[str, str | bytes, int | None], Operation],
    finish: Finish,
) -> Act:
    key = asking.key(verb)
    read = plain_value(asking.body)
    if read is None:
        raise Unsure
    raw, ttl = read
    values, is_shown = asking.service.values, asking.may_read(key)
    if asking.service.writes_json:
        stored = operation(key, raw, ttl)
        tag = tag_field(etag_of(raw)) if is_shown else ""
    else:
        text = raw.decode()
        stored = operation(key, text, ttl)
        tag = tag_field(values.shown(text).etag) if is_shown else ""
    return asking.act(verb, [key], [stored], finish, tag=tag)


def _patch(asking: Asking) -> Act:
    key, service = asking.key("PATCH"), asking.service
    change = plain_change(asking.body)
    if change is None:
        raise Unsure
    ttl, delta, initial = change
    if delta is not MISSING:
        _able(service, Capability.INCREMENT)
        if delta == 0 and not asking.may_read(key):
            raise Unsure
        operation = service.make.increment(
            key,
            delta,
            None if initial is MISSING else initial,
            None if ttl is MISSING else ttl,
        )
        # Whether its tag is told: the number is not known yet.
        tells = service.writes_json and asking.may_read(key)
        return asking.act("PATCH", [key], [operation], finishing.count, tells=tells)
    if ttl is MISSING or initial is not MISSING:
        raise Unsure
    _able(service, Capability.TOUCH)
    operations: list[Operation] = [Get(key), service.make.touch(key, ttl)]
    return asking.act(
        "PATCH", [key], operations, finishing.touch, tells=asking.may_read(key), brings=True
    )


def _delete(asking: Asking) -> Act:
    if asking.asked.keys is not None:
        keys = asking.asked.keys
        check_keys(asking.service, keys, asking.most)
        if not asking.caller.may_each("DELETE", asking.service.name, keys):
            raise Unsure
        return asking.act(
            "DELETE", keys, [Delete(key) for key in keys], finishing.deletions, lists=True
        )
    key = asking.key("DELETE")
    return asking.act("DELETE", [key], [Delete(key)], finishing.delete)


def _get(asking: Asking, method: str = "GET") -> Act:
    key = asking.key("GET")
    query = Query(asking.asked.query)
    if not query.names() <= _OPTIONS:
        raise Unsure
    asks = query.flag("check_exist")
    takes = (query.flag("clear") or query.flag("pull")) and not asks
    if takes and not asking.caller.may("DELETE", asking.service.name, key):
        raise Unsure
    operation: Operation = Get(key)
    if takes and method != "HEAD":
        _able(asking.service, Capability.GET_AND_DELETE)
        operation = GetAndDelete(key)
    default = query.text("default")
    return asking.act(
        method,
        [key],
        [operation],
        finishing.exists if asks else finishing.read,
        default=None if default is None else Value(encode(default)),
        reads=type(operation) is Get,
        brings=True,
        gives=method != "HEAD" and not asks,
    )


_PLANS: Final[dict[str, Callable[[Asking], Act]]] = {
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
