"""The tables. What changes here needs a migration, and :data:`HEAD` its name."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, String, Table, Text

HEAD: Final = "0002"

metadata: Final = MetaData()

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
    sqlite_autoincrement=True,
)

# Sessions of the console that ended before their time, until when they would have lasted.
ended_sessions: Final = Table(
    "ended_session",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", String(64), nullable=False),
    Column("until", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# One row, whose number goes up with every change that all processes have to see.
version: Final = Table("version", metadata, Column("number", BigInteger, nullable=False))
