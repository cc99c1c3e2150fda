"""Ranges: RFC 9110, sections 13.1.5 and 14; RFC 9111, sections 3.3 and 3.4."""

from __future__ import annotations

import email
import email.policy

import pytest

from cacheapi.responses.deciding import Complete, Miss
from cacheapi.responses.messages import Part, Response, Stored, first
from cacheapi.responses.ranges import MOST_RANGES, content_range, rest_of, spans
from cacheapi.responses.storing import keep
from cacheapi.responses.updating import combine
from tests.cacheapi.responses.simulation import START, Answer, Cache, answer, date, fields, get

FRESH = "Cache-Control: max-age=3600"
WHOLE = b"0123456789A"


@pytest.mark.parametrize(
    ("asked", "status", "body", "label"),
    [
        ("bytes=0-1", 206, b"01", "bytes 0-1/11"),
        ("bytes=1-", 206, b"123456789A", "bytes 1-10/11"),
        ("bytes=-1", 206, b"A", "bytes 10-10/11"),
        ("bytes=-99", 206, WHOLE, "bytes 0-10/11"),
        ("bytes=4-99", 206, b"456789A", "bytes 4-10/11"),
        ("Bytes=4-4", 206, b"4", "bytes 4-4/11"),
        ("bytes=0-1,99-", 206, b"01", "bytes 0-1/11"),
        ("bytes=11-", 416, b"", "bytes */11"),
        ("bytes=-0", 416, b"", "bytes */11"),
        ("bytes=4-3", 200, WHOLE, None),
        ("bytes=", 200, WHOLE, None),
        ("bytes=-", 200, WHOLE, None),
        ("bytes=a-b", 200, WHOLE, None),
        ("bytes=1-2-3", 200, WHOLE, None),
        ("lines=1-2", 200, WHOLE, None),
        ("bytes=0-9,0-9", 200, WHOLE, None),
        ("bytes=" + ",".join(["0-0"] * (MOST_RANGES + 1)), 200, WHOLE, None),
        ("bytes=" + "9" * 40 + "-", 200, WHOLE, None),
    ],
)
def test_9110_14_2_parts_of_what_is_stored(
    asked: str, status: int, body: bytes, label: str | None
) -> None:
    cache = Cache()
    cache.put(FRESH, "A: 1", "Content-Type: text/plain", body=WHOLE)
    got = cache.ask(get(f"Range: {asked}"))
    assert got.cached
    assert (got.status, got.body, got["content-range"], got["a"]) == (status, body, label, "1")
    assert got["content-length"] == str(len(body))


def test_9110_15_5_17_a_416_is_for_no_cache_behind() -> None:
    cache = Cache()
    cache.put(FRESH, 'ETag: "a"', date(99, "Expires"), date(-9, "Last-Modified"))
    got = cache.ask(get("Range: bytes=99-"))
    assert (got.status, got["cache-control"]) == (416, "no-store")
    assert [got[name] for name in ("etag", "expires", "last-modified")] == [None, None, None]


def test_9110_14_6_several_ranges() -> None:
    cache = Cache()
    cache.put(FRESH, "Content-Type: text/plain", body=WHOLE)
    got = cache.ask(get("Range: bytes=0-1, 4-5,-1"))
    assert got.status == 206
    assert got["content-range"] is None
    head = f"Content-Type: {got['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + got.body, policy=email.policy.HTTP)
    assert message.get_content_type() == "multipart/byteranges"
    parts = [
        (part["content-range"], part["content-type"], part.get_content())
        for part in message.iter_parts()
    ]
    assert parts == [
        ("bytes 0-1/11", "text/plain", "01"),
        ("bytes 4-5/11", "text/plain", "45"),
        ("bytes 10-10/11", "text/plain", "A"),
    ]


@pytest.mark.parametrize(
    ("stored", "condition", "status"),
    [
        (['ETag: "a"'], '"a"', 206),
        (['ETag: "a"'], '"b"', 200),
        (['ETag: W/"a"'], 'W/"a"', 200),
        (['ETag: W/"a"'], '"a"', 200),
        ([date(-60, "Last-Modified"), date(0)], date(-60)[6:], 206),
        ([date(-60, "Last-Modified"), date(0)], date(-59)[6:], 200),
        ([date(0, "Last-Modified"), date(0)], date(0)[6:], 200),
        ([date(-60, "Last-Modified"), "Date: x"], date(-60)[6:], 200),
        ([], '"a"', 200),
    ],
)
def test_9110_13_1_5_if_range(stored: list[str], condition: str, status: int) -> None:
    cache = Cache()
    cache.put(FRESH, *stored, body=WHOLE)
    got = cache.ask(get("Range: bytes=0-1", f"If-Range: {condition}"))
    assert (got.cached, got.status) == (True, status)


def test_9110_14_2_a_range_is_of_a_get_that_found_something() -> None:
    cache = Cache()
    cache.put(FRESH, body=WHOLE)
    assert cache.ask(get("Range: bytes=0-1", method="HEAD")).status == 200
    cache.put(FRESH, status=404, request=get(url="http://origin.test/b"))
    assert cache.ask(get("Range: bytes=0-1", url="http://origin.test/b")).status == 404


def test_9110_13_2_2_the_condition_goes_before_the_range() -> None:
    cache = Cache()
    cache.put(FRESH, 'ETag: "a"')
    assert cache.ask(get("Range: bytes=0-1", 'If-None-Match: "a"')).status == 304


def part(label: str, body: bytes, *lines: str) -> Answer:
    return answer(FRESH, f"Content-Range: bytes {label}", *lines, status=206, body=body)


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        ("bytes=-5", b"56789"),
        ("bytes=6-8", b"678"),
        ("bytes=6-", b"6789"),
        ("bytes=-1", b"9"),
        ("bytes=5-5,9-9", None),
        ("bytes=4-8", None),
        ("bytes=0-1", None),
        ("bytes=20-", None),
        ("lines=1-1", None),
    ],
)
def test_9111_3_3_a_stored_part_answers_for_what_it_has(asked: str, body: bytes | None) -> None:
    cache = Cache()
    got = cache.ask(get("Range: bytes=-5"), part("5-9/10", b"56789"))
    assert (got.status, got.body) == (206, b"56789")
    assert ("range", "bytes=-5") in got.asked[0].fields
    got = cache.ask(get(f"Range: {asked}"), answer(FRESH))
    if body is None:
        several = "," in asked
        assert got.cached is several
        assert cache.decision == Miss("partial") or several
    else:
        assert (got.cached, got.status, got.body) == (True, 206, body)
        assert got["content-range"] is not None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_9111_3_3_a_stored_part_is_no_whole(method: str) -> None:
    cache = Cache()
    cache.ask(get("Range: bytes=3-5"), part("3-5/10", b"345"))
    got = cache.ask(get(method=method), answer(FRESH))
    assert not got.cached
    assert first(got.asked[0].fields, "range") is None


def test_9111_3_3_the_first_part_of_a_part() -> None:
    """It has fewer bytes than it says."""
    cache = Cache()
    got = cache.ask(get("Range: bytes=4-"), part("4-9/10", b"45678"))
    # What the origin says goes to the client that asked.
    assert (got.status, got.body, got["content-range"]) == (206, b"45678", "bytes 4-9/10")
    assert cache.ask(get("Range: bytes=6-8")).body == b"678"
    assert not cache.ask(get("Range: bytes=6-9")).cached


@pytest.mark.parametrize(
    ("have", "body", "rest", "news"),
    [
        ("0-4/10", b"01234", "bytes=5-", part("5-9/10", b"56789", 'ETag: "a"', "A: 2")),
        ("5-9/10", b"56789", "bytes=0-4", part("0-4/10", b"01234", 'ETag: "a"', "A: 2")),
    ],
)
def test_9111_3_4_a_part_is_completed(have: str, body: bytes, rest: str, news: Answer) -> None:
    cache = Cache()
    cache.ask(get("Range: bytes=x"), part(have, body, 'ETag: "a"', "A: 1", "B: 1"))
    got = cache.ask(get(), news)
    assert isinstance(cache.decision, Complete)
    assert got.asked[0].fields == (("range", rest), ("if-range", '"a"'))
    assert (got.status, got.body, got["content-range"]) == (200, b"0123456789", None)
    assert (got["a"], got["b"]) == ("2", "1")
    assert cache.ask(get()).cached


def test_9111_3_4_without_a_strong_tag_nothing_is_combined() -> None:
    cache = Cache()
    cache.ask(get("Range: bytes=0-4"), part("0-4/10", b"01234"))
    got = cache.ask(get(), part("5-9/10", b"56789"), answer(FRESH, body=b"whole"))
    assert [first(one.fields, "range") for one in got.asked] == ["bytes=5-", None]
    assert (got.status, got.body) == (200, b"whole")
    # With a weak one it is not even asked for.
    cache.ask(get("Range: bytes=0-4", url="/b"), part("0-4/10", b"01234", 'ETag: W/"a"'))
    assert cache.ask(get(url="/b")).asked[0].fields == ()


def test_9111_3_4_the_whole_may_have_changed_meanwhile() -> None:
    cache = Cache()
    cache.ask(get("Range: bytes=0-4"), part("0-4/10", b"01234", 'ETag: "a"'))
    assert cache.ask(get(), answer(FRESH, 'ETag: "b"', body=b"new")).body == b"new"
    assert cache.ask(get()).body == b"new"


def stored_part(label: str, *lines: str) -> Stored:
    response = Response(206, fields(FRESH, f"Content-Range: bytes {label}", *lines))
    stated = content_range(response.fields)
    assert stated is not None
    stored = keep(get(), response, START, START, stated.last - stated.first + 1)
    assert stored is not None
    return stored


@pytest.mark.parametrize(
    ("old", "new", "pieces", "union"),
    [
        ("0-4/20", "5-9/20", ((0, 0, 5), (1, 0, 5)), Part(0, 9, 20)),
        ("5-9/20", "0-4/20", ((1, 0, 5), (0, 0, 5)), Part(0, 9, 20)),
        ("0-9/20", "5-14/20", ((0, 0, 5), (1, 0, 10)), Part(0, 14, 20)),
        ("0-14/20", "5-9/20", ((0, 0, 5), (1, 0, 5), (0, 10, 15)), Part(0, 14, 20)),
        ("5-9/20", "0-14/20", ((1, 0, 15),), Part(0, 14, 20)),
        ("0-9/20", "10-19/20", ((0, 0, 10), (1, 0, 10)), None),
    ],
)
def test_9111_3_4_how_parts_lie(
    old: str, new: str, pieces: tuple[tuple[int, int, int], ...], union: Part | None
) -> None:
    both = combine(stored_part(old, 'ETag: "a"'), stored_part(new, 'ETag: "a"'))
    assert both is not None
    assert (both.pieces, both.stored.part) == (pieces, union)
    assert both.stored.status == (200 if union is None else 206)
    label = first(both.stored.fields, "content-range")
    assert label == (None if union is None else "bytes {}-{}/{}".format(*tuple_of(union)))


def tuple_of(one: Part) -> tuple[int, int, int]:
    return one.first, one.last, one.complete


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["0-4/20", 'ETag: "a"'], ["6-9/20", 'ETag: "a"']),
        (["6-9/20", 'ETag: "a"'], ["0-4/20", 'ETag: "a"']),
        (["0-4/20", 'ETag: "a"'], ["5-9/21", 'ETag: "a"']),
        (["0-4/20", 'ETag: "a"'], ["5-9/20", 'ETag: "b"']),
        (["0-4/20", 'ETag: "a"'], ["5-9/20"]),
        (["0-4/20", 'ETag: W/"a"'], ["5-9/20", 'ETag: W/"a"']),
        (["0-4/20"], ["5-9/20"]),
    ],
)
def test_9111_3_4_what_does_not_combine(old: list[str], new: list[str]) -> None:
    assert combine(stored_part(*old), stored_part(*new)) is None


def test_9111_4_3_4_a_stale_part_is_validated_as_well() -> None:
    cache = Cache()
    lines = ["Cache-Control: max-age=2", "Content-Range: bytes 5-9/10", 'ETag: "a"']
    cache.ask(get("Range: bytes=5-"), answer(*lines, status=206, body=b"56789"))
    cache.now += 3
    got = cache.ask(get("Range: bytes=6-7"), answer(status=304))
    assert got.asked[0].fields == fields("Range: bytes=6-7", 'If-None-Match: "a"')
    assert (got.status, got.body, got["content-range"]) == (206, b"67", "bytes 6-7/10")


@pytest.mark.parametrize(
    "label", ["0-1/*", "*/10", "0-1", "3-1/10", "0-10/10", "a-b/c", "0-1/10, 2-3/10"]
)
def test_9110_14_4_a_part_must_say_where_it_is(label: str) -> None:
    assert content_range(fields(f"Content-Range: bytes {label}")) is None
    assert content_range(fields("Content-Range: bytes 0-1/9", "Content-Range: bytes 0-1/9")) is None


def test_9111_3_4_the_rest_is_one_range_or_none() -> None:
    assert [rest_of(Part(*one)) for one in ((0, 4, 9), (5, 8, 9), (2, 4, 9))] == [
        "bytes=5-",
        "bytes=0-4",
        None,
    ]


def test_9110_14_1_2_the_bytes_that_are_asked_for() -> None:
    assert spans("bytes=0-0,-1", 10) == [(0, 1), (9, 10)]
    assert spans("bytes=5-", 0) == []
