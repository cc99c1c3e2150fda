"""Reads that go with the count of a turn's requests, in one trip: which, and what is told."""

from __future__ import annotations

from typing import Any

import pytest

from backends.errors import Unavailable
from backends.memcached.backend import MemcachedBackend
from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Rate
from cacheapi.serving import ahead
from cacheapi.serving.answering import Answering
from cacheapi.serving.answers import Read
from cacheapi.serving.health import Troubles
from cacheapi.serving.largeness import Largeness
from cacheapi.serving.unsent import Waiting
from cacheapi.web.rates import count_as
from tests.cacheapi.serving.test_answering import Sink
from tests.conftest import connect
from tests.support.processes import Memcached

pytestmark = pytest.mark.usefixtures("never_slow")

RATE = Rate(ahead.FAR + 20, 3600)
Turn = tuple[Answering, CacheService]


@pytest.fixture
def turn(memcached_backend: MemcachedBackend, monkeypatch: pytest.MonkeyPatch) -> Turn:
    # What a turn has found out holds for the next, however late that comes.
    monkeypatch.setattr(ahead, "SECONDS", 60)
    memcached_backend.set("k", b'"value"', None)
    return over(memcached_backend)


def over(backend: MemcachedBackend) -> Turn:
    service = CacheService("cache", backend, default_ttl=0)
    # As the registry makes it.
    counts = service.over(backend.apart())
    troubles = Troubles()
    return Answering(troubles, None, counts, Waiting(), Largeness(troubles)), service


def read(service: CacheService, *keys: str, name: str = "a", rate: Rate | None = RATE) -> Read:
    key = keys[0] if len(keys) == 1 else None
    limit = None if rate is None else (name, rate)
    return Read(Sink(), True, service, False, limit, keys=list(keys), key=key, condition=None)


def statuses(answering: Answering, *reads: Read) -> list[int]:
    assert answering.answer([*reads], 0.0) == []
    sinks: list[Any] = [one.sink for one in reads]
    return [status for sink in sinks for status in sink.statuses]


def test_who_is_far_from_the_limit_is_counted_and_read_for_in_one_trip(
    turn: Turn, trips: list[bytes]
) -> None:
    answering, service = turn
    for number in range(3):
        trips.clear()
        first, second = read(service, "k"), read(service, "gone", "k")
        assert statuses(answering, first, second, read(service, "gone")) == [200, 200, 404]
        bodies: Any = first.sink
        assert bodies.bodies == [b'{"key":"k","value":"value"}']
        # The first time nobody knows where it stands.
        assert (len(trips) == 1) is bool(number)
        assert f"remaining: {RATE.requests - 3 * number - 2}\r\n" in second.told


def test_what_one_too_many_has_read_is_not_told(turn: Turn, trips: list[bytes]) -> None:
    answering, service = turn
    assert statuses(answering, read(service, "k")) == [200]
    # Others use up what was left.
    standing = count_as("a", RATE, service)
    assert standing is not None
    service.perform([service.make.increment(_key(trips), standing.left - 1, None, None, own=True)])
    trips.clear()
    asked = [read(service, "k") for _ in range(3)]
    assert statuses(answering, *asked) == [200, 429, 429]
    bodies: list[Any] = [one.sink for one in asked]
    assert [b"value" in sink.bodies[0] for sink in bodies] == [True, False, False]
    # From now on nothing is read for it.
    trips.clear()
    assert statuses(answering, read(service, "k")) == [429]
    (sent,) = trips
    assert b"get" not in sent


def _key(trips: list[bytes]) -> str:
    return next(sent for sent in trips if sent.startswith(b"incr ")).split()[1].decode()


def test_near_the_limit_it_is_counted_before(turn: Turn, trips: list[bytes]) -> None:
    answering, service = turn
    for _ in range(2):
        trips.clear()
        near = read(service, "k", name="b", rate=Rate(10, 3600))
        assert statuses(answering, near, read(service, "k")) == [200, 200]
    assert _verbs(trips) == [b"incr", b"get"]


def _verbs(trips: list[bytes]) -> list[bytes]:
    # Whether the service has tags is asked now and then.
    return [sent.split()[0] for sent in trips if b":tag:" not in sent]


def test_who_has_no_limit_goes_with_the_others(turn: Turn, trips: list[bytes]) -> None:
    answering, service = turn
    for _ in range(2):
        trips.clear()
        assert statuses(answering, read(service, "k"), read(service, "gone", rate=None)) == [
            *(200, 404)
        ]
    assert len(trips) == 1


def test_another_service_is_asked_by_itself(
    turn: Turn, memcached_server: Memcached, trips: list[bytes]
) -> None:
    answering, service = turn
    other = service.over(connect(memcached_server))
    for _ in range(2):
        trips.clear()
        assert statuses(answering, read(service, "k"), read(other, "k")) == [200, 200]
        assert statuses(answering, read(other, "k")) == [200]
    assert _verbs(trips) == [b"incr", b"get", b"get", b"incr", b"get"]
    other.backend.close()


def test_what_cannot_be_counted_is_let_through_and_read(
    turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering, service = turn
    assert statuses(answering, read(service, "k")) == [200]
    failed = [Unavailable("gone")], None
    monkeypatch.setattr(MemcachedBackend, "count_and_get_each", lambda *_: failed)
    assert statuses(answering, read(service, "k")) == [200]


def test_of_many_callers_not_all_are_kept_in_mind(turn: Turn) -> None:
    answering, service = turn
    for start in range(0, ahead.MOST_KEPT + 500, 500):
        names = [f"caller{number}" for number in range(start, start + 500)]
        assert set(statuses(answering, *[read(service, "k", name=name) for name in names])) == {200}
    kept = answering._performing._ahead._far
    assert len(kept) <= ahead.MOST_KEPT
