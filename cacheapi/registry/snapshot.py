"""All services and callers of one moment. A request asks this, and it never changes."""

from __future__ import annotations

import dataclasses
import functools
import hmac
import logging
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from backends.base import Backend
from cacheapi.caching.service import CacheService
from cacheapi.registry.callers import Callers
from cacheapi.registry.definition import Definition
from cacheapi.registry.errors import Invalid
from cacheapi.registry.overlaps import Overlaps
from cacheapi.registry.rights import Caller, digest_of
from cacheapi.registry.uses import Uses
from cacheapi.responses.remote import Remote

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What there is. A service has one name here, however many there are in URLs.

    :ivar services: those that can be used, by name.
    :ivar definitions: all, by name.
    :ivar callers: who shows which API key.
    :ivar aliases: names, by other ways to write them.
    :ivar ended_sessions: of the console.
    :ivar remotes: those in front of an HTTP API that can be used, by name.
    :ivar is_complete: whether the database was ever read; else there may be more.
    :ivar numbers: the names of those from the database, by their ids.
    :ivar uses: where it is noted who was here.
    """

    services: Mapping[str, CacheService]
    definitions: Mapping[str, Definition]
    callers: Callers
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ended_sessions: frozenset[str] = frozenset()
    is_complete: bool = True
    remotes: Mapping[str, Remote] = dataclasses.field(default_factory=dict)
    numbers: Mapping[int, str] = dataclasses.field(default_factory=dict)
    uses: Uses = dataclasses.field(default_factory=Uses)

    @functools.cached_property
    def names(self) -> list[str]:
        """The names of all definitions, sorted."""
        return sorted(self.definitions)

    @functools.cached_property
    def overlaps(self) -> Overlaps:
        """Which services share keys; found out when it is first asked."""
        return Overlaps(self.services)

    def name_of(self, written: str) -> str:
        """Return the one name of a service, for rights, the audit log and figures."""
        return self.aliases.get(written, written)

    def find(self, written: str) -> CacheService | None:
        """Return the service of a name, its own or another, if it can be used."""
        return self.services.get(self.name_of(written))

    def who(self, shown: str) -> Caller | None:
        """Return the caller that shows an API key; ``None``: nobody, or one who expired."""
        return self.whose(digest_of(shown))

    def whose(self, digest: bytes) -> Caller | None:
        """As :meth:`who`, of the digest of what was shown."""
        caller = self._of(digest)
        if caller is None or caller.is_expired():
            return None
        self.uses.note(caller)
        return caller

    def ended(self, shown: str) -> float | None:
        """Return when the API key that is shown has expired; ``None``: it has not, or is none."""
        caller = self._of(digest_of(shown))
        return caller.expires if caller is not None and caller.is_expired() else None

    def _of(self, digest: bytes) -> Caller | None:
        caller = self.callers.get(digest)
        # The dictionary compares digests, whose bytes say nothing of the key's.
        if caller is None or not hmac.compare_digest(caller.digest, digest):
            return None
        return caller

    def after(self, gone: Set[str], definitions: Iterable[Definition], data_dir: Path) -> Snapshot:
        """Return it with other services; whoever did not change is the same object.

        It costs what changes, and little for each service that does not.

        :param gone: names that are no more, or another's by now.
        :param definitions: those that are new or changed.
        """
        definitions = list(definitions)
        services, noted = dict(self.services), dict(self.definitions)
        remotes, numbers = dict(self.remotes), dict(self.numbers)
        for name in gone:
            numbers.pop(self.definitions[name].number or 0, None)
        for name in gone - {definition.name for definition in definitions}:
            del noted[name]
            services.pop(name, None)
            remotes.pop(name, None)
        for definition in definitions:
            name, number = definition.name, definition.number
            services.pop(name, None)
            remotes.pop(name, None)
            noted[name] = definition
            if number is not None:
                numbers[number] = name
            try:
                made = self._made(definition, data_dir)
            except Invalid as error:
                log.error("The service %s cannot be used: %s", name, error)
                noted[name] = dataclasses.replace(definition, fault=str(error))
                continue
            if isinstance(made, CacheService):
                services[name] = made
            elif made is not None:
                remotes[name] = made
        return dataclasses.replace(
            self, services=services, definitions=noted, remotes=remotes, numbers=numbers
        )

    def _made(self, definition: Definition, data_dir: Path) -> CacheService | Remote | None:
        """Return a service of the next snapshot; ``None`` for one that is not in use.

        :raises Invalid: it cannot be used.
        """
        if definition.fault is not None or not definition.is_active:
            return None
        name = definition.name
        running = self.services.get(name) or self.remotes.get(name)
        if running is not None and self.definitions[name] == definition:
            return running
        if definition.is_remote:
            return definition.make_remote()
        backend = self._running_backend(definition) or definition.make_backend(data_dir)
        return definition.make_service(backend)

    def _running_backend(self, definition: Definition) -> Backend | None:
        """Return the backend that the service, by any name, had until now, if it fits still."""
        name = definition.name
        if definition.number is not None:
            name = self.numbers.get(definition.number, "")
        old, service = self.definitions.get(name), self.services.get(name)
        if old is None or service is None or old.source is not definition.source:
            return None
        return service.backend if definition.needs_backend_of(old) else None
