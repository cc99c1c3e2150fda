"""The names of the tables, and what of their columns is to be known of their rows.

Their columns are in :mod:`~cacheapi.registry.database.metadata`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# The last migration.
HEAD: Final = "0003"


class Table(NamedTuple):
    """A table.

    :ivar truths: its columns that are true or false, which SQLite has as numbers.
    """

    name: str
    truths: tuple[str, ...] = ()


services: Final = Table("service", ("is_active",))
api_keys: Final = Table("api_key", ("administrator",))
# Sessions of the console that ended before their time.
ended_sessions: Final = Table("ended_session")
# What was removed from the other tables by the last changes.
removed: Final = Table("removed")
