"""What a backend does with several different operations at once."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any, Final

import pytest

from backends.base import MISSING, Backend
from backends.capabilities import Capability
from backends.errors import BackendError, NotAnInteger, Unsupported, ValueTooLarge
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
    perform_each,
)
from backends.testing.cases import ROUNDS, THREADS, at_once

_NEEDS: Final = {
    Touch: Capability.TOUCH,
    Increment: Capability.INCREMENT,
    GetAndDelete: Capability.GET_AND_DELETE,
}
_KEYS: Final = ("a", "b", "é")
_VALUES: Final = (b"", b"7", b"-12", b"text", b"VALUE a 0 1\r\n1\r\nEND\r\n", b"v" * 5000)


def _some(backend: Backend, chance: random.Random) -> list[Operation]:
    """Return operations that the backend can do, on few keys, so that they meet."""

    def one() -> Any:
        key, ttl = chance.choice(_KEYS), chance.choice((None, 1000, 0))
        kind: Any = chance.choice((Item, Add, Replace, Get, Delete, Exists, *_NEEDS))
        if kind in _NEEDS and _NEEDS[kind] not in backend.capabilities:
            kind = Item
        if kind in (Item, Add, Replace):
            return kind(key, chance.choice(_VALUES), ttl)
        if kind is Touch:
            return Touch(key, ttl)
        if kind is Increment:
            return Increment(key, chance.choice((1, -3, 40)), chance.choice((None, b"5")), None)
        return kind(key)

    return [one() for _ in range(chance.randrange(1, 25))]


def _plain(outcomes: Sequence[Any]) -> list[Any]:
    return [type(one) if isinstance(one, BackendError) else one for one in outcomes]


class Operations:
    """A part of :class:`~backends.testing.BackendConformance`."""

    def test_each_operation_has_its_outcome(self, backend: Backend) -> None:
        assert backend.perform([]) == []
        assert backend.perform(
            [
                *(Get("key"), Exists("key"), Replace("key", b"no", None), Delete("key")),
                *(Add("key", b"one", None), Add("key", b"no", None), Get("key"), Exists("key")),
                *(Replace("key", b"two", None), Get("key"), Item("key", b"", None), Get("key")),
                *(Item("other", b"stays", None), Delete("key"), Get("key"), Get("other")),
            ]
        ) == [
            *(MISSING, False, False, False),
            *(True, False, b"one", True),
            *(True, b"two", True, b""),
            *(True, True, MISSING, b"stays"),
        ]

    def test_what_needs_an_ability_says_so_of_itself_alone(self, backend: Backend) -> None:
        asked: list[Operation] = [
            Item("key", b"5", None),
            *(Touch("key", 60), Touch("absent", 60)),
            *(Increment("key", 2), Increment("absent", 2), Increment("new", 2, b"9", None)),
            *(GetAndDelete("key"), GetAndDelete("key")),
            *(Get("absent"), Get("new")),
        ]
        expected: list[Any] = [True, True, False, 7, MISSING, 9, b"7", MISSING, MISSING, b"9"]
        for index, operation in enumerate(asked):
            flag = _NEEDS.get(type(operation))
            if flag is not None and flag not in backend.capabilities:
                expected[index] = Unsupported
        if Unsupported in expected[3:6]:
            expected[6:] = [b"5" if expected[6] == b"7" else expected[6], *expected[7:9], MISSING]
        assert _plain(backend.perform(asked)) == expected

    @pytest.mark.parametrize("seed", range(2 * ROUNDS))
    def test_they_do_what_the_methods_do_in_that_order(self, backend: Backend, seed: int) -> None:
        asked = _some(backend, random.Random(seed))  # noqa: S311
        by_method = _plain(perform_each(backend, asked))
        left = backend.get_many(_KEYS)
        backend.delete_many(_KEYS)
        assert _plain(backend.perform(asked)) == by_method
        assert backend.get_many(_KEYS) == left

    def test_values_that_are_read_with_new_lifetimes_are_there(self, backend: Backend) -> None:
        if Capability.TOUCH not in backend.capabilities:
            return
        values = {f"key{number}": b"%d" % number for number in range(20)}
        backend.set_many([Item(key, value, 1000) for key, value in values.items()])
        touches = [Touch(key, 5000) for key in (*values, "absent", *values)]
        done = backend.get_and_touch_many(touches, 10_000)
        expected = [values.get(one.key, MISSING) for one in touches]
        for both, value in zip(done, expected, strict=True):
            assert both in (None, (value, value is not MISSING))
        known = [both is not None for both in done]
        if any(known) and Capability.REMAINING_TTL in backend.capabilities:
            left = backend.remaining_ttl_many(values)
            assert all(one is not None and 4000 < one <= 5010 for one in left.values())

    def test_what_is_read_behind_counts_is_there(self, backend: Backend) -> None:
        if Capability.INCREMENT not in backend.capabilities:
            return
        values = {f"key{number}": b"%d" % number for number in range(20)}
        backend.set_many([Item(key, value, 1000) for key, value in values.items()])
        counts = [Increment(f"n{number}", 2, b"2", 1000, own=True) for number in range(3)]
        for number in (2, 4, 6):
            outcomes, found = backend.count_and_get_each(counts, [*values, "absent"], 10_000)
            assert outcomes == [number] * 3
            assert found in (None, values)

    def test_an_operation_that_is_refused_stops_no_other(self, backend: Backend) -> None:
        limit = backend.limits.max_value_bytes
        too_large = Item("key", b"v" * (limit + 1 if limit else 1), None)
        outcomes = backend.perform(
            [
                Item("text", b"text", None),
                Increment("text", 1),
                *(too_large, Add("added", too_large.value, None)),
                *(Get("text"), Add("last", b"value", None), Get("last")),
            ]
        )
        counts = Capability.INCREMENT in backend.capabilities
        assert type(outcomes[1]) is (NotAnInteger if counts else Unsupported)
        assert _plain(outcomes[2:4]) == ([ValueTooLarge] * 2 if limit else [True, True])
        assert [outcomes[0], *outcomes[4:]] == [True, b"text", True, b"value"]

    def test_more_than_a_thousand_are_done(self, backend: Backend) -> None:
        numbers = range(1200)
        asked: list[Operation] = []
        for number in numbers:
            asked += [Add(f"key{number}", b"%d" % number, 60), Get(f"key{number}")]
        expected = itertools.chain(*[(True, b"%d" % number) for number in numbers])
        assert backend.perform(asked) == list(expected)
        assert backend.perform([Delete(f"key{number}") for number in numbers]) == [True] * 1200

    def test_large_values_are_read_among_writes(self, backend: Backend) -> None:
        value = bytes(range(256)) * 1000
        asked: list[Operation] = []
        for number in range(ROUNDS):
            key = f"key{number}"
            asked += [Item(key, value, None), Get(key), Replace(key, value[1:], None), Get(key)]
        assert backend.perform(asked) == [True, value, True, value[1:]] * ROUNDS

    def test_no_count_of_several_at_once_is_lost(self, backend: Backend) -> None:
        if Capability.INCREMENT not in backend.capabilities:
            return
        asked = [Increment("key", 1, b"1", None), Increment("other", 2, b"2", None)] * 3
        counts = at_once(lambda: [backend.perform(asked) for _ in range(ROUNDS)])
        for first, step in ((0, 1), (1, 2)):
            numbers = [one for some in counts for done in some for one in done[first::2]]
            assert sorted(numbers) == [step * n for n in range(1, 3 * THREADS * ROUNDS + 1)]
