"""What all sources say of services: the environment, the file, the database."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import NamedTuple

from backends.base import Backend
from cacheapi.registry.database import tables
from cacheapi.registry.database.store import Rows
from cacheapi.registry.definition import Definition
from cacheapi.registry.errors import Conflict
from cacheapi.registry.snapshot import Snapshot
from cacheapi.registry.stored import Stored

log = logging.getLogger(__name__)


class Step(NamedTuple):
    """From one snapshot to the next.

    :ivar unused: backends that were in use before.
    :ivar gone: services whose files go with them.
    """

    snapshot: Snapshot
    unused: set[Backend]
    gone: list[Definition]


@dataclasses.dataclass(frozen=True)
class Sources:
    """The sources at one moment.

    :ivar fixed: the services of the environment, by all their names.
    :ivar stored: what the database has said last.
    :ivar declared: the services of the file, by name.
    """

    fixed: Mapping[str, Definition]
    stored: Stored
    declared: Mapping[str, Definition] = dataclasses.field(default_factory=dict)

    def check(self) -> None:
        """See that each name is given by one source.

        :raises Conflict: one is not.
        """
        self.check_file()
        _no_conflict(self._names(), self.fixed)

    def check_file(self) -> None:
        """See that no name of the file is another source's.

        :raises Conflict: one is.
        """
        _no_conflict(self.declared, self.fixed)
        _no_conflict(self.declared, self._names())

    def step(self, before: Snapshot, known: Stored, rows: Rows | None, data_dir: Path) -> Step:
        """Return the step to the snapshot that has what the sources say.

        :param known: what of the database is in the snapshot before.
        :param rows: what the database said anew, if nothing else has changed.
        """
        services = self.stored.services
        if rows is None or rows.is_whole:
            numbers = {*known.services, *services}
            of_others = {each.name for each in self.fixed.values()}
            names = before.definitions.keys() - of_others
            found = [*self.declared.values()]
        else:
            numbers = {*rows.gone(tables.services), *(row["id"] for row in rows.services)}
            names = {before.numbers[number] for number in numbers if number in before.numbers}
            found = []
        found += self._kept(services[number] for number in sorted(numbers & services.keys()))
        after = dataclasses.replace(
            before.after(names, found, data_dir),
            callers=self.stored.callers,
            ended_sessions=frozenset(self.stored.ended_sessions.values()),
            is_complete=self.stored.number >= 0,
        )
        touched = names | {definition.name for definition in found}
        unused = _backends(before, touched) - _backends(after, touched)
        lost = numbers & known.services.keys() - services.keys()
        return Step(after, unused, [known.services[number] for number in lost])

    def _names(self) -> set[str]:
        return {definition.name for definition in self.stored.services.values()}

    def _kept(self, definitions: Iterable[Definition]) -> Iterator[Definition]:
        """Yield the services of the database, but for names that another source has."""
        elsewhere = self.fixed.keys() | self.declared.keys()
        for definition in definitions:
            try:
                _no_conflict({definition.name}, elsewhere)
            except Conflict as error:
                log.error("The one of the database is left out: %s", error)
            else:
                yield definition


def _backends(snapshot: Snapshot, names: Set[str]) -> set[Backend]:
    services = (snapshot.services.get(name) for name in names)
    return {service.backend for service in services if service is not None}


def _no_conflict(found: Iterable[str], others: Iterable[str]) -> None:
    for name in {*found} & {*others}:
        raise Conflict(f"the name {name!r} is given to two services, by two sources.")
