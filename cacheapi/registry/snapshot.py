"""All services and callers of one moment. A request asks this, and it never changes."""

from __future__ import annotations

import dataclasses
import hmac
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from backends.base import Backend
from cacheapi.caching.service import CacheService
from cacheapi.registry.definition import Definition
from cacheapi.registry.errors import Invalid
from cacheapi.registry.rights import Caller, digest_of
from cacheapi.responses.options import Remote

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What there is. A service has one name here, however many there are in URLs.

    :ivar services: those that can be used, by name.
    :ivar definitions: all, by name.
    :ivar callers: by the digests of their keys.
    :ivar aliases: names, by other ways to write them.
    :ivar ended_sessions: of the console.
    :ivar remotes: those in front of an HTTP API that can be used, by name.
    :ivar is_complete: whether the database was ever read; else there may be more.
    """

    services: Mapping[str, CacheService]
    definitions: Mapping[str, Definition]
    callers: Mapping[bytes, Caller]
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ended_sessions: frozenset[str] = frozenset()
    is_complete: bool = True
    remotes: Mapping[str, Remote] = dataclasses.field(default_factory=dict)

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
        caller = self.callers.get(digest)
        # The dictionary compares digests, whose bytes say nothing of the key's.
        if caller is None or not hmac.compare_digest(caller.digest, digest):
            return None
        if caller.is_expired():
            return None
        caller.used = True
        return caller


def make_services(
    definitions: Iterable[Definition],
    before: Snapshot,
    data_dir: Path,
    system: Mapping[str, CacheService],
) -> tuple[dict[str, CacheService], dict[str, Definition]]:
    """Make the services of the next snapshot; one that did not change is the same object.

    :param system: the services that are there already, by name.
    :return: those that can be used; and all definitions, with what is wrong with the others.
    """
    services = dict(system)
    noted: dict[str, Definition] = {}
    for definition in definitions:
        name = definition.name
        noted[name] = definition
        if name in system or definition.fault is not None or not definition.is_active:
            continue
        if definition.is_remote:
            continue
        old = before.definitions.get(name)
        running = before.services.get(name)
        if old == definition and running is not None:
            services[name] = running
            continue
        try:
            backend = _running_backend(definition, before) or definition.make_backend(data_dir)
        except Invalid as error:
            fault = str(error)
            log.error("The service %s cannot be used: %s", name, fault)
            noted[name] = dataclasses.replace(definition, fault=fault)
            continue
        services[name] = definition.make_service(backend)
    return services, noted


def make_remotes(
    noted: dict[str, Definition], before: Snapshot
) -> tuple[dict[str, Remote], dict[str, Definition]]:
    """Make the services of the next snapshot that stand in front of an HTTP API.

    :param noted: all definitions.
    :return: those that can be used, the same object where nothing changed; and all
        definitions, with what is wrong with the others.
    """
    remotes: dict[str, Remote] = {}
    noted = dict(noted)
    for name, definition in list(noted.items()):
        if not definition.is_remote or definition.fault is not None or not definition.is_active:
            continue
        running = before.remotes.get(name)
        if before.definitions.get(name) == definition and running is not None:
            remotes[name] = running
            continue
        try:
            remotes[name] = definition.make_remote()
        except Invalid as error:
            log.error("The service %s cannot be used: %s", name, error)
            noted[name] = dataclasses.replace(definition, fault=str(error))
    return remotes, noted


def _running_backend(definition: Definition, before: Snapshot) -> Backend | None:
    """Return the backend that the service, by any name, had until now, if it fits still."""
    for name, service in before.services.items():
        old = before.definitions[name]
        is_same = definition.number is not None or old.name == definition.name
        if is_same and old.source is definition.source and definition.needs_backend_of(old):
            return service.backend
    return None
