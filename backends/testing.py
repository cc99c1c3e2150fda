"""The conformance suite: what every backend must do, for its author to run.

In the tests of a distribution that has a backend, once and for all its configurations::

    import pytest

    pytest.register_assert_rewrite("backends.testing")
    from backends.testing import BackendConformance

    class TestMyBackend(BackendConformance):
        @pytest.fixture(params=["", "prefix:"])
        def backend(self, request):
            backend = MyBackend(prefix=request.param)  # empty, on a real server
            yield backend
            backend.close()

Nothing is to be overridden: where a backend differs, it has a flag off or a limit, and the
suite tests both sides of each. Off, the call must raise ``Unsupported`` with that flag. The
suite runs for a few seconds, in which it waits for lifetimes of 2 seconds to end, and takes
``Backend.prefix`` as an attribute that may change between two calls.
"""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, Final, TypeVar

import pytest

from backends.base import MISSING, Backend, Found, Item
from backends.capabilities import Capability
from backends.errors import InvalidCursor, InvalidKey, NotAnInteger, Unsupported, ValueTooLarge
from backends.statistics import Figures, ServerStatistics

T = TypeVar("T")

THREADS: Final = 8
ROUNDS: Final = 10
LONGEST_KEY: Final = 1_000_000
DAYS: Final = 24 * 60 * 60.0

VALUES: Final = {
    "empty": b"",
    "zero byte": b"\0",
    "line ends": b"a\r\nb\r\nEND\r\n",
    "UTF-8": '{"ключ":"値 👩\u200d🚀"}'.encode(),
    "100 kB of all bytes": bytes(range(256)) * 400,
}
# All of them different keys, however alike they look to a file system, SQL or a URL.
KEYS: Final = (
    *("a", "A", "aa", "a/", "a/b", "a//b", "a%2Fb", "/a", "/", "//", ".", "..", "../a", "a/../b"),
    *("\u00e4", "a\u0308", "\u00c4", "\u212b", "\u00c5", "A\u030a", "\ufb01", "fi", "FI"),
    *("ss", "SS", "\u00df", "\u1e9e", "i", "I", "\u0130", "\u0131", "\u03c3", "\u03c2"),
    *("ключ", "キー", "👩\u200d🚀", "👩🚀", "👩", "\U0010ffff", "\ufeffa", "a\u200b", "a\u00a0"),
    *("%", "_", "*", "?", "a*", "[a]", "{a}", "a,b", "a;b", "a'b", 'a"b', "a\\b", "a:b", "--"),
    *("0", "00", "-1", "1e3", "null", "true", "\u0660", "\u2167"),
)
UNUSUAL_KEYS: Final = ("a b", " ", "a ", " a", "a\tb", "a\n", "a\r\nb", "\0", "a\0b", "\x7f")
NO_INTEGERS: Final = (
    b"",
    b"text",
    b"1.5",
    b"1e3",
    b"0x10",
    b'"7"',
    b"\xff",
    b"true",
    b"7 dwarfs",
    b"+5",
)

CALLS: Final[dict[Capability, tuple[Callable[[Backend], object], ...]]] = {
    Capability.LIST_KEYS: (lambda backend: backend.list_keys("", 10, None),),
    Capability.INCREMENT: (lambda backend: backend.increment("key", 1),),
    Capability.REMAINING_TTL: (
        lambda backend: backend.remaining_ttl("key"),
        lambda backend: backend.remaining_ttl_many(["key"]),
    ),
    Capability.TOUCH: (lambda backend: backend.touch("key", None),),
    Capability.GET_AND_DELETE: (lambda backend: backend.get_and_delete("key"),),
    Capability.STATS: (lambda backend: backend.stats(),),
    Capability.COMPARE_AND_SET: (
        lambda backend: backend.get_with_token("key"),
        lambda backend: backend.compare_and_set("key", b"", None, None),
        lambda backend: backend.compare_and_delete("key", None),
    ),
}

Test = Callable[[Any, Backend], None]


def _needs(capability: Capability) -> Callable[[Test], Test]:
    """Run a test where the flag is on; where it is off, expect its calls to be refused."""

    def decorate(test: Test) -> Test:
        @wraps(test)
        def either_side(self: Any, backend: Backend) -> None:
            if capability in backend.capabilities:
                test(self, backend)
                return
            for call in CALLS[capability]:
                with pytest.raises(Unsupported) as refusal:
                    call(backend)
                assert refusal.value.capability is capability

        return either_side

    return decorate


def _at_once(work: Callable[[], T]) -> list[T]:
    """Return what ``work`` returns in each of several threads that start together."""
    barrier = threading.Barrier(THREADS)

    def run() -> T:
        barrier.wait(10)
        return work()

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(THREADS)]]


def _with_prefix(backend: Backend, prefix: str) -> Backend:
    """Return a neighbour: the same store under another prefix."""
    neighbour = copy.copy(backend)
    neighbour.prefix = prefix
    return neighbour


def _all_keys(backend: Backend, prefix: str, limit: int) -> list[str]:
    keys, cursor = backend.list_keys(prefix, limit, None)
    while cursor is not None:
        page, cursor = backend.list_keys(prefix, limit, cursor)
        assert len(page) <= limit
        keys += page
    return sorted(keys)


def _token(backend: Backend, key: str) -> Any:
    found = backend.get_with_token(key)
    assert isinstance(found, Found)
    return found.token


def _reads(backend: Backend) -> tuple[int, int] | None:
    """Return how many reads of all servers found something, and how many did not.

    :return: ``None``: the servers do not say.
    """
    hits = misses = 0
    for found in backend.stats():
        figures = found.figures or Figures()
        if figures.get_hits is None or figures.get_misses is None:
            return None
        hits += figures.get_hits
        misses += figures.get_misses
    return hits, misses


def _write_all(backend: Backend, ttl: float | None) -> list[str]:
    """Store ``value`` for ``ttl`` in every way there is; return the keys."""
    for key in ("set", "replaced", "touched", "compared"):
        backend.set(key, b"value", 60)
    backend.set("set", b"value", ttl)
    assert backend.add("added", b"value", ttl) is True
    assert backend.replace("replaced", b"value", ttl) is True
    assert backend.set_many([Item("many", b"value", ttl)]) == [True]
    keys = ["set", "added", "replaced", "many"]
    if Capability.TOUCH in backend.capabilities:
        assert backend.touch("touched", ttl) is True
        keys.append("touched")
    if Capability.COMPARE_AND_SET in backend.capabilities:
        token = _token(backend, "compared")
        assert backend.compare_and_set("compared", b"value", token, ttl) is True
        keys.append("compared")
    return keys


class BackendConformance:
    """Subclass it in a test module; ``backend`` is a fixture, an empty backend a test."""

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

            assert list(filter(None, _at_once(add))) == [backend.get(key)]

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
        keys = _write_all(backend, ttl)
        assert backend.get_many(keys) == dict.fromkeys(keys, b"value")

    @pytest.mark.parametrize("ttl", [0, -1, -0.5, -31 * DAYS, -(2.0**40)])
    def test_what_has_no_lifetime_left_is_gone_at_once(self, backend: Backend, ttl: float) -> None:
        keys = _write_all(backend, ttl)
        assert backend.get_many(keys) == {}
        assert [backend.get(key) for key in keys] == [MISSING] * len(keys)
        assert backend.delete_many(keys) == [False] * len(keys)
        assert [backend.replace(key, b"", None) for key in keys] == [False] * len(keys)
        assert [backend.add(key, b"new", None) for key in keys] == [True] * len(keys)

    def test_a_lifetime_ends(self, backend: Backend) -> None:
        keys = _write_all(backend, 2)
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

    @_needs(Capability.TOUCH)
    def test_touch_leaves_the_value(self, backend: Backend) -> None:
        assert backend.touch("key", 60) is False
        assert backend.get("key") is MISSING
        for value in (b"", b"value"):
            backend.set("key", value, None)
            assert backend.touch("key", 60) is True
            assert backend.get("key") == value

    @_needs(Capability.REMAINING_TTL)
    def test_a_value_says_how_long_it_has_left(self, backend: Backend) -> None:
        assert backend.remaining_ttl("key") is MISSING
        for ttl in (None, 1000, 31 * DAYS):
            started = time.monotonic()
            keys = _write_all(backend, ttl)
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

    @_needs(Capability.COMPARE_AND_SET)
    def test_a_write_with_a_token_needs_the_value_that_was_read(self, backend: Backend) -> None:
        assert backend.get_with_token("key") is MISSING
        backend.set("key", b"", None)
        token = _token(backend, "key")
        assert backend.compare_and_set("key", b"second", token, None) is True
        assert backend.compare_and_set("key", b"third", token, None) is False
        assert backend.compare_and_delete("key", token) is False
        assert backend.get("key") == b"second"
        token = _token(backend, "key")
        assert backend.compare_and_delete("key", token) is True
        assert backend.compare_and_set("key", b"third", token, None) is False
        assert backend.compare_and_delete("key", token) is False
        assert backend.get("key") is MISSING
        assert backend.add("key", b"new", None) is True

    @_needs(Capability.COMPARE_AND_SET)
    def test_of_several_writes_with_one_token_one_wins(self, backend: Backend) -> None:
        for number in range(ROUNDS):
            backend.set("key", b"%d" % number, None)
            token = _token(backend, "key")
            won = _at_once(partial(backend.compare_and_set, "key", b"won", token, None))
            assert sorted(won) == [False] * (THREADS - 1) + [True]

    @_needs(Capability.GET_AND_DELETE)
    def test_one_of_several_takers_gets_the_value(self, backend: Backend) -> None:
        assert backend.get_and_delete("key") is MISSING
        for value in [b"", *(b"%d" % number for number in range(ROUNDS))]:
            backend.set("key", value, None)
            taken = _at_once(lambda: backend.get_and_delete("key"))
            assert [got for got in taken if got is not MISSING] == [value]
            assert backend.get("key") is MISSING

    @_needs(Capability.INCREMENT)
    def test_increment_counts_up_and_down(self, backend: Backend) -> None:
        assert backend.increment("key", 1) is MISSING
        assert backend.get("key") is MISSING
        backend.set("key", b"8", None)
        assert [backend.increment("key", delta) for delta in (3, 0, -2, -4)] == [11, 11, 9, 5]
        step = backend.limits.max_increment
        assert [backend.increment("key", delta) for delta in (step - 5, -step)] == [step, 0]
        assert int(backend.get("key") or b"") == 0

    @_needs(Capability.INCREMENT)
    def test_counting_past_the_highest_number_is_an_error(self, backend: Backend) -> None:
        most = backend.limits.max_count
        backend.set("key", str(most - 1).encode(), None)
        assert backend.increment("key", 1) == most
        with pytest.raises(NotAnInteger):
            backend.increment("key", 1)
        assert int(backend.get("key") or b"") == most

    @_needs(Capability.INCREMENT)
    def test_counting_down_stops_at_the_lowest_number(self, backend: Backend) -> None:
        least = backend.limits.min_count
        backend.set("key", str(least + 1).encode(), None)
        assert [backend.increment("key", delta) for delta in (-1, -1, -5)] == [least] * 3
        assert int(backend.get("key") or b"") == least

    @_needs(Capability.INCREMENT)
    def test_what_is_no_count_stays_as_it_is(self, backend: Backend) -> None:
        beyond = backend.limits.min_count - 1, backend.limits.max_count + 1
        for value in (*NO_INTEGERS, *(str(number).encode() for number in beyond)):
            backend.set("key", value, None)
            for delta in (1, -1):
                with pytest.raises(NotAnInteger):
                    backend.increment("key", delta)
                assert backend.get("key") == value

    @_needs(Capability.INCREMENT)
    def test_no_count_is_lost(self, backend: Backend) -> None:
        backend.set("key", b"100", None)
        counts = _at_once(lambda: [backend.increment("key", 1) for _ in range(ROUNDS)])
        assert {*itertools.chain(*counts)} == {*range(101, 101 + THREADS * ROUNDS)}

    @_needs(Capability.LIST_KEYS)
    def test_a_listing_has_each_key_once(self, backend: Backend) -> None:
        backend.set_many([Item(key, b"", None) for key in KEYS])
        backend.set("expired", b"", 0)
        for limit in (1, 7, len(KEYS), 1000):
            assert _all_keys(backend, "", limit) == sorted(KEYS)
        for prefix in (*KEYS, "no key has this"):
            expected = sorted(key for key in KEYS if key.startswith(prefix))
            assert _all_keys(backend, prefix, 2) == expected

    @_needs(Capability.LIST_KEYS)
    def test_a_listing_goes_on_while_keys_are_deleted(self, backend: Backend) -> None:
        keys = {f"key{number}" for number in range(20)}
        backend.set_many([Item(key, b"", None) for key in keys])
        listed, cursor = backend.list_keys("", 5, None)
        while cursor is not None:
            assert backend.delete(listed[-1]) is True
            page, cursor = backend.list_keys("", 5, cursor)
            listed += page
        assert sorted(listed) == sorted(keys)

    @_needs(Capability.LIST_KEYS)
    def test_a_cursor_of_somebody_else_is_refused(self, backend: Backend) -> None:
        for cursor in ("no cursor!", "\0", "é", "👩", "\ud800"):
            with pytest.raises(InvalidCursor):
                backend.list_keys("", 10, cursor)

    def test_flush_deletes_all_keys(self, backend: Backend) -> None:
        backend.set_many([Item(key, b"", None) for key in KEYS])
        if backend.prefix and Capability.FLUSH_PREFIX not in backend.capabilities:
            with pytest.raises(Unsupported):
                backend.flush()
            assert backend.get_many(KEYS).keys() == set(KEYS)
        else:
            backend.flush()
            assert backend.get_many(KEYS) == {}
            assert backend.add("a", b"new", None) is True
            assert backend.get("a") == b"new"

    def test_services_with_a_prefix_are_apart(self, backend: Backend) -> None:
        one = _with_prefix(backend, "b:")
        others = [_with_prefix(backend, prefix) for prefix in ("a:", "B:", "b;", "b\u0308:", "b")]
        for service in (one, *others):
            service.set_many([Item(key, service.prefix.encode(), None) for key in ("a", "b")])
        if Capability.FLUSH_PREFIX in backend.capabilities:
            one.flush()
            assert one.get_many(["a", "b"]) == {}
        else:
            with pytest.raises(Unsupported) as refusal:
                one.flush()
            assert refusal.value.capability is Capability.FLUSH_PREFIX
            assert one.get_many(["a", "b"]) == {"a": b"b:", "b": b"b:"}
        for other in others:
            assert other.get_many(["a", "b"]) == dict.fromkeys("ab", other.prefix.encode())
        if Capability.LIST_KEYS in backend.capabilities:
            assert [_all_keys(other, "", 9) for other in others[:-1]] == [["a", "b"]] * 4

    @_needs(Capability.STATS)
    def test_statistics_are_told_server_by_server(self, backend: Backend) -> None:
        backend.set("key", b"value", None)
        before = backend.stats()
        assert {type(found) for found in before} == {ServerStatistics}
        assert len({found.server for found in before}) == len(before) > 0
        assert all(found.error is None and found.figures for found in before)
        for section in backend.stats_sections:
            of_section = backend.stats(section)
            assert [found.server for found in of_section] == [found.server for found in before]
            assert all(found.error is None and found.figures for found in of_section)
        items = [found.figures.curr_items for found in before if found.figures]
        assert None in items or sum(filter(None, items)) > 0

    @_needs(Capability.STATS)
    def test_statistics_count_each_read_once(self, backend: Backend) -> None:
        backend.set("here", b"value", None)
        # Who else uses the server may read at the same time, but not each time.
        for _ in range(ROUNDS):
            before = _reads(backend)
            for _ in range(ROUNDS):
                assert backend.get("here") == b"value"
            assert backend.get("absent") is MISSING
            assert backend.get_many(["here", "absent", "absent-too"]) == {"here": b"value"}
            after = _reads(backend)
            if before is None or after is None:
                return
            counted = tuple(now - then for now, then in zip(after, before, strict=True))
            if counted == (ROUNDS + 1, 3):
                return
        assert counted == (ROUNDS + 1, 3)

    def test_a_closed_backend_opens_again(self, backend: Backend) -> None:
        backend.set("key", b"value", None)
        backend.close()
        backend.close()
        assert backend.get("key") == b"value"
