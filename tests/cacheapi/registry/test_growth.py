"""What a change costs where there is much: rows read and objects made, counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from backends.file.backend import FileBackend
from cacheapi.registry import administration, callers, key_administration, records, stored
from cacheapi.registry.database import metadata, tables
from cacheapi.registry.database import store as store_module
from cacheapi.registry.database.connecting import Database, connect
from cacheapi.registry.database.migrate import migrate
from cacheapi.registry.database.store import Rows, Store
from cacheapi.registry.definition import Definition
from cacheapi.registry.live import Registry
from cacheapi.registry.rights import Caller, Rule, digest_of
from tests.cacheapi.registry.test_database import SERVICE
from tests.cacheapi.registry.test_registry import ADMINISTRATOR, make, may, open_one

MANY = 300
RULES = json.dumps([{"service": "s1", "verbs": ["GET"], "prefix": ""}])


def key_row(number: int, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(f"key {number}".encode()).hexdigest()
    return {
        "name": f"key {number}",
        "digest": digest,
        "prefix": "ca_",
        "administrator": False,
        "rules": RULES,
        "created": 1,
        **more,
    }


def fill(database: Database) -> None:
    """Make many services and keys at once."""
    migrate(database)
    with Store(database).change() as change:
        for number in range(MANY):
            change.add(tables.services, SERVICE | {"name": f"s{number}"})
            change.add(tables.api_keys, key_row(number))


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    settings = {}
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").new_database()
        settings = {"CACHEAPI_DATABASE_URL": url}
    database = connect(settings.get("CACHEAPI_DATABASE_URL"), tmp_path)
    fill(database)
    database.dispose()
    made = open_one(tmp_path, **settings)
    yield made
    made.close()


def another(registry: Registry, directory: Path) -> Registry:
    """Return what another process has on the same database."""
    url = registry._database.engine().url.render_as_string(hide_password=False)
    return open_one(directory, CACHEAPI_DATABASE_URL=url.replace("+psycopg", ""))


@contextmanager
def counted(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Count the calls of a function or method."""
    calls: list[object] = []
    real: Callable[..., Any] = getattr(owner, name)

    def count(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return real(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, count)
        yield calls


@contextmanager
def rows_read(registry: Registry) -> Iterator[list[int]]:
    """Count the rows that the database gives."""
    counts: list[int] = []
    real = store_module._all

    def all_(*arguments: Any, **named: Any) -> list[Mapping[str, Any]]:
        found = real(*arguments, **named)
        counts.append(len(found))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "_all", all_)
        yield counts


def test_a_change_of_one_reads_one_and_makes_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        rows_read(registry) as rows,
        counted(records, "service_of", monkeypatch) as definitions,
        counted(Definition, "make_backend", monkeypatch) as backends,
        counted(callers, "_packed", monkeypatch) as packed,
    ):
        make(registry, "one")
        assert len(definitions) == len(backends) == 1
        administration.update(registry, ADMINISTRATOR, "s7", {"label": "x"}, replace=False)
        administration.update(registry, ADMINISTRATOR, "one", {"name": "two"}, replace=False)
        administration.delete(registry, ADMINISTRATOR, "two")
        assert packed == []
        (key,) = key_administration.create(registry, ADMINISTRATOR, [{"name": "new"}])
        key_administration.update(registry, ADMINISTRATOR, key.number, {"name": "newer"})
        key_administration.revoke(registry, ADMINISTRATOR, key.number)
        registry.look()
    assert len(backends) == 1
    assert len(packed) == 2
    assert sum(rows) < 30


def test_what_another_process_changes_is_read_alone(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another(registry, tmp_path)
    make(other, "new")
    administration.delete(other, ADMINISTRATOR, "s1")
    administration.update(other, ADMINISTRATOR, "s2", {"name": "s1"}, replace=False)
    rule = Rule("*", frozenset({"GET"}))
    (key,) = key_administration.create(other, ADMINISTRATOR, [{"name": "k", "rules": [rule]}])
    key_administration.revoke(other, ADMINISTRATOR, 5)
    gone = bytes.fromhex(key_row(4)["digest"])
    assert registry.snapshot.whose(gone) is not None
    second = registry.find("s2")
    with rows_read(registry) as rows:
        registry.look()
    # The rules about s1 and s2 were those of all keys, and followed.
    assert sum(rows) <= MANY + 10
    snapshot = registry.snapshot
    with rows_read(registry) as rows, counted(callers.Callers, "after", monkeypatch) as copies:
        registry.look()
    assert rows == copies == []
    assert registry.snapshot is snapshot
    assert registry.find("new") is not None
    assert registry.find("s2") is None
    first = registry.find("s1")
    assert second is not None
    assert first is not None
    assert first.backend is second.backend
    assert may(registry, digest_of(key.text), "GET", "new", "k")
    assert registry.snapshot.whose(gone) is None
    assert same(registry, other)
    other.close()


def same(one: Registry, other: Registry) -> bool:
    """Return whether two processes know the same."""
    a, b = one.snapshot, other.snapshot
    return (
        a.definitions == b.definitions
        and a.numbers == b.numbers
        and a.services.keys() == b.services.keys()
        and a.callers._packed == b.callers._packed
        and a.ended_sessions == b.ended_sessions
    )


def of_an_earlier_version(registry: Registry, statement: Any) -> None:
    """Change something as a program does that knows no more than the number."""
    with registry._database.engine().begin() as connection:
        connection.execute(text("UPDATE version SET number = number + 1"))
        connection.execute(statement)


def test_what_an_earlier_version_changes_beside_is_seen(registry: Registry, tmp_path: Path) -> None:
    late = another(registry, tmp_path)
    services, keys = metadata.services, metadata.api_keys
    of_an_earlier_version(registry, insert(services).values(SERVICE | {"name": "added"}))
    registry.look()
    assert registry.find("added") is not None
    of_an_earlier_version(registry, services.delete().where(services.c.name == "s3"))
    registry.look()
    assert registry.find("s3") is None
    of_an_earlier_version(
        registry, update(services).where(services.c.name == "s4").values(is_active=False)
    )
    of_an_earlier_version(registry, keys.delete().where(keys.c.id == 9))
    # One of this version after it does not hide it from who comes later.
    make(registry, "mine")
    for each in (registry, late):
        each.look()
        assert each.find("s4") is None
        assert each.find("mine") is not None
        assert each.snapshot.whose(bytes.fromhex(key_row(8)["digest"])) is None
    assert same(registry, late)
    # From here on, what is new is enough again.
    with rows_read(registry) as rows:
        make(registry, "last")
        late.look()
    assert sum(rows) < 10
    late.close()


def test_who_was_away_for_too_many_changes_reads_all(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CHANGES_NOTED", 3)
    number = registry.store.number()
    for name in "abcde":
        make(registry, name)
        administration.delete(registry, ADMINISTRATOR, name)
    assert registry.store.read(number).is_whole
    rows = registry.store.read(number + 8)
    assert not rows.is_whole
    assert len(rows.removed) == 1
    with registry._database.engine().connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM removed")).scalar_one() <= 3


def test_a_database_that_was_put_back_is_read_whole(registry: Registry) -> None:
    number = registry.store.number()
    assert registry.store.read(number) == Rows(number, [], [], is_whole=False)
    assert registry.store.read(number + 1).is_whole


def test_many_keys_are_few_bytes_and_no_objects(registry: Registry) -> None:
    found = registry.snapshot.callers
    assert len(found) == MANY + 1
    assert {type(packed) for packed in found._packed.values()} == {bytes}
    assert max(map(len, found._packed.values())) < 300
    digest = bytes.fromhex(key_row(7)["digest"])
    first = found.get(digest)
    assert first is not None
    assert first.may("GET", "s1", "x")
    assert not first.may("GET", "s2", "x")
    # The one that was made stays, whatever else changes.
    make(registry, "other")
    assert registry.snapshot.callers.get(digest) is first


def test_all_is_kept_of_a_key(tmp_path: Path) -> None:
    rules = json.dumps([{"service": "local", "verbs": ["GET", "PUT"], "prefix": "ü\n"}])
    row = {
        "id": 7, "expires": 9, "rate_requests": 3, "rate_seconds": 4, **key_row(1, rules=rules),
        "name": "with\nan end ü",
    }  # fmt: skip
    made = callers.Callers({}, {"local": "cache"}).after([row], [], is_whole=True)
    digest = bytes.fromhex(row["digest"])
    found, expected = made.get(digest), records.caller_of(row, {"local": "cache"})
    assert found is not None
    for name in ("digest", "name", "number", "administrator", "rules", "expires", "rate"):
        assert getattr(found, name) == getattr(expected, name)


def test_the_last_uses_are_gathered_from_those_that_were_used_alone(registry: Registry) -> None:
    for number in (3, 4, 3):
        assert registry.snapshot.whose(bytes.fromhex(key_row(number)["digest"])) is not None
    registry.look()
    with registry._database.engine().connect() as connection:
        used = connection.execute(text("SELECT id FROM api_key WHERE last_used > 0")).scalars()
        assert sorted(used) == [4, 5]


def test_the_rules_of_a_caller_that_are_kept_have_a_bound() -> None:
    caller = Caller(b"", "x", rules=(Rule("*", frozenset({"GET"})),))
    for number in range(1000):
        assert caller.may("GET", f"s{number}", "k")
    assert len(caller._kept) <= 64


def test_services_that_all_share_keys_are_told_in_few_words(registry: Registry) -> None:
    shared = {"type": "cache_memcached", "config": {"prefix": "same:"}}
    for number in range(9):
        make(registry, f"m{number}", **shared)
    told = registry.snapshot.overlaps.of("m3")
    assert len(told) == 6
    assert told[-1] == "It shares keys with more services than these."
    assert registry.snapshot.overlaps.of("s3") == []
    assert isinstance(registry.snapshot.services["s3"].backend, FileBackend)
    names = list(registry.snapshot.overlaps.all())
    assert names == [f"m{number}" for number in range(9)]


def test_who_serves_reads_all_with_pauses_and_a_start_without(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(stored.time, "sleep", pauses.append)
    late = another(registry, tmp_path)
    assert pauses == []
    of_an_earlier_version(registry, delete(metadata.services).where(metadata.services.c.id == 1))
    late.look()
    assert late.find("s0") is None
    # Of the services, and of the API keys.
    assert len(pauses) == (MANY - 1) // 100 + MANY // 100
    assert 0 < max(pauses) <= 0.01
    late.close()


def test_a_search_finds_the_same_however_much_there_is(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = registry.store
    with store.change() as change:
        for name in ("50% off", "half_price", "HALF more"):
            change.add(tables.api_keys, key_row(1) | {"name": name, "digest": name})

    def pages(search: str) -> list[tuple[list[str], int]]:
        found, after = [], 0
        while True:
            rows, count = store.page_of_keys(after, 100, search)
            found.append(([row["name"] for row in rows], count))
            if len(rows) < 100:
                return found
            after = rows[-1]["id"]

    searches = ("half", "HALF", "%", "_", "key 1", "ca_", "nothing")
    few = {search: pages(search) for search in searches}
    for most in (1, 7, 150):
        monkeypatch.setattr(store_module, "MOST_FOUND", most)
        assert {search: pages(search) for search in searches} == few
    assert few["half"] == few["HALF"] == [(["half_price", "HALF more"], 2)]
    assert few["%"] == [(["50% off"], 1)]
    assert few["_"] == [(["half_price"], 1)]
    assert few["nothing"] == [([], 0)]
    assert [count for _, count in few["ca_"]] == [MANY + 3] * 4
