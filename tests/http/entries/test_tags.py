"""Tags of entries, and purges by them: the same on every driver, over both ways."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from backends.base import MISSING
from backends.file.backend import FileBackend
from backends.operations import Delete, Exists, Get, Operation, Touch
from cacheapi.caching.codec import Value
from cacheapi.caching.pairs import Pair, TaggedPair
from cacheapi.caching.reserved import TAG
from cacheapi.caching.tags import IN_USE, MARK, generation_key
from tests.http.client import (
    ALL,
    Answer,
    Api,
    AppApi,
    FileStore,
    MemcachedStore,
    application,
    entry,
)

KEY = "X-DreamFactory-API-Key"


def purge(api: Api, *tags: str, **more: Any) -> Answer:
    return api.call("DELETE", ALL, query=f"tag={quote(','.join(tags))}", **more)


def statuses(api: Api, *keys: str) -> list[int]:
    return [api.status(key) for key in keys]


def test_what_has_one_of_the_tags_is_gone_at_once(api: Api) -> None:
    pairs = [
        {"key": "one", "value": 1, "tags": ["a"], "ttl": 600},
        {"key": "two", "value": {"n": [2]}, "tags": ["b", "a", "b"]},
        {"key": "three", "value": "3", "tags": ["c", "grün"]},
        {"key": "four", "value": None, "tags": []},
        {"key": "five", "value": "", "tags": None},
    ]
    answer = api.call("POST", ALL, body={"resource": pairs})
    assert answer.status == 201, answer
    assert [api.value(pair["key"]) for pair in pairs] == [pair["value"] for pair in pairs]
    answer = purge(api, "a", "none")
    assert (answer.status, answer.json) == (200, {"success": True})
    # By all workers, and by the lane as by Flask.
    for _ in range(3):
        assert statuses(api, "one", "two", "three", "four", "five") == [404, 404, 200, 200, 200]
    assert purge(api, "grün").status == 200
    assert statuses(api, "three", "four") == [404, 200]
    many = api.call("GET", ALL, query="keys=one,four,three,five").json
    assert [found["key"] for found in many["resource"]] == ["four", "five"]
    assert many["meta"]["missing"] == ["one", "three"]


def test_what_is_stored_after_a_purge_stays(api: Api) -> None:
    for number in range(3):
        api.store_one("k", number, tags=["a"])
        assert api.value("k") == number
        assert purge(api, "a").status == 200
        assert api.status("k") == 404


@pytest.mark.parametrize("way", ["post", "put", "put creates", "bare"])
def test_every_way_to_store_takes_tags(api: Api, way: str) -> None:
    body = {"value": "new", "tags": ["a"]}
    if way == "put":
        api.store_one("k", "old")
    answer = {
        "post": lambda: api.call("POST", entry("k"), body=body),
        "put": lambda: api.call("PUT", entry("k"), body=body),
        "put creates": lambda: api.call("PUT", entry("k"), {"If-None-Match": "*"}, body),
        "bare": lambda: api.call("POST", ALL, body={"key": "k", **body}),
    }[way]()
    assert answer.status in (200, 201), answer
    assert api.value("k") == "new"
    if "ETag" in answer.headers:
        assert answer.headers["ETag"] == api.etag("k")
    assert purge(api, "a").status == 200
    assert api.status("k") == 404


def test_a_store_without_tags_takes_them_away(api: Api) -> None:
    for way, method, path in (("post", "POST", ALL), ("put", "PUT", entry("k"))):
        api.store_one("k", 1, tags=["a"])
        body = {"value": way} if way == "put" else {"key": "k", "value": way}
        assert api.call(method, path, body=body).status in (200, 201)
        assert purge(api, "a").status == 200
        assert api.value("k") == way


def test_what_was_purged_is_absent_to_every_operation(api: Api) -> None:
    def again() -> None:
        api.store_one("k", 5, tags=["a"])
        assert purge(api, "a").status == 200

    again()
    assert api.call("GET", entry("k"), query="default=d").json["value"] == "d"
    assert api.call("HEAD", entry("k")).status == 404
    assert api.call("GET", entry("k"), query="check_exist=true").json == {
        "key": "k",
        "exists": False,
    }
    assert api.call("GET", entry("k"), query="pull=true").status == 404
    again()
    assert api.call("PUT", entry("k"), body={"value": 1}).status == 404
    again()
    assert api.call("PATCH", entry("k"), body={"ttl": 60}).status == 404
    assert api.call("DELETE", entry("k")).status == 404
    again()
    api.store_one("other", 1)
    deleted = api.call("DELETE", ALL, query="keys=k,other,never").json["resource"]
    assert [one["success"] for one in deleted] == [False, True, False]
    again()
    assert api.call("PUT", entry("k"), {"If-Match": "*"}, {"value": 1}).status == 412
    assert api.call("PATCH", entry("k"), body={"increment": 1}).status == 404
    again()
    counted = api.call("PATCH", entry("k"), body={"increment": 1, "initial": 10, "ttl": 60})
    assert (counted.status, counted.json["value"]) == (200, 10)
    assert api.value("k") == 10
    again()
    assert api.call("POST", entry("k"), body={"value": "made"}).status == 201
    assert api.value("k") == "made"
    again()
    made = api.call("PUT", entry("k"), {"If-None-Match": "*"}, {"value": "lease"})
    assert made.status == 200
    assert api.call("POST", entry("k"), body={"value": 1}).status == 400


def test_conditions_and_pulls_know_the_value_and_not_how_it_is_stored(api: Api) -> None:
    api.store_one("plain", {"a": 1})
    api.store_one("k", {"a": 1}, tags=["a"])
    tag = api.etag("k")
    assert tag == api.etag("plain")
    assert api.call("GET", entry("k"), {"If-None-Match": tag}).status == 304
    assert api.call("PATCH", entry("k"), {"If-Match": tag}, {"ttl": 600}).status == 200
    assert purge(api, "a").status == 200
    # The new lifetime has left the tag on it.
    assert statuses(api, "k", "plain") == [404, 200]
    api.store_one("k", 7, tags=["a"])
    assert api.call("PUT", entry("k"), {"If-Match": '"no"'}, {"value": 1}).status == 412
    assert api.call("DELETE", entry("k"), {"If-Match": '"no"'}).status == 412
    assert api.call("GET", entry("k"), query="check_exist=true").json["exists"] is True
    taken = api.call("GET", entry("k"), query="clear=true")
    assert taken.json["value"] == 7
    assert api.status("k") == 404


def test_a_number_with_tags_is_counted_and_keeps_them(api: Api) -> None:
    api.store_one("n", 5, tags=["a"], ttl=600)
    counted = api.call("PATCH", entry("n"), body={"increment": 3})
    if api.call("GET", entry("n"), query="ttl=true").status == 400:
        # Over memcached's binary protocol nobody says how long a value lives.
        assert counted.status == 400
        assert "counts on no number that has tags" in counted.message
        assert api.value("n") == 5
        return
    assert (counted.status, counted.json["value"]) == (200, 8)
    counted = api.call("PATCH", entry("n"), body={"increment": -1})
    assert counted.json["value"] == api.value("n") == 7
    left = api.call("GET", entry("n"), query="ttl=true").json["ttl"]
    assert 500 < left <= 602
    conditional = api.call(
        "PATCH", entry("n"), {"If-Match": api.etag("n")}, {"increment": 1, "ttl": 60}
    )
    assert conditional.json["value"] == 8
    api.store_one("text", "x", tags=["a"])
    refused = api.call("PATCH", entry("text"), body={"increment": 1})
    assert refused.status == 400
    assert "not a whole number" in refused.message
    assert purge(api, "a").status == 200
    assert statuses(api, "n", "text") == [404, 404]


def test_a_lifetime_ends_with_and_without_tags(api: Api) -> None:
    api.store_one("k", 1, tags=["a"], ttl=1)
    api.store_one("past", 1, tags=["a"], ttl=2_592_001)
    assert api.status("past") == 404
    assert api.call("PATCH", entry("k"), body={"ttl": 1}).status in (200, 404)
    deadline = time.monotonic() + 20
    while api.status("k") != 404 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert api.status("k") == 404


def test_a_list_names_what_is_there(listing_api: Api) -> None:
    api = listing_api
    for number in range(5):
        api.store_one(f"k{number}", number, tags=["even" if number % 2 == 0 else "odd"])
    assert purge(api, "odd").status == 200
    listed = api.call("GET", ALL).json["resource"]
    assert {found["key"] for found in listed} == {"k0", "k2", "k4"}


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ("a", "list of texts"),
        ([1], "list of texts"),
        ({"a": 1}, "list of texts"),
        ([""], "1 to 128 characters"),
        (["a b"], "no white space"),
        (["a,b"], "no comma"),
        (["a\u0000"], "no control"),
        (["x" * 129], "1 to 128 characters"),
        ([str(number) for number in range(33)], "at most 32 tags"),
    ],
)
def test_what_is_no_list_of_tags_is_named_and_nothing_is_stored(
    file_api: Api, tags: Any, told: str
) -> None:
    body = {"resource": [{"key": "good", "value": 1}, {"key": "bad", "value": 1, "tags": tags}]}
    answer = file_api.call("POST", ALL, body=body)
    assert answer.status == 400
    (fault,) = answer.error["context"]["errors"]
    assert (fault["index"], fault["field"]) == (1, "tags")
    assert told in fault["message"]
    assert file_api.status("good") == 404
    one = file_api.call("POST", entry("k"), body={"value": 1, "tags": tags})
    assert one.status == 400
    assert told in one.error["context"]["errors"][0]["message"]


def test_thirty_two_tags_of_128_characters_are_taken(api: Api) -> None:
    tags = [f"{number:02}" + "é" * 126 for number in range(32)]
    api.store_one("k", "v", tags=tags)
    assert api.value("k") == "v"
    assert purge(api, tags[31]).status == 200
    assert api.status("k") == 404


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("tag=", "No tag is named"),
        ("tag=,%20,", "No tag is named"),
        ("tag=a&keys=b", "not several"),
        ("tag=a&prefix=b", "not several"),
        ("tag=a&tags=b", "no parameter 'tags'"),
        ("tag=" + ",".join(map(str, range(1001))), "more than 1000"),
    ],
)
def test_a_slip_in_a_purge_deletes_nothing(file_api: Api, query: str, told: str) -> None:
    file_api.store_one("k", 1, tags=["a"])
    answer = file_api.call("DELETE", ALL, query=query)
    assert (answer.status, told in answer.message) == (400, True), answer
    assert file_api.call("DELETE", ALL, {"If-Match": "*"}, query="tag=a").status == 400
    body = {"resource": ["x"]}
    assert file_api.call("DELETE", ALL, body=body, query="tag=a").status == 400
    assert file_api.status("k") == 200


def test_a_purge_may_be_tunnelled_and_named_repeatedly(file_api: Api) -> None:
    for key in ("x", "y", "z"):
        file_api.store_one(key, 1, tags=[key])
    tunnel = {"X-HTTP-Method": "DELETE"}
    assert file_api.call("POST", ALL, tunnel, query="tag=x&tag=y").status == 200
    assert statuses(file_api, "x", "y", "z") == [404, 404, 200]


def test_what_has_no_tags_is_stored_as_ever(api: Api) -> None:
    api.store_one("k", {"a": 1})
    assert api.store.get("k") == b'{"a": 1}'
    api.store_one("k", {"a": 1}, tags=["a"])
    if isinstance(api.store, MemcachedStore):
        # Its bytes may have line ends.
        return
    stored = api.store.get("k")
    assert stored.startswith(MARK)
    assert stored.endswith(b'{"a": 1}')


def test_what_only_looks_like_an_entry_with_tags_is_a_value(api: Api) -> None:
    for planted in (MARK, MARK + b"\x00\x03abc", MARK + b"\xff\xff", MARK + b"\x00\x01\xc0tail"):
        api.store.plant("k", planted)
        answer = api.call("GET", entry("k"))
        assert answer.status == 200
        assert base64.b64decode(answer.json["value"]) == planted
        assert answer.json["encoding"] == "base64"


def test_a_generation_that_was_evicted_means_purged_and_never_back(api: Api) -> None:
    api.store_one("k", 1, tags=["a"])
    assert api.call("DELETE", entry(generation_key("a"))).status == 200
    assert api.status("k") == 404
    api.store_one("other", 1, tags=["a"])
    assert statuses(api, "k", "other") == [404, 200]


def test_bytes_of_a_clients_choice_come_back_equal(tmp_path: Path) -> None:
    with application(tmp_path, CACHE_RAW_BYTES="true") as api:
        for chosen in (MARK, MARK + b"\x00\x04\x92\x00\x90\x00", b"\x00\xc1"):
            for tags in ([], ["a"]):
                value = base64.b64encode(chosen).decode()
                api.store_one("k", value, encoding="base64", tags=tags)
                assert api.value("k") == value
        assert purge(api, "a").status == 200
        assert api.status("k") == 404


@pytest.mark.parametrize("form", ["php", "auto"])
def test_a_service_for_another_programs_values_reads_them_alike(tmp_path: Path, form: str) -> None:
    with application(tmp_path, CACHE_VALUES=form) as api:
        for value in ({"a": [1, "b"]}, "text", 5, None, True):
            api.store_one("k", value, tags=["a"])
            assert api.value("k") == value
        assert purge(api, "a").status == 200
        assert api.status("k") == 404


def make_key(api: Api, *rules: dict[str, Any]) -> dict[str, str]:
    answer = api.call(
        "POST", "/api/v2/system/api_key", body={"resource": [{"name": "k", "rules": list(rules)}]}
    )
    assert answer.status == 201, answer
    return {KEY: answer.json["resource"][0]["api_key"]}


def test_who_may_delete_all_keys_or_flush_may_purge(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        rule = {"service": "cache", "verbs": ["DELETE"]}
        some = make_key(api, {**rule, "keys": "a:*"})
        writer = make_key(api, {**rule, "verbs": ["POST", "GET", "PUT"]})
        for headers in (some, writer):
            api.store_one("a:1", 1, tags=["a"])
            answer = purge(api, "a", headers=headers)
            assert answer.status == 403
            assert api.status("a:1") == 200
        assert "DELETE on all keys, or FLUSH" in purge(api, "a", headers=some).message
        for headers in (make_key(api, rule), make_key(api, {**rule, "verbs": ["FLUSH"]})):
            api.store_one("a:1", 1, tags=["a"])
            assert purge(api, "a", headers=headers).status == 200
            assert api.status("a:1") == 404
        # Nobody but an administrator names a generation.
        client = make_key(api, {**rule, "verbs": ["GET", "POST", "PUT", "DELETE"]})
        for key in (IN_USE, generation_key("a")):
            assert key.startswith(TAG)
            assert api.call("GET", entry(key), client).status == 403


def test_who_did_it_is_in_the_audit_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with application(tmp_path) as api, caplog.at_level("INFO"):
        assert purge(api, "a").status == 200
    assert any("purged" in record.getMessage() for record in caplog.records)


class Counting(FileBackend):
    """A file that notes what it is asked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in _ASKING:
            object.__getattribute__(self, "asked").append(name)
        return object.__getattribute__(self, name)


_ASKING = frozenset(
    {"add", "delete", "delete_many", "get", "get_each", "get_many", "get_with_token"}
    | {"get_and_touch_many", "increment", "perform", "replace", "set_many", "touch"}
)


def test_without_tags_nothing_more_is_asked(tmp_path: Path) -> None:
    """But once in half a second, whether the service has any."""
    with application(tmp_path) as api:
        cache = api.app.extensions["cacheapi"].find("cache")
        backend = Counting(data_dir=str(tmp_path))
        cache.backend, cache.entries = backend, cache.entries.over(backend)
        # It has just been asked.
        assert cache.delete("none") is False
        cache.entries._known.asked = time.monotonic() + 600

        def asked(work: Any) -> list[str]:
            backend.asked.clear()
            work()
            return list(backend.asked)

        api.store_one("n", 1)
        assert asked(lambda: api.store_one("k", 1)) == ["set_many"]
        assert asked(lambda: cache.get("k")) == ["get"]
        assert asked(lambda: cache.delete("k")) == ["delete"]
        assert asked(lambda: cache.add("k", "1", None)) == ["add"]
        assert asked(lambda: cache.replace("k", "1", None)) == ["replace"]
        assert asked(lambda: cache.touch("k", 60)) == ["touch"]
        assert asked(lambda: cache.increment("n", 1, None, None)) == ["increment"]
        assert asked(lambda: cache.delete_many(["k", "x"])) == ["delete_many"]
        assert cache.get("never") is MISSING
        backend.close()


def test_where_there_are_tags_operations_on_other_keys_are_done_at_once(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        cache = api.app.extensions["cacheapi"].find("cache")
        backend = Counting(data_dir=str(tmp_path))
        cache.backend, cache.entries = backend, cache.entries.over(backend)
        cache.set_many(
            [
                *(TaggedPair(name, "1", None, ("a",)) for name in ("gone", "gone too")),
                *(TaggedPair("tagged", "5", None, ("b",)), Pair("plain", "7", None)),
            ]
        )
        cache.purge(["a"])
        make = cache.make

        backend.asked.clear()
        plain = [
            *(make.replace("plain", "8", None), make.increment("plain", 1, None, None)),
            *(Delete("none"), make.touch("plain", 60), Get("plain")),
        ]
        assert cache.perform(plain) == [True, 9, False, True, Value("9")]
        assert backend.asked == ["get_each", "perform"]

        asked = [
            *(make.replace("gone", "1", None), make.increment("tagged", 1, None, None)),
            *(make.increment("plain", 1, None, None), Delete("gone too"), Get("tagged")),
            *(make.add("gone", "2", None), Get("gone"), Exists("plain")),
        ]
        assert cache.perform(asked) == [
            *(False, 6, 10, False, Value("6"), True, Value("2"), True),
        ]
        backend.close()


def test_a_read_with_a_new_lifetime_knows_what_was_purged(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        cache = api.app.extensions["cacheapi"].find("cache")
        backend = Counting(data_dir=str(tmp_path))
        cache.backend, cache.entries = backend, cache.entries.over(backend)
        cache.set_many([Pair("plain", "7", None), Pair("looks", "8", None)])
        both: list[Operation] = [
            *(Get("plain"), Touch("plain", 60), Get("looks"), Touch("looks", 60)),
        ]

        backend.asked.clear()
        assert cache.perform(both, 1000) == [Value("7"), True, Value("8"), True]
        assert backend.asked == ["get_and_touch_many"]

        tagged = [TaggedPair(name, "1", None, (name,)) for name in ("kept", "gone")]
        cache.set_many(tagged)
        cache.purge(["gone"])
        asked: list[Operation] = [
            *(Get("plain"), Touch("plain", 60), Get("kept"), Touch("kept", 60)),
            *(Get("gone"), Touch("gone", 60)),
        ]
        told = [Value("7"), True, Value("1"), True, MISSING, False]
        assert cache.perform(asked, 1000) == told
        # Nor where it is not known yet that the service has tags: it is gone, if touched perhaps.
        for known in (True, False):
            cache.entries._known.since = 0.0 if known else None
            cache.entries._known.asked = time.monotonic() + 600
            assert cache.perform(asked, 1000)[:5] == told[:5]
        backend.close()


def test_every_process_learns_that_there_are_tags(tmp_path: Path) -> None:
    with application(tmp_path) as one, application(tmp_path) as other:
        assert isinstance(one, AppApi)
        # It knows of none.
        assert other.call("DELETE", entry("none")).status == 404
        one.store_one("k", 1, tags=["a"])
        assert purge(one, "a").status == 200
        assert other.call("DELETE", entry("k")).status == 404
        assert isinstance(one.store, FileStore)
