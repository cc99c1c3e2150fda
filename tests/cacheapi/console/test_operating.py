"""Several different operations at once, typed in the console."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.base import MISSING
from backends.errors import Unavailable
from backends.operations import not_tried
from cacheapi.caching.codec import Value
from cacheapi.console import values
from cacheapi.web.blueprints import EXTENSION
from tests.cacheapi.console.conftest import Person, make_app, text_of
from tests.support.processes import Memcached
from tests.support.redis import Redis

CACHE = "/service/cache"
OPERATIONS = f"{CACHE}/operations"
NASTY = "<script>alert(1)</script>\"'&"


@pytest.fixture(params=["file", "memcached", "redis"])
def anybody(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    memcached_server: Memcached,
    redis_one: Redis,
) -> Iterator[Person]:
    """Somebody who is signed in, on each backend."""
    settings = {
        "file": {},
        "memcached": {
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_PORT": str(memcached_server.port),
            "MEMCACHED_PREFIX": "operating:",
            "MEMCACHED_TIMEOUT_MS": "3000",
        },
        "redis": {"CACHE_DRIVER": "redis", **redis_one.settings, "REDIS_TIMEOUT_MS": "3000"},
    }
    person = Person(make_app(tmp_path, **settings[request.param]))
    assert person.sign_in().status_code == 303
    yield person
    person.app.extensions[EXTENSION].close()


def cache_of(person: Person) -> Any:
    return person.app.extensions[EXTENSION].find("cache")


def do(person: Person, operations: object, status: int = 200) -> str:
    """Send what is typed, or would be; return the page."""
    typed = operations if isinstance(operations, str) else json.dumps(operations)
    answer = person.post(OPERATIONS, operations=typed)
    assert answer.status_code == status, text_of(answer.text)
    # It is kept for another go.
    kept = re.search(
        r'<textarea id="operations-text"[^>]*>\n(.*?)</textarea>', answer.text, re.DOTALL
    )
    assert kept is not None
    assert html.unescape(kept[1]) == typed
    assert '<details class="panel steps" id="operations" open>' in answer.text
    return answer.text


def rows(page: str) -> list[str]:
    """Return what the table says of each operation."""
    table = re.search(r'<table class="reflow outcomes">.*?<tbody>(.*)</tbody>', page, re.DOTALL)
    assert table is not None
    parts = re.split(r'<tr(?: class="failed")?>\s*(?=<td data-label="Item">)', table[1])
    return [text_of(row) for row in parts[1:]]


def fault(page: str) -> str:
    found = re.search(r'<p class="fault" id="e-operations-text"[^>]*>(.*?)</p>', page)
    assert found is not None
    return html.unescape(found[1])


ALL = [
    {"get": "absent"},
    {"set": {"key": "s", "value": {"a": [1, NASTY]}, "ttl": 60}},
    {"get": "s"},
    {"exists": "s"},
    {"exists": "absent"},
    {"add": {"key": "s", "value": 1}},
    {"add": {"key": "n", "value": 7}},
    {"replace": {"key": "absent", "value": 1}},
    {"replace": {"key": "t", "value": "new"}},
    {"touch": {"key": "n", "ttl": 100}},
    {"increment": {"key": "n", "by": 5}},
    {"increment": {"key": "s"}},
    {"pull": "t"},
    {"delete": "s"},
    {"delete": "s"},
]


def test_each_is_done_in_order_and_told_in_words(anybody: Person) -> None:
    cache = cache_of(anybody)
    for key in ("absent", "s", "n"):
        cache.delete(key)
    stored = anybody.call("POST", "/cache", {"resource": [{"key": "t", "value": "old"}]})
    assert stored.status_code == 201
    page = do(anybody, {"operations": ALL})
    assert "<script>alert" not in page
    told = rows(page)
    assert [row.split()[:3] for row in told] == [
        [str(number), next(iter(one)), value if isinstance(value, str) else value["key"]]
        for number, one in enumerate(ALL)
        for value in one.values()
    ]
    said = [" ".join(row.split()[3:]) for row in told]
    assert said[0] == "It was not there."
    assert said[1] == "Stored."
    # As the page shows a value: a tree.
    assert said[2].startswith("object, 1 member a array, 2 elements")
    assert said[2].endswith(f"0 1 1 {json.dumps(NASTY)}")
    assert said[3:5] == ["It was there.", "It was not there."]
    assert said[5] == "Not done: Key 's' exists already."
    assert said[6] == "Stored."
    assert said[7] == "Not done: Key 'absent' does not exist."
    assert said[8:11] == ["Stored.", "It got its new lifetime.", "It became 12."]
    assert said[11].startswith("Not done: ")
    assert said[12] == "Deleted. It was: new"
    assert said[13:] == ["Deleted.", "It was not there."]
    assert cache.get("n") == Value("12")
    assert cache.get("t") is MISSING
    assert 90 < cache.remaining_ttl("n") <= 100


def test_the_array_alone_is_enough(person: Person) -> None:
    page = do(person, ' [{"set": {"key": "k",\r\n "value": "v"}}] ')
    assert rows(page) == ["0 set k Stored."]
    assert cache_of(person).get("k") == Value('"v"')


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "The body is not valid JSON"),
        ('[{"set": {"key": "k", "value": 1}}\n, x]', "at line 2, column 3."),
        ("7", 'The body must be {"operations": [{"get": …}, {"set": …}, …]}.'),
        ('{"resource": []}', 'The body must be {"operations"'),
        ("[]", "operations is empty: there is nothing to do."),
        ('{"operations": [{"get": "a"}], "ttl": 1}', "no other member"),
        ('[{"set": {"key": "k", "value": 1}}, {"get": ""}]', "Item 1: get: "),
        ('[{"set": {"key": "k", "value": 1}}, {"fetch": "a"}]', "Item 1: fetch: "),
        ('[{"set": {"key": "k", "value": 1}}, {"get": ""}, {"touch": {}}]', "Item 2: touch."),
        ('[{"set": {"key": "k", "value": 1}}, {"touch": {"key": "k"}}]', "Item 1: touch.ttl: "),
        ('[{"set": {"key": "k", "value": 1, "ttl": 3600000}}]', "Item 0: set.ttl: It is over"),
        (
            '[{"add": {"key": "k", "value": 1}}, {"touch": {"key": "k", "ttl": 3600000}}]',
            "Item 1: touch.ttl: It is over already, so nothing was done: a number over 2592000",
        ),
        ('[{"increment": {"key": "k", "initial": 1, "ttl": 3600000}}]', "increment.ttl: It is"),
    ],
)
def test_what_is_wrong_is_told_beside_the_field_and_nothing_is_done(
    person: Person, typed: str, message: str
) -> None:
    page = do(person, typed, 400)
    assert message in fault(page)
    assert 'aria-invalid="true" autofocus' in page
    assert 'class="reflow outcomes"' not in page
    assert cache_of(person).get("k") is MISSING


def test_there_are_as_many_as_the_api_takes(tmp_path: Path) -> None:
    person = Person(make_app(tmp_path, CACHEAPI_MAX_BATCH="3"))
    person.sign_in()
    many = [{"set": {"key": f"k{number}", "value": 1}} for number in range(4)]
    assert "There are more than 3 items" in fault(do(person, many, 400))
    assert cache_of(person).get("k0") is MISSING
    assert len(rows(do(person, many[:3]))) == 3
    person.app.extensions[EXTENSION].close()


def test_a_body_is_as_large_as_the_api_takes(tmp_path: Path) -> None:
    person = Person(make_app(tmp_path, CACHEAPI_MAX_BODY_MB="1"))
    person.sign_in()
    large = json.dumps([{"set": {"key": "k", "value": "x" * 1_100_000}}])
    assert person.post(OPERATIONS, operations=large).status_code == 413
    assert cache_of(person).get("k") is MISSING
    person.app.extensions[EXTENSION].close()


def test_what_was_done_until_it_failed_is_shown(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*_: object) -> list[object]:
        return [True, Unavailable("Timed out."), not_tried()]

    monkeypatch.setattr("cacheapi.caching.service.CacheService.perform", half)
    operations = [{"set": {"key": "a", "value": 1}}, {"delete": "b"}, {"exists": "c"}]
    page = do(person, operations, 400)
    assert "Timed out. What was done is in the table." in text_of(page)
    assert rows(page) == [
        "0 set a Stored.",
        "1 delete b Not done: Timed out.",
        "2 exists c Not done: Not tried: the backend failed at an item before this one.",
    ]
    assert fault(page) == ""


def test_a_token_a_session_and_a_cache_are_needed(person: Person, stranger: Person) -> None:
    typed = {"operations": '[{"set": {"key": "k", "value": 1}}]'}
    assert person.browser.post(f"/console{OPERATIONS}", data=typed).status_code == 400
    nobody = Person(person.app)
    token = {"csrf_token": nobody.token(), **typed}
    answer = nobody.browser.post(f"/console{OPERATIONS}", data=token)
    assert answer.status_code == 303
    assert "/sign-in" in answer.headers["Location"]
    assert cache_of(person).get("k") is MISSING
    assert person.post("/service/other/operations", **typed).status_code == 404


def test_a_service_in_front_of_an_api_has_none(person: Person) -> None:
    config = {"base_url": "http://127.0.0.1:9/", "cache_enabled": False}
    body = {"resource": [{"name": "api", "type": "rws", "config": config}]}
    made = person.call("POST", "/system/service", body)
    assert made.status_code == 201, made.json
    assert "Several operations at once" not in person.page("/service/api")
    assert "Several operations at once" in person.page(CACHE)
    answer = person.post("/service/api/operations", operations='[{"get": "a"}]')
    assert answer.status_code in (400, 404)


def test_a_look_is_no_read_of_an_application(person: Person) -> None:
    def stats() -> Any:
        told = person.call("GET", "/system/service/cache/stats").json["stats"]
        return told["get_hits"], told["get_misses"]

    before = stats()
    do(person, [{"get": "a"}, {"set": {"key": "a", "value": 1}}, {"get": "a"}, {"exists": "a"}])
    do(person, [{"get": "a"}, {"get": "b"}])
    assert stats() == before
    assert person.call("GET", "/cache/a").status_code == 200
    assert stats() == (before[0] + 1, before[1])


def test_many_values_share_the_room_of_one(person: Person) -> None:
    large = {"key": "large", "value": "x" * 150_000}
    tree = {"key": "tree", "value": list(range(400))}
    person.call("POST", "/cache", {"resource": [large, tree]})
    alone = do(person, [{"get": "large"}])
    assert "x" * 150_000 in alone
    assert "not all of it" not in alone
    many = do(person, [{"get": "large"}] * 20 + [{"get": "tree"}])
    assert many.count("This is not all of it") == 20
    assert len(many) < 2 * values.MOST_TEXT
    # Of a tree too small a part would be seen.
    assert rows(many)[-1].startswith("20 get tree [0,")


def test_bytes_are_shown_as_bytes(person: Person) -> None:
    cache_of(person).backend.set("raw", bytes(range(256)), None)
    page = do(person, [{"get": "raw"}, {"exists": "raw"}])
    assert "0010 10 11 12" in rows(page)[0]
