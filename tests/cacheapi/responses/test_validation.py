"""Validation: RFC 9111, sections 3.2, 4.3; RFC 9110, section 13."""

from __future__ import annotations

import pytest

from cacheapi.responses.messages import Response, first
from cacheapi.responses.storing import keep
from cacheapi.responses.updating import update_by_head
from tests.cacheapi.responses.simulation import START, Cache, answer, date, fields, get

FRESH = "Cache-Control: max-age=100000"
CHANGED = date(-5, "Last-Modified")


@pytest.mark.parametrize(
    ("stored", "asked", "status"),
    [
        (['ETag: "abc"'], ['If-None-Match: "abc"'], 304),
        (['ETag: "abc"'], ['If-None-Match: W/"abc"'], 304),
        (['ETag: W/"abc"'], ['If-None-Match: W/"abc"'], 304),
        (['ETag: W/"abc"'], ['If-None-Match: "abc"'], 304),
        (['ETag: "abc"'], ['If-None-Match: "abc", "1", "2"'], 304),
        (['ETag: "abc"'], ['If-None-Match: "1", "abc", "2"'], 304),
        (['ETag: "abc"'], ['If-None-Match: "1"', 'If-None-Match: "2","abc"'], 304),
        (['ETag: "a,b"'], ['If-None-Match: "x", "a,b"'], 304),
        (['ETag: "abcü"'], ['If-None-Match: "abcü"'], 304),
        (['ETag: "abc"'], ["If-None-Match: *"], 304),
        ([], ["If-None-Match: *"], 304),
        (['ETag: "abc"'], ['If-None-Match: "ABC"'], 200),
        (['ETag: "abc"'], ['If-None-Match: "x"'], 200),
        (['ETag: "abc"'], ["If-None-Match:"], 200),
        ([], ['If-None-Match: "abc"'], 200),
        # The tag goes before the date.
        (['ETag: "abc"', CHANGED], ['If-None-Match: "x"', date(0, "If-Modified-Since")], 200),
        (['ETag: "abc"', CHANGED], ['If-None-Match: "abc"', date(-9, "If-Modified-Since")], 304),
        ([date(-3000, "Last-Modified")], [date(-3000, "If-Modified-Since")], 304),
        ([date(-3000, "Last-Modified")], [date(-2000, "If-Modified-Since")], 304),
        ([date(-3000, "Last-Modified")], [date(-3001, "If-Modified-Since")], 200),
        ([CHANGED], ["If-Modified-Since: Saturday, 01-Jan-28 00:00:00 GMT"], 304),
        ([date(-3000, "Last-Modified")], ["If-Modified-Since: yesterday"], 200),
        ([date(0)], [date(0, "If-Modified-Since")], 304),
        ([date(0)], [date(-1, "If-Modified-Since")], 200),
    ],
)  # fmt: skip
def test_9111_4_3_2_the_clients_conditions(
    stored: list[str], asked: list[str], status: int
) -> None:
    cache = Cache()
    cache.put(FRESH, *stored)
    got = cache.ask(get(*asked))
    assert got.cached
    assert (got.status, got.body) == (status, b"" if status == 304 else b"0123456789")


def test_9110_15_4_5_what_a_304_has() -> None:
    cache = Cache()
    lines = ['ETag: "abc"', "Vary: Foo", "Content-Location: /x", date(0), date(99, "Expires")]
    cache.put(FRESH, *lines, "Content-Type: text/plain", "Access-Control-Allow-Origin: *")
    got = cache.ask(get('If-None-Match: "abc"'))
    assert got.fields == fields(
        FRESH, *lines, "Access-Control-Allow-Origin: *", "Age: 0",
        "Cache-Status: cacheapi; hit; ttl=100000",
    )  # fmt: skip


def test_9110_13_2_1_conditions_are_of_answers_that_are_found() -> None:
    cache = Cache()
    cache.put(FRESH, 'ETag: "a"', status=404)
    assert cache.ask(get('If-None-Match: "a"')).status == 404


@pytest.mark.parametrize(
    ("validators", "sent"),
    [
        (['ETag: "abc"'], [("if-none-match", '"abc"')]),
        (['ETag: W/"abc"'], [("if-none-match", 'W/"abc"')]),
        ([date(-9, "Last-Modified")], [("if-modified-since", date(-9)[6:])]),
        (
            ['ETag: "abc"', date(-9, "Last-Modified")],
            [("if-none-match", '"abc"'), ("if-modified-since", date(-9)[6:])],
        ),
        ([], []),
    ],
)
def test_9111_4_3_1_a_stale_response_is_validated(
    validators: list[str], sent: list[tuple[str, str]]
) -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", *validators)
    cache.now += 3
    # What the client has is compared with what comes, whatever that is.
    got = cache.ask(get('If-None-Match: "x"', date(-10, "If-Modified-Since"), "Foo: 1"))
    assert list(got.asked[0].fields) == [("foo", "1"), *sent]


def test_9111_4_3_1_with_the_fields_that_vary_names() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=1", 'ETag: "a"', "Vary: Abc", request=get("Abc: 123"))
    cache.now += 3
    got = cache.ask(get("Abc: 123"), answer(status=304))
    assert got.asked[0].fields == fields("Abc: 123", 'If-None-Match: "a"')


def test_9111_4_3_1_not_with_another_variants_tag() -> None:
    cache = Cache()
    cache.put(FRESH, 'ETag: "a"', "Vary: Abc", request=get("Abc: 123"))
    assert cache.ask(get("Abc: 456")).asked[0].fields == fields("Abc: 456")


def test_9111_4_3_3_a_validated_response_may_be_what_the_client_has() -> None:
    cache = Cache()
    lines = [date(-3000, "Last-Modified"), "Cache-Control: max-age=2"]
    cache.put(*lines)
    cache.now += 3
    got = cache.ask(get(date(-3000, "If-Modified-Since")), answer(status=304))
    assert (len(got.asked), got.status, got.body) == (1, 304, b"")
    assert got["cache-status"] == "cacheapi; fwd=stale; fwd-status=304; stored"


def test_9111_4_3_3_a_new_whole_response_takes_the_place() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: "a"')
    cache.now += 3
    cache.ask(get(), answer(FRESH, 'ETag: "b"', body=b"new"))
    assert cache.ask(get()).body == b"new"


@pytest.mark.parametrize(
    ("line", "new", "seen"),
    [
        ("Test-Header: a", "Test-Header: b", "b"),
        ("X-Test-Header: a", "X-Test-Header: b", "b"),
        ("Content-Foo: a", "Content-Foo: b", "b"),
        ("Content-Type: text/plain", "Content-Type: text/html", "text/html"),
        ("Test-Header: a", "Other: b", "a"),
        ("Content-Length: 10", "Content-Length: 5", "10"),
        ("Content-Encoding: gzip", "Content-Encoding: br", "gzip"),
        ("Content-Range: a", "Content-Range: b", "a"),
    ],
)
def test_9111_3_2_a_304_updates_what_is_stored(line: str, new: str, seen: str) -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: "a"', line)
    cache.now += 3
    name = fields(line)[0][0]
    now = cache.now
    got = cache.ask(get(), answer('ETag: "a"', date(0, now=now), new, status=304))
    assert (len(got.asked), got.status, got.body, got[name]) == (1, 200, b"0123456789", seen)
    # It is fresh again: the old lifetime counts from the new date.
    again = cache.ask(get())
    assert (again.cached, again[name]) == (True, seen)
    assert again["date"] == date(0, now=now)[6:]


def test_9111_3_2_the_new_lifetime_counts_and_the_fields_of_one_hop_do_not() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: "a"')
    cache.now += 3
    news = ["Cache-Control: max-age=100", "Connection: x", "X: 1", "Age: 40", "Set-Cookie: a=b"]
    got = cache.ask(get(), answer(*news, status=304))
    assert (got["age"], got["x"], got["set-cookie"]) == ("40", None, None)
    cache.now += 59
    assert cache.ask(get()).cached
    cache.now += 2
    assert not cache.ask(get()).cached


def test_9111_4_3_4_a_304_of_another_response_updates_nothing() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: "a"')
    cache.now += 3
    got = cache.ask(get(), answer('ETag: "b"', status=304), answer(FRESH, body=b"new"))
    assert got.body == b"new"
    assert [first(one.fields, "if-none-match") for one in got.asked] == ['"a"', None]


def test_9111_4_3_4_a_tag_that_was_weakened_on_the_way_is_the_same() -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: W/"a"')
    cache.now += 3
    assert len(cache.ask(get(), answer('ETag: "a"', status=304)).asked) == 1


@pytest.mark.parametrize("directive", ["private", "no-store"])
def test_9111_3_what_a_304_forbids_to_store_is_removed(directive: str) -> None:
    cache = Cache()
    cache.put(FRESH, 'ETag: "a"')
    got = cache.ask(
        get("Cache-Control: no-cache"), answer(f"Cache-Control: {directive}", status=304)
    )
    assert (got.status, got.body) == (200, b"0123456789")
    assert not cache.ask(get()).cached


@pytest.mark.parametrize("line", ["Authorization: x", "Cache-Control: no-cache, no-store"])
def test_9111_3_5_one_clients_request_neither_updates_nor_removes(line: str) -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=3", 'ETag: "a"', "X: 1")
    cache.now += 4
    assert cache.ask(get(line), answer("X: 2", status=304))["x"] == "2"
    assert cache.reasons[-1] in {"authorization", "no-store"}
    got = cache.ask(get(), answer(status=304))
    assert (len(got.asked), got["x"]) == (1, "1")


@pytest.mark.parametrize(
    ("lines", "fresh_again", "kept"),
    [
        (["Cache-Control: max-age=1000", "X: 2"], True, True),
        (["Cache-Control: max-age=1000", "X: 2", "Content-Length: 10"], True, True),
        (["Cache-Control: max-age=1000", "X: 2", "Content-Length: 11"], False, False),
        (["Cache-Control: max-age=1000", "X: 2", 'ETag: "b"'], False, False),
        (["Cache-Control: no-store"], False, False),
    ],
)
def test_9111_4_3_5_an_answer_to_head_updates_or_outdates(
    lines: list[str], fresh_again: bool, kept: bool
) -> None:
    cache = Cache()
    cache.put("Cache-Control: max-age=2", 'ETag: "a"', "X: 1", "Y: 1")
    cache.now += 3
    cache.ask(get(method="HEAD"), answer(*lines))
    assert bool(cache.store["http://origin.test/a"]) is kept
    got = cache.ask(get())
    assert got.cached is fresh_again
    if fresh_again:
        assert (got["x"], got["y"]) == ("2", "1")


def test_9111_4_3_5_only_a_200_to_head_says_something_of_a_stored_200() -> None:
    response = Response(200, fields("Cache-Control: max-age=2"))
    stored = keep(get(), response, START, START, 10)
    assert stored is not None
    for status in (204, 404, 410):
        news = Response(status, fields("Cache-Control: max-age=9"))
        assert update_by_head(stored, news, get(method="HEAD"), START, START) is None
