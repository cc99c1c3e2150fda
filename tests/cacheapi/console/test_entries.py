"""What a service holds, in the console."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import MISSING, Missing
from cacheapi.caching.codec import Value
from cacheapi.console import values
from cacheapi.web.blueprints import EXTENSION
from tests.cacheapi.console.conftest import Person, make_app, text_of
from tests.conftest import connect_redis
from tests.support.faulty import StopsAfter
from tests.support.processes import SASL_PASSWORD, SASL_USER, Memcached, free_port
from tests.support.redis import Redis

CACHE = "/service/cache"
NASTY = "<script>alert(1)</script>\"'&"


def store(person: Person, key: str, value: object, **more: object) -> None:
    answer = person.call("POST", "/cache", {"resource": [{"key": key, "value": value, **more}]})
    assert answer.status_code == 201


def stored(person: Person, key: str) -> object:
    answer = person.call("GET", f"/cache?key={key}")
    (entry,) = answer.json["resource"]
    return entry["value"]


def form_of(page: str) -> dict[str, str]:
    """Return what the form of a key would send as it stands."""
    etag = re.search(r'name="etag" value="([^"]*)"', page)
    assert etag is not None
    (lifetime,) = re.findall(r'name="lifetime" value="(\w+)" checked', page)
    return {"etag": etag[1], "lifetime": lifetime}


def save(person: Person, key: str, value: str, **more: str):
    page = person.page(CACHE, key=key)
    form = {**form_of(page), "as": "json", "value": value, **more}
    return person.post(f"{CACHE}/key", "/", {"key": key}, **form)


def left(person: Person, key: str) -> float | None:
    found = person.app.extensions[EXTENSION].find("cache").remaining_ttl(key)
    assert found is None or isinstance(found, float | int)
    return found


def test_a_value_is_shown_as_a_tree(person: Person) -> None:
    store(person, "k", {"name": "John", "tags": ["a", NASTY], "n": 10**40, "none": None})
    page = person.page(CACHE, key="k")
    text = text_of(page)
    assert "object, 4 members" in text
    assert 'name "John"' in text
    assert str(10**40) in text
    assert "<script>alert" not in page
    assert "Time left" in text


@pytest.mark.parametrize("value", ["plain", "", "two\nlines", NASTY, 7, True, None, 1.5, [], {}])
def test_every_value_is_shown(person: Person, value: object) -> None:
    store(person, "k", value)
    page = person.page(CACHE, key="k")
    assert "<script>alert" not in page
    assert "Change the value" in page


@pytest.mark.parametrize(
    "key", [NASTY, "a/b", "a//b", "ключ", " a ", "a\nb", "a\r\nb", "?x=1&y#z", "%2F", "\u202e"]
)
def test_any_key_is_found_changed_and_deleted(person: Person, key: str) -> None:
    store(person, key, 1)
    listed = person.page(CACHE, prefix="")
    links = re.findall(r'href="/console(/service/cache\?key=[^"#]+)#', listed)
    # The other one is the count of those who signed in.
    (link,) = [link for link in links if "sign-in" not in link]
    page = person.page(link)
    assert "<script>alert" not in page
    assert save(person, key, "2").status_code == 303
    cache = person.app.extensions[EXTENSION].find("cache")
    assert cache.get(key) == Value("2")
    person.done(f"{CACHE}/delete-key", query={"key": key})
    assert cache.get(key) is MISSING
    assert link not in person.page(CACHE, prefix="")


def test_bytes_of_other_programs_are_shown_and_not_edited(
    person: Person,
) -> None:
    backend = person.app.extensions[EXTENSION].find("cache").backend
    raw = bytes(range(256)) * 4
    backend.set("raw", raw, None)
    page = person.page(CACHE, key="raw")
    text = text_of(page)
    assert "Bytes that are no text" in text
    assert "1.0 KiB" in text
    assert "0010 10 11 12" in text
    assert "AAECAwQF" in text
    assert 'id="f-value"' not in page
    # A lifetime can be given all the same.
    form = {**form_of(page), "as": "same", "lifetime": "seconds", "ttl": "100"}
    person.done(f"{CACHE}/key", query={"key": "raw"}, **form)
    assert backend.get("raw") == raw
    assert 90 < (left(person, "raw") or 0) <= 100


def test_whose_format_a_value_has_is_told(person: Person) -> None:
    backend = person.app.extensions[EXTENSION].find("cache").backend
    for raw, told in (
        (b's:5:"hello";', "serialized by PHP"),
        (b"\x80\x05N.", "a pickle of Python"),
        (b"\x04\x08i/", "Marshal of Ruby"),
    ):
        backend.set("raw", raw, None)
        assert f"Format {told}" in text_of(person.page(CACHE, key="raw"))
    store(person, "own", {"a": 1})
    assert "Format" not in text_of(person.page(CACHE, key="own"))


def test_a_value_is_changed_and_keeps_its_lifetime(person: Person) -> None:
    store(person, "k", {"a": 1}, ttl=1000)
    assert save(person, "k", '{"a": 2,\r\n "a": 3}').status_code == 303
    assert stored(person, "k") == {"a": 3}
    assert 900 < (left(person, "k") or 0) <= 1001
    assert save(person, "k", '{"a": 2}', lifetime="forever").status_code == 303
    assert left(person, "k") is None
    assert save(person, "k", "3").status_code == 303
    assert left(person, "k") is None
    assert save(person, "k", "3", lifetime="seconds", ttl=" 77 ").status_code == 303
    assert 70 < (left(person, "k") or 0) <= 77
    assert save(person, "k", "3", lifetime="default").status_code == 303
    assert 17_900 < (left(person, "k") or 0) <= 18_000
    far = 40 * 86400
    store(person, "k", 1, ttl=2_000_000)
    person.app.extensions[EXTENSION].find("cache").backend.set("k", b"1", far)
    assert save(person, "k", "4").status_code == 303
    assert far - 100 < (left(person, "k") or 0) <= far + 1


def test_a_text_stays_a_text(person: Person) -> None:
    store(person, "k", "one\ntwo")
    page = person.page(CACHE, key="k")
    assert "\none\ntwo</textarea>" in page
    assert 'value="text" checked' in page
    assert save(person, "k", "one\r\nthree", **{"as": "text"}).status_code == 303
    assert stored(person, "k") == "one\nthree"
    assert save(person, "k", "not json").status_code == 400
    store(person, "k", "one\r\ntwo")
    # A text area would lose this line end, so the JSON of it is edited.
    page = person.page(CACHE, key="k")
    assert "&#34;one\\r\\ntwo&#34;</textarea>" in page
    assert 'value="json" checked' in page


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), (" 7D ", 604800)]
)
def test_a_lifetime_may_have_its_unit(person: Person, typed: str, seconds: int) -> None:
    assert save(person, "k", "1", lifetime="seconds", ttl=typed).status_code == 303
    found = left(person, "k")
    assert found is not None
    assert seconds - 60 < found <= seconds
    assert save(person, "k", "1", lifetime="seconds", ttl="forever").status_code == 303
    assert left(person, "k") is None


@pytest.mark.parametrize("before", [MISSING, Value("0")], ids=["a new key", "a key"])
def test_a_lifetime_may_be_a_time_to_come_but_none_that_is_past(
    person: Person, before: Value | Missing
) -> None:
    if before is not MISSING:
        store(person, "k", 0)
    hour = str(int(time.time()) + 3600)
    past = str(int(time.time()) - 5)
    assert save(person, "k", "1", lifetime="seconds", ttl=past).status_code == 400
    assert person.app.extensions[EXTENSION].find("cache").get("k") == before
    assert save(person, "k", "1", lifetime="seconds", ttl=hour).status_code == 303
    assert 3500 < (left(person, "k") or 0) <= 3600


def test_what_is_no_json_may_be_meant_as_text(person: Person) -> None:
    answer = save(person, "k", "hello")
    assert answer.status_code == 400
    assert "To store it as it is typed, choose Text." in text_of(answer.text)


@pytest.mark.parametrize(
    ("value", "more", "field", "message"),
    [
        ("{", {}, "f-value", "The value is not valid JSON"),
        ("", {}, "f-value", "The value is not valid JSON"),
        ("1, 2", {}, "f-value", "The value is not valid JSON"),
        ("NaN", {}, "f-value", "NaN"),
        ('"\\ud800"', {}, "f-value", "lone surrogate"),
        (
            "1",
            {"lifetime": "seconds", "ttl": ""},
            "f-ttl",
            "No lifetime is given; write 90s, 15m",
        ),
        ("1", {"lifetime": "seconds", "ttl": "1.5"}, "f-ttl", "'1.5' is no lifetime; write 90s"),
        ("1", {"lifetime": "seconds", "ttl": "-5"}, "f-ttl", "'-5' is no lifetime; write 90s"),
        (
            "1",
            {"lifetime": "seconds", "ttl": "3600000"},
            "f-ttl",
            "3600000 is over already, so nothing was stored: a number over 2592000 (30 days)",
        ),
    ],
)
def test_what_is_wrong_with_a_value_is_told_beside_it(
    person: Person, value: str, more: dict[str, str], field: str, message: str
) -> None:
    store(person, "k", {"old": True})
    answer = save(person, "k", value, **more)
    assert answer.status_code == 400
    told = re.search(rf'id="e-{field}"[^>]*>([^<]+)<', answer.text)
    assert told is not None
    assert message in text_of(told[1])
    assert stored(person, "k") == {"old": True}


def test_what_somebody_else_stored_meanwhile_is_not_overwritten(person: Person) -> None:
    store(person, "k", 1)
    form = form_of(person.page(CACHE, key="k"))
    store(person, "k", 2)
    more = {"as": "json", "value": "3", **form}
    answer = person.post(f"{CACHE}/key", query={"key": "k"}, **more)
    assert answer.status_code == 400
    assert "Somebody else has stored another value under this key meanwhile" in text_of(answer.text)
    assert stored(person, "k") == 2
    person.call("DELETE", "/cache/k")
    answer = person.post(f"{CACHE}/key", query={"key": "k"}, **more)
    assert "Somebody else has stored another value under this key meanwhile" in text_of(answer.text)
    assert person.call("GET", "/cache/k").status_code == 404
    # What was typed is still there, and can be stored over what is there now.
    form = form_of(answer.text)
    assert form["etag"] == ""
    assert "\n3</textarea>" in answer.text
    person.done(f"{CACHE}/key", query={"key": "k"}, **{**more, **form, "lifetime": "default"})
    assert stored(person, "k") == 3


def test_an_absent_key_can_be_stored_once(person: Person) -> None:
    page = person.page(CACHE, key="new")
    assert "The key is not there." in text_of(page)
    form = {**form_of(page), "as": "json", "value": "[1]"}
    assert form["etag"] == ""
    person.done(f"{CACHE}/key", query={"key": "new"}, **form)
    assert stored(person, "new") == [1]
    answer = person.post(f"{CACHE}/key", query={"key": "new"}, **{**form, "value": "2"})
    assert "exists already" in text_of(answer.text)
    assert stored(person, "new") == [1]


def test_keys_are_browsed_by_prefix_and_page(person: Person) -> None:
    for start in range(0, 120, 60):
        pairs = [{"key": f"user:{number:03}", "value": 1} for number in range(start, start + 60)]
        person.call("POST", "/cache", {"resource": pairs})
    store(person, "other", 1)
    seen: list[str] = []
    page = person.page(CACHE, prefix="user:")
    while True:
        seen += re.findall(r"<bdi>(user:\d+)</bdi>", page)
        following = re.search(r'href="/console([^"#]+)#keys-title">Next page', page)
        if following is None:
            break
        page = person.page(following[1].replace("&amp;", "&"))
        assert "First page" in page
    assert seen == [f"user:{number:03}" for number in range(120)]
    assert "No keys start with “no:”." in text_of(person.page(CACHE, prefix="no:"))
    answer = person.get(CACHE, prefix="", cursor="wrong!")
    assert answer.status_code == 400
    assert "cursor" in answer.text


def test_a_service_is_flushed_by_its_name(person: Person) -> None:
    store(person, "k", 1)
    answer = person.post(f"{CACHE}/flush", confirm="local")
    assert answer.status_code == 400
    assert "Type cache to delete all that it holds." in text_of(answer.text)
    # Its keys are there as before, on the page too.
    assert "<bdi>k</bdi>" in answer.text
    assert stored(person, "k") == 1
    page = person.done(f"{CACHE}/flush", confirm="cache")
    assert "is flushed" in text_of(page)
    # Its number of keys is asked until it is none.
    assert "data-flushed" in page
    assert "data-flushed" not in person.page(CACHE)
    assert 'data-keys="0"' in person.page(f"{CACHE}/state")
    assert person.call("GET", "/cache/k").status_code == 404


def test_a_key_that_is_none_is_told(person: Person) -> None:
    answer = person.get(CACHE, key="k" * 2000)
    assert answer.status_code == 400
    assert "takes at most 1024" in text_of(answer.text)
    answer = person.post(f"{CACHE}/delete-key", query={"key": "absent"})
    assert answer.status_code == 404


def test_a_long_text_goes_through_the_form(person: Person) -> None:
    text = "\N{CJK UNIFIED IDEOGRAPH-503C}" * (values.MOST_TEXT - 1)
    store(person, "long", text)
    assert save(person, "long", f"{text}x", **{"as": "text"}).status_code == 303
    assert stored(person, "long") == f"{text}x"


@pytest.fixture
def on_memcached(memcached_server: Memcached, tmp_path: Path) -> Iterator[Person]:
    person = Person(
        make_app(
            tmp_path,
            CACHE_DRIVER="memcached",
            MEMCACHED_PORT=str(memcached_server.port),
            MEMCACHED_TIMEOUT_MS="3000",
        )
    )
    assert person.sign_in().status_code == 303
    yield person
    person.app.extensions[EXTENSION].close()


def test_on_memcached_keys_are_asked_for_by_name(on_memcached: Person) -> None:
    person = on_memcached
    store(person, "entry", [1], ttl=1000)
    page = person.page(CACHE, key="entry")
    # Once, with what can be done instead.
    assert text_of(page).count("annot list its keys") == 1
    assert "Look up a key by its name; What fills it shows what there is" in text_of(page)
    assert re.search(r'data-left="(9\d\d|1000)\.', page)
    assert save(person, "entry", "[2]").status_code == 303
    assert stored(person, "entry") == [2]
    answer = person.get(CACHE, prefix="")
    assert answer.status_code == 400
    assert text_of(answer.text).count("annot list its keys") == 1
    assert "Look up a key by its name" in text_of(answer.text)
    assert person.get(CACHE, key="k" * 251).status_code == 400


def test_where_the_time_left_is_not_known_it_says_so(
    sasl_server: Memcached, tmp_path: Path
) -> None:
    person = Person(
        make_app(
            tmp_path,
            CACHE_DRIVER="memcached",
            MEMCACHED_PORT=str(sasl_server.port),
            MEMCACHED_USERNAME=SASL_USER,
            MEMCACHED_PASSWORD=SASL_PASSWORD,
            MEMCACHED_TIMEOUT_MS="3000",
        )
    )
    person.sign_in()
    store(person, "entry", 1)
    page = person.page(CACHE, key="entry")
    assert "Delete all keys" in page
    assert "Time left not known" in text_of(page)
    assert 'value="keep"' not in page
    assert save(person, "entry", "2").status_code == 303
    assert stored(person, "entry") == 2
    person.app.extensions[EXTENSION].close()


def test_on_redis_all_of_it_works(redis_one: Redis, tmp_path: Path) -> None:
    person = Person(
        make_app(tmp_path, CACHE_DRIVER="redis", **redis_one.settings, REDIS_TIMEOUT_MS="3000")
    )
    person.sign_in()
    person.done(f"{CACHE}/flush", confirm="cache")
    store(person, "entry", {"a": 1}, ttl=1000)
    assert "<bdi>entry</bdi>" in person.page(CACHE, prefix="en")
    assert save(person, "entry", '{"a": 2}').status_code == 303
    assert 900 < (left(person, "entry") or 0) <= 1001
    assert "Up" in text_of(person.page(f"{CACHE}/state"))
    person.app.extensions[EXTENSION].close()


def test_what_cannot_be_flushed_alone_says_so_beforehand(tmp_path: Path) -> None:
    settings = {"CACHE_DRIVER": "memcached", "MEMCACHED_PORT": str(free_port())}
    person = Person(make_app(tmp_path, **settings, MEMCACHED_PREFIX="mine:"))
    person.sign_in()
    page = person.page(CACHE)
    # In the words of the API.
    assert person.call("DELETE", "/cache").json["error"]["message"] in text_of(page)
    assert "it flushes whole servers" in text_of(page)
    assert "Delete all keys" not in page
    person.app.extensions[EXTENSION].close()


def test_a_server_that_is_gone_is_told_where_it_is_asked(tmp_path: Path) -> None:
    person = Person(make_app(tmp_path, CACHE_DRIVER="memcached", MEMCACHED_PORT=str(free_port())))
    person.sign_in()
    answer = person.get(CACHE, key="k")
    assert answer.status_code == 400
    assert "Connection refused" in text_of(answer.text)
    answer = person.post(f"{CACHE}/flush", confirm="cache")
    assert answer.status_code == 400
    assert "Connection refused" in text_of(answer.text)
    person.app.extensions[EXTENSION].close()


# Large and deep values


def test_a_large_tree_is_cut_and_says_so() -> None:
    shown = values.show(Value("[" + ",".join(["1"] * 5000) + "]"))
    assert shown.tree is not None
    assert shown.tree.text == "5000 elements"
    assert len(shown.tree.children) < 600
    assert shown.tree.children[-1].kind == "more"
    assert shown.is_editable


def test_a_deep_value_is_shown_as_far_as_it_goes() -> None:
    shown = values.show(Value("[" * 400 + "]" * 400))
    node = shown.tree
    levels = 0
    while node is not None and node.children:
        node, levels = node.children[0], levels + 1
    assert 10 < levels < 40
    assert values.show(Value("[" * 100_000 + "]" * 100_000)).kind == "json"


def test_a_huge_value_is_not_edited_here() -> None:
    for json in ('"' + "x" * 300_000 + '"', "[" + "1," * 150_000 + "1]"):
        shown = values.show(Value(json))
        assert shown.is_cut
        assert not shown.is_editable
        assert len(shown.text) <= values.MOST_TEXT


def test_members_of_the_same_name_and_long_numbers_are_shown_as_they_are() -> None:
    shown = values.show(Value('{"a":1e400,"a":1.10,"b":"x"}'))
    assert shown.tree is not None
    assert [(node.name, node.text) for node in shown.tree.children] == [
        *(("a", "1e400"), ("a", "1.10"), ("b", '"x"')),
    ]


def test_what_is_shown_is_deleted_once_its_prefix_is_typed(
    person: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cacheapi.audit")
    pairs = [{"key": f"user:{number:03}", "value": 1} for number in range(120)]
    person.call("POST", "/cache", {"resource": pairs})
    store(person, "user", 1)
    query = {"prefix": "user:"}
    assert "Delete all that start with user:" in text_of(person.page(CACHE, **query))
    assert "Delete all that start with" not in person.page(CACHE)
    assert "Delete all that start with" not in person.page(CACHE, prefix="none")
    for typed in ("", "user", "user: ", "cache"):
        answer = person.post(f"{CACHE}/delete-prefix", query=query, confirm=typed)
        assert answer.status_code == 400
        assert "Type user: to delete every key that starts so." in text_of(answer.text)
    answer = person.post(f"{CACHE}/delete-prefix", confirm="")
    assert answer.status_code == 400
    assert stored(person, "user:000") == 1
    page = text_of(person.done(f"{CACHE}/delete-prefix", query=query, confirm="user:"))
    assert "120 keys were deleted: all that started with user:" in page
    assert "No keys start with" in page
    assert stored(person, "user") == 1
    last = caplog.records[-1].getMessage()
    assert last.endswith('"CACHEAPI_API_KEY" deleted by prefix in service "cache" (120 keys)')
    page = text_of(person.done(f"{CACHE}/delete-prefix", query={"prefix": "use"}, confirm="use"))
    assert "1 key was deleted" in page


def test_a_deletion_that_stops_half_way_says_how_far_it_came(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [{"key": f"user:{number:04}", "value": 1} for number in range(1000)]
    person.call("POST", "/cache", {"resource": pairs})
    person.call("POST", "/cache", {"resource": [{"key": "user:x", "value": 1}]})
    cache = person.app.extensions[EXTENSION].find("cache")
    fails = StopsAfter(cache, 1)
    monkeypatch.setattr(cache, "delete_many", fails)
    why = "Timed out. 1000 keys were deleted until then, and the rest is left: delete it again"
    query = {"prefix": "user:"}
    answer = person.post(f"{CACHE}/delete-prefix", query=query, confirm="user:")
    assert answer.status_code == 400
    assert why in text_of(answer.text)
    assert "user:x" in answer.text
    # Also where there is no list to tell it beside.
    fails.left, fails.stops_lists = 1, True
    person.call("POST", "/cache", {"resource": pairs})
    answer = person.post(f"{CACHE}/delete-prefix", query=query, confirm="user:")
    assert text_of(answer.text).count(why) == 1
    # And of those that were selected.
    fails.left, fails.stops_lists = 0, False
    selected = {"selected": '"user:x"', "confirm": "1"}
    answer = person.post(f"{CACHE}/delete-selected", query=query, **selected)
    assert "Timed out. Nothing was deleted." in text_of(answer.text)


def test_a_prefix_that_cannot_be_typed_is_typed_as_it_is_shown(person: Person) -> None:
    store(person, "a\nb", 1)
    person.done(f"{CACHE}/delete-prefix", query={"prefix": "a\n"}, confirm="a\u240a")
    assert person.call("GET", "/cache/a%0Ab").status_code == 404


def test_where_keys_cannot_be_listed_none_are_deleted_by_prefix(on_memcached: Person) -> None:
    query = {"prefix": "k"}
    answer = on_memcached.post(f"{CACHE}/delete-prefix", query=query, confirm="k")
    assert answer.status_code == 400
    assert text_of(answer.text).count("annot list its keys") == 1


# The page of a service


def test_the_page_lists_keys_with_what_is_known_of_them(person: Person) -> None:
    store(person, "lasting", "x" * 2000, ttl=0)
    store(person, "passing", 1, ttl=1000)
    page = text_of(person.page(CACHE))
    assert "lasting for ever 2.0 KiB value" in page
    assert re.search(r"passing 16 min \d+ s 1 B value", page)
    row = re.search(r'data-left="(9\d\d|1000)\.', person.page(CACHE, prefix="pass"))
    assert row is not None


def test_a_page_of_keys_is_two_calls_however_many_they_are(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [{"key": f"k{number}", "value": 1} for number in range(60)]
    person.call("POST", "/cache", {"resource": pairs})
    backend = person.app.extensions[EXTENSION].find("cache").backend
    asked: list[int] = []
    describe = backend.describe_many

    def counted(keys: list[str]) -> object:
        asked.append(len(keys))
        return describe(keys)

    monkeypatch.setattr(backend, "describe_many", counted)
    person.page(CACHE)
    # Reserved keys are no rows.
    assert len(asked) == 1
    assert 40 <= asked[0] <= 50


def test_who_opens_the_page_sees_the_last_hour_first_who_looks_for_a_key_that(
    person: Person,
) -> None:
    store(person, "k", 1)
    page = person.page(CACHE)
    assert page.index('id="charts-title"') < page.index('id="keys-title"')
    for asked in ({"key": "k"}, {"key": "none"}, {"prefix": ""}, {"prefix": "k"}):
        page = person.page(CACHE, **asked)
        assert page.index('id="charts-title"') > page.index('id="keys-title"')
    page = person.get(CACHE, key="k" * 2000).text
    assert page.index('id="charts-title"') > page.index('id="keys-title"')


def test_the_page_has_the_settings_with_their_units(person: Person) -> None:
    config = {"host": "127.0.0.1", "port": free_port(), "default_ttl": 90}
    body = {"name": "mem", "type": "cache_memcached", "config": config}
    assert person.call("POST", "/system/service", body).status_code == 201
    page = text_of(person.page("/service/mem"))
    assert f"Host 127.0.0.1 Port {config['port']}" in page
    assert "Default TTL 90 minutes (1 h 30 min)" in page
    for minutes, told in ((0, "0: for ever"), (1, "1 minute"), (60, "60 minutes (1 h)")):
        person.call("PATCH", "/system/service/mem", {"config": {"default_ttl": minutes}})
        assert f"Default TTL {told}" in text_of(person.page("/service/mem"))
    body = {"name": "own", "type": "cache_local", "config": {"max_mb": 3}}
    assert person.call("POST", "/system/service", body).status_code == 201
    assert "Size 3 MiB" in text_of(person.page("/service/own"))


def test_a_server_that_is_gone_leaves_the_page(tmp_path: Path) -> None:
    settings = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(free_port())}
    person = Person(make_app(tmp_path, CACHE_DRIVER="redis", **settings))
    person.sign_in()
    page = text_of(person.page(CACHE))
    assert "The keys cannot be listed:" in page
    assert settings["REDIS_PORT"] in page
    person.app.extensions[EXTENSION].close()


def test_looking_is_no_read_of_an_application(person: Person) -> None:
    pairs = [{"key": f"k{number}", "value": number, "tags": ["t"]} for number in range(5)]
    assert person.call("POST", "/cache", {"resource": pairs}).status_code == 201
    assert person.call("GET", "/cache/k1").status_code == 200
    before = reads(person)
    assert before[0] >= 1
    for query in ({"key": "k1"}, {"key": "absent"}, {"prefix": ""}, {}):
        person.page(CACHE, **query)
    assert reads(person) == before
    assert person.call("GET", "/cache/k1").status_code == 200
    assert reads(person) == (before[0] + 1, before[1])


def reads(person: Person) -> tuple[int, int]:
    told = person.call("GET", "/system/service/cache/stats").json["stats"]
    return told["get_hits"], told["get_misses"]


def test_a_look_is_no_read_in_the_hit_ratio(person: Person, redis_one: Redis) -> None:
    config = {"port": redis_one.port, "prefix": "looks:"}
    made = {"name": "looks", "type": "cache_redis", "config": config}
    assert person.call("POST", "/system/service", made).status_code == 201
    pairs = [{"key": f"k{number}", "value": number} for number in range(60)]
    assert person.call("POST", "/looks", {"resource": pairs}).status_code == 201
    before = redis_one.info("stats")["keyspace_hits"]
    person.page("/service/looks", prefix="")
    person.page("/service/looks", key="k1")
    # The server cannot tell these from an application's reads.
    assert redis_one.info("stats")["keyspace_hits"] > before + 50
    state = text_of(person.page("/service/looks/state"))
    assert "Hit ratio \u2013 (0 reads; shown from 100) Server\u2019s hit ratio" in state
    for number in range(50):
        assert person.call("GET", f"/looks/k{number}").status_code == 200
    assert person.call("GET", "/looks?" + "&".join(f"key=k{n}" for n in range(40, 90))).is_json
    state = text_of(person.page("/service/looks/state"))
    assert "Hit ratio 70.0 % of 100 reads Server\u2019s hit ratio" in state
    assert person.call("DELETE", "/looks").status_code == 200
    # The embedded file knows a look when it is asked for one.
    assert "Server\u2019s hit ratio" not in text_of(person.page("/service/cache/state"))


def test_where_nothing_is_counted_the_server_s_hit_ratio_is_shown(
    tmp_path: Path, redis_one: Redis
) -> None:
    settings = {"CACHE_DRIVER": "redis", "REDIS_PORT": str(redis_one.port)}
    person = Person(make_app(tmp_path, CACHEAPI_METRICS="off", **settings))
    person.sign_in()
    state = text_of(person.page("/service/cache/state"))
    assert "Hit ratio" in state
    assert "Server\u2019s hit ratio" not in state
    assert "These are the whole server\u2019s, of all that use it." in state
    person.app.extensions[EXTENSION].close()


def test_why_the_number_of_keys_may_be_larger_than_the_list(person: Person) -> None:
    assert "The number of keys above may be larger" in text_of(person.page(CACHE))
    store(person, "k", 1, tags=["one", "two"])
    page = text_of(person.page(CACHE))
    assert "This is the only key of the service. The number of keys above may be larger" in page
    assert "other services" not in page
    assert re.search(r"Keys \d", text_of(person.page(f"{CACHE}/state")))
    for number in range(2):
        store(person, f"more{number}", 1)
    assert "These are all 3 keys of the service." in text_of(person.page(CACHE))
    for number in range(60):
        store(person, f"many{number}", 1)
    assert "may be larger" not in text_of(person.page(CACHE))


def test_the_number_of_keys_is_the_server_s_where_others_have_keys_there_too(
    tmp_path: Path, redis_one: Redis
) -> None:
    others = connect_redis(redis_one, REDIS_PREFIX="other:")
    others.set("k", b"1", None)
    others.close()
    settings = {"CACHE_DRIVER": "redis", "REDIS_PORT": str(redis_one.port)}
    person = Person(make_app(tmp_path, REDIS_PREFIX="of nobody:", **settings))
    person.sign_in()
    state = text_of(person.page("/service/cache/state"))
    assert re.search(r"Keys on the server [1-9]", state)
    page = text_of(person.page(CACHE))
    assert "It holds no keys yet. The number of keys on the server, above, is that of all" in page
    person.app.extensions[EXTENSION].close()


def test_a_page_has_one_address(person: Person) -> None:
    for name, config, shown in (
        ("a", {"host": "10.0.0.1", "port": 7001}, "Host 10.0.0.1 Port 7001 "),
        ("b", {"host": "10.0.0.1:7002"}, "Host 10.0.0.1:7002 "),
        ("c", {"host": "[::1]:7003"}, "Host [::1]:7003 "),
        ("d", {"host": "[::1]"}, "Host [::1] Port 6379 "),
        ("e", {"host": "10.0.0.1:1,10.0.0.2", "cluster": True}, "10.0.0.2 Port 6379 "),
        ("f", {"host": "10.0.0.1:1,10.0.0.2:2", "cluster": True}, "10.0.0.2:2 "),
        ("g", {"url": "redis://10.0.0.1:7"}, "URL "),
    ):
        body = {"name": name, "type": "cache_redis", "is_active": False, "config": config}
        assert person.call("POST", "/system/service", body).status_code == 201
        page = text_of(person.page(f"/service/{name}"))
        assert shown in page
        assert ("Port " in page) is ("Port " in shown)
        assert ("Host " in page) is ("Host " in shown or "10.0.0.2" in shown)


def test_what_a_flush_of_memcached_deletes_is_told(
    tmp_path: Path, memcached_server: Memcached
) -> None:
    settings = {"CACHE_DRIVER": "memcached", "MEMCACHED_PORT": str(memcached_server.port)}
    person = Person(make_app(tmp_path, MEMCACHED_PREFIX="", **settings))
    person.sign_in()
    page = text_of(person.page(CACHE))
    assert "this empties its memcached servers: all keys of all who use them are deleted" in page
    assert "of this service. Counts of rate limits go with them. It cannot be taken back." in page
    person.app.extensions[EXTENSION].close()
