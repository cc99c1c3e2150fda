"""The database: made from nothing, by many at once, on SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from cacheapi.registry.database.connecting import Database, connect
from cacheapi.registry.database.errors import DatabaseFailed, DatabaseUnusable
from cacheapi.registry.database.metadata import metadata
from cacheapi.registry.database.migrate import SCRIPTS, migrate
from cacheapi.registry.database.sqlite import FILE
from cacheapi.registry.database.store import Row, Store
from cacheapi.registry.database.tables import HEAD, api_keys, services
from tests.support import scripts
from tests.support.postgresql import PASSWORD

SERVICE = {
    "name": "a",
    "label": "",
    "description": "",
    "type": "cache_local",
    "is_active": True,
    "config": "{}",
    "secrets": "",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database'}"
    made: str = request.getfixturevalue("postgresql_server").new_database()
    return made


@pytest.fixture
def database(url: str, tmp_path: Path) -> Iterator[Database]:
    made = connect(url, tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def store(database: Database) -> Store:
    migrate(database)
    return Store(database)


def contents(store: Store) -> tuple[int, list[Row], list[Row]]:
    rows = store.read()
    return rows.number, list(rows.services), list(rows.api_keys)


def test_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    migrate(database)
    with database.engine().connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD
    migrate(database)


def test_the_newest_migration_is_the_one_that_a_start_looks_for() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [HEAD]


MIGRATE = """
import sys
from pathlib import Path
from cacheapi.registry.database.connecting import connect
from cacheapi.registry.database.migrate import migrate
from cacheapi.registry.database.store import Store
database = connect(sys.argv[1], Path("."))
migrate(database)
print(Store(database).number())
"""


def test_processes_at_once_migrate_once(url: str, database: Database) -> None:
    running = [scripts.start(MIGRATE, url) for _ in range(3)]
    threads = [threading.Thread(target=migrate, args=(database,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert [scripts.finish(process).strip() for process in running] == ["0"] * 3
    for thread in threads:
        thread.join()
    with database.engine().connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM version")).scalar() == 1


def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    with database.engine().begin() as connection:
        connection.execute(text("CREATE TABLE api_key (id INTEGER)"))
    with pytest.raises(DatabaseFailed):
        migrate(database)
    assert inspect(database.engine()).get_table_names() == ["api_key"]


def test_a_database_of_a_later_version_is_not_touched(database: Database) -> None:
    migrate(database)
    with database.engine().begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'later'"))
    with pytest.raises(DatabaseUnusable, match="of a later version"):
        migrate(database)


def test_a_change_is_all_or_nothing(store: Store) -> None:
    with contextlib.suppress(ZeroDivisionError), store.change() as change:
        change.add(services, SERVICE)
        raise ZeroDivisionError
    assert contents(store) == (0, [], [])


def test_every_change_has_a_number_of_its_own(store: Store) -> None:
    with store.change() as change:
        number = change.add(services, SERVICE)
    assert store.number() == 1
    with store.change() as change:
        change.put(services, number, {"label": "new"})
        assert [row["label"] for row in change.all(services)] == ["new"]
    with store.change() as change:
        change.remove(services, number)
    assert contents(store) == (3, [], [])


def test_an_id_is_never_given_twice(store: Store) -> None:
    numbers = []
    for _ in range(3):
        with store.change() as change:
            numbers.append(change.add(services, SERVICE))
        with store.change() as change:
            change.remove(services, numbers[-1])
    assert numbers == [1, 2, 3]


def test_changes_at_once_wait_for_each_other(store: Store) -> None:
    def add(name: str) -> None:
        with store.change() as change:
            assert name not in {row["name"] for row in change.all(services)}
            change.add(services, SERVICE | {"name": name})

    threads = [threading.Thread(target=add, args=(f"s{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = store.read()
    assert rows.number == 8
    assert len(rows.services) == 8


def test_the_last_use_is_no_change(store: Store) -> None:
    row = {
        "name": "k",
        "digest": "0" * 64,
        "prefix": "ca_",
        "administrator": False,
        "rules": "[]",
        "created": 1,
    }
    with store.change() as change:
        number = change.add(api_keys, row)
    store.note_use({number: 7, number + 1: 8})
    assert store.number() == 1
    assert [found["last_used"] for found in store.read().api_keys] == [7]


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    database = connect(None, tmp_path / "new")
    migrate(database)
    database.dispose()
    assert stat.S_IMODE((tmp_path / "new" / FILE).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]


@pytest.mark.parametrize("url", ["postgresql://u:hush@h:port/x", "sqlite:////proc/nothing/x"])
def test_what_is_no_database_is_refused_in_one_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatabaseUnusable) as raised:
        connect(url, tmp_path)
    assert "\n" not in str(raised.value)
    assert "hush" not in str(raised.value)


def test_a_wrong_password_is_not_repeated(url: str, database: Database, tmp_path: Path) -> None:
    if url.startswith("sqlite"):
        pytest.skip("there are no passwords")
    other = connect(url.replace(PASSWORD, "hush-hush"), tmp_path)
    with pytest.raises(DatabaseFailed) as raised:
        migrate(other)
    other.dispose()
    assert "hush-hush" not in str(raised.value)


def test_without_its_driver_postgresql_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseUnusable, match=r"pip install 'psycopg\[binary\]'"):
        connect("postgresql://h/x", tmp_path)
