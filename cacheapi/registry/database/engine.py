"""Connecting: which databases there can be, and how long one is waited for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from backends import owned
from cacheapi.registry.database import postgresql

FILE: Final = "cacheapi.sqlite3"
# How long to wait for another's transaction.
LOCK_SECONDS: Final = 5


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
    try:
        return postgresql.make_engine(parsed)
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
        owned.folder(path.parent)
        # Made here, so that nobody else may read it.
        os.close(owned.opened(path, os.O_RDWR))
    except OSError as error:
        raise DatabaseUnusable(f"{str(path)!r} cannot be written ({error.strerror}).") from error
    return create_engine(url, connect_args={"timeout": LOCK_SECONDS}, hide_parameters=True)
