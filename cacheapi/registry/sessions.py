"""Sessions of the console that somebody ended: whoever has such a cookie still is nobody."""

from __future__ import annotations

import time

from cacheapi.registry.changes import change
from cacheapi.registry.database import tables
from cacheapi.registry.live import Registry


def end(registry: Registry, session: str, until: int) -> None:
    """End a session, on all machines.

    :param until: the Unix time from which its cookie is worth nothing anyway.
    :raises RegistryUnavailable: the database cannot be reached; the session goes on.
    """
    now = int(time.time())
    with change(registry) as transaction:
        for row in transaction.sessions_until(now):
            transaction.remove(tables.ended_sessions, row["id"])
        transaction.add(tables.ended_sessions, {"session": session, "until": until})
