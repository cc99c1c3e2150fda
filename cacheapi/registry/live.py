"""The registry in force: a snapshot that is swapped for the next when a source has changed.

A thread in each process looks several times a second whether the file or the number in the
database is another one, and at once when another process of the machine has changed something. So
a change is seen everywhere within a second, and a request never waits: while the database is away,
what it last said stays in force.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cacheapi.caching.service import CacheService
from cacheapi.registry import declared
from cacheapi.registry.callers import Callers
from cacheapi.registry.colleagues import Colleagues
from cacheapi.registry.database.connecting import Database
from cacheapi.registry.database.errors import DatabaseFailed, DatabaseUnusable
from cacheapi.registry.database.migrate import migrate
from cacheapi.registry.database.store import Rows, Store
from cacheapi.registry.declared import BadFile
from cacheapi.registry.definition import Definition, Source
from cacheapi.registry.errors import Conflict
from cacheapi.registry.following import LOOK_SECONDS, LOST_SECONDS, Companion, Following
from cacheapi.registry.retired import Retired
from cacheapi.registry.rights import Caller
from cacheapi.registry.snapshot import Snapshot
from cacheapi.registry.sources import Sources
from cacheapi.registry.stored import Stored
from cacheapi.registry.vault import Vault

log = logging.getLogger(__name__)


class Registry:
    """The services and callers of a process; its methods are for all threads.

    :ivar snapshot: what there is now.
    :ivar counts: where the product counts for itself, for all that share the system cache.
    :param system: the system cache; its driver's own name is another way to write its name.
    :param config: what it was told, by field, without its secrets.
    :param callers: those of the environment.
    :param file: where services are declared, if anywhere.
    :param database: its rows.
    :param data_dir: where services keep files.
    """

    def __init__(
        self,
        system: CacheService,
        callers: Mapping[bytes, Caller],
        *,
        file: Path | None,
        database: Database,
        vault: Vault,
        data_dir: Path,
        names_keys: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.store = Store(database)
        self.vault = vault
        self.data_dir = data_dir
        self.names_keys = names_keys
        self.counts = system.over(system.backend.apart())
        alias = system.backend.service_name
        self._aliases = {alias: system.name} if alias != system.name else {}
        self._fixed = {
            system.name: Definition(
                system.name,
                system.type,
                label=system.label,
                description=system.description,
                config=config or {},
                source=Source.ENVIRONMENT,
                aliases=tuple(self._aliases),
            )
        }
        self._file = file
        self._stamp = self._seen = None if file is None else declared.stamp(file)
        self._database = database
        names = {**self._fixed, **dict.fromkeys(self._aliases, self._fixed[system.name])}
        self._sources = Sources(names, Stored(Callers(callers, self._aliases)))
        self._is_migrated = False
        self._is_lost = False
        self.snapshot = Snapshot(
            {system.name: system},
            self._fixed,
            self._sources.stored.callers,
            self._aliases,
            is_complete=False,
        )
        self._changing = threading.Lock()
        self._retired = Retired(data_dir)
        self.colleagues = Colleagues(data_dir / "workers")
        self._following = Following(self.colleagues)

    # For requests

    @property
    def number(self) -> int:
        """The number of the last change of the database that is in force here."""
        return self._sources.stored.number

    @property
    def is_shared(self) -> bool:
        """Whether other machines may change services and API keys."""
        return self._database.is_shared

    def find(self, name: str) -> CacheService | None:
        """Return the service of a name, its own or another, if it can be used."""
        return self.snapshot.find(name)

    def who(self, digest: bytes) -> Caller | None:
        """Return who shows the API key of a digest, if anybody."""
        return self.snapshot.whose(digest)

    # From start to end

    def start(self) -> None:
        """Read all sources. Leaves no connection open, so that the process may fork.

        A database that cannot be reached is waited for later, by the thread; the services
        and callers that it has are unknown until then.

        :raises BadFile: the file of services cannot be used.
        :raises DatabaseUnusable: a later version of this program has changed the database.
        :raises Conflict: two sources have a service of the same name.
        """
        sources = self._sources
        if self._file is not None:
            sources = dataclasses.replace(sources, declared=declared.read(self._file))
        try:
            migrate(self._database)
            self._is_migrated = True
            stored = sources.stored.after(self.store.read(), self.vault)
            sources = dataclasses.replace(sources, stored=stored)
        except DatabaseFailed as error:
            self._lose(error)
        finally:
            self._database.dispose()
        sources.check()
        self._swap(sources)
        for definition in self.snapshot.definitions.values():
            if definition.source is Source.FILE and definition.fault is not None:
                raise BadFile(f"service {definition.name!r}: {definition.fault}")

    def accompany(self, companion: Companion) -> None:
        """Let something else begin and end with this, in each process."""
        self._following.companions.append(companion)

    def watch(self) -> None:
        """Follow the sources from now on, in this process."""
        self._following.begin(self, self._forget_parent)

    def _forget_parent(self) -> None:
        # A forked child has no thread of its parent's, and may not touch its connections.
        self._database.dispose(close=False)
        self._changing = threading.Lock()

    def refresh(self) -> None:
        """Put what the database says now into force; where it cannot be read, soon."""
        with self._changing:
            self._look_at_database()

    def close(self) -> None:
        """Stop following, and close all connections of this process."""
        self._following.end()
        self._retired.clear(at_once=True)
        for service in self.snapshot.services.values():
            service.backend.close()
        self.counts.backend.close()
        self._database.dispose()

    # The thread

    def look(self) -> float:
        """Look whether anything has changed; return in how many seconds to look again."""
        with self._changing:
            self._look_at_file()
            self._look_at_database()
        self._retired.clear()
        uses = self.snapshot.uses
        uses.gather()
        if not self._is_lost:
            with contextlib.suppress(DatabaseFailed):
                uses.write(self.store)
        return LOST_SECONDS if self._is_lost else LOOK_SECONDS

    def _look_at_file(self) -> None:
        if self._file is None:
            return
        stamp = declared.stamp(self._file)
        if stamp != self._seen:
            # It may still be written: read once it rests from one look to the next.
            self._seen = stamp
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            sources = dataclasses.replace(self._sources, declared=declared.read(self._file))
            sources.check_file()
        except (BadFile, Conflict) as error:
            log.error("The services of CACHEAPI_SERVICES_FILE stay as they were: %s", error)
            return
        self._swap(sources)

    def _look_at_database(self) -> None:
        try:
            if not self._is_migrated:
                migrate(self._database)
                self._is_migrated = True
            known = self._sources.stored
            rows = self.store.read(known.number)
            is_new = rows.number != known.number
            stored = known.after(rows, self.vault) if is_new else known
        except (DatabaseFailed, DatabaseUnusable) as error:
            self._lose(error)
            return
        self._find_again()
        if is_new:
            self._swap(dataclasses.replace(self._sources, stored=stored), rows)
            self.colleagues.note(self.number)

    def _lose(self, error: Exception) -> None:
        if not self._is_lost:
            log.error("The database of services and API keys cannot be used: %s", error)
        self._is_lost = True

    def _find_again(self) -> None:
        if self._is_lost:
            log.warning("The database of services and API keys can be used again.")
        self._is_lost = False

    # The next snapshot

    def _swap(self, sources: Sources, rows: Rows | None = None) -> None:
        """Put what the sources say into force.

        :param rows: what the database said anew, if nothing else has changed.
        """
        step = sources.step(self.snapshot, self._sources.stored, rows, self.data_dir)
        self.snapshot, self._sources = step.snapshot, sources
        self._retired.note(step.unused, step.gone)
