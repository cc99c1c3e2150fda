"""Bring the tables up to date, once, however many processes and machines start together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from cacheapi.registry.database.connecting import Database
from cacheapi.registry.database.errors import DatabaseFailed, DatabaseUnusable, failing
from cacheapi.registry.database.tables import HEAD

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCRIPTS: Final = Path(__file__).parent / "migrations"
# Any number that no other program takes for its own lock.
_LOCK: Final = 0x63616368656170


def migrate(database: Database) -> None:
    """Apply the migrations that are missing, in one transaction; others wait for it.

    :raises DatabaseFailed: the database cannot be reached, or not be changed.
    :raises DatabaseUnusable: a later version of this program has changed it.
    """
    if _is_current(database):
        return
    # They take a while to import, and most starts do not need them.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with failing(SQLAlchemyError), database.engine().connect() as connection:
            _lock(connection)
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
            command.upgrade(config, "head")
            connection.commit()
    except CommandError as error:
        raise DatabaseUnusable("its tables are of a later version of cacheapi.") from error


def _is_current(database: Database) -> bool:
    try:
        with database.looks() as session:
            found = session.rows("SELECT version_num FROM alembic_version")
    except DatabaseFailed:
        # There is no such table yet; any other trouble shows when it is made.
        return False
    return found == [{"version_num": HEAD}]


def _lock(connection: Connection) -> None:
    from sqlalchemy import text

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # Waiting for another's migrations is no statement that hangs.
        connection.execute(text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
