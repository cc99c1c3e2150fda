"""Writes that depend on the stored value: which commands carry them, on which server."""

from __future__ import annotations

import pytest

from backends.base import MISSING
from backends.errors import Failed, WrongType
from backends.redis.backend import RedisBackend
from tests.conftest import connect_redis
from tests.support.nutcracker import nutcracker
from tests.support.redis import PASSWORD, USER, Redis, acl_redis, redis_server

SCRIPTS = ("evalsha", "eval")


def failed(server: Redis) -> int:
    """Return how many stores the server has refused."""
    figures = server.info("commandstats")["cmdstat_set"]
    return int(figures["failed_calls"]) + int(figures["rejected_calls"])


def compare(backend: RedisBackend) -> None:
    """Do all that can be compared, and see that it is right."""
    backend.set("k", b"1", None)
    assert not backend.compare_and_set("k", b"2", b"other", None)
    assert backend.get("k") == b"1"
    assert backend.compare_and_set("k", b"2", b"1", 60)
    assert backend.get("k") == b"2"
    assert 59 < (backend.remaining_ttl("k") or 0) <= 60
    assert backend.compare_and_set("k", b"", b"2", None)
    assert backend.remaining_ttl("k") is None
    assert backend.compare_and_set("k", b"\0\r\n", b"", None)
    assert not backend.compare_and_delete("k", b"")
    assert backend.get("k") == b"\0\r\n"
    assert backend.compare_and_delete("k", b"\0\r\n")
    assert not backend.compare_and_delete("k", b"\0\r\n")
    assert not backend.compare_and_set("k", b"1", b"", None)
    assert backend.get("k") is MISSING
    # An end that is past deletes, if the value is the one.
    backend.set("k", b"1", None)
    assert not backend.compare_and_set("k", b"2", b"0", 0)
    assert backend.compare_and_set("k", b"2", b"1", 0)
    assert backend.get("k") is MISSING


def test_one_command_does_it_where_the_server_has_it(engine: str) -> None:
    with redis_server() as server:
        backend = connect_redis(server)
        compare(backend)
        scripts, own = server.calls(*SCRIPTS), server.calls("delifeq")
        if engine == "valkey":
            # The trial that changes nothing, and the rest.
            assert (scripts, own) == (0, 6)
        else:
            assert (scripts > 0, own) == (True, 0)
        # What the server lacks it is not asked for each time.
        before = failed(server)
        backend.set("k", b"1", None)
        for number in range(5):
            assert backend.compare_and_set("k", b"%d" % (number + 2), b"%d" % (number + 1), None)
        assert failed(server) == before
        backend.close()


def test_another_type_is_named_and_left_alone(redis_one: Redis) -> None:
    redis_one.empty()
    redis_one.call("HSET", "cacheapi:h", "field", "value")
    backend = connect_redis(redis_one)
    for _ in range(2):
        with pytest.raises(WrongType, match="hash"):
            backend.compare_and_delete("h", b"value")
        with pytest.raises(WrongType, match="hash"):
            backend.compare_and_set("h", b"1", b"value", None)
    assert redis_one.call("HGETALL", "cacheapi:h") == {b"field": b"value"}
    backend.close()


@pytest.mark.parametrize("rights", ["", "+delifeq"])
def test_a_user_without_the_right_to_the_command_has_the_script(engine: str, rights: str) -> None:
    rules = [rights] if rights and engine == "valkey" else []
    with acl_redis(*rules) as server:
        backend = connect_redis(server, REDIS_USERNAME=USER, REDIS_PASSWORD=PASSWORD)
        compare(backend)
        assert (server.calls(*SCRIPTS) > 0) == (not rules)
        backend.close()


def test_a_proxy_that_closes_at_what_it_does_not_know_costs_no_write(redis_one: Redis) -> None:
    redis_one.empty()
    with nutcracker([redis_one], redis=True) as proxy:
        backend = connect_redis(proxy)
        compare(backend)
        compare(backend)
        backend.close()


def test_a_server_that_is_gone_is_said_to_be() -> None:
    with redis_server() as server:
        backend = connect_redis(server)
        backend.set("k", b"1", None)
        server.kill()
        for _ in range(2):
            with pytest.raises(Failed):
                backend.compare_and_set("k", b"2", b"1", None)
            with pytest.raises(Failed):
                backend.compare_and_delete("k", b"1")
        server.start()
        compare(backend)
        backend.close()
