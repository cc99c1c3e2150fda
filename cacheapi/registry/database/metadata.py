"""The tables as the migrations make them; who reads and writes rows needs their names alone.

What changes here needs a migration, and :data:`~cacheapi.registry.database.tables.HEAD` its name.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()


def _changed() -> Column[int]:
    """Return the column with the number of the last change of a row."""
    return Column("changed", BigInteger, nullable=False, server_default="0", index=True)


services: Final = Table(
    "service",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    # JSON of the fields that are no secrets; those that are, encrypted JSON.
    Column("config", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    _changed(),
    # An id never comes back: the directory of a service's file has its name from it.
    sqlite_autoincrement=True,
)

api_keys: Final = Table(
    "api_key",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    # SHA-256 of the key in hexadecimal, and the key's first characters, to tell it by.
    Column("digest", String(64), nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("administrator", Boolean, nullable=False),
    Column("rules", Text, nullable=False),
    Column("rate_requests", Integer),
    Column("rate_seconds", Integer),
    # Unix times.
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("last_used", BigInteger),
    _changed(),
    sqlite_autoincrement=True,
)

# Sessions of the console that ended before their time, until when they would have lasted.
ended_sessions: Final = Table(
    "ended_session",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", String(64), nullable=False),
    Column("until", BigInteger, nullable=False),
    _changed(),
    sqlite_autoincrement=True,
)

# What was removed from the other tables by the last changes. A key's digest is what it is known by
# where nothing else of it is.
removed: Final = Table(
    "removed",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("changed", BigInteger, nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("digest", String(64)),
    sqlite_autoincrement=True,
)

# One row, whose number goes up with every change that all processes have to see. An earlier version
# of the program, or somebody by hand, lets the number alone go up: then "told", which goes up with
# it, is behind, and the next change notes as "untold" up to which number no row says what changed.
version: Final = Table(
    "version",
    metadata,
    Column("number", BigInteger, nullable=False),
    Column("told", BigInteger, nullable=False, server_default="0"),
    Column("untold", BigInteger, nullable=False, server_default="0"),
)
