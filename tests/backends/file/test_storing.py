"""Creations and updates of one call to the file, which are done together: each has its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.base import MISSING
from backends.errors import BackendError, ValueTooLarge
from backends.file.backend import FileBackend
from backends.operations import Add, Get, Item, Operation, Replace


@pytest.fixture
def now() -> list[float]:
    return [1_000_000.0]


@pytest.fixture
def backend(tmp_path: Path, now: list[float]) -> Iterator[FileBackend]:
    made = FileBackend(data_dir=str(tmp_path), max_mb=1, prefix="p:", clock=lambda: now[0])
    yield made
    made.close()


def plain(outcomes: list[Any]) -> list[Any]:
    return [type(one) if isinstance(one, BackendError) else one for one in outcomes]


def test_updates_are_of_what_is_there(backend: FileBackend, now: list[float]) -> None:
    backend.set_many([Item(key, b"old", ttl) for key, ttl in (("a", 10), ("b", 60), ("c", None))])
    now[0] += 30
    asked: list[Operation] = [Replace(key, b"new", 60) for key in ("a", "b", "c", "gone", "b")]
    assert backend.perform(asked) == [False, True, True, False, True]
    assert backend.get_many(["a", "b", "c", "gone"]) == {"b": b"new", "c": b"new"}
    assert backend.perform([Replace("b", b"1", 5), Replace("c", b"2", None)]) == [True, True]
    now[0] += 6
    assert backend.perform([Get("b"), Get("c")]) == [MISSING, b"2"]


def test_who_is_given_no_time_is_not_there_for_who_comes_behind(backend: FileBackend) -> None:
    backend.set_many([Item(key, b"old", None) for key in ("a", "b")])
    asked: list[Operation] = [Replace("a", b"1", 0), Replace("a", b"2", 60), Replace("b", b"3", 60)]
    assert backend.perform(asked) == [True, False, True]
    assert backend.get_many(["a", "b"]) == {"b": b"3"}


def test_creations_are_of_what_is_not_there(backend: FileBackend, now: list[float]) -> None:
    backend.set_many([Item("a", b"old", 10), Item("b", b"old", None)])
    now[0] += 30
    asked: list[Operation] = [Add(key, b"new", 60) for key in ("a", "b", "c", "c", "d")]
    assert backend.perform(asked) == [True, False, True, False, True]
    values = backend.get_many(["a", "b", "c", "d"])
    assert values == {"a": b"new", "b": b"old", "c": b"new", "d": b"new"}


@pytest.mark.parametrize("kind", [Add, Replace, Item])
def test_one_that_is_too_large_stops_no_other(backend: FileBackend, kind: Any) -> None:
    large = b"x" * (1024 * 1024 // 8 + 1)
    if kind is Replace:
        backend.set_many([Item(key, b"old", None) for key in "abcd"])
    values = {"a": b"1", "b": large, "c": b"3", "d": large}
    outcomes = backend.perform([kind(key, value, None) for key, value in values.items()])
    assert plain(outcomes) == [True, ValueTooLarge, True, ValueTooLarge]
    kept = {"b": b"old", "d": b"old"} if kind is Replace else {}
    assert backend.get_many("abcd") == {"a": b"1", "c": b"3", **kept}
    assert plain(backend.perform([kind("b", large, None)])) == [ValueTooLarge]


def test_in_a_file_that_is_full_there_is_room_for_each(backend: FileBackend) -> None:
    names = [f"old{number}" for number in range(60)]
    for name in names:
        backend.set(name, b"x" * 30_000, None)
    there = [name for name in names if backend.get(name) is not MISSING]
    assert 10 < len(there) < 60
    asked: list[Operation] = [Replace(name, b"y" * 60_000, None) for name in (*there[-8:], "gone")]
    assert backend.perform(asked) == [True] * 8 + [False]
    assert backend.get_many(there[-8:]) == dict.fromkeys(there[-8:], b"y" * 60_000)
    keys = [f"new{number}" for number in range(30)]
    assert backend.perform([Add(key, b"z" * 60_000, None) for key in keys]) == [True] * 30
    assert backend.get_many(keys[-5:]) == dict.fromkeys(keys[-5:], b"z" * 60_000)
