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
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from backends.base import Backend
from cacheapi.caching.service import CacheService
from cacheapi.registry import declared
from cacheapi.registry.callers import Callers
from cacheapi.registry.colleagues import Colleagues
from cacheapi.registry.database import tables
from cacheapi.registry.database.engine import DatabaseUnusable
from cacheapi.registry.database.migrate import migrate
from cacheapi.registry.database.store import Rows, Store
from cacheapi.registry.declared import BadFile
from cacheapi.registry.definition import Definition, Source
from cacheapi.registry.errors import Conflict
from cacheapi.registry.retired import Retired
from cacheapi.registry.rights import Caller
from cacheapi.registry.snapshot import Snapshot
from cacheapi.registry.stored import Stored
from cacheapi.registry.vault import Vault

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.3
# While the database is away.
LOST_SECONDS: Final = 1.0


class Companion(Protocol):
    """What works beside the registry in each process that serves."""

    def watch(self) -> None:
        """Begin, in a process that is new."""

    def close(self) -> None:
        """End, before the services' connections are closed."""


class Registry:
    """The services and callers of a process; its methods are for all threads.

    :ivar snapshot: what there is now.
    :ivar counts: where the product counts for itself, for all that share the system cache.
    :param system: the system cache; its driver's own name is another way to write its name.
    :param callers: those of the environment.
    :param file: where services are declared, if anywhere.
    :param engine: the database.
    :param data_dir: where services keep files.
    """

    def __init__(
        self,
        system: CacheService,
        callers: Mapping[bytes, Caller],
        *,
        file: Path | None,
        engine: Engine,
        vault: Vault,
        data_dir: Path,
    ) -> None:
        self.store = Store(engine)
        self.vault = vault
        self.data_dir = data_dir
        self.counts = system.over(system.backend.apart())
        alias = system.backend.service_name
        self._aliases = {alias: system.name} if alias != system.name else {}
        self._fixed = {
            system.name: Definition(
                system.name,
                system.type,
                label=system.label,
                description=system.description,
                source=Source.ENVIRONMENT,
                aliases=tuple(self._aliases),
            )
        }
        self._fixed_names = {**self._fixed, **self._aliases}
        self._file = file
        self._stamp = self._seen = None if file is None else declared.stamp(file)
        self._declared: dict[str, Definition] = {}
        self._engine = engine
        self._stored = Stored(Callers(callers, self._aliases))
        self._is_migrated = False
        self._is_lost = False
        self.snapshot = Snapshot(
            {system.name: system},
            self._fixed,
            self._stored.callers,
            self._aliases,
            is_complete=False,
        )
        self._changing = threading.Lock()
        self._watching = threading.Lock()
        self._pid: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._retired = Retired(data_dir)
        self.colleagues = Colleagues(data_dir / "workers")
        self._companions: list[Companion] = []

    # For requests

    @property
    def number(self) -> int:
        """The number of the last change of the database that is in force here."""
        return self._stored.number

    @property
    def is_shared(self) -> bool:
        """Whether other machines may change services and API keys."""
        return self._engine.dialect.name != "sqlite"

    def find(self, name: str) -> CacheService | None:
        """Return the service of a name, its own or another, if it can be used."""
        return self.snapshot.find(name)

    def may(self, digest: bytes, verb: str, service: str, keys: Sequence[str]) -> bool:
        """Return whether who shows the API key of a digest may use a verb on keys, uncounted.

        One with a rate limit may not: counting waits for a cache, and who asks this does not.

        :param keys: with none, it is whether there is a key that it may use the verb on.
        """
        caller = self.snapshot.whose(digest)
        if caller is None or caller.rate is not None:
            return False
        if caller.administrator:
            return True
        service = self.snapshot.name_of(service)
        if not keys:
            return caller.may_some((verb,), service)
        return all(caller.may(verb, service, key) for key in keys)

    # From start to end

    def start(self) -> None:
        """Read all sources. Leaves no connection open, so that the process may fork.

        A database that cannot be reached is waited for later, by the thread; the services
        and callers that it has are unknown until then.

        :raises BadFile: the file of services cannot be used.
        :raises DatabaseUnusable: a later version of this program has changed the database.
        :raises Conflict: two sources have a service of the same name.
        """
        if self._file is not None:
            self._declared = declared.read(self._file)
            _no_conflict(self._declared, self._fixed_names)
        stored = self._stored
        try:
            migrate(self._engine)
            self._is_migrated = True
            stored = stored.after(self.store.read(), self.vault)
        except SQLAlchemyError as error:
            self._lose(error)
        finally:
            self._engine.dispose()
        _no_conflict(_names(stored), self._fixed_names | self._declared)
        self._swap(stored)
        for definition in self.snapshot.definitions.values():
            if definition.source is Source.FILE and definition.fault is not None:
                raise BadFile(f"service {definition.name!r}: {definition.fault}")

    def accompany(self, companion: Companion) -> None:
        """Let something else begin and end with this, in each process."""
        self._companions.append(companion)

    def watch(self) -> None:
        """Follow the sources from now on, in this process."""
        if self._pid == os.getpid():
            return
        with self._watching:
            self._watch()

    def _watch(self) -> None:
        if self._pid == os.getpid():
            return
        # A forked child has no thread of its parent's, and may not touch its connections.
        self._engine.dispose(close=False)
        self._changing = threading.Lock()
        self._pid = os.getpid()
        self.colleagues.begin(self.number)
        self._thread = threading.Thread(
            target=_follow,
            args=(weakref.ref(self), self._stop, self.colleagues),
            name="registry",
            daemon=True,
        )
        self._thread.start()
        for companion in self._companions:
            companion.watch()

    def refresh(self) -> None:
        """Put what the database says now into force; where it cannot be read, soon."""
        with self._changing:
            self._look_at_database()

    def close(self) -> None:
        """Stop following, and close all connections of this process."""
        self._stop.set()
        self.colleagues.wake()
        for companion in self._companions:
            companion.close()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(LOST_SECONDS)
            self.colleagues.end()
        self._retired.clear(at_once=True)
        for service in self.snapshot.services.values():
            service.backend.close()
        self.counts.backend.close()
        self._engine.dispose()

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
            with contextlib.suppress(SQLAlchemyError):
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
            found = declared.read(self._file)
            _no_conflict(found, self._fixed_names)
            _no_conflict(found, _names(self._stored))
        except (BadFile, Conflict) as error:
            log.error("The services of CACHEAPI_SERVICES_FILE stay as they were: %s", error)
            return
        self._declared = found
        self._swap(self._stored)

    def _look_at_database(self) -> None:
        try:
            if not self._is_migrated:
                migrate(self._engine)
                self._is_migrated = True
            rows = self.store.read(self._stored.number)
            is_new = rows.number != self._stored.number
            stored = self._stored.after(rows, self.vault) if is_new else self._stored
        except (SQLAlchemyError, DatabaseUnusable) as error:
            self._lose(error)
            return
        self._find_again()
        if is_new:
            self._swap(stored, rows)
            self.colleagues.note(self.number)

    def _lose(self, error: Exception) -> None:
        if not self._is_lost:
            log.error("The database of services and API keys cannot be used: %s", cause(error))
        self._is_lost = True

    def _find_again(self) -> None:
        if self._is_lost:
            log.warning("The database of services and API keys can be used again.")
        self._is_lost = False

    # The next snapshot

    def _swap(self, stored: Stored, rows: Rows | None = None) -> None:
        """Put what the sources say into force.

        :param rows: what the database said anew, if nothing else has changed.
        """
        before, known = self.snapshot, self._stored
        if rows is None or rows.is_whole:
            numbers = known.services.keys() | stored.services.keys()
            gone = before.definitions.keys() - self._fixed.keys()
            found = [*self._declared.values()]
        else:
            numbers = {*rows.gone(tables.services), *(row["id"] for row in rows.services)}
            gone = {before.numbers[number] for number in numbers if number in before.numbers}
            found = []
        found += self._kept(stored.services[n] for n in sorted(numbers & stored.services.keys()))
        after = before.after(gone, found, self.data_dir)
        self.snapshot = dataclasses.replace(
            after,
            callers=stored.callers,
            ended_sessions=frozenset(stored.ended_sessions.values()),
            is_complete=stored.number >= 0,
        )
        self._stored = stored
        names = {*gone, *(definition.name for definition in found)}
        self._retired.note(
            _backends(before, names) - _backends(after, names),
            [
                known.services[number]
                for number in numbers & known.services.keys()
                if number not in stored.services
            ],
        )

    def _kept(self, definitions: Iterable[Definition]) -> Iterator[Definition]:
        """Yield the services of the database, but for names that another source has."""
        elsewhere = self._fixed_names | self._declared
        for definition in definitions:
            try:
                _no_conflict({definition.name: None}, elsewhere)
            except Conflict as error:
                log.error("The one of the database is left out: %s", error)
            else:
                yield definition


def _backends(snapshot: Snapshot, names: Iterable[str]) -> set[Backend]:
    services = (snapshot.services.get(name) for name in names)
    return {service.backend for service in services if service is not None}


def _follow(
    reference: weakref.ref[Registry], stop: threading.Event, colleagues: Colleagues
) -> None:
    seconds = 0.0
    while True:
        colleagues.wait(stop, seconds)
        if stop.is_set():
            return
        registry = reference()
        if registry is None:
            return
        try:
            seconds = registry.look()
        except Exception:
            log.exception("Looking for changes of services failed")
            seconds = LOST_SECONDS
        del registry


def _names(stored: Stored) -> dict[str, None]:
    return {definition.name: None for definition in stored.services.values()}


def _no_conflict(found: Mapping[str, object], others: Mapping[str, object]) -> None:
    for name in found.keys() & others.keys():
        raise Conflict(f"the name {name!r} is given to two services, by two sources.")


def cause(error: Exception) -> str:
    """Return a driver's error in one line; SQLAlchemy's own would add the statement."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
