"""Laravel 8's cache and a service of PHP's values read what the other stored, all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.client import API_KEY, AppApi, MemcachedStore, RedisStore, entry
from tests.http.conftest import PATIENT, make_app_api
from tests.support.php import script

LARAVEL = Path(__file__).with_name("laravel.php")
VALUES: dict[str, Any] = {
    "text": "hello",
    "digits": "42",
    "wide": "größe \U0001f40d",
    "empty": "",
    "long": "lorem ipsum " * 400,
    "whole": 42,
    "negative": -7,
    "largest": 2**63 - 1,
    "fraction": 1.5,
    "yes": True,
    "no": False,
    "list": [1, "2", [3.5, None]],
    "nothing in it": [],
    "nested": {"a": {"b": [True, False, {"c": "d"}], "7": "seven"}, "long": ["x" * 3000]},
}
TYPES = {str: "string", int: "integer", float: "double", bool: "boolean"}


class Neighbours:
    """A service, and Laravel beside it on one server."""

    def __init__(self, api: AppApi, driver: str, port: int) -> None:
        self.api = api
        self.driver = driver
        self._port = port

    def laravel(self, verb: str, values: dict[str, Any]) -> Any:
        needs = ("memcached",) if self.driver == "memcached" else ("redis",)
        sent = json.dumps({name(key): value for key, value in values.items()})
        return script(LARAVEL, self.driver, self._port, verb, sent, needs=needs)


def name(key: str) -> str:
    return key.replace(" ", "-")


@pytest.fixture(params=["memcached", "redis"])
def neighbours(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Neighbours]:
    if request.param == "memcached":
        server = request.getfixturevalue("memcached_server")
        server.say(b"flush_all\r\n")
        own = {"MEMCACHED_HOST": f"127.0.0.1:{server.port}"}
        store: Any = MemcachedStore(server)
    else:
        server = request.getfixturevalue("redis_one")
        server.empty()
        own = {**server.settings, "REDIS_PREFIX": ""}
        store = RedisStore(server)
    own["CACHE_VALUES"] = "php"
    api = make_app_api(request.param, store, tmp_path, **PATIENT, **own)
    assert api.api_key == API_KEY
    yield Neighbours(api, request.param, server.port)
    api.close()


def kept(neighbours: Neighbours, key: str) -> Any:
    """Return a value as Laravel itself gets it back: on Redis a text of digits is stored plain."""
    value = VALUES[key]
    return 42 if neighbours.driver == "redis" and value == "42" else value


def test_what_laravel_stored_is_read(neighbours: Neighbours) -> None:
    stored = neighbours.laravel("put", VALUES)
    assert set(stored.values()) == {True}
    for key in VALUES:
        read = neighbours.api.call("GET", entry(name(key))).json
        assert json.dumps(read["value"]) == json.dumps(kept(neighbours, key)), key
        assert "encoding" not in read


def test_laravel_reads_what_is_stored(neighbours: Neighbours) -> None:
    for key, value in VALUES.items():
        answer = neighbours.api.call("POST", entry(name(key)), body={"value": value})
        assert answer.status == 201, answer.body
    found = neighbours.laravel("get", VALUES)
    for key, value in VALUES.items():
        kind, read = found[name(key)]
        if neighbours.driver == "memcached" and isinstance(value, dict):
            # JSON's objects are PHP's, unless it asks for arrays.
            assert kind == "object"
        elif neighbours.driver == "redis" and type(value) in (int, float):
            # Laravel gives numbers as Redis has them, also its own.
            assert (kind, read) == ("string", json.dumps(value))
            continue
        else:
            assert kind == TYPES.get(type(value), "array")
        assert json.dumps(read) == json.dumps(value), key


def test_null_is_null_for_both(neighbours: Neighbours) -> None:
    neighbours.laravel("put", {"mine": None})
    assert neighbours.api.call("POST", entry("ours"), body={"value": None}).status == 201
    assert neighbours.laravel("get", {"ours": 0}) == {"ours": ["NULL", None]}
    answer = neighbours.api.call("GET", entry("mine"))
    assert answer.json["value"] is None


def test_both_count_on_one_number(neighbours: Neighbours) -> None:
    neighbours.laravel("put", {"n": 41})
    count = {"increment": 1}
    assert neighbours.api.call("PATCH", entry("n"), body=count).json["value"] == 42
    assert neighbours.laravel("count", {"n": 0}) == {"n": 43}
    assert neighbours.api.call("GET", entry("n")).json["value"] == 43
    body = {"increment": 1, "initial": 1}
    assert neighbours.api.call("PATCH", entry("m"), body=body).json["value"] == 1
    assert neighbours.laravel("count", {"m": 0}) == {"m": 2}
