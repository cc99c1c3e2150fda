"""All keys of Redis: listing while they change, and flushing no others than one's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from backends.base import MISSING, Item
from backends.errors import InvalidOption
from backends.redis.backend import RedisBackend
from tests.conftest import connect_redis
from tests.support.redis import Redis, redis_server
from tests.support.redis_groups import Cluster

MANY = 20_000
GLOBS = ["*", "?", "a*", "[ab]", "a?", "\\", "\\*", "a\\", "[", "]", "[^a]", "[a-z]:", "{a}"]


def listing(backend: RedisBackend, prefix: str = "", limit: int = 100) -> Iterator[list[str]]:
    """Yield the pages of a listing."""
    page, cursor = backend.list_keys(prefix, limit, None)
    yield page
    while cursor is not None:
        page, cursor = backend.list_keys(prefix, limit, cursor)
        yield page


def all_keys(backend: RedisBackend, prefix: str = "", limit: int = 100) -> list[str]:
    return sorted(key for page in listing(backend, prefix, limit) for key in page)


@pytest.fixture(scope="module")
def crowded(engine: str) -> Iterator[Redis]:
    """A server of these tests only, whose counts of commands they look at."""
    with redis_server() as server:
        yield server


@pytest.mark.parametrize("prefix", GLOBS)
def test_a_prefix_means_itself_and_never_a_pattern(redis_one: Redis, prefix: str) -> None:
    redis_one.empty()
    others = [other for other in [*GLOBS, "a", "ab", "b", "x"] if not other.startswith(prefix)]
    backend = connect_redis(redis_one, REDIS_PREFIX=prefix)
    plain = connect_redis(redis_one, REDIS_PREFIX="")
    backend.set_many([Item(key, key.encode(), None) for key in ("1", "2", "*", "a[b]")])
    plain.set_many([Item(f"{other}:1", b"other", None) for other in others])
    assert all_keys(backend) == ["*", "1", "2", "a[b]"]
    assert all_keys(backend, "a[") == ["a[b]"]
    assert all_keys(backend, "*") == ["*"]
    assert all_keys(plain, prefix) == sorted(f"{prefix}{key}" for key in ("1", "2", "*", "a[b]"))
    backend.flush()
    assert all_keys(backend) == []
    assert all_keys(plain) == sorted(f"{other}:1" for other in others)
    for one in (backend, plain):
        one.close()


def test_a_flush_of_twenty_thousand_goes_by_bounded_steps_and_leaves_the_neighbours(
    crowded: Redis,
) -> None:
    crowded.empty()
    backend = connect_redis(crowded)
    neighbours = [connect_redis(crowded, REDIS_PREFIX=text) for text in ("cacheapi", "other:")]
    items = [Item(f"key{number}", b"1", None) for number in range(MANY)]
    assert backend.set_many(items) == [True] * MANY
    for neighbour in neighbours:
        neighbour.set_many([Item(f"n{number}", b"1", None) for number in range(500)])
    scans, unlinks = crowded.calls("scan"), crowded.calls("unlink")
    backend.flush()
    # No step holds the others up: each finds or deletes some of them only.
    assert crowded.calls("scan") - scans >= MANY / 2000
    assert crowded.calls("unlink") - unlinks >= MANY / 2000
    assert crowded.call("DBSIZE") == 1000
    assert backend.get_many([item.key for item in items]) == {}
    for neighbour in neighbours:
        assert len(neighbour.get_many([f"n{number}" for number in range(500)])) == 500
        neighbour.close()
    backend.close()


def test_the_commands_that_harm_others_are_never_sent(crowded: Redis) -> None:
    harmful = ("keys", "flushdb", "flushall")
    before = crowded.calls(*harmful)
    for settings in ({}, {"REDIS_PREFIX": ""}, {"REDIS_PREFIX": "x:"}):
        backend = connect_redis(crowded, **settings)
        backend.set_many([Item(f"key{number}", b"1", None) for number in range(50)])
        assert len(all_keys(backend)) >= 50
        backend.flush()
        assert all_keys(backend) == []
        backend.close()
    assert crowded.calls(*harmful) == before


def test_a_database_is_emptied_at_once_only_without_a_prefix_and_if_the_setting_says_so(
    crowded: Redis,
) -> None:
    with pytest.raises(InvalidOption, match="REDIS_ALLOW_FLUSHDB"):
        connect_redis(crowded, REDIS_ALLOW_FLUSHDB="true")
    crowded.empty()
    crowded.call("SET", "of another", "1")
    elsewhere = connect_redis(crowded, REDIS_DATABASE="5")
    elsewhere.set("k", b"stays", None)
    backend = connect_redis(crowded, REDIS_PREFIX="", REDIS_ALLOW_FLUSHDB="true")
    before = crowded.calls("flushdb"), crowded.calls("flushall")
    backend.flush()
    assert (crowded.calls("flushdb"), crowded.calls("flushall")) == (before[0] + 1, before[1])
    assert crowded.call("DBSIZE") == 0
    assert elsewhere.get("k") == b"stays"
    for one in (backend, elsewhere):
        one.close()


@pytest.mark.parametrize("kind", ["redis_one", "redis_nodes"])
def test_a_listing_while_keys_come_and_go_has_each_that_stays_once(
    request: pytest.FixtureRequest, kind: str
) -> None:
    target: Redis | Cluster = request.getfixturevalue(kind)
    target.empty()
    backend = connect_redis(target)
    stay = [f"stay{number}" for number in range(1500)]
    backend.set_many([Item(key, b"1", None) for key in stay])
    stopped = threading.Event()

    def come_and_go() -> None:
        number = 0
        while not stopped.is_set():
            passing = [f"pass{number + index}" for index in range(200)]
            backend.set_many([Item(key, b"1", None) for key in passing])
            backend.delete_many(passing[:150])
            number += 200

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for limit in (30, 400):
            listed = [key for page in listing(backend, "stay", limit) for key in page]
            assert sorted(listed) == sorted(stay)
            everything = [key for page in listing(backend, "", limit) for key in page]
            assert sorted(key for key in everything if key in set(stay)) == sorted(stay)
    finally:
        stopped.set()
        thread.join()
    backend.close()


def test_a_listing_goes_over_all_nodes_of_a_cluster(redis_nodes: Cluster) -> None:
    redis_nodes.empty()
    backend = connect_redis(redis_nodes)
    keys = [f"key{number}" for number in range(1000)]
    assert backend.set_many([Item(key, key.encode(), None) for key in keys]) == [True] * 1000
    shares = [master.call("DBSIZE") for master in redis_nodes.masters()]
    assert sum(shares) == 1000
    assert min(shares) > 200
    for limit in (7, 333, 1000):
        pages = list(listing(backend, "key", limit))
        assert max(map(len, pages)) <= limit
        assert sorted(key for page in pages for key in page) == sorted(keys)
    assert backend.get_many(keys) == {key: key.encode() for key in keys}
    backend.flush()
    assert [master.call("DBSIZE") for master in redis_nodes.masters()] == [0, 0, 0]
    backend.close()


def test_a_few_keys_among_many_of_others_are_listed_and_flushed(crowded: Redis) -> None:
    crowded.empty()
    crowded.call("DEBUG", "POPULATE", 200_000, "others")
    backend = connect_redis(crowded)
    backend.set_many([Item(f"key{number}", b"1", None) for number in range(10)])
    assert all_keys(backend) == sorted(f"key{number}" for number in range(10))
    backend.flush()
    assert crowded.call("DBSIZE") == 200_000
    crowded.empty()
    backend.close()


def test_a_stored_key_that_is_no_text_is_flushed_and_not_listed(redis_one: Redis) -> None:
    redis_one.empty()
    redis_one.call("SET", b"cacheapi:\xff\xfe", "1")
    backend = connect_redis(redis_one)
    backend.set("text", b"1", None)
    assert all_keys(backend) == ["text"]
    backend.flush()
    assert redis_one.call("DBSIZE") == 0
    backend.close()


def test_a_hash_tag_puts_the_keys_of_a_prefix_on_one_node(redis_nodes: Cluster) -> None:
    redis_nodes.empty()
    backend = connect_redis(redis_nodes, REDIS_PREFIX="{app}:")
    keys = [f"key{number}" for number in range(100)]
    backend.set_many([Item(key, b"1", None) for key in keys])
    assert sorted(master.call("DBSIZE") for master in redis_nodes.masters()) == [0, 0, 100]
    assert all_keys(backend) == sorted(keys)
    backend.flush()
    assert backend.get("key1") is MISSING
    backend.close()
