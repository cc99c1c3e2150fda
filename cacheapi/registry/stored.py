"""What the database has said last, by ids: each answer of it changes what is new in it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cacheapi.registry import records
from cacheapi.registry.callers import Callers
from cacheapi.registry.database import tables
from cacheapi.registry.database.store import Row, Rows
from cacheapi.registry.definition import Definition
from cacheapi.registry.vault import Vault

# Some 2 ms of work for one of rest.
ROWS_A_PAUSE: Final = 100
PAUSE_SECONDS: Final = 0.001


@dataclasses.dataclass(frozen=True)
class Stored:
    """The services, callers and ended sessions of the database at one moment.

    :ivar number: of the last change that is in it; -1: it was never read.
    """

    callers: Callers
    number: int = -1
    services: Mapping[int, Definition] = dataclasses.field(default_factory=dict)
    ended_sessions: Mapping[int, str] = dataclasses.field(default_factory=dict)

    def after(self, rows: Rows, vault: Vault) -> Stored:
        """Return it with what is new.

        :raises DatabaseFailed: the database cannot be used; nothing has changed.
        """
        services = {} if rows.is_whole else dict(self.services)
        # Who has served before goes on with that meanwhile, and its requests want the processor.
        pace = _gently if rows.is_whole and self.number >= 0 else iter
        services |= {row["id"]: records.service_of(row, vault) for row in pace(rows.services)}
        sessions = {} if rows.is_whole else dict(self.ended_sessions)
        sessions |= {row["id"]: row["session"] for row in rows.ended_sessions}
        for number in rows.gone(tables.services):
            services.pop(number, None)
        for number in rows.gone(tables.ended_sessions):
            sessions.pop(number, None)
        gone = [bytes.fromhex(row["digest"]) for row in rows.removed if row["digest"]]
        callers = self.callers.after(pace(rows.api_keys), gone, is_whole=rows.is_whole)
        return Stored(callers, rows.number, services, sessions)


def _gently(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows with pauses."""
    for number, row in enumerate(rows, 1):
        yield row
        if number % ROWS_A_PAUSE == 0:
            time.sleep(PAUSE_SECONDS)
