"""Other programs' values, as a service reads and writes them that is told whose they are."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cacheapi import create_app, load
from cacheapi.settings import SettingsError
from tests.http.client import ALL, API_KEY, AppApi, MemcachedStore, RedisStore, close_app, entry
from tests.http.conftest import PATIENT, make_app_api
from tests.support.live import CACHE, Connection
from tests.support.processes import Memcached, service
from tests.support.redis import Redis

OBJECT = b'O:8:"stdClass":1:{s:1:"a";i:1;}'


class Sharing(AppApi):
    """A service of certain values."""

    def get(self, key: str = "k", query: str = "") -> Any:
        answer = self.call("GET", entry(key), query=query or None)
        assert answer.status == 200, answer.body
        # Its text, so that 1 is not 1.0 and not true.
        shown = answer.body.decode()
        assert shown.startswith(f'{{"key":"{key}",')
        return shown.removeprefix(f'{{"key":"{key}",').removesuffix("}")

    def put(self, value: Any, key: str = "k", **more: Any):
        return self.call("POST", ALL, body={"resource": [{"key": key, "value": value, **more}]})


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Any]:
    apps: list[AppApi] = []

    def make(target: Memcached | Redis | None, **settings: str) -> Sharing:
        if isinstance(target, Memcached):
            target.say(b"flush_all\r\n")
            own = {"MEMCACHED_HOST": f"127.0.0.1:{target.port}"}
            driver, store = "memcached", MemcachedStore(target)
        elif target is not None:
            target.empty()
            own, driver, store = target.settings, "redis", RedisStore(target)
        else:
            own, driver, store = {}, "file", None
        api = make_app_api(driver, store, tmp_path / str(len(apps)), **PATIENT, **own, **settings)
        apps.append(api)
        return Sharing(api.driver, api.store, api.app)

    yield make
    for api in apps:
        api.close()


@pytest.mark.parametrize(
    ("stored", "flags", "shown"),
    [
        (b"hello", 0, '"value":"hello"'),
        (b"42", 0, '"value":"42"'),
        (b'{"a":1}', 0, r'"value":"{\"a\":1}"'),
        (b"\xff", 0, '"value":"/w==","encoding":"base64"'),
        (b"42", 1, '"value":42,"flags":1'),
        (b"1", 2, '"value":1.0,"flags":2'),
        (b"1", 3, '"value":true,"flags":3'),
        (b"", 3, '"value":false,"flags":3'),
        (b"N;", 4, '"value":null,"flags":4'),
        (b'a:1:{s:1:"a";i:1;}', 4, '"value":{"a":1},"flags":4'),
        (OBJECT, 4, f'"value":"{base64.b64encode(OBJECT).decode()}","encoding":"base64","flags":4'),
        (b'{"a": 1}', 6, '"value":{"a": 1},"flags":6'),
        (b"\x81\xa1a\x01", 7, '"value":{"a":1},"flags":7'),
        (bytes.fromhex("0f0000000078e00500"), 80, '"value":"xxxxxxxxxxxxxxx","flags":80'),
    ],
)
def test_a_service_of_php_reads_by_flags(
    made: Any, memcached_server: Memcached, stored: bytes, flags: int, shown: str
) -> None:
    api = made(memcached_server, CACHE_VALUES="php")
    memcached_server.plant("k", stored, flags)
    assert api.get() == shown
    batch = api.call("GET", ALL, query="keys=k,absent")
    assert batch.body.decode() == (
        f'{{"resource":[{{"key":"k",{shown}}}],"meta":{{"missing":["absent"]}}}}'
    )


def test_by_default_flags_say_nothing(made: Any, memcached_server: Memcached) -> None:
    api = made(memcached_server)
    memcached_server.plant("k", b'a:1:{s:1:"a";i:1;}', 4)
    assert api.get() == r'"value":"a:1:{s:1:\"a\";i:1;}"'
    memcached_server.plant("k", b"1", 3)
    assert api.get() == '"value":1'
    assert api.put("new").status == 201
    assert memcached_server.say(b"get k\r\n") == b'VALUE k 0 5\r\n"new"\r\nEND\r\n'


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        ({"CACHE_VALUES": "php"}, 6),
        ({"CACHE_JSON_FLAGS": "6"}, 6),
        ({"CACHE_JSON_FLAGS": "2", "CACHE_VALUES": "auto"}, 2),
        ({"CACHE_JSON_FLAGS": "1"}, 1),
        ({"CACHE_VALUES": "pylibmc"}, 0),
    ],
)
def test_json_is_stored_with_the_flags_that_the_service_has(
    made: Any, memcached_server: Memcached, settings: dict[str, str], flags: int
) -> None:
    api = made(memcached_server, **settings)
    body = {"value": {"a": [1, None]}}
    stored = b'{"a": [1, null]}'
    told = f',"flags":{flags}' if flags and "CACHE_VALUES" in settings else ""

    def check(key: str) -> None:
        found = memcached_server.say(f"get {key}\r\n".encode())
        size = len(stored)
        assert found == f"VALUE {key} {flags} {size}\r\n".encode() + stored + b"\r\nEND\r\n"
        assert api.get(key) == f'"value":{stored.decode()}{told}'

    answers = [api.call("POST", entry("one"), body=body)]
    answers.append(api.call("PUT", entry("one"), body=body))
    check("one")
    etag = answers[0].headers["ETag"]
    assert api.call("GET", entry("one")).headers["ETag"] == etag
    answers.append(api.call("PUT", entry("one"), body=body, headers={"If-Match": etag}))
    check("one")
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert api.put({"a": [1, None]}, "many").status == 201
    check("many")
    assert api.call("PATCH", entry("count"), body={"increment": 1, "initial": 7}).status == 200
    assert memcached_server.say(b"get count\r\n").startswith(f"VALUE count {flags} 1\r\n".encode())


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("hello", b's:5:"hello";'),
        ("42", b's:2:"42";'),
        ("größe", 's:7:"größe";'.encode()),
        (42, b"42"),
        (1.5, b"1.5"),
        (2**80, str(2**80).encode()),
        (True, b"b:1;"),
        (False, b"b:0;"),
        (None, b"N;"),
        ([], b"a:0:{}"),
        ([1, [True]], b"a:2:{i:0;i:1;i:1;a:1:{i:0;b:1;}}"),
        ({"a": 1, "7": None}, b'a:2:{s:1:"a";i:1;i:7;N;}'),
    ],
)
def test_on_redis_a_service_of_php_writes_as_laravel_does(
    made: Any, redis_one: Redis, value: Any, stored: bytes
) -> None:
    api = made(redis_one, CACHE_VALUES="php")
    shown = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert api.put(value).status == 201
    assert api.store.get("k") == stored
    assert api.get() == f'"value":{shown}'
    # The same through the views of one key, and its validator is that of what is read.
    assert api.call("DELETE", entry("k")).status == 200
    answers = [api.call(verb, entry("k"), body={"value": value}) for verb in ("POST", "PUT")]
    assert api.store.get("k") == stored
    etag = api.call("GET", entry("k")).headers["ETag"]
    assert [answer.headers["ETag"] for answer in answers] == [etag, etag]
    held = api.call("PUT", entry("k"), body={"value": value}, headers={"If-Match": etag})
    assert held.status == 200


def test_what_php_has_no_place_for_is_refused(made: Any, redis_one: Redis) -> None:
    api = made(redis_one, CACHE_VALUES="php")
    for answer in (
        api.call("POST", entry("k"), body={"value": [2**63]}),
        api.call("POST", ALL, body={"key": "k", "value": {"a": 10**400}}),
    ):
        assert answer.status == 400
        assert "whole number of more than 64 bits" in answer.message
    two = [{"key": "a", "value": 1}, {"key": "b", "value": [2**63]}]
    refused = api.call("POST", ALL, body={"resource": two})
    (error,) = refused.error["context"]["errors"]
    assert (refused.status, error["index"], error["field"]) == (400, 1, "value")
    # Nothing of the batch is stored.
    assert api.call("GET", entry("a")).status == 404


@pytest.mark.parametrize("form", ["php", "auto"])
def test_without_flags_the_first_bytes_tell(made: Any, redis_one: Redis, form: str) -> None:
    api = made(redis_one, CACHE_VALUES=form)
    for stored, shown in (
        (b's:5:"hello";', '"value":"hello"'),
        (b"42", '"value":42'),
        (bytes.fromhex("0000000214011101610601"), '"value":{"a":1}'),
        (b'"hello"', '"value":"hello"'),
        (b"aLockOf16Letters", '"value":"aLockOf16Letters"'),
        (b"d:INF;", '"value":"ZDpJTkY7","encoding":"base64"'),
    ):
        api.store.plant("k", stored)
        assert api.get() == shown


@pytest.mark.parametrize("target", ["memcached_server", "redis_one", "file"])
@pytest.mark.parametrize("form", ["json", "php", "pylibmc", "libmc", "auto"])
def test_what_is_stored_is_read_again(
    made: Any, request: pytest.FixtureRequest, target: str, form: str
) -> None:
    found = None if target == "file" else request.getfixturevalue(target)
    api = made(found, CACHE_VALUES=form)
    for value in ("x", "42", "", 42, -1, 0, 1.5, True, False, None, [], [1], {"a": {"b": [None]}}):
        assert api.put(value).status == 201
        answer = api.call("GET", entry("k")).json
        assert json.dumps(answer["value"]) == json.dumps(value)
        assert "encoding" not in answer


def test_flags_that_would_spoil_what_is_stored_are_refused(tmp_path: Path) -> None:
    for form, flags in (("php", "0"), ("php", "2"), ("auto", "4"), ("pylibmc", "2")):
        settings = {
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": "127.0.0.1:1",
            "CACHEAPI_API_KEY": API_KEY,
            "CACHEAPI_DATA_DIR": str(tmp_path),
            "CACHE_VALUES": form,
            "CACHE_JSON_FLAGS": flags,
        }
        with pytest.raises(SettingsError, match=f"CACHE_JSON_FLAGS: .*{flags}.*'{form}'"):
            create_app(load(settings, None))
        # Where no flags are kept, they mean nothing.
        close_app(create_app(load({**settings, "CACHE_DRIVER": "file"}, None)))


@pytest.mark.parametrize("planted", [b'\x04\bI"\nhello\x06:\x06ET', b"\x7f", b"a\x00b", b"\x1b[0m"])
def test_text_with_control_characters_is_binary(
    made: Any, redis_one: Redis, planted: bytes
) -> None:
    api = made(redis_one)
    api.store.plant("k", planted)
    assert api.get() == f'"value":"{base64.b64encode(planted).decode()}","encoding":"base64"'
    api.store.plant("k", b"a\tb\r\nc")
    assert api.get() == r'"value":"a\tb\r\nc"'


def test_base64_is_refused_until_a_service_allows_it(made: Any, redis_one: Redis) -> None:
    body = {"value": "gAVOLg==", "encoding": "base64"}
    api = made(redis_one)
    for answer in (
        api.call("POST", entry("k"), body=body),
        api.call("PUT", entry("k"), body=body),
        api.call("POST", ALL, body={"resource": [{"key": "k", **body}]}),
    ):
        assert answer.status == 400
        assert "raw_bytes" in answer.message
        assert "unpickle" in answer.message
    assert api.call("GET", entry("k")).status == 404


@pytest.mark.parametrize("target", ["memcached_server", "redis_one", "file"])
@pytest.mark.parametrize("form", ["json", "php", "auto"])
def test_allowed_bytes_are_stored_as_they_are(
    made: Any, request: pytest.FixtureRequest, target: str, form: str
) -> None:
    found = None if target == "file" else request.getfixturevalue(target)
    api = made(found, CACHE_RAW_BYTES="true", CACHE_VALUES=form)
    body = {"value": "gAVOLg==", "encoding": "base64"}
    answers = [
        api.call("POST", ALL, body={"resource": [{"key": "k", **body, "ttl": 60}]}),
        api.call("POST", entry("one"), body=body),
        api.call("PUT", entry("k"), body=body),
    ]
    assert [answer.status for answer in answers] == [201, 201, 200]
    read = api.call("GET", entry("k"))
    assert read.json == {"key": "k", **body}
    assert answers[2].headers["ETag"] == read.headers["ETag"] == answers[1].headers["ETag"]
    # What a GET gave can be sent back.
    assert api.call("PUT", entry("k"), body={**body, "ttl": 0}).status == 200
    for wrong in ("gAVOLg=", "gAVO Lg==", "ü", 42, None, ["gAVOLg=="]):
        for answer in (
            api.call("PUT", entry("k"), body={"value": wrong, "encoding": "base64"}),
            api.put(wrong, encoding="base64"),
        ):
            assert answer.status == 400
            assert "base64" in answer.message
    assert api.put("x", encoding="gzip").status == 400
    # JSON is JSON as before.
    assert api.put("gAVOLg==").status == 201
    assert api.get().startswith('"value":"gAVOLg=="')
    assert "encoding" not in api.get()


@pytest.mark.parametrize(
    ("form", "stored", "flags", "counts"),
    [
        ("json", b"9", 512, False),
        ("json", b"1", 256, False),
        ("json", b"1", 3, False),
        ("php", b"1", 3, False),
        ("json", b"1", 2, True),
        ("php", b"1", 2, True),
        ("libmc", b"1", 2, True),
        ("pylibmc", b"1", 2, False),
        ("json", b"1", 8, True),
        ("pylibmc", b"1", 8, True),
        ("libmc", b"1", 8, False),
        ("pylibmc", b"1", 4, True),
        ("libmc", b"1", 4, True),
        ("json", b"1", 1, True),
        ("auto", b"1", 16, True),
    ],
)
def test_counting_looks_at_flags(
    made: Any, memcached_server: Memcached, form: str, stored: bytes, flags: int, counts: bool
) -> None:
    api = made(memcached_server, CACHE_VALUES=form)
    for condition in ({}, {"If-Match": "*"}):
        memcached_server.plant("k", stored, flags)
        answer = api.call("PATCH", entry("k"), body={"increment": 1}, headers=condition)
        assert answer.status == (200 if counts else 400), answer.body
        left = b"2" if counts else stored
        reply = f"VALUE k {flags} 1\r\n".encode() + left + b"\r\nEND\r\n"
        assert memcached_server.say(b"get k\r\n") == reply
    if counts:
        assert answer.json["value"] == 2
    else:
        assert "stored value is" in answer.message


@pytest.mark.parametrize("target", ["memcached_server", "redis_one", "file"])
def test_a_read_tells_how_long_is_left(
    made: Any, request: pytest.FixtureRequest, target: str
) -> None:
    api = made(None if target == "file" else request.getfixturevalue(target))
    pairs = [{"key": "k", "value": 1, "ttl": 600}, {"key": "ever", "value": 2, "ttl": 0}]
    assert api.call("POST", ALL, body={"resource": pairs}).status == 201

    def left(query: str) -> int:
        number = api.call("GET", entry("k"), query=query).json["ttl"]
        assert type(number) is int
        return number

    assert 590 <= left("ttl=true") <= 600
    assert 590 <= left("check_exist=1&ttl=1") <= 600
    assert api.call("GET", entry("ever"), query="ttl=true").json == {
        "key": "ever",
        "value": 2,
        "ttl": None,
    }
    batch = api.call("GET", ALL, query="keys=ever,gone,k&ttl=true").json
    assert [item["key"] for item in batch["resource"]] == ["ever", "k"]
    assert batch["resource"][0]["ttl"] is None
    assert 590 <= batch["resource"][1]["ttl"] <= 600
    assert batch["meta"]["missing"] == ["gone"]
    for verb in ("GET", "HEAD"):
        assert 590 <= int(api.call(verb, entry("k"), query="ttl=true").headers["Cache-TTL"]) <= 600
        said = api.call(verb, entry("ever"), query="ttl=true").headers["Cache-TTL"]
        assert said == "forever"
        assert "Cache-TTL" not in api.call(verb, entry("k")).headers
    for query in ("", "ttl=false"):
        assert "ttl" not in api.call("GET", entry("k"), query=query).json
    assert api.call("GET", entry("gone"), query="ttl=true").status == 404
    assert api.call("GET", entry("gone"), query="ttl=true&default=x").json == {
        "key": "gone",
        "value": "x",
    }
    assert api.call("GET", entry("k"), query="ttl=600").status == 400
    assert 590 <= left("pull=true&ttl=true") <= 600
    assert api.call("GET", entry("k")).status == 404


def test_where_no_lifetime_can_be_told_it_is_said(made: Any, sasl_server: Memcached) -> None:
    from tests.support.processes import SASL_PASSWORD, SASL_USER

    login = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": SASL_PASSWORD}
    api = made(sasl_server, **login)
    assert api.put(1).status == 201
    for path, query in ((entry("k"), "ttl=true"), (ALL, "keys=k&ttl=true")):
        answer = api.call("GET", path, query=query)
        assert answer.status == 400
        assert "cannot say how long a value will live" in answer.message


def test_the_lane_and_flask_read_alike(tmp_path: Path, memcached_server: Memcached) -> None:
    memcached_server.say(b"flush_all\r\n")
    settings = {
        "CACHE_DRIVER": "memcached",
        "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}",
        "CACHE_VALUES": "php",
        "WEB_CONCURRENCY": "1",
        **PATIENT,
    }
    memcached_server.plant("k", b'a:1:{s:1:"a";i:1;}', 4)
    with service(tmp_path, **settings) as live, Connection(live.port) as connection:
        by_lane = connection.call("GET", f"{CACHE}/k")
        by_flask = connection.call("GET", f"{CACHE}/k", headers={"Range": "bytes=0-"})
        assert by_lane.json == by_flask.json == {"key": "k", "value": {"a": 1}, "flags": 4}
        assert connection.call("POST", CACHE, {"key": "n", "value": [1]}).status == 201
        assert memcached_server.say(b"get n\r\n") == b"VALUE n 6 3\r\n[1]\r\nEND\r\n"
        # A lifetime is asked for: no affair of the lane's.
        assert connection.call("GET", f"{CACHE}?keys=n&ttl=true").json["resource"][0]["ttl"] > 0


def test_a_service_of_the_database_has_such_values(made: Any, memcached_server: Memcached) -> None:
    api = made(None)
    config = {"host": "127.0.0.1", "port": memcached_server.port, "prefix": "l:"}
    fields = {"name": "laravel", "type": "cache_memcached"}

    def create(**more: Any):
        body = {"resource": [{**fields, "config": {**config, **more}}]}
        return api.call("POST", "/api/v2/system/service", body=body)

    for more, field in (
        ({"values": "java"}, "config.values"),
        ({"values": "php", "json_flags": 0}, "config.json_flags"),
        ({"json_flags": 256}, "config.json_flags"),
        ({"raw_bytes": "maybe"}, "config.raw_bytes"),
    ):
        refused = create(**more)
        assert refused.status == 400
        assert refused.error["context"]["errors"][0]["field"] == field
    assert create(values="php").status == 201
    memcached_server.plant("l:k", b"1", 3)
    answer = api.call("GET", "/api/v2/laravel/k")
    assert answer.json == {"key": "k", "value": True, "flags": 3}
    shown = api.call("GET", "/api/v2/system/service/laravel").json["config"]
    assert (shown["values"], shown["json_flags"], shown["raw_bytes"]) == ("php", None, False)
    other = {"name": "files", "type": "cache_local", "config": {"json_flags": 6}}
    refused = api.call("POST", "/api/v2/system/service", body={"resource": [other]})
    assert refused.status == 400
