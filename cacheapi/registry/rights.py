"""What an API key may do: its rules, in order, those of the service itself first.

Of the rules for a service and a key, the first one decides, whatever the later ones say;
where none is for it, the answer is no. So ``sessions`` with ``GET`` before ``*`` with all
verbs is a key that may only read ``sessions``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from cacheapi.caching.reserved import is_reserved

EVERY_SERVICE: Final = "*"
# Deleting all of a service is a right of its own: nobody has it by mistake.
FLUSH: Final = "FLUSH"
VERBS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", FLUSH)
# Of so many services a caller keeps in mind which rules are for it.
SERVICES_KEPT: Final = 64


def digest_of(key: str) -> bytes:
    """Return what is kept of an API key."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What may be done with some keys of a service, or of every service.

    :ivar verbs: of :data:`VERBS`; none is: nothing may be done with them.
    :ivar prefix: how those keys start; empty: all keys.
    """

    service: str
    verbs: frozenset[str]
    prefix: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """How many requests a window of so many seconds has."""

    requests: int
    seconds: int


@dataclasses.dataclass(eq=False, slots=True)
class Caller:
    """Who shows an API key.

    :ivar digest: SHA-256 of the key.
    :ivar name: for people and the log.
    :ivar number: its id; ``None`` for a key of the environment.
    :ivar expires: Unix time from which it is worth nothing.
    :ivar rate: its bound on requests, if it has one.
    """

    digest: bytes
    name: str
    number: int | None = None
    administrator: bool = False
    rules: tuple[Rule, ...] = ()
    expires: float | None = None
    rate: Rate | None = None
    _kept: dict[str, tuple[Rule, ...]] = dataclasses.field(
        default_factory=dict, init=False, repr=False
    )

    def is_expired(self) -> bool:
        """Return whether its time is over."""
        return self.expires is not None and time.time() >= self.expires

    def may(self, verb: str, service: str, key: str) -> bool:
        """Return whether it may use a verb on a key; a reserved one is an administrator's."""
        if self.administrator:
            return True
        if is_reserved(key):
            return False
        for rule in self._by_service(service):
            if key.startswith(rule.prefix):
                return verb in rule.verbs
        return False

    def may_each(self, verb: str, service: str, keys: Iterable[str]) -> bool:
        """Return whether it may use a verb on each of some keys."""
        return self.administrator or all(self.may(verb, service, key) for key in keys)

    def may_all(self, verb: str, service: str, prefix: str = "") -> bool:
        """Return whether it may use a verb on every key there could be with a prefix.

        But for those that are reserved, which are no caller's to see.
        """
        if self.administrator:
            return True
        if is_reserved(prefix):
            return False
        granted: list[str] = []
        for rule in self._by_service(service):
            if prefix.startswith(rule.prefix):
                return verb in rule.verbs
            if rule.prefix.startswith(prefix) and not rule.prefix.startswith(tuple(granted)):
                if verb not in rule.verbs:
                    return False
                granted.append(rule.prefix)
        return False

    def may_use(self, service: str) -> bool:
        """Return whether there is anything that it may do with some key of a service."""
        return self.may_some(VERBS, service)

    def may_some(self, verbs: Collection[str], service: str) -> bool:
        """Return whether it may use one of several verbs on some key of a service."""
        if self.administrator:
            return True
        decided: list[str] = []
        for rule in self._by_service(service):
            if not rule.prefix.startswith(tuple(decided)):
                if not rule.verbs.isdisjoint(verbs):
                    return True
                decided.append(rule.prefix)
        return False

    def _by_service(self, service: str) -> tuple[Rule, ...]:
        found = self._kept.get(service)
        if found is None:
            found = (*_of(self.rules, service), *_of(self.rules, EVERY_SERVICE))
            if len(self._kept) >= SERVICES_KEPT:
                self._kept.clear()
            self._kept[service] = found
        return found


def _of(rules: Iterable[Rule], service: str) -> Iterator[Rule]:
    return (rule for rule in rules if rule.service == service)
