"""What every backend must do with an entry: values, keys, lifetimes, batches."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backends.base import MISSING, Backend, Item
from backends.capabilities import Capability
from backends.errors import InvalidKey, ValueTooLarge
from backends.testing.cases import (
    DAYS,
    KEYS,
    LONGEST_KEY,
    ROUNDS,
    UNUSUAL_KEYS,
    VALUES,
    at_once,
    write_all,
)


class Entries:
    """A part of :class:`~backends.testing.BackendConformance`."""

    @pytest.mark.parametrize("name", VALUES)
    def test_a_value_comes_back_as_it_was(self, backend: Backend, name: str) -> None:
        value = VALUES[name]
        for before in (b"before and longer" * 10_000, b"before", value):
            backend.set_many([Item("set", before, None), Item("replaced", before, None)])
        assert backend.add("added", value, None) is True
        assert backend.replace("replaced", value, None) is True
        keys = ["set", "added", "replaced"]
        assert [backend.get(key) for key in keys] == [value] * 3
        assert backend.get_many(["no", *keys]) == dict.fromkeys(keys, value)

    def test_writes_say_whether_the_key_was_there(self, backend: Backend) -> None:
        backend.set("other", b"stays", None)
        assert backend.get("key") is MISSING
        assert backend.replace("key", b"no", None) is False
        assert backend.delete("key") is False
        assert backend.get("key") is MISSING
        assert backend.add("key", b"", None) is True
        assert backend.add("key", b"no", None) is False
        assert backend.get("key") == b""
        assert backend.delete("key") is True
        assert backend.get("key") is MISSING
        assert backend.get("other") == b"stays"

    def test_one_of_several_that_add_at_once_wins(self, backend: Backend) -> None:
        for key in map(str, range(ROUNDS)):
            names = (b"%d" % number for number in itertools.count())
            lock = threading.Lock()

            def add(key: str = key, names: Iterator[bytes] = names, lock: Any = lock) -> bytes:
                with lock:
                    name = next(names)
                return name if backend.add(key, name, None) else b""

            assert list(filter(None, at_once(add))) == [backend.get(key)]

    def test_a_value_at_the_limit_is_stored_and_a_larger_one_refused(
        self, backend: Backend
    ) -> None:
        limit = backend.limits.max_value_bytes
        value = b"v" * (1_000_000 if limit is None else limit)
        backend.set("key", value, None)
        assert backend.get("key") == value
        if limit is not None:
            for write in (backend.set, backend.add, backend.replace):
                with pytest.raises(ValueTooLarge, match=r"^SERVER_ERROR"):
                    write("key", value + b"v", None)
            small = Item("small", b"", None)
            first, refusal, last = backend.set_many([small, Item("key", value + b"v", None), small])
            assert (first, type(refusal), last) == (True, ValueTooLarge, True)
            assert backend.get("key") in (value, MISSING)

    def test_many_keep_their_order_and_have_an_outcome_each(self, backend: Backend) -> None:
        items = [Item("a", b"1", None), Item("b", b"2", 0), Item("a", b"3", None)]
        assert backend.set_many(items) == [True, True, True]
        assert backend.get_many(["b", "a", "a"]) == {"a": b"3"}
        assert backend.delete_many(["b", "a", "a"]) == [False, True, False]
        assert (backend.get_many([]), backend.set_many([]), backend.delete_many([])) == ({}, [], [])

    def test_get_many_takes_more_than_a_thousand_keys(self, backend: Backend) -> None:
        values = {f"key{number}": b"%d" % number for number in range(1200)}
        backend.set_many([Item(key, value, None) for key, value in values.items()])
        absent = [f"absent{number}" for number in range(300)]
        assert backend.get_many(iter([*values, *absent, *values])) == values

    def test_get_each_gives_what_get_many_gives(self, backend: Backend) -> None:
        backend.set("key", b"value", None)
        backend.set("other", b"", None)
        assert dict(backend.get_each(iter(["key", "absent", "other", "key"]))) == {
            "key": b"value",
            "other": b"",
        }

    def test_what_is_known_is_told_from_what_has_changed(self, backend: Backend) -> None:
        backend.set("key", b"value", None)
        backend.set("other", b"", None)
        known = [
            backend.known({"key": b"value", "absent": None}),
            backend.known({"other": b"", "key": b"value"}),
        ]
        if None in known:
            # It is no cheaper here than to read.
            return
        assert backend.get_changed(known) is None
        others = [backend.known({"key": b"value"}), backend.known({"key": b"eulav"})]
        assert backend.get_changed(others) == {"key": b"value"}
        changes: list[Callable[[], object]] = [
            lambda: backend.set("key", b"eulav", None),
            lambda: backend.set("absent", b"", None),
            lambda: backend.delete("key"),
            lambda: backend.delete("absent"),
            lambda: backend.delete("other"),
        ]
        for change in changes:
            change()
            found = backend.get_many(["key", "absent", "other"])
            assert backend.get_changed(known) == found
        backend.set("key", b"value", None)
        backend.set("other", b"", None)
        assert backend.get_changed(known) is None

    def test_keys_that_look_alike_are_different(self, backend: Backend) -> None:
        forbidden = backend.limits.forbidden_in_key
        keys = [*KEYS, *(key for key in UNUSUAL_KEYS if not (forbidden and forbidden.search(key)))]
        for key in keys:
            backend.check_key(key)
            assert backend.add(key, key.encode(), None) is True
        assert backend.get_many(keys) == {key: key.encode() for key in keys}
        assert [backend.get(key) for key in keys] == [key.encode() for key in keys]
        assert backend.delete_many(keys[::2]) == [True] * len(keys[::2])
        assert backend.get_many(keys).keys() == set(keys[1::2])

    def test_a_key_that_cannot_be_carried_is_refused(self, backend: Backend) -> None:
        forbidden = backend.limits.forbidden_in_key
        refused = [key for key in UNUSUAL_KEYS if forbidden and forbidden.search(key)]
        for key in (*refused, "", "\ud800", "a\udfff"):
            with pytest.raises(InvalidKey):
                backend.check_key(key)

    @pytest.mark.parametrize("character", ["k", "é", "👩"])
    def test_the_longest_key_is_carried_and_a_longer_one_refused(
        self, backend: Backend, character: str
    ) -> None:
        most = backend.limits.max_key_bytes
        size = 10_000 if most is None else most - len(backend.prefix.encode())
        # A limit of hundreds of megabytes is not tried out.
        count, rest = divmod(min(size, LONGEST_KEY), len(character.encode()))
        longest = character * count + "x" * rest
        backend.check_key(longest)
        items = [Item(longest, b"longest", None), Item(longest[:-1], b"shorter", None)]
        assert backend.set_many(items) == [True, True]
        assert backend.get(longest) == b"longest"
        if most is not None and size <= LONGEST_KEY:
            with pytest.raises(InvalidKey, match=str(size)):
                backend.check_key(longest + "x")

    @pytest.mark.parametrize("ttl", [None, 60, 31 * DAYS, 3650 * DAYS, 2.0**32, 2.0**53])
    def test_a_long_lifetime_does_not_end_at_once(
        self, backend: Backend, ttl: float | None
    ) -> None:
        keys = write_all(backend, ttl)
        assert backend.get_many(keys) == dict.fromkeys(keys, b"value")

    @pytest.mark.parametrize("ttl", [0, -1, -0.5, -31 * DAYS, -(2.0**40)])
    def test_what_has_no_lifetime_left_is_gone_at_once(self, backend: Backend, ttl: float) -> None:
        keys = write_all(backend, ttl)
        assert backend.get_many(keys) == {}
        assert [backend.get(key) for key in keys] == [MISSING] * len(keys)
        assert backend.delete_many(keys) == [False] * len(keys)
        assert [backend.replace(key, b"", None) for key in keys] == [False] * len(keys)
        assert [backend.add(key, b"new", None) for key in keys] == [True] * len(keys)

    def test_a_lifetime_ends(self, backend: Backend) -> None:
        keys = write_all(backend, 2)
        if Capability.INCREMENT in backend.capabilities:
            keys.append("counted")
            backend.set("counted", b"1", 2)
            assert backend.increment("counted", 1) == 2
        backend.set("prolonged", b"value", 2)
        backend.set("prolonged", b"value", None)
        assert backend.get_many(keys).keys() == set(keys)
        deadline = time.monotonic() + 5
        while backend.get_many(keys) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert backend.get_many([*keys, "prolonged"]) == {"prolonged": b"value"}
