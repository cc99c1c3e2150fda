"""What another program stored and is no string: one truth for every verb, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from backends.base import MISSING, Item
from backends.errors import WrongType
from backends.redis.backend import RedisBackend
from tests.conftest import connect_redis
from tests.support.redis import PASSWORD, USER, Redis, redis_server
from tests.support.redis_groups import Cluster

FOREIGN = {
    "list": ("RPUSH", "a", "b"),
    "hash": ("HSET", "field", "value"),
    "set": ("SADD", "a", "b"),
    "sorted set": ("ZADD", 1, "a"),
    "stream": ("XADD", "*", "field", "value"),
}
OPERATIONS: dict[str, Callable[[RedisBackend, str], object]] = {
    "get": lambda backend, key: backend.get(key),
    "get_many": lambda backend, key: backend.get_many(["mine", key]),
    "get_with_token": lambda backend, key: backend.get_with_token(key),
    "add": lambda backend, key: backend.add(key, b"1", 60),
    "add what is over": lambda backend, key: backend.add(key, b"1", -1),
    "replace": lambda backend, key: backend.replace(key, b"1", 60),
    "replace for ever": lambda backend, key: backend.replace(key, b"1", None),
    "replace by nothing": lambda backend, key: backend.replace(key, b"1", -1),
    "touch": lambda backend, key: backend.touch(key, 60),
    "touch for ever": lambda backend, key: backend.touch(key, None),
    "touch that ends": lambda backend, key: backend.touch(key, -1),
    "increment": lambda backend, key: backend.increment(key, 1),
    "compare_and_set": lambda backend, key: backend.compare_and_set(key, b"2", b"1", None),
    "compare_and_delete": lambda backend, key: backend.compare_and_delete(key, b"1"),
    "get_and_delete": lambda backend, key: backend.get_and_delete(key),
}


@pytest.fixture(scope="module")
def unnamed(engine: str) -> Iterator[Redis]:
    """A server whose user may not ask for types, as the documentation once said."""
    rights = "get set exists del unlink getdel incrby persist pexpire pttl eval evalsha scan"
    with redis_server("--requirepass", "the-tests", password="the-tests", user=USER) as server:
        allowed = [f"+{name}" for name in rights.split()]
        server.call("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "allkeys", *allowed)
        yield server


@pytest.fixture(params=["redis_one", "redis_nodes", "unnamed"])
def target(request: pytest.FixtureRequest) -> Redis | Cluster:
    found: Redis | Cluster = request.getfixturevalue(request.param)
    found.empty()
    return found


@pytest.fixture
def backend(target: Redis | Cluster) -> Iterator[RedisBackend]:
    made = connect_redis(target, REDIS_TIMEOUT_MS="3000")
    made.set("mine", b"1", None)
    yield made
    made.close()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_every_verb_says_what_is_there_and_changes_nothing(
    target: Redis | Cluster,
    backend: RedisBackend,
    kind: str,
    operation: Callable[[RedisBackend, str], object],
    request: pytest.FixtureRequest,
) -> None:
    key = "cacheapi:theirs"
    name, *arguments = FOREIGN[kind]
    target.call(name, key, *arguments)
    target.call("EXPIRE", key, 1000)
    before = target.call("DUMP", key)
    with pytest.raises(WrongType) as caught:
        operation(backend, "theirs")
    named = "list, hash or set" if "unnamed" in request.node.name else kind
    assert str(caught.value) == (
        f"WRONGTYPE: under this key is another program's {named}; this API reads and writes "
        "strings only."
    )
    assert target.call("DUMP", key) == before
    assert 900 < target.call("TTL", key) <= 1000
    assert backend.get("mine") == b"1"


def test_it_is_listed_and_deleted_and_flushed_and_a_store_overwrites_it(
    target: Redis | Cluster, backend: RedisBackend
) -> None:
    for number in range(3):
        target.call("RPUSH", f"cacheapi:l{number}", "a")
    page, cursor = backend.list_keys("", 100, None)
    assert (sorted(page), cursor) == (["l0", "l1", "l2", "mine"], None)
    assert backend.delete("l0") is True
    assert backend.delete("l0") is False
    assert backend.set_many([Item("l1", b"now a value", None)]) == [True]
    assert backend.get("l1") == b"now a value"
    backend.flush()
    assert backend.list_keys("", 100, None) == ([], None)


def test_it_is_described_by_its_kind(
    target: Redis | Cluster, backend: RedisBackend, request: pytest.FixtureRequest
) -> None:
    for kind, (name, *arguments) in FOREIGN.items():
        target.call(name, f"cacheapi:{kind}", *arguments)
    target.call("EXPIRE", "cacheapi:hash", 1000)
    found = backend.describe_many([*FOREIGN, "mine", "absent"])
    assert found.keys() == {*FOREIGN, "mine"}
    left = found["hash"].ttl
    assert isinstance(left, float)
    assert 900 < left <= 1000
    assert found["list"].ttl is None
    assert all(found[kind].size is None for kind in FOREIGN)
    told = {key: each.kind for key, each in found.items()}
    if "unnamed" in request.node.name:
        # Without the rights to STRLEN and TYPE it is the lifetime alone.
        assert set(told.values()) == {"value"}
        assert found["mine"].size is None
        return
    assert told == {**{kind: kind for kind in FOREIGN}, "sorted set": "zset", "mine": "value"}
    assert found["mine"].size == 1


def test_of_many_keys_it_is_the_only_one_that_is_not_read(
    target: Redis | Cluster, backend: RedisBackend
) -> None:
    target.call("RPUSH", "cacheapi:theirs", "a")
    found = backend.get_each(["mine", "theirs", "absent"])
    assert found["mine"] == b"1"
    assert isinstance(found["theirs"], WrongType)
    assert list(found) == ["mine", "theirs"]
    assert backend.get("absent") is MISSING
