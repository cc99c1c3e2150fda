"""Random operations on a backend, beside a dictionary that says what must come out."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from backends.base import MISSING, Backend, Found, Item
from backends.errors import NotAnInteger
from backends.file.backend import FileBackend
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
from tests.conftest import PATIENT_MS, Clock, connect, connect_redis
from tests.support.processes import Memcached

KEYS = ["a", "A", "a/b", "\u00e4", "a\u0308"]
INTEGER = re.compile(rb"-?[0-9]+")
BOUNDED = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

keys = st.sampled_from(KEYS)
values = st.one_of(
    st.sampled_from([b"", b"text", b"\x00\xff\r\n", b"1.5", b"v" * 5000]),
    st.integers(0, 300).map(lambda number: b"%d" % number),
)


class Entry(NamedTuple):
    value: bytes
    end: float


class Model(RuleBasedStateMachine):
    """The rules, for a backend that the subclass makes."""

    backend: Backend
    clock: Clock
    lifetimes: st.SearchStrategy[float | None]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, Entry] = {}

    def teardown(self) -> None:
        self.backend.close()

    # The model

    def there(self, key: str) -> bool:
        return key in self.entries and self.entries[key].end > self.clock()

    def store(self, key: str, value: bytes, ttl: float | None) -> None:
        self.entries[key] = Entry(value, math.inf if ttl is None else self.clock() + ttl)

    def expected(self, key: str) -> object:
        return self.entries[key].value if self.there(key) else MISSING

    @staticmethod
    def plain(value: object) -> object:
        """memcached leaves spaces after a number that became shorter."""
        return value.rstrip(b" ") if isinstance(value, bytes) else value

    # Reading

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert self.plain(self.backend.get(key)) == self.expected(key)

    @invariant()
    def get_many(self) -> None:
        found = {key: self.plain(value) for key, value in self.backend.get_many(KEYS).items()}
        assert found == {key: self.expected(key) for key in KEYS if self.there(key)}

    # Writing

    @rule(key=keys, value=values, data=st.data())
    def set(self, key: str, value: bytes, data: st.DataObject) -> None:
        ttl = data.draw(self.lifetimes)
        self.backend.set(key, value, ttl)
        self.store(key, value, ttl)

    @rule(pairs=st.lists(st.tuples(keys, values), max_size=4), data=st.data())
    def set_many(self, pairs: list[tuple[str, bytes]], data: st.DataObject) -> None:
        items = [Item(key, value, data.draw(self.lifetimes)) for key, value in pairs]
        assert self.backend.set_many(items) == [True] * len(items)
        for item in items:
            self.store(*item)

    @rule(key=keys, value=values, data=st.data())
    def add(self, key: str, value: bytes, data: st.DataObject) -> None:
        ttl = data.draw(self.lifetimes)
        there = self.there(key)
        assert self.backend.add(key, value, ttl) is not there
        if not there:
            self.store(key, value, ttl)

    @rule(key=keys, value=values, data=st.data())
    def replace(self, key: str, value: bytes, data: st.DataObject) -> None:
        ttl = data.draw(self.lifetimes)
        there = self.there(key)
        assert self.backend.replace(key, value, ttl) is there
        if there:
            self.store(key, value, ttl)

    @rule(key=keys, data=st.data())
    def touch(self, key: str, data: st.DataObject) -> None:
        ttl = data.draw(self.lifetimes)
        there = self.there(key)
        assert self.backend.touch(key, ttl) is there
        if there:
            self.store(key, self.entries[key].value, ttl)

    @rule(key=keys, delta=st.integers(-200, 200))
    def increment(self, key: str, delta: int) -> None:
        if not self.there(key):
            assert self.backend.increment(key, delta) is MISSING
            return
        value, end = self.entries[key]
        if not INTEGER.fullmatch(value):
            try:
                self.backend.increment(key, delta)
            except NotAnInteger:
                return
            raise AssertionError(f"counted on {value!r}")
        number = max(int(value) + delta, self.backend.limits.min_count)
        assert self.backend.increment(key, delta) == number
        self.entries[key] = Entry(b"%d" % number, end)

    @rule(key=keys, meanwhile=st.none() | values, value=values, data=st.data())
    def compare_and_set(
        self, key: str, meanwhile: bytes | None, value: bytes, data: st.DataObject
    ) -> None:
        found = self.backend.get_with_token(key)
        if not self.there(key):
            assert found is MISSING
            return
        assert isinstance(found, Found)
        assert self.plain(found.value) == self.expected(key)
        current = meanwhile is None or meanwhile == self.plain(found.value)
        if not current:
            self.backend.set(key, meanwhile, None)
            self.store(key, meanwhile, None)
        ttl = data.draw(self.lifetimes)
        assert self.backend.compare_and_set(key, value, found.token, ttl) is current
        if current:
            self.store(key, value, ttl)

    # Deleting

    @rule(key=keys)
    def delete(self, key: str) -> None:
        assert self.backend.delete(key) is self.there(key)
        self.entries.pop(key, None)

    @rule(some=st.lists(keys, max_size=4))
    def delete_many(self, some: list[str]) -> None:
        expected = []
        for key in some:
            expected.append(self.there(key))
            self.entries.pop(key, None)
        assert self.backend.delete_many(some) == expected

    @rule(key=keys)
    def get_and_delete(self, key: str) -> None:
        assert self.plain(self.backend.get_and_delete(key)) == self.expected(key)
        self.entries.pop(key, None)

    @rule()
    def flush(self) -> None:
        self.backend.flush()
        self.entries.clear()


class OnFile(Model):
    """On a file, with a clock that advances, so that lifetimes end."""

    lifetimes = st.sampled_from([None, 0, -5, 0.5, 10, 60, 40 * 86400])

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.directory = tempfile.TemporaryDirectory()
        self.backend = FileBackend(data_dir=self.directory.name, clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()

    @rule(seconds=st.sampled_from([0.25, 0.5, 9, 10, 60, 40 * 86400]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(limit=st.integers(1, 6))
    def list_keys(self, limit: int) -> None:
        listed, cursor = self.backend.list_keys("", limit, None)
        while cursor is not None:
            page, cursor = self.backend.list_keys("", limit, cursor)
            listed += page
        assert listed == sorted(filter(self.there, KEYS), key=str.encode)

    @rule()
    def open_again(self) -> None:
        self.backend.close()
        self.backend = FileBackend(data_dir=self.directory.name, clock=self.clock)


def test_a_file_does_what_a_dictionary_does() -> None:
    run_state_machine_as_test(OnFile, settings=BOUNDED)


class OnServers(Model):
    """On servers, without waiting: a lifetime is over or long."""

    lifetimes = st.sampled_from([None, 0, -5, 1000, 40 * 86400, 2.0**40])

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.backend = self.connect()
        self.backend.flush()

    def connect(self) -> Backend:
        raise NotImplementedError


def run_on(connect: Callable[[], Backend]) -> None:
    class Machine(OnServers):
        def connect(self) -> Backend:
            return connect()

    run_state_machine_as_test(Machine, settings=BOUNDED)


def test_a_memcached_server_does_what_a_dictionary_does(memcached_server: Memcached) -> None:
    run_on(lambda: connect(memcached_server))


def test_a_memcached_pool_does_what_a_dictionary_does(memcached_pool: list[Memcached]) -> None:
    servers = parse_servers(",".join(f"127.0.0.1:{server.port}" for server in memcached_pool))
    run_on(lambda: MemcachedBackend(servers=servers, timeout_ms=PATIENT_MS))


@pytest.mark.parametrize("kind", ["redis_one", "redis_sentinels", "redis_nodes"])
def test_redis_does_what_a_dictionary_does(request: pytest.FixtureRequest, kind: str) -> None:
    target = request.getfixturevalue(kind)

    class OnRedis(OnServers):
        def connect(self) -> Backend:
            return connect_redis(target, REDIS_TIMEOUT_MS="3000")

        @rule(limit=st.integers(1, 6))
        def list_keys(self, limit: int) -> None:
            listed, cursor = self.backend.list_keys("", limit, None)
            while cursor is not None:
                page, cursor = self.backend.list_keys("", limit, cursor)
                listed += page
            assert sorted(listed) == sorted(filter(self.there, KEYS))

    run_state_machine_as_test(OnRedis, settings=BOUNDED)
