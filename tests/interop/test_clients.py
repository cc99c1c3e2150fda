"""What php-memcached, php-redis and pylibmc store is read, each value with its type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backends.base import MISSING, Backend, flags_of
from backends.memcached.backend import MemcachedBackend
from cacheapi.caching.pairs import Pair
from cacheapi.caching.service import CacheService
from cacheapi.caching.values import AUTO, PHP, PYLIBMC, make
from tests.conftest import connect_redis
from tests.interop.test_laravel import VALUES, name
from tests.support.php import script
from tests.support.processes import Memcached
from tests.support.redis import Redis

CLIENTS = Path(__file__).with_name("clients.php")
SENT = {**VALUES, "null": None, "array": {"a": 1}, "repeated": [{"key": "value"}] * 400}


def service_of(backend: Backend, form: str) -> CacheService:
    values = make(backend, form, None, raw_bytes=False)
    return CacheService("cache", backend, default_ttl=0, values=values)


def shown(cache: CacheService, key: str) -> str:
    value = cache.get(key)
    assert value is not MISSING, key
    assert value.encoding is None, key
    # With the spaces of json.dumps, and numbers as Python has them.
    return json.dumps(json.loads(value.json))


@pytest.mark.parametrize("form", [PHP, AUTO])
def test_what_php_memcached_stored_is_read(
    form: str, memcached_server: Memcached, memcached_backend: MemcachedBackend
) -> None:
    stored = script(
        CLIENTS, "memcached", memcached_server.port, "put", json.dumps(SENT), needs=("memcached",)
    )
    assert set(stored.values()) == {True}
    cache = service_of(memcached_backend, form)
    variants = {key.partition(":")[0] for key in stored}
    assert {"php", "json", "fastlz", "zlib"} <= variants
    packed = set()
    for variant in variants:
        for sent, value in SENT.items():
            key = f"{variant}:{name(sent)}"
            packed.add(flags_of(memcached_backend.get(key) or b"") & 0x70)
            if form == AUTO and type(value) is str and sent == "digits":
                # A text without flags is nobody's in particular.
                assert shown(cache, key) == "42"
                continue
            assert shown(cache, key) == json.dumps(value), key
    # Some of them were compressed in either way.
    assert packed == {0, 0x30, 0x50}


def test_what_is_stored_is_native_to_php_memcached(
    memcached_server: Memcached, memcached_backend: MemcachedBackend
) -> None:
    cache = service_of(memcached_backend, PHP)
    pairs = [Pair(name(sent), json.dumps(value), 600) for sent, value in SENT.items()]
    assert set(cache.set_many(pairs)) == {True}
    read = script(
        CLIENTS, "memcached", memcached_server.port, "get", json.dumps(SENT), needs=("memcached",)
    )
    kinds = {str: "string", int: "integer", float: "double", bool: "boolean", type(None): "NULL"}
    for key, (kind, value) in read.items():
        sent = next(sent for sent in SENT if key.endswith(f":{name(sent)}"))
        expected = SENT[sent]
        if isinstance(expected, dict):
            assert kind == "object"
        else:
            assert kind == kinds.get(type(expected), "array"), key
        assert json.dumps(value) == json.dumps(expected), key


@pytest.mark.parametrize("form", [PHP, AUTO])
def test_what_php_redis_serialized_is_read(form: str, redis_one: Redis) -> None:
    redis_one.empty()
    stored = script(CLIENTS, "redis", redis_one.port, "put", json.dumps(SENT), needs=("redis",))
    assert set(stored.values()) == {True}
    backend = connect_redis(redis_one, REDIS_PREFIX="")
    cache = service_of(backend, form)
    for key in stored:
        sent = next(sent for sent in SENT if key.endswith(f":{name(sent)}"))
        assert shown(cache, key) == json.dumps(SENT[sent]), key
    backend.close()


@pytest.mark.parametrize("form", [PYLIBMC, AUTO])
def test_what_pylibmc_stored_is_read(
    form: str, memcached_server: Memcached, memcached_backend: MemcachedBackend
) -> None:
    from backends.memcached.libmemcached import pylibmc

    client = pylibmc.Client([f"127.0.0.1:{memcached_server.port}"])
    plain = {"text": "größe", "digits": "42", "whole": 42, "long": 2**70, "yes": True, "no": False}
    for key, value in plain.items():
        assert client.set(key, value)
    assert client.set("packed", "lorem ipsum " * 400, min_compress_len=100)
    assert client.set("pickled", {"a": 1})
    cache = service_of(memcached_backend, form)
    for key, value in plain.items():
        # To pymemcache the same flags are a number.
        expected = int(value) if form == AUTO and type(value) is bool else value
        assert shown(cache, key) == json.dumps(expected), key
    assert shown(cache, "packed") == json.dumps("lorem ipsum " * 400)
    assert flags_of(memcached_backend.get("packed") or b"") == 24
    pickled = cache.get("pickled")
    assert pickled is not MISSING
    assert (pickled.encoding, pickled.flags) == ("base64", 1)
    client.disconnect_all()
