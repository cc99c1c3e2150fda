"""PostgreSQL as people have it: a primary that changes, and PgBouncer in between.

What a session would be told once is told each transaction anew: PgBouncer refuses start-up
options, and a transaction of its may run in any session. A connection that has come to lead to
a server that is read-only, as one does after a failover behind one name, is given up, and all
others with it; new ones are made to a server that takes changes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import (
    DisconnectionError,
    InvalidatePoolError,
    OperationalError,
    SQLAlchemyError,
)

from cacheapi.registry.database.errors import failing

# How long to wait for another's transaction, for a connection, and for an answer.
LOCK_SECONDS: Final = 5
CONNECT_SECONDS: Final = 3
ANSWER_SECONDS: Final = 5

_LIMITS: Final = (
    f"SELECT set_config('statement_timeout', '{ANSWER_SECONDS}s', true), "
    f"set_config('lock_timeout', '{LOCK_SECONDS}s', true)"
)
_IS_READ_ONLY: Final = "SHOW transaction_read_only"
# The SQLSTATE of a change where none may be made.
_READ_ONLY: Final = "25006"


class PostgreSQL:
    """A database on a server, and a pool of connections to it.

    :raises ImportError: its driver is not installed.
    """

    is_shared = True
    like_any = "ILIKE"

    def __init__(self, url: URL) -> None:
        self._engine = make_engine(url)

    @contextmanager
    def looks(self) -> Iterator[_Session]:
        with failing(SQLAlchemyError), self._engine.connect() as connection:
            yield _Session(connection)

    @contextmanager
    def changes(self) -> Iterator[_Session]:
        with failing(SQLAlchemyError), self._engine.begin() as connection:
            yield _Session(connection)

    def engine(self) -> Engine:
        return self._engine

    def dispose(self, *, close: bool = True) -> None:
        self._engine.dispose(close=close)


class _Session:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        found = self._connection.execute(text(sql), values or {}).mappings()
        return [dict(row) for row in found]

    def run(self, sql: str, *each: Mapping[str, Any]) -> None:
        self._connection.execute(text(sql), list(each) or {})

    def insert(self, sql: str, values: Mapping[str, Any]) -> int:
        return int(self._connection.execute(text(f"{sql} RETURNING id"), values).scalar_one())


def make_engine(url: URL) -> Engine:
    """Make the engine; it connects when it is first used.

    :raises ImportError: its driver is not installed.
    """
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        # A machine that went away without a word is found out.
        "tcp_user_timeout": ANSWER_SECONDS * 1000,
        "keepalives_idle": ANSWER_SECONDS,
        # Of several hosts, and behind a name that leads to several.
        "target_session_attrs": "read-write",
    }
    engine = create_engine(
        url,
        # What the URL says itself counts.
        connect_args={
            **{name: value for name, value in arguments.items() if name not in url.query},
            # A prepared statement is of one session.
            "prepare_threshold": None,
        },
        pool_timeout=CONNECT_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine, "checkout", _check)
    event.listen(engine, "begin", _limit)
    event.listen(engine, "handle_error", _note_read_only)
    return engine


def _check(connection: Any, *_: object) -> None:
    """Let the pool replace a connection that is broken or leads to a read-only server."""
    try:
        connection.autocommit = True
        (answer,) = connection.execute(_IS_READ_ONLY).fetchone()
        connection.autocommit = False
    except Exception as error:
        raise DisconnectionError("it does not answer") from error
    if answer == "on":
        raise InvalidatePoolError("it is read-only")


def _limit(connection: Connection) -> None:
    """Bound the statements of a transaction that begins."""
    own: Any = connection.connection.dbapi_connection
    try:
        own.execute(_LIMITS)
    except Exception as error:
        connection.invalidate(error)
        raise OperationalError(_LIMITS, None, error) from error


def _note_read_only(context: ExceptionContext) -> None:
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True
