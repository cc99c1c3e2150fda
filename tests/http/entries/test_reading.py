"""Reading: one value, several, listing, and the parameters of DreamFactory's clients."""

from __future__ import annotations

import pytest

from tests.http.client import ALL, Api, LiveApi, entry


def test_a_stored_value_is_read_with_its_key(api: Api) -> None:
    api.store_one("user:1", {"name": "John"})
    answer = api.call("GET", entry("user:1"))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body == b'{"key":"user:1","value":{"name": "John"}}'


def test_an_absent_key_is_404_and_named(api: Api) -> None:
    answer = api.call("GET", entry("user:1"))
    assert answer.status == 404
    assert answer.message == "Key 'user:1' does not exist."
    assert answer.error["context"] is None
    several = api.call("GET", entry("a,b")).message
    assert several == "Key 'a,b' does not exist. For several keys: ?keys=a,b."


@pytest.mark.parametrize("stored", [True, False], ids=["hit", "miss"])
def test_head_answers_as_get_without_a_body(api: Api, stored: bool) -> None:
    if stored:
        api.store_one("k", "v")
    get = api.call("GET", entry("k"))
    head = api.call("HEAD", entry("k"))
    assert head.status == get.status == (200 if stored else 404)
    assert head.body == b""
    for name in ("ETag", "Content-Length", "Content-Type"):
        assert head.headers.get(name) == get.headers.get(name)


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("keys=a,b,c", ["a", "b", "c"]),
        ("keys=c,a", ["c", "a"]),
        ("keys=a&keys=b,c", ["a", "b", "c"]),
        ("key=a", ["a"]),
        ("key=b&key=a", ["b", "a"]),
        ("keys=a&key=with,comma&keys=b", ["a", "with,comma", "b"]),
        ("key=with%2Ccomma", ["with,comma"]),
        ("keys=a,b,a&key=b", ["a", "b"]),
        ("keys=a%2Cb", ["a", "b"]),
        ("keys=%F0%9F%90%98", ["🐘"]),
    ],
)
def test_several_values_come_in_the_order_asked(api: Api, query: str, keys: list[str]) -> None:
    for key in ("a", "b", "c", "with,comma", "🐘"):
        api.store_one(key, f"of {key}")
    answer = api.call("GET", ALL, query=query)
    assert answer.status == 200
    assert answer.json == {
        "resource": [{"key": key, "value": f"of {key}"} for key in keys],
        "meta": {"missing": []},
    }


def test_absent_keys_are_listed_as_missing_in_the_order_asked(api: Api) -> None:
    api.store_one("there", None)
    answer = api.call("GET", ALL, query="keys=z,there,a")
    assert answer.status == 200
    assert answer.json == {
        "resource": [{"key": "there", "value": None}],
        "meta": {"missing": ["z", "a"]},
    }


def test_many_keys_are_read_at_once(api: Api) -> None:
    keys = [f"k{number}" for number in range(1200)]
    pairs = [{"key": key, "value": index} for index, key in enumerate(keys)]
    assert api.call("POST", ALL, body={"resource": pairs}).status == 201
    listed = {"resource": [*keys, "absent"]}
    answer = api.call("POST", ALL, {"X-HTTP-Method": "GET"}, listed)
    assert answer.json == {"resource": pairs, "meta": {"missing": ["absent"]}}


@pytest.mark.parametrize(
    ("query", "index"),
    [("keys=", 0), ("keys=a,,b", 1), ("key=", 0), ("keys=a&keys=", 1), ("keys=a,b,", 2)],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_empty_key_in_a_list_is_refused(api: Api, method: str, query: str, index: int) -> None:
    api.store_one("a", 1)
    answer = api.call(method, ALL, query=query)
    assert answer.status == 400
    assert answer.error["context"] == {
        "errors": [{"index": index, "field": "key", "message": "A key may not be empty."}]
    }
    assert api.value("a") == 1


def test_each_bad_key_of_a_list_is_named_by_index(memcached_api: Api) -> None:
    long = "k" * 251
    answer = memcached_api.call("GET", ALL, query=f"key=a&key={long}&key=b%20c&key=%20{long}")
    assert answer.status == 400
    details = answer.error["context"]["errors"]
    assert [(detail["index"], detail["field"]) for detail in details] == [(1, "key"), (3, "key")]
    assert ["at most 250" in detail["message"] for detail in details] == [True, True]


def test_keys_are_listed(listing_api: Api) -> None:
    for key in ("b", "a", "c/d"):
        listing_api.store_one(key, 1)
    answer = listing_api.call("GET", ALL)
    assert answer.status == 200
    assert answer.json["meta"] == {"next": None}
    listed = answer.json["resource"]
    assert sorted(item["key"] for item in listed) == ["a", "b", "c/d"]
    assert {*map(len, listed)} == {1}


def test_an_empty_cache_lists_no_keys(listing_api: Api) -> None:
    answer = listing_api.call("GET", ALL)
    assert answer.json == {"resource": [], "meta": {"next": None}}


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [("user:", ["user:1", "user:2"]), ("", ["a", "user:1", "user:2", "é"]), ("%C3%A9", ["é"])],
)
def test_a_prefix_selects_the_listed_keys(listing_api: Api, prefix: str, keys: list[str]) -> None:
    for key in ("a", "user:1", "user:2", "é"):
        listing_api.store_one(key, 1)
    answer = listing_api.call("GET", ALL, query=f"prefix={prefix}")
    assert sorted(item["key"] for item in answer.json["resource"]) == keys


@pytest.mark.parametrize("limit", [1, 3, 7, 25, 1000])
def test_pages_list_each_key_once(listing_api: Api, limit: int) -> None:
    keys = [f"page:{number:02}" for number in range(25)]
    pairs = [{"key": key, "value": 1} for key in [*keys, "other"]]
    assert listing_api.call("POST", ALL, body={"resource": pairs}).status == 201
    listed: list[str] = []
    query = f"prefix=page:&limit={limit}"
    while True:
        answer = listing_api.call("GET", ALL, query=query)
        page = [item["key"] for item in answer.json["resource"]]
        assert len(page) <= limit
        listed += page
        cursor = answer.json["meta"]["next"]
        if cursor is None:
            break
        query = f"prefix=page:&limit={limit}&cursor={cursor}"
    assert sorted(listed) == keys


def test_a_page_has_a_hundred_keys_by_default(listing_api: Api) -> None:
    pairs = [{"key": f"k{number:03}", "value": 1} for number in range(101)]
    assert listing_api.call("POST", ALL, body={"resource": pairs}).status == 201
    listed: list[str] = []
    query = ""
    # On a busy Redis a page may be shorter, and not the last.
    while True:
        answer = listing_api.call("GET", ALL, query=query)
        page = [entry["key"] for entry in answer.json["resource"]]
        listed += page
        assert len(page) <= 100
        cursor = answer.json["meta"]["next"]
        if cursor is None or len(page) == 100:
            break
        query = f"cursor={cursor}"
    assert cursor is not None or len(listed) == 101
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.5", "ten", "", "%D9%A3", "9" * 30])
def test_a_limit_out_of_range_is_refused(listing_api: Api, limit: str) -> None:
    answer = listing_api.call("GET", ALL, query=f"limit={limit}")
    assert answer.status == 400
    assert answer.message == "The parameter limit must be a whole number from 1 to 1000."


@pytest.mark.parametrize("cursor", ["*", "a", "%C3%A9", "a b", "____!", "xyz", "YWJj"])
def test_a_foreign_cursor_is_refused(listing_api: Api, cursor: str) -> None:
    answer = listing_api.call("GET", ALL, query=f"cursor={cursor.replace(' ', '%20')}")
    assert answer.status == 400
    assert "begin again without a cursor" in answer.message


def test_a_cursor_goes_on_only_with_the_prefix_that_it_was_given_for(listing_api: Api) -> None:
    pairs = [{"key": f"{prefix}:{number}", "value": 1} for prefix in "ab" for number in range(9)]
    assert listing_api.call("POST", ALL, body={"resource": pairs}).status == 201
    cursor = listing_api.call("GET", ALL, query="prefix=b:&limit=5").json["meta"]["next"]
    assert listing_api.call("GET", ALL, query=f"prefix=b:&cursor={cursor}").status == 200
    for other in ("", "prefix=a:&", "prefix=b&"):
        answer = listing_api.call("GET", ALL, query=f"{other}cursor={cursor}")
        assert answer.status == 400
        assert "go on with the prefix" in answer.message


@pytest.mark.parametrize("query", [None, "prefix=a", "limit=5"])
def test_memcached_cannot_list_and_points_to_keys(memcached_api: Api, query: str | None) -> None:
    answer = memcached_api.call("GET", ALL, query=query)
    assert answer.status == 400
    assert answer.message.startswith("memcached cannot list its keys.")
    assert "?keys=" in answer.message


@pytest.mark.parametrize("default", ["text", "", "null", "123", "ü"])
def test_a_default_is_given_on_a_miss_and_not_stored(api: Api, default: str) -> None:
    query = f"default={default}".replace("ü", "%C3%BC")
    answer = api.call("GET", entry("k"), query=query)
    assert answer.status == 200
    assert answer.json == {"key": "k", "value": default}
    assert "ETag" not in answer.headers
    assert api.status("k") == 404


def test_a_default_does_not_hide_a_stored_null(api: Api) -> None:
    api.store_one("k", None)
    assert api.call("GET", entry("k"), query="default=x").json == {"key": "k", "value": None}


@pytest.mark.parametrize(
    ("name", "text"), [("clear", "true"), ("clear", "1"), ("pull", "TRUE"), ("pull", "yes")]
)
def test_a_value_is_read_and_deleted(api: Api, name: str, text: str) -> None:
    api.store_one("k", [1, 2])
    answer = api.call("GET", entry("k"), query=f"{name}={text}")
    assert answer.status == 200
    assert answer.json == {"key": "k", "value": [1, 2]}
    assert answer.headers["ETag"]
    assert api.status("k") == 404
    assert api.call("GET", entry("k"), query=f"{name}={text}").status == 404


@pytest.mark.parametrize("text", ["false", "0", "no", "off"])
def test_a_parameter_that_says_no_deletes_nothing(api: Api, text: str) -> None:
    api.store_one("k", 1)
    assert api.call("GET", entry("k"), query=f"clear={text}&pull={text}").status == 200
    assert api.value("k") == 1


@pytest.mark.parametrize("name", ["clear", "pull", "check_exist"])
def test_a_flag_that_is_neither_yes_nor_no_is_refused(api: Api, name: str) -> None:
    api.store_one("k", 1)
    answer = api.call("GET", entry("k"), query=f"{name}=maybe")
    assert answer.status == 400
    assert answer.message == f"The parameter {name} must be true or false."
    assert api.value("k") == 1


def test_head_changes_nothing_even_with_clear(api: Api) -> None:
    api.store_one("k", 1)
    assert api.call("HEAD", entry("k"), query="clear=true").status == 200
    assert api.value("k") == 1


def test_clear_with_a_default_gives_the_default_on_a_miss(api: Api) -> None:
    answer = api.call("GET", entry("k"), query="clear=true&default=x")
    assert answer.json == {"key": "k", "value": "x"}


def test_existence_is_told_without_a_404(api: Api) -> None:
    absent = api.call("GET", entry("k"), query="check_exist=true")
    api.store_one("k", None)
    present = api.call("GET", entry("k"), query="check_exist=true")
    assert (absent.status, absent.json) == (200, {"key": "k", "exists": False})
    assert (present.status, present.json) == (200, {"key": "k", "exists": True})
    assert present.headers["ETag"] == api.etag("k")


@pytest.mark.parametrize("taking", ["clear", "pull"])
def test_asking_whether_a_key_is_there_never_takes_it(api: Api, taking: str) -> None:
    api.store_one("k", 1)
    answer = api.call("GET", entry("k"), query=f"check_exist=true&{taking}=true")
    assert answer.json == {"key": "k", "exists": True}
    assert api.value("k") == 1


def test_no_answer_may_be_kept_for_others(api: Api) -> None:
    api.store_one("k", 1)
    same = {"If-None-Match": api.etag("k")}
    for answer in (
        api.call("GET", entry("k")),
        api.call("GET", entry("k"), same),
        api.call("GET", entry("absent")),
        api.call("GET", ALL, query="keys=k"),
    ):
        assert answer.headers["Cache-Control"] == "private, no-cache, no-transform"


OWN_NAMES = {"file": "local", "memcached": "memcache", "redis": "redis"}


@pytest.mark.parametrize("name", ["cache", "own"])
def test_both_names_of_the_system_cache_are_one_cache(api: Api, name: str) -> None:
    own = OWN_NAMES[api.driver]
    written, read = ("cache", own) if name == "cache" else (own, "cache")
    api.call("POST", f"/api/v2/{written}", body={"key": "k", "value": name})
    assert api.call("GET", f"/api/v2/{read}/k").json == {"key": "k", "value": name}


@pytest.mark.parametrize("path", ["/api/v2", "/api/v2/"])
def test_the_services_are_listed(api: Api, path: str) -> None:
    answer = api.call("GET", path)
    own = OWN_NAMES[api.driver]
    assert answer.status == 200
    assert list(answer.json) == ["services"]
    listed = answer.json["services"]
    assert [(item["name"], item.pop("aliases")) for item in listed] == [("cache", [own])]
    for item in listed:
        assert sorted(item) == ["description", "label", "name", "type"]
        assert item["type"] == f"cache_{api.driver}".replace("file", "local")
        assert all(isinstance(text, str) and text for text in item.values())


@pytest.mark.parametrize("name", ["nothing", "CACHE"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_service_is_404_with_a_message_of_its_own(
    api: Api, name: str, method: str
) -> None:
    api.store_one("k", 1)
    answer = api.call(method, f"/api/v2/{name}/k")
    assert answer.status == 404
    assert answer.message == f"Service '{name}' does not exist; GET /api/v2/ lists those that do."
    assert api.value("k") == 1


@pytest.mark.parametrize("name", ["cache%20", "ca%2Fche", "%63ache"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_name_that_is_written_otherwise_is_no_service(api: Api, name: str, method: str) -> None:
    api.store_one("k", 1)
    if isinstance(api, LiveApi) or name != "%63ache":
        assert api.call(method, f"/api/v2/{name}/k").status == 404
    assert api.value("k") == 1
