"""Bring the tables up to date, once, however many processes and machines start together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DatabaseError

from cacheapi.registry.database.engine import DatabaseUnusable
from cacheapi.registry.database.tables import HEAD

SCRIPTS: Final = Path(__file__).parent / "migrations"
# Any number that no other program takes for its own lock.
_LOCK: Final = 0x63616368656170


def migrate(engine: Engine) -> None:
    """Apply the migrations that are missing, in one transaction; others wait for it.

    :raises SQLAlchemyError: the database cannot be reached, or not be changed.
    :raises DatabaseUnusable: a later version of this program has changed it.
    """
    if _is_current(engine):
        return
    # It takes a while to import, and most starts do not need it.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    with engine.connect() as connection:
        _lock(connection)
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise DatabaseUnusable("its tables are of a later version of cacheapi.") from error
        connection.commit()


def _is_current(engine: Engine) -> bool:
    with engine.connect() as connection:
        try:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except DatabaseError:
            # There is no such table yet; any other trouble shows when it is made.
            return False
    return found == HEAD


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # Waiting for another's migrations is no statement that hangs.
        connection.execute(text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
