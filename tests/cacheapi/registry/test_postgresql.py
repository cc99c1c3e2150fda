"""PostgreSQL after a failover, and behind PgBouncer."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, text

from cacheapi.registry.database.connecting import Database, connect
from cacheapi.registry.database.errors import DatabaseFailed
from cacheapi.registry.database.migrate import migrate
from cacheapi.registry.database.store import Store
from cacheapi.registry.database.tables import services
from tests.cacheapi.registry.test_database import SERVICE
from tests.support.pgbouncer import pgbouncer
from tests.support.postgresql import PostgreSQL, postgresql
from tests.support.processes import eventually
from tests.support.proxy import Proxy, proxy

# What is promised is seconds.
SOON = 10.0


class Failover:
    """A primary and its standby behind one name, which leads to the primary."""

    def __init__(self, primary: PostgreSQL, standby: PostgreSQL, name: Proxy, url: str) -> None:
        self.primary = primary
        self.standby = standby
        self.name = name
        self.url = url.replace(f":{primary.port}/", f":{name.port}/")
        self.new_url = url.replace(f":{primary.port}/", f":{standby.port}/")

    def happen(self) -> None:
        """Promote the standby; connections to the old primary stay, and take no changes."""
        self.standby.promote(self.primary)
        self.primary.demote()
        self.name.target = self.standby.port


@pytest.fixture
def failover() -> Iterator[Failover]:
    with postgresql() as primary:
        url = primary.new_database()
        with postgresql(primary) as standby, proxy(primary.port) as name:
            yield Failover(primary, standby, name, url)


def has(store: Store, name: str) -> bool:
    with contextlib.suppress(DatabaseFailed):
        return name in [row["name"] for row in store.read().services]
    return False


def adds(store: Store, name: str) -> bool:
    try:
        with store.change() as change:
            change.add(services, SERVICE | {"name": name})
    except DatabaseFailed:
        return False
    return True


@contextlib.contextmanager
def engines(directory: Path, *urls: str) -> Iterator[list[Database]]:
    made = [connect(url, directory) for url in urls]
    try:
        yield made
    finally:
        for database in made:
            database.dispose()


def test_after_a_failover_changes_are_made_and_seen(failover: Failover, tmp_path: Path) -> None:
    with engines(tmp_path, failover.url, failover.url, failover.new_url) as made:
        migrate(made[0])
        writer, reader, new = map(Store, made)
        assert adds(writer, "before")
        assert has(reader, "before")
        failover.happen()
        names = (f"after{number}" for number in itertools.count())

        def adds_where_it_is_kept() -> str | None:
            # A session of the old primary may take a change until it knows of the demotion.
            name = next(names)
            return name if adds(writer, name) and has(new, name) else None

        name = eventually(adds_where_it_is_kept, SOON)
        # Who only reads stays with no server that is left behind either.
        eventually(lambda: has(reader, name), SOON)


def test_a_change_that_is_refused_drops_all_connections(failover: Failover, tmp_path: Path) -> None:
    with engines(tmp_path, failover.url) as (database,):
        migrate(database)
        store = Store(database)
        dropped: list[object] = []
        event.listen(database.engine(), "close", lambda connection, _: dropped.append(connection))
        event.listen(
            database.engine(), "invalidate", lambda connection, *_: dropped.append(connection)
        )
        with pytest.raises(DatabaseFailed, match="read-only"):
            _change_after_a_demotion(store, failover.primary)
        assert dropped
        assert not adds(store, "refused")
        assert not has(store, "lost")
        failover.happen()
        eventually(lambda: adds(store, "found"), SOON)


def _change_after_a_demotion(store: Store, server: PostgreSQL) -> None:
    with store.change() as change:
        server.demote()
        change._session.run("SET TRANSACTION READ ONLY")
        change.add(services, SERVICE | {"name": "lost"})


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_behind_pgbouncer_all_is_done(
    postgresql_server: PostgreSQL, tmp_path: Path, mode: str
) -> None:
    url = postgresql_server.new_database()
    with (
        pgbouncer(postgresql_server, mode) as port,
        engines(tmp_path, url.replace(f":{postgresql_server.port}/", f":{port}/")) as (database,),
    ):
        migrate(database)
        store = Store(database)

        def work(name: str) -> None:
            for number in range(20):
                assert adds(store, f"{name}{number}")
                assert has(store, f"{name}{number}")

        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.number() == len(store.read().services) == 60
        _has_limits(database)


def test_each_transaction_has_its_limits(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    database = connect(postgresql_server.new_database(), tmp_path)
    _has_limits(database)
    database.dispose()


def _has_limits(database: Database) -> None:
    for _ in range(3):
        with database.engine().connect() as connection:
            for name in ("statement_timeout", "lock_timeout"):
                assert connection.execute(text(f"SHOW {name}")).scalar() == "5s"
