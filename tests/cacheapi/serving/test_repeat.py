"""Reads known by their bytes: what is known again, httptools reads as the same request."""

from __future__ import annotations

from typing import Any

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cacheapi.serving.head import MAX_TARGET
from cacheapi.serving.lane import Asker
from cacheapi.serving.repeat import MAX_TAIL, Repeat, remember

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

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.is_between = True
        seen = self.parser.get_method(), self.parser.should_keep_alive()
        self.requests.append((self.target, self.headers, seen))


def repeat(tail: bytes = TAIL) -> Repeat:
    made = remember(b"GET /first" + tail, b"/first", [], ASKER)
    assert made is not None
    return made


def known(made: Repeat, data: bytes, start: int = 0) -> bytes | None:
    """Return the target of the read that is known at a place."""
    match = made.find(data, start)
    return None if match is None else match[0].removeprefix(b"GET ")


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
    [(b"/%b", b"#?"), (b"/a%bb", b"#?"), (b"/%%4%b", b"#?"), (b"?%b", b"#"), (b"?a=%b/?", b"#")],
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
        made = remember(data, b"/first", [], ASKER)
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
    assert remember(data, b"/first", [], ASKER) is None


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
