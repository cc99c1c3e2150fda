"""The summary by prefixes: each entry counts once, what is large is told, memory is bounded."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.portions import Measured
from cacheapi.observing.prefixes import (
    CLASSES,
    FEW,
    LARGEST,
    LONGEST_PREFIX,
    MOST_PREFIXES,
    MOST_TOLD,
    Prefixes,
    class_of,
    parent,
)


def summed(keys: dict[str, int], **options: int) -> Prefixes:
    prefixes = Prefixes(**options)
    prefixes.add(Measured(key, size, None) for key, size in keys.items())
    return prefixes


def lines(prefixes: Prefixes) -> dict[str, tuple[int, int]]:
    return {prefix: (group.keys, group.bytes) for prefix, group in prefixes.told()}


def test_a_key_belongs_to_its_longest_prefix() -> None:
    keys = {"user:1:name": 10, "user:1:mail": 20, "user:2": 5, "plain": 1, ":odd": 3}
    assert lines(summed(keys)) == {"user:1:": (2, 30), "user:": (1, 5), ":": (1, 3), "": (1, 1)}
    assert lines(summed(keys, depth=1)) == {"user:": (3, 35), ":": (1, 3), "": (1, 1)}


def test_the_separator_may_be_another_and_longer() -> None:
    prefixes = Prefixes(2, "::")
    prefixes.add([Measured("a::b::c", 1, None), Measured("a:b", 2, None)])
    assert lines(prefixes) == {"": (1, 2), "a::b::": (1, 1)}
    assert [parent("a::b::", "::"), parent("a::", "::")] == ["a::", ""]


def test_lifetimes_are_in_classes() -> None:
    prefixes = Prefixes()
    lifetimes = (None, 0.5, 60, 61, 3600, 86_400, 604_800, 604_801)
    prefixes.add(Measured("k", 1, ttl) for ttl in lifetimes)
    assert prefixes.total.lifetimes == {
        "minute": 2,
        "hour": 2,
        "day": 1,
        "week": 1,
        "longer": 1,
        "forever": 1,
    }
    assert {class_of(ttl) for ttl in lifetimes} == set(CLASSES)


def test_ids_are_told_by_what_stands_before_them() -> None:
    keys = {f"user:{number}:name": 100 for number in range(5000)}
    keys |= {f"page:{number}": 1000 for number in range(100)}
    keys["config:site:colours"] = 100_000
    found = lines(summed(keys))
    assert found == {"user:": (5000, 500_000), "page:": (100, 100_000),
                     "config:site:": (1, 100_000)}  # fmt: skip


def test_few_prefixes_are_all_told_however_small() -> None:
    keys = {"big:1": 10**9, **{f"p{number}:x": 1 for number in range(FEW - 1)}}
    assert len(lines(summed(keys))) == FEW
    keys["one:more"] = 1
    # As many as there are say little one by one: those that are small by bytes and by number.
    assert len(lines(summed({**keys, **{f"big:{n}": 1 for n in range(5000)}}))) == 2


def test_siblings_that_are_much_alike_are_told_as_what_they_begin_with() -> None:
    parts = ("name", "mail", "cart")
    keys = {f"user:{user}:{part}": 100 + user for user in range(60) for part in parts}
    keys["config:site:colours"] = 50
    assert lines(summed(keys)).keys() == {"user:", ""}
    # Of them one that is a good part of all stays.
    keys["user:7:cart"] = 10_000
    found = lines(summed(keys))
    assert found.keys() == {"user:", "user:7:", ""}
    assert found["user:"][0] == 59 * 3


def test_no_more_are_told_than_a_page_has_room_for() -> None:
    keys = {f"app{app}:{number}": 10 + app for app in range(60) for number in range(9)}
    found = lines(summed(keys))
    assert len(found) == MOST_TOLD
    assert found.keys() > {f"app{app}:" for app in range(60 - MOST_TOLD + 1, 60)}


def test_what_is_large_is_told_whatever_comes_between() -> None:
    rng = random.Random(7)
    keys = [f"{rng.getrandbits(64):x}:{rng.getrandbits(64):x}:v" for _ in range(20_000)]
    keys += [f"heavy:{number}" for number in range(2_000)]
    rng.shuffle(keys)
    prefixes = Prefixes()
    for start in range(0, len(keys), 500):
        prefixes.add(Measured(key, 100, 5) for key in keys[start : start + 500])
        assert len(prefixes._groups) <= MOST_PREFIXES
    found = lines(prefixes)
    assert found["heavy:"] == (2_000, 200_000)
    assert found[""] == (20_000, 2_000_000)


def test_a_prefix_is_no_longer_than_is_shown() -> None:
    found = lines(summed({f"{'a' * 150}:{'b' * 150}:c": 1, f"{'x' * 10_000}:y": 1}))
    assert found == {f"{'a' * 150}:": (1, 1), "": (1, 1)}
    assert max(map(len, found)) <= LONGEST_PREFIX


def test_the_largest_are_told_in_order() -> None:
    prefixes = Prefixes()
    prefixes.add(Measured(f"k{number}", number % 40, None) for number in range(400))
    prefixes.add([Measured("k", 40, 3), Measured("k", 40, None)])
    largest = prefixes.largest()
    assert len(largest) == LARGEST
    assert sorted((each.ttl for each in largest[:2]), key=str) == [3, None]
    assert [each.size for each in largest[2:]] == [39] * 10 + [38] * 8


@given(
    st.lists(
        st.tuples(st.text("ab:", max_size=9), st.integers(0, 1000), st.none() | st.floats(0, 1e9))
    ),
    st.integers(1, 4),
    st.integers(1, 5),
)
@pytest.mark.parametrize("at_once", [1, 1000])
def test_each_entry_counts_once(
    at_once: int, entries: list[tuple[str, int, float | None]], depth: int, most: int
) -> None:
    prefixes = Prefixes(depth, most=most)
    for start in range(0, len(entries), at_once):
        prefixes.add(Measured(*each) for each in entries[start : start + at_once])
        assert len(prefixes._groups) <= most
    told = [group for _, group in prefixes.told()]
    assert sum(group.keys for group in told) == prefixes.total.keys == len(entries)
    assert sum(group.bytes for group in told) == sum(size for _, size, _ in entries)
    assert sum(sum(group.lifetimes.values()) for group in told) == len(entries)
    for prefix, _ in prefixes.told():
        assert any(key.startswith(prefix) for key, _, _ in entries)
