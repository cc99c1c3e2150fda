"""Operations on the cache file: reads without a transaction, changes in one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.base import MISSING
from backends.errors import NotAnInteger, Timeout
from backends.file.backend import FileBackend
from backends.file.database import Database
from backends.file.keys import ITEMS_A_WRITE
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    GetAndDelete,
    Increment,
    Item,
    Operation,
    Replace,
    Touch,
)
from tests.backends.file.test_backend import locked


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[FileBackend]:
    made = FileBackend(data_dir=str(tmp_path), timeout=0.3)
    yield made
    made.close()


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """How many transactions there were, as its length."""
    counted: list[None] = []
    write = Database.write

    def counting(self: Database, work: Any) -> Any:
        counted.append(None)
        return write(self, work)

    monkeypatch.setattr(Database, "write", counting)
    return counted


def test_all_changes_are_one_transaction(backend: FileBackend, writes: list[None]) -> None:
    asked: list[Operation] = [
        *(Item("a", b"1", None), Add("b", b"2", 60), Replace("b", b"3", 60), Touch("b", 5)),
        *(Increment("a", 1), Increment("c", 1, b"7"), GetAndDelete("b"), Delete("c")),
        *(Get("a"), Exists("b"), Get("other")),
    ]
    assert backend.perform(asked) == [
        True,
        True,
        True,
        True,
        2,
        7,
        b"3",
        True,
        b"2",
        False,
        MISSING,
    ]
    assert len(writes) == 1
    assert backend.perform([Get("a"), Exists("a"), Exists("b")]) == [b"2", True, False]
    assert len(writes) == 1


def test_other_writers_need_not_wait_for_all(backend: FileBackend, writes: list[None]) -> None:
    asked = [Increment("k", 1, b"1") for _ in range(2 * ITEMS_A_WRITE + 1)]
    assert backend.perform(asked) == [*range(1, len(asked) + 1)]
    assert len(writes) == 3


def test_what_one_step_reads_is_what_the_one_before_left(backend: FileBackend) -> None:
    backend.set("k", b"0", None)
    # From the second read on, a connection remembers.
    asked: list[Operation] = [Increment("other", 1, b"1"), Delete("k")]
    for number in (b"1", b"2"):
        asked += [Get("k"), Get("k"), Item("k", number, None), Get("k"), Exists("k")]
    assert backend.perform(asked) == [
        *(1, True, MISSING, MISSING, True, b"1", True),
        *(b"1", b"1", True, b"2", True),
    ]


def test_a_refusal_undoes_nothing(backend: FileBackend) -> None:
    backend.set("text", b"text", None)
    asked = [Item("a", b"1", None), Increment("text", 1), Increment("a", 1)]
    done, refused, counted = backend.perform(asked)
    assert (done, type(refused), counted) == (True, NotAnInteger, 2)


def test_reads_are_answered_where_nothing_can_be_written(
    backend: FileBackend, tmp_path: Path
) -> None:
    backend.set("k", b"1", None)
    asked: list[Operation] = [Get("k"), Item("k", b"2", None), Exists("k"), Get("other")]
    with locked(tmp_path):
        first, *others = backend.perform(asked)
    assert (first, others[2]) == (b"1", MISSING)
    assert [type(one) for one in others[:2]] == [Timeout, Timeout]
    assert backend.get("k") == b"1"


def test_hits_and_misses_are_those_of_reads_and_of_taking(backend: FileBackend) -> None:
    backend.set("k", b"1", None)
    backend.perform(
        [Get("k"), Get("no"), Exists("k"), Item("k", b"2", 60), Get("k"), GetAndDelete("k")]
    )
    (told,) = backend.stats()
    assert told.figures is not None
    assert (told.figures.get_hits, told.figures.get_misses) == (3, 1)
