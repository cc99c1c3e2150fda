"""Reads with new lifetimes in one call: on each backend, as the operations one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from backends.base import MISSING, Backend, Item
from backends.capabilities import Capability
from backends.errors import NotRead, OutOfMemory, Refused, Unavailable
from backends.file.backend import FileBackend
from backends.operations import Get, Operation, Touch
from backends.within import perform_within

LARGE = 300_000
MOST = 10_000


def pairs(*asked: tuple[str, float | None]) -> list[Operation]:
    """Return a read and a new lifetime for each."""
    made: list[Operation] = []
    for key, ttl in asked:
        made += [Get(key), Touch(key, ttl)]
    return made


def one_trip(backend: Backend) -> bool:
    """Return whether the backend does both at once."""
    return backend.get_and_touch_many([Touch("nothing", 60)], MOST) == [(MISSING, False)]


def test_values_are_read_and_have_their_new_lifetimes(backend: Backend) -> None:
    values = {f"k{number}": b"VALUE k%d 0 1\r\n1\r\nEND\r\n" % number for number in range(20)}
    backend.set_many([Item(key, value, 1000) for key, value in values.items()])
    asked = pairs(*((key, 5000) for key in values), ("absent", 60), ("k1", None), ("k2", 0.5))
    expected = [one for value in values.values() for one in (value, True)]
    expected += [MISSING, False, values["k1"], True, values["k2"], True]
    assert perform_within(backend, asked, MOST) == expected
    if Capability.REMAINING_TTL in backend.capabilities:
        assert 4000 < (backend.remaining_ttl("k3") or 0) <= 5002
        # The last of two counts.
        assert backend.remaining_ttl("k1") is None
        assert 0 < (backend.remaining_ttl("k2") or 0) <= 4
    assert backend.driver != "file" or one_trip(backend)


def test_no_more_is_brought_than_was_asked_for_and_the_rest_later(backend: Backend) -> None:
    values = {f"large{number}": b"%d" % number + b"x" * LARGE for number in range(12)}
    backend.set_many([Item(key, value, 1000) for key, value in values.items()])
    left, found = ["absent", *values], {}
    for _ in range(20):
        outcomes = perform_within(backend, pairs(*((key, 5000) for key in left)), 2 * LARGE)
        part = dict(zip(left, zip(outcomes[::2], outcomes[1::2], strict=True), strict=True))
        read = {key: value for key, (value, _) in part.items() if isinstance(value, bytes)}
        assert len(read) <= 3
        assert all(part[key][1] is True for key in read)
        found |= read
        left = [key for key in left if isinstance(part[key][0], NotRead)]
        # Neither is said to be known without the other.
        assert all(isinstance(part[key][1], NotRead) for key in left)
        assert backend.get("absent") is MISSING
        if not left:
            break
    assert found == values
    if Capability.REMAINING_TTL in backend.capabilities:
        assert all((backend.remaining_ttl(key) or 0) > 4000 for key in values)


def test_one_is_read_however_large_but_none_larger_than_is_allowed(backend: Backend) -> None:
    backend.set_many([Item(key, b"x" * LARGE, 1000) for key in ("a", "b", "c")])
    for keys in (["a"], ["a", "b", "c"]):
        outcomes = perform_within(backend, pairs(*((key, 60) for key in keys)), 10)
        assert outcomes[::2].count(b"x" * LARGE) == 1
    for asked in (pairs(("a", 60)), pairs(("a", 60), ("small", 60))):
        outcomes = perform_within(backend, asked, 2 * LARGE, 1000)
        assert [type(one) for one in outcomes[:2]] == [NotRead, NotRead]
        assert outcomes[2:] in ([], [MISSING, False])
    assert [type(one) for one in perform_within(backend, pairs(("a", 60)), -1)] == [NotRead] * 2


@pytest.mark.parametrize("ttl", [0, -5])
def test_a_lifetime_that_ends_at_once_is_given_behind_the_read(backend: Backend, ttl: int) -> None:
    backend.set_many([Item("a", b"1", None), Item("b", b"2", None)])
    assert perform_within(backend, pairs(("a", ttl), ("b", 60)), MOST) == [b"1", True, b"2", True]
    assert backend.get_many(["a", "b"]) == {"b": b"2"}


def test_among_other_operations_they_keep_their_order(backend: Backend) -> None:
    backend.set_many([Item("a", b"1", 1000), Item("b", b"2", 1000)])
    asked: list[Operation] = [
        *(*pairs(("a", 60)), Item("a", b"3", None), *pairs(("a", 70), ("b", 80))),
        *(Get("b"), Get("a"), Touch("b", 60)),
    ]
    done = [b"1", True, True, b"3", True, b"2", True, b"2", b"3", True]
    assert perform_within(backend, asked, MOST) == done
    assert perform_within(backend, [Touch("a", 60), Get("a")], MOST) == [True, b"3"]
    assert perform_within(backend, [Get("a"), Touch("b", 60)], MOST) == [b"3", True]


def test_keys_that_are_sent_encoded_and_very_many_are_as_others(backend: Backend) -> None:
    keys = ["two words", *(f"k{number}" for number in range(1100)), "é"]
    backend.set_many([Item(key, key.encode(), 1000) for key in keys])
    for some in (keys[:3], keys[1:300], keys):
        outcomes = perform_within(backend, pairs(*((key, 5000) for key in some)), 10**6)
        assert outcomes == [one for key in some for one in (key.encode(), True)]


class _Told(FileBackend):
    """One whose answers are given."""

    told: list[Any] | Exception

    def get_and_touch_many(self, touches: Sequence[Touch], most: int) -> list[Any]:
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


@pytest.fixture
def told(tmp_path: Any) -> _Told:
    made = _Told(data_dir=str(tmp_path))
    made.set_many([Item("a", b"1", 1000), Item("b", b"2", 1000)])
    return made


def test_what_is_not_known_is_done_again_with_all_of_its_key(told: _Told) -> None:
    told.told = [(b"old", True), (b"of b", True), None]
    asked = pairs(("a", 60), ("b", 60), ("a", 70))
    assert perform_within(told, asked, MOST) == [b"1", True, b"of b", True, b"1", True]
    left = told.remaining_ttl("a")
    assert isinstance(left, float)
    assert 60 < left <= 70


def test_what_was_brought_counts_where_others_are_yet_to_be_brought(told: _Told) -> None:
    told.told = [(b"x" * 20, True), None]
    outcomes = perform_within(told, pairs(("b", 60), ("a", 60)), 10)
    assert outcomes[:2] == [b"x" * 20, True]
    assert [type(one) for one in outcomes[2:]] == [NotRead, NotRead]


def test_a_backend_that_is_gone_is_not_asked_twice(told: _Told) -> None:
    told.told = gone = Unavailable("gone")
    assert perform_within(told, pairs(("a", 60)), MOST) == [gone, gone]
    for told.told in (Refused("no"), OutOfMemory("full")):
        assert perform_within(told, pairs(("a", 60)), MOST) == [b"1", True]
