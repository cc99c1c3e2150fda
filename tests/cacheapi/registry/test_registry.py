"""The registry in force: its start, its sources going away, and what is closed when."""

from __future__ import annotations

import gc
import sqlite3
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cacheapi import SettingsError, load
from cacheapi.registry import administration, key_administration
from cacheapi.registry.database.sqlite import FILE
from cacheapi.registry.errors import Invalid, RegistryUnavailable
from cacheapi.registry.live import Registry
from cacheapi.registry.opening import open_registry
from cacheapi.registry.rights import Caller, Rule, digest_of
from cacheapi.registry.service_types import service_types
from tests.support.plugins import Plugin
from tests.support.postgresql import PASSWORD
from tests.support.processes import eventually, free_port
from tests.support.timing import Stopwatch

ADMINISTRATOR = Caller(b"", "test", administrator=True)


def open_one(directory: Path, **settings: str) -> Registry:
    given = {"CACHEAPI_DATA_DIR": str(directory), "CACHEAPI_API_KEY": "k", **settings}
    return open_registry(load(given, None))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = open_one(tmp_path)
    yield made
    made.close()


def make(registry: Registry, name: str, **fields: object) -> int:
    item = {"name": name, "type": "cache_local", **fields}
    (made,) = administration.create(registry, ADMINISTRATOR, [item])
    assert made.number is not None
    return made.number


def may(registry: Registry, digest: bytes, verb: str, service: str, key: str) -> bool:
    who = registry.who(digest)
    return who is not None and who.may(verb, service, key)


def test_what_did_not_change_is_the_same_object(registry: Registry) -> None:
    make(registry, "a")
    a, system = registry.find("a"), registry.find("cache")
    make(registry, "b")
    assert registry.find("a") is a
    assert registry.find("cache") is system
    administration.update(registry, ADMINISTRATOR, "a", {"label": "x"}, replace=False)
    changed = registry.find("a")
    assert changed is not a
    assert changed is not None
    assert a is not None
    assert changed.backend is a.backend


def test_a_change_by_another_process_is_seen_when_it_is_looked_for(
    registry: Registry, tmp_path: Path
) -> None:
    other = open_one(tmp_path)
    make(other, "a")
    assert registry.find("a") is None
    registry.look()
    assert registry.find("a") is not None
    administration.delete(other, ADMINISTRATOR, "a")
    registry.look()
    assert registry.find("a") is None
    other.close()


def test_it_follows_by_itself_once_it_is_told_to(registry: Registry, tmp_path: Path) -> None:
    before = threading.active_count()
    registry.watch()
    registry.watch()
    assert threading.active_count() == before + 1
    other = open_one(tmp_path)
    make(other, "a")
    taken = Stopwatch()
    eventually(lambda: registry.find("a"), 3)
    assert taken() < 3
    other.close()
    registry.close()
    assert threading.active_count() == before


def test_a_registry_that_nobody_holds_ends_its_thread(tmp_path: Path) -> None:
    made = open_one(tmp_path)
    made.watch()
    thread, gone = made._following._thread, weakref.ref(made)
    made._database.dispose()
    del made

    def ended() -> bool:
        gc.collect()
        return gone() is None and not thread.is_alive()

    assert thread is not None
    eventually(ended)
    # Nor is it waited for by those who change something.
    assert [*tmp_path.glob("**/workers/*")] == []


def test_a_database_that_is_away_at_the_start_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/none"
    taken = Stopwatch()
    made = open_one(tmp_path, CACHEAPI_DATABASE_URL=url)
    assert taken() < 10
    assert made.find("cache") is not None
    assert may(made, digest_of("k"), "GET", "cache", "key")
    assert not made.snapshot.is_complete
    for _ in range(3):
        made.look()
    with pytest.raises(RegistryUnavailable):
        make(made, "a")
    lines = [record for record in caplog.records if "cannot be used" in record.getMessage()]
    assert len(lines) == 1
    assert "\n" not in lines[0].getMessage()
    assert PASSWORD not in caplog.text
    made.close()


def test_the_last_snapshot_outlives_the_database(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(registry, "a")
    rule = Rule("a", frozenset({"GET"}))
    (key,) = key_administration.create(registry, ADMINISTRATOR, [{"name": "x", "rules": (rule,)}])
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("ALTER TABLE version RENAME TO elsewhere")
    registry.look()
    registry.look()
    assert registry.find("a") is not None
    assert may(registry, digest_of(key.text), "GET", "a", "k")
    with pytest.raises(RegistryUnavailable):
        make(registry, "b")
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("ALTER TABLE elsewhere RENAME TO version")
    make(registry, "b")
    said = [record.getMessage() for record in caplog.records]
    assert sum("cannot be used" in line for line in said) == 1
    assert sum("can be used again" in line for line in said) == 1


def test_a_service_whose_type_is_gone_says_so_and_the_others_work(
    registry: Registry, tmp_path: Path
) -> None:
    make(registry, "a")
    number = make(registry, "b")
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("UPDATE service SET type = 'cache_gone' WHERE id = ?", (number,))
        database.execute("UPDATE version SET number = number + 1")
        database.commit()
    registry.look()
    assert registry.find("a") is not None
    assert registry.find("b") is None
    fault = registry.snapshot.definitions["b"].fault
    assert fault is not None
    assert "no type 'cache_gone'" in fault
    assert administration.shown(registry.snapshot.definitions["b"])["config"] == {}
    administration.delete(registry, ADMINISTRATOR, "b")


def test_a_name_that_another_source_has_by_now_is_left_out_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "services.toml"
    file.write_text('[[service]]\nname = "declared"\ntype = "cache_local"\n')
    first = open_one(tmp_path, CACHEAPI_SERVICES_FILE=str(file))
    declared = first.find("declared")
    # Another machine has no such file.
    other = open_one(tmp_path)
    make(other, "declared")
    other.close()
    first.look()
    assert first.find("declared") is declared
    assert "'declared' is given to two services" in caplog.text
    first.close()


def test_a_file_that_is_being_written_is_read_when_it_rests(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    table = '[[service]]\nname = "{}"\ntype = "cache_local"\n'
    file.write_text(table.format("one") + table.format("two"))
    made = open_one(tmp_path, CACHEAPI_SERVICES_FILE=str(file))
    file.write_text(table.format("one"))
    made.look()
    file.write_text(table.format("one") + table.format("three"))
    made.look()
    assert made.find("two") is not None
    made.look()
    assert made.find("two") is None
    assert made.find("three") is not None
    made.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"CACHEAPI_DATABASE_URL": "sqlite:////proc/none/x"}, "CACHEAPI_DATABASE_URL: the data"),
        ({"CACHEAPI_DATABASE_URL": "mysql://u:hush@h/x"}, "CACHEAPI_DATABASE_URL: the given value"),
        ({"CACHEAPI_DATABASE_URL": "postgresql://u:hush@h:x/y"}, "it is no URL"),
        ({"CACHEAPI_SECRET_KEY": "hush"}, "CACHEAPI_SECRET_KEY: the given value is not allowed"),
        (
            {"CACHE_DRIVER": "memcached", "CACHEAPI_DATA_DIR": "/proc/none"},
            "CACHEAPI_DATA_DIR: the",
        ),
    ],
    ids=str,
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        open_one(tmp_path, **settings)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "hush" not in str(raised.value)


def test_the_form_of_a_plugin_appears_by_itself(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    required = {
        'Option("LRU_SIZE", integer(1, 10**9), "10000", "Most keys.", name="size")': (
            'Option("LRU_SIZE", integer(1, 10**9), None, "Most keys.", name="size", '
            'required=True, public_name="keys")'
        )
    }
    (tmp_path / "plugin").mkdir()
    Plugin(changes=required).install(tmp_path / "plugin")
    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    monkeypatch.delitem(sys.modules, "lru_backend", raising=False)
    (kind,) = [kind for kind in service_types() if kind["name"] == "cache_lru"]
    assert kind["config_schema"][0] == {
        "name": "keys",
        "label": "Keys",
        "type": "integer",
        "required": True,
        "default": None,
        "description": "Most keys.",
        "allowed": "a whole number from 1 to 1000000000",
        "unit": None,
        "secret": False,
    }
    with pytest.raises(Invalid) as raised:
        make(registry, "lru", type="cache_lru")
    assert raised.value.faults[0].field == "config.keys"
    assert str(raised.value) == "keys must be set."
    make(registry, "lru", type="cache_lru", config={"keys": 7})
    cache = registry.find("lru")
    assert cache is not None
    assert cache.type == "cache_lru"


def test_a_file_changes_though_a_name_of_the_database_is_the_system_caches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "services.toml"
    table = '[[service]]\nname = "{}"\ntype = "cache_local"\n'
    file.write_text(table.format("one"))
    made = open_one(tmp_path, CACHEAPI_SERVICES_FILE=str(file))
    # On another machine the system cache has another driver, and so "local" is nobody's name.
    other = open_one(tmp_path, CACHE_DRIVER="memcached")
    make(other, "local")
    other.close()
    made.look()
    assert "'local' is given to two services" in caplog.text
    file.write_text(table.format("three"))
    for _ in range(2):
        made.look()
    assert made.find("three") is not None
    assert made.find("one") is None
    made.close()
