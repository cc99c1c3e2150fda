"""An unknown ``Transfer-Encoding`` (RFC 9112, sections 6.3 and 7)."""

from __future__ import annotations

import pytest

from backends.base import Backend
from cacheapi.responses.codings import Heads, without_unknown
from cacheapi.responses.connection import OriginFailed
from tests.cacheapi.responses.running import get, run, running
from tests.cacheapi.responses.test_origin import ask, raw
from tests.support.origin import Origin

HEAD = "HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: {}\r\nCache-Control: max-age=60\r\n{}\r\n"


@pytest.mark.parametrize("coding", ["binary", "UTF-8", "identity", "xyz \t"])
def test_9112_6_3_a_body_that_is_as_it_is_ends_with_the_connection(
    origin: Origin, coding: str
) -> None:
    origin.on("/coded/1", raw(HEAD.format(coding, "") + "body", ["close"]))
    with pytest.raises(OriginFailed) as failure:
        ask(origin, "/coded/1")
    assert failure.value.status == 502
    answer, body = ask(origin, "/coded/1", ignores_codings=True)
    assert (answer.head.status, answer.length, body) == (200, None, b"body")
    assert [name for name, _ in answer.head.fields] == ["x", "cache-control"]


def test_9112_6_3_or_by_its_length(origin: Origin) -> None:
    head = HEAD.format("binary", "Content-Length: 4\r\n")
    hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    pieces = [["send", character] for character in hint + head + "body"]
    origin.on("/coded/2", pieces)
    answer, body = ask(origin, "/coded/2", ignores_codings=True)
    assert (answer.length, body) == (4, b"body")


@pytest.mark.parametrize(
    "coding",
    [
        *("gzip", "x-gzip", "GZIP", "gzip, chunked", "chunked, binary", "binary, chunked", "br"),
        *("a b", "chunked;x=1", "binary\r\nTransfer-Encoding: chunked", "binary\r\n folded", ""),
        *("binary\r\nTransfer-Encoding : chunked", "chunked\r\nTransfer-Encoding: binary"),
    ],
)
def test_9112_7_what_a_coding_did_is_not_passed_on_as_if_it_had_not(
    origin: Origin, coding: str
) -> None:
    origin.on("/coded/3", raw(HEAD.format(coding, "") + "body", ["close"]))
    for ignores in (False, True):
        with pytest.raises(OriginFailed) as failure:
            ask(origin, "/coded/3", ignores_codings=ignores)
        assert failure.value.status == 502


def test_what_is_no_unknown_coding_comes_as_it_does_without_the_setting(origin: Origin) -> None:
    chunked = HEAD.format("chunked", "") + "4\r\nbody\r\n0\r\n\r\n"
    origin.on("/coded/4", raw(chunked))
    assert ask(origin, "/coded/4", ignores_codings=True)[1] == b"body"
    for steps, status in (
        (raw("HTTP/1.1 200 OK\r\nX: 1", ["close"]), 502),
        (raw("HTTP/1.1 200 OK\r\nX: " + "a" * 100_000, ["wait"]), 502),
        ([["close"]], 502),
    ):
        origin.on("/coded/5", steps)
        with pytest.raises(OriginFailed) as failure:
            ask(origin, "/coded/5", ignores_codings=True)
        origin.go_on()
        assert failure.value.status == status


def test_only_the_head_is_looked_at() -> None:
    body = b"\r\n\r\nTransfer-Encoding: binary\r\n\r\n"
    head = b"HTTP/1.1 200 OK\nX: 1\n\n"
    assert Heads(100).take(head + body) == head + body
    heads = Heads(100)
    assert [heads.take(part) for part in (head[:9], head[9:], body)] == [b"", head, body]
    assert without_unknown(b"HTTP/1.1 200 OK\nTransfer-Encoding: x\n\n") == b"HTTP/1.1 200 OK\n\n"


def test_such_an_answer_is_stored_once_it_is_whole(cache: Backend, origin: Origin) -> None:
    origin.on("/coded/6", raw(HEAD.format("binary", "") + "body", ["close"]))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            assert (await get(engine, "/coded/6")).status == 502
        async with running(cache, origin.url, ignores_codings=True) as engine:
            for cached in ("fwd=uri-miss; stored", "hit"):
                got = await get(engine, "/coded/6")
                assert (got.status, got.body, got.cache) == (200, b"body", cached)
                assert "transfer-encoding" not in got.fields

    run(work())
