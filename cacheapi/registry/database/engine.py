"""Connecting: which databases there can be, and how long one is waited for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError

FILE: Final = "cacheapi.sqlite3"
# How long to wait for another's transaction, for a connection, and for an answer.
LOCK_SECONDS: Final = 5
CONNECT_SECONDS: Final = 3
ANSWER_SECONDS: Final = 5


class DatabaseUnusable(Exception):
    """The setting names no database that can be used; one line, without the password."""


def make_engine(url: str | None, data_dir: Path) -> Engine:
    """Make the engine; it connects when it is first used.

    :param url: the setting; ``None`` for the file in ``data_dir``, which is made if missing.
    :raises DatabaseUnusable: there can be no such database here.
    """
    parsed = URL.create("sqlite", database=str(data_dir / FILE)) if url is None else _parse(url)
    if parsed.drivername == "sqlite":
        return _sqlite(parsed)
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        # A machine that went away without a word is found out.
        "tcp_user_timeout": ANSWER_SECONDS * 1000,
        "keepalives_idle": ANSWER_SECONDS,
        "options": f"-c statement_timeout={ANSWER_SECONDS}s -c lock_timeout={LOCK_SECONDS}s",
    }
    try:
        return create_engine(
            parsed,
            connect_args=arguments,
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
            hide_parameters=True,
        )
    except ImportError as error:
        raise DatabaseUnusable("it needs psycopg: pip install 'cacheapi[postgresql]'") from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # No chain: the error repeats the URL, which may have a password.
        raise DatabaseUnusable("it is no URL of a database.") from None
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _sqlite(url: URL) -> Engine:
    path = Path(url.database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made here, so that nobody else may read it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise DatabaseUnusable(f"{str(path)!r} cannot be written ({error.strerror}).") from error
    return create_engine(url, connect_args={"timeout": LOCK_SECONDS}, hide_parameters=True)
