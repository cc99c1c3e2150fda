"""What a backend does with one entry where it can: each side of a flag."""

from __future__ import annotations

import itertools
import time
from functools import partial

import pytest

from backends.base import MISSING, VALUE, Backend, Described, Item
from backends.capabilities import Capability
from backends.errors import NotAnInteger
from backends.testing.cases import (
    DAYS,
    NO_INTEGERS,
    ROUNDS,
    THREADS,
    at_once,
    needs,
    token_of,
    write_all,
)


class Abilities:
    """A part of :class:`~backends.testing.BackendConformance`."""

    @needs(Capability.TOUCH)
    def test_touch_leaves_the_value(self, backend: Backend) -> None:
        assert backend.touch("key", 60) is False
        assert backend.get("key") is MISSING
        for value in (b"", b"value"):
            backend.set("key", value, None)
            assert backend.touch("key", 60) is True
            assert backend.get("key") == value

    @needs(Capability.REMAINING_TTL)
    def test_a_value_says_how_long_it_has_left(self, backend: Backend) -> None:
        assert backend.remaining_ttl("key") is MISSING
        for ttl in (None, 1000, 31 * DAYS):
            started = time.monotonic()
            keys = write_all(backend, ttl)
            found = [backend.remaining_ttl(key) for key in keys]
            many = backend.remaining_ttl_many([*keys, "absent"])
            assert many.keys() == set(keys)
            found += many.values()
            passed = time.monotonic() - started
            assert backend.delete_many(keys) == [True] * len(keys)
            for left in found:
                if ttl is None:
                    assert left is None
                    continue
                assert isinstance(left, float | int)
                # Some count in whole seconds, by a clock of their own.
                assert ttl - passed - 5 < left < ttl + 5
        backend.set("key", b"value", 0)
        assert backend.remaining_ttl("key") is MISSING
        if Capability.INCREMENT in backend.capabilities:
            backend.set("counted", b"1", 1000)
            assert backend.increment("counted", 1) == 2
            left = backend.remaining_ttl("counted")
            assert isinstance(left, float | int)
            assert 0 < left < 1005

    def test_what_is_known_of_entries_is_told_without_reading_them(self, backend: Backend) -> None:
        backend.set_many([Item("a", b"12345", 1000), Item("b", b"", None)])
        found = backend.describe_many(["a", "b", "absent"])
        if Capability.REMAINING_TTL not in backend.capabilities:
            assert found == {key: Described(MISSING) for key in ("a", "b", "absent")}
            return
        assert found.keys() == {"a", "b"}
        assert found["b"].ttl is None
        left = found["a"].ttl
        assert isinstance(left, float | int)
        assert 900 < left < 1005
        assert [found["a"].size, found["b"].size] in ([5, 0], [None, None])
        assert {each.kind for each in found.values()} == {VALUE}
        assert backend.describe_many([]) == {}

    def test_whether_a_mark_is_there(self, backend: Backend) -> None:
        for _ in range(2):
            assert backend.has_mark("mark") is False
        backend.set("mark", b"1764000000", None)
        for _ in range(2):
            assert backend.has_mark("mark") is True
        assert backend.get("mark") == b"1764000000"
        if Capability.REMAINING_TTL in backend.capabilities:
            assert backend.remaining_ttl("mark") is None

    @needs(Capability.ANALYZE)
    def test_what_fills_it_is_told(self, backend: Backend) -> None:
        backend.set_many([Item(f"user:{number}", b"x" * 100, 1000) for number in range(50)])
        backend.set("page", b"x" * 10_000, None)
        portions = list(backend.analyze(1_000_000))
        assert [portion.whole for portion in portions][-1]
        assert not any(portion.whole for portion in portions[:-1])
        assert sum(portion.looked_at for portion in portions) >= 51
        found = {each.key: each for portion in portions for each in portion.entries}
        assert found.keys() == {"page", *(f"user:{number}" for number in range(50))}
        page, user = found["page"], found["user:7"]
        assert page.ttl is None
        assert user.ttl is not None
        assert 900 < user.ttl < 1005
        assert page.size >= 10_000
        assert 100 <= user.size < 1_000

    @needs(Capability.ANALYZE)
    def test_of_much_that_fills_it_a_sample_is_looked_at(self, backend: Backend) -> None:
        backend.set_many([Item(f"key{number}", b"x", None) for number in range(2000)])
        *_, last = portions = list(backend.analyze(100))
        assert not last.whole
        assert 0 < sum(portion.looked_at for portion in portions) < 1500
        assert last.held >= 1000
        assert {each.key for portion in portions for each in portion.entries} <= {
            f"key{number}" for number in range(2000)
        }

    @needs(Capability.COMPARE_AND_SET)
    def test_a_write_with_a_token_needs_the_value_that_was_read(self, backend: Backend) -> None:
        assert backend.get_with_token("key") is MISSING
        backend.set("key", b"", None)
        token = token_of(backend, "key")
        assert backend.compare_and_set("key", b"second", token, None) is True
        assert backend.compare_and_set("key", b"third", token, None) is False
        assert backend.compare_and_delete("key", token) is False
        assert backend.get("key") == b"second"
        token = token_of(backend, "key")
        assert backend.compare_and_delete("key", token) is True
        assert backend.compare_and_set("key", b"third", token, None) is False
        assert backend.compare_and_delete("key", token) is False
        assert backend.get("key") is MISSING
        assert backend.add("key", b"new", None) is True

    @needs(Capability.COMPARE_AND_SET)
    def test_of_several_writes_with_one_token_one_wins(self, backend: Backend) -> None:
        for number in range(ROUNDS):
            backend.set("key", b"%d" % number, None)
            token = token_of(backend, "key")
            won = at_once(partial(backend.compare_and_set, "key", b"won", token, None))
            assert sorted(won) == [False] * (THREADS - 1) + [True]

    @needs(Capability.GET_AND_DELETE)
    def test_one_of_several_takers_gets_the_value(self, backend: Backend) -> None:
        assert backend.get_and_delete("key") is MISSING
        for value in [b"", *(b"%d" % number for number in range(ROUNDS))]:
            backend.set("key", value, None)
            taken = at_once(lambda: backend.get_and_delete("key"))
            assert [got for got in taken if got is not MISSING] == [value]
            assert backend.get("key") is MISSING

    @needs(Capability.INCREMENT)
    def test_increment_counts_up_and_down(self, backend: Backend) -> None:
        assert backend.increment("key", 1) is MISSING
        assert backend.get("key") is MISSING
        backend.set("key", b"8", None)
        assert [backend.increment("key", delta) for delta in (3, 0, -2, -4)] == [11, 11, 9, 5]
        step = backend.limits.max_increment
        assert [backend.increment("key", delta) for delta in (step - 5, -step)] == [step, 0]
        assert int(backend.get("key") or b"") == 0

    @needs(Capability.INCREMENT)
    def test_counting_past_the_highest_number_is_an_error(self, backend: Backend) -> None:
        most = backend.limits.max_count
        backend.set("key", str(most - 1).encode(), None)
        assert backend.increment("key", 1) == most
        with pytest.raises(NotAnInteger):
            backend.increment("key", 1)
        assert int(backend.get("key") or b"") == most

    @needs(Capability.INCREMENT)
    def test_counting_down_stops_at_the_lowest_number(self, backend: Backend) -> None:
        least = backend.limits.min_count
        backend.set("key", str(least + 1).encode(), None)
        assert [backend.increment("key", delta) for delta in (-1, -1, -5)] == [least] * 3
        assert int(backend.get("key") or b"") == least

    @needs(Capability.INCREMENT)
    def test_what_is_no_count_stays_as_it_is(self, backend: Backend) -> None:
        beyond = backend.limits.min_count - 1, backend.limits.max_count + 1
        for value in (*NO_INTEGERS, *(str(number).encode() for number in beyond)):
            backend.set("key", value, None)
            for delta in (1, -1):
                with pytest.raises(NotAnInteger):
                    backend.increment("key", delta)
                assert backend.get("key") == value

    @needs(Capability.INCREMENT)
    def test_no_count_is_lost(self, backend: Backend) -> None:
        backend.set("key", b"100", None)
        counts = at_once(lambda: [backend.increment("key", 1) for _ in range(ROUNDS)])
        assert {*itertools.chain(*counts)} == {*range(101, 101 + THREADS * ROUNDS)}
