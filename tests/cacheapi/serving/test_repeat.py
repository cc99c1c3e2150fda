"""Requests known by their bytes: what is known again, httptools reads as the same request."""

from __future__ import annotations

from typing import Any

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cacheapi.serving.head import MAX_TARGET
from cacheapi.serving.lane import Asker
from cacheapi.serving.recognition import asked_by, read_target
from cacheapi.serving.repeat import MAX_TAIL, Repeat, remember
from cacheapi.web.mounting import below

ASKER = Asker(b"digest", None)
ROOT = b"/api/v2/cache"
TAIL = b" HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"


class Recorder:
    """Whole requests as httptools tells of them."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, list[tuple[bytes, bytes]], Any]] = []
        self.is_between = True
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.is_between = False
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_between = True
        seen = self.parser.get_method(), self.parser.should_keep_alive()
        self.requests.append((self.target, self.headers, seen))


def repeat(tail: bytes = TAIL) -> Repeat:
    made = remember(b"GET", b"GET /first" + tail, b"/first", [], ASKER)
    assert made is not None
    return made


def known(made: Repeat, data: bytes, start: int = 0) -> bytes | None:
    """Return the target of the read that is known at a place."""
    found = made.find(data, start)
    return None if found is None else found[0][0].removeprefix(b"GET ")


def check(data: bytes, tail: bytes = TAIL) -> bytes | None:
    """Return the target that is known, after a look at what httptools makes of the bytes."""
    target = known(repeat(tail), data)
    if target is not None:
        recorder = Recorder()
        recorder.parser.feed_data(b"GET /first" + tail)
        recorder.parser.feed_data(data)
        assert recorder.is_between
        first, again = recorder.requests
        assert again == (target, *first[1:])
        assert data == b"GET " + target + tail
    return target


@pytest.mark.parametrize(
    ("form", "others"),
    [(b"/%b", b"#?"), (b"/a%bb", b"#"), (b"/%%4%b", b"#?"), (b"?%b", b"#"), (b"?a=%b/?", b"#")],
)
def test_every_byte_in_a_target_is_as_httptools_says_or_unknown(form: bytes, others: bytes) -> None:
    for byte in range(256):
        target = ROOT + form % bytes([byte])
        is_plain = 0x21 <= byte <= 0x7E and byte not in others
        assert check(b"GET " + target + TAIL) == (target if is_plain else None)


PARTS = [b"GET", b" ", ROOT, b"/", b"k", b"?", b"\r\n", b"HTTP/1.1", TAIL]


@given(st.lists(st.sampled_from(PARTS)))
@example([b"GET", b" ", ROOT, b"/", b"k", TAIL])
@example([b"GET", b" ", ROOT, TAIL, TAIL])
@example([b"GET", b" ", ROOT, b" ", TAIL])
@example([b"\r\n", b"GET", b" ", ROOT, TAIL])
def test_what_is_known_is_the_request_that_httptools_reads(parts: list[bytes]) -> None:
    data = b"".join(parts)
    target = known(repeat(), data)
    if target is not None:
        check(data[: len(b"GET ") + len(target) + len(TAIL)])


@given(st.binary(max_size=40))
@example(b"a: b\r\n\r\nGET /x HTTP/1.1\r\n")
@example(b"a: b\n")
@example(b"a: b\r\n c\r\n")
@example(b"Content-Length: 0\r\n")
def test_what_is_remembered_is_one_request(fields: bytes) -> None:
    tail = b" HTTP/1.1\r\n" + fields + b"\r\n"
    data = b"GET /first" + tail
    recorder = Recorder()
    try:
        recorder.parser.feed_data(data)
    except httptools.HttpParserError:
        return
    if len(recorder.requests) == 1 and recorder.is_between:
        made = remember(b"GET", data, b"/first", [], ASKER)
        if made is not None and recorder.requests[0][2][1]:
            check(b"GET /api/v2/cache/again" + tail, tail)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /first HTTP/1.0\r\n\r\n",
        b"GET  /first HTTP/1.1\r\n\r\n",
        b"\r\nGET /first HTTP/1.1\r\n\r\n",
        b"HEAD /first HTTP/1.1\r\n\r\n",
        b"GET /other HTTP/1.1\r\n\r\n",
        b"GET /first HTTP/1.1\r\n\r\n\r\n",
        b"GET /first HTTP/1.1\r\nX: " + b"x" * MAX_TAIL + b"\r\n\r\n",
    ],
)
def test_only_what_is_simple_is_remembered(data: bytes) -> None:
    assert remember(b"GET", data, b"/first", [], ASKER) is None


def test_several_are_known_one_by_one() -> None:
    made = repeat()
    first, second = ROOT + b"/a", ROOT + b"?b"
    data = b"GET " + first + TAIL + b"GET " + second + TAIL + b"GET /c"
    middle = len(b"GET " + first + TAIL)
    assert known(made, data) == first
    assert known(made, data, middle) == second
    assert known(made, data, middle * 2) is None
    assert known(made, data, len(data)) is None


def test_a_target_over_the_limit_is_left_to_be_refused() -> None:
    longest = ROOT + b"/" + b"k" * (MAX_TARGET - len(ROOT) - 1)
    assert check(b"GET " + longest + TAIL) == longest
    assert check(b"GET " + longest + b"k" + TAIL) is None


def put(target: bytes, body: bytes, field: bytes = b"Content-Length: ") -> bytes:
    return b"PUT %b HTTP/1.1\r\nHost: h\r\n%b%d\r\nX: y\r\n\r\n%b" % (
        target,
        field,
        len(body),
        body,
    )


@given(st.binary(min_size=1, max_size=120), st.binary(min_size=1, max_size=120), st.binary())
@example(b"x" * 10, b"y" * 9, b"")
@example(b"x", b"PUT /api/v2/cache/k HTTP/1.1\r\n\r\n", b"")
@example(b"\r\n\r\n", b"\r\n", b"\r\n")
def test_a_body_of_another_length_is_known_as_httptools_reads_it(
    first: bytes, second: bytes, more: bytes
) -> None:
    made = remember(b"PUT", put(b"/first", first), b"/first", [], ASKER)
    assert made is not None
    again = put(ROOT + b"/again", second)
    found = made.find(again + more, 0)
    assert found is not None
    match, body, end = found
    assert (match[2], body, end) == (b"again", second, len(again))
    recorder = Recorder()
    recorder.parser.feed_data(put(b"/first", first) + again)
    assert recorder.is_between
    assert recorder.body == second
    # Not all of it is there.
    assert made.find(again[:-1], 0) is None


@pytest.mark.parametrize(
    "other",
    [
        put(ROOT + b"/k", b"1", b"content-length: "),
        put(ROOT + b"/k", b"1", b"Content-Length:"),
        put(ROOT + b"/k", b"1").replace(b": 1", b": 01"),
        put(ROOT + b"/k", b"1").replace(b": 1", b": +1"),
        put(ROOT + b"/k", b"1").replace(b": 1", b": 0"),
        put(ROOT + b"/k", b"1").replace(b": 1", b": "),
        put(ROOT + b"/k", b"1").replace(b": 1", b": 1 "),
        put(ROOT + b"/k", b"1").replace(b": 1", b": 1000000"),
        put(ROOT + b"/k", b"1").replace(b"PUT", b"POST"),
    ],
)
def test_another_way_to_write_a_length_is_not_known(other: bytes) -> None:
    made = remember(b"PUT", put(b"/first", b"value"), b"/first", [], ASKER)
    assert made is not None
    assert made.find(other + b" " * 1000, 0) is None


@pytest.mark.parametrize(
    "data",
    [
        put(b"/first", b"12").replace(b": 2", b": 1"),
        put(b"/first", b"12").replace(b": 2", b": 3"),
        put(b"/first", b"12").replace(b"Content-Length: 2\r\n", b""),
        put(b"/first", b"1" * 1_000_000),
    ],
)
def test_a_body_without_its_length_is_not_remembered(data: bytes) -> None:
    assert remember(b"PUT", data, b"/first", [], ASKER) is None


@given(
    st.one_of(
        st.binary(max_size=20),
        st.text("/ab?=%#é", max_size=20).map(str.encode),
        st.just(b"/" + b"a" * MAX_TARGET),
    ),
    st.sampled_from([b"GET ", b"HEAD ", b"get ", b"GET  "]),
    st.sampled_from([TAIL, TAIL[:-2], TAIL + b"GET /b", b" HTTP/1.0\r\n\r\n"]),
)
def test_a_read_of_an_answer_is_known_by_what_is_around_its_target(
    target: bytes, line: bytes, tail: bytes
) -> None:
    found = repeat().find_target(line + target + tail, 0)
    if found is not None:
        assert line + target + tail == b"GET " + found + TAIL + tail[len(TAIL) :]
        assert b" " not in found
        assert len(found) <= MAX_TARGET
    elif line == b"GET " and tail.startswith(TAIL) and b" " not in target:
        assert len(target) > MAX_TARGET


@pytest.mark.parametrize("base", [b"/c", b"/api/v2/cache", b"/a.b"])
def test_below_a_path_what_is_known_has_that_path(base: bytes) -> None:
    first = base + ROOT + b"/first"
    made = remember(b"GET", b"GET " + first + TAIL, below(first, base), [], ASKER, base)
    assert made is not None
    others = [base + ROOT + b"/again?x=1", ROOT + b"/again", base + base + ROOT + b"/again"]
    others += [base, base + b"?x", base + b"x" + ROOT + b"/again", base.replace(b".", b"x") + ROOT]
    for target in others:
        data = b"GET " + target + TAIL
        found, hit = made.find(data, 0), made.find_target(data, 0)
        if found is not None:
            assert made.target_of(found[0]) == below(target, base)
            assert found[2] == len(data)
            assert asked_by(found[0]) == read_target(below(target, base))
        if hit is not None:
            assert hit == below(target, base)
            assert made.size(hit) == len(data)
    assert made.find(b"GET " + others[0] + TAIL, 0) is not None
    assert made.find(b"GET " + ROOT + b"/again" + TAIL, 0) is None
    # Without the path it is parsed each time.
    sent = b"/api/v2/other/first"
    assert remember(b"GET", b"GET " + sent + TAIL, sent, [], ASKER, base) is None
