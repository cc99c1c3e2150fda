"""Answers of the application that go out in one piece, and those that uvicorn has to send."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from cacheapi.serving.giving import Fields, give

JSON = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")
LENGTH = (b"content-length", b"2")


class Transport(asyncio.Transport):
    """What a connection was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Made:
    """A request whose head came, and what became of it."""

    def __init__(self, method: str, *, keep_alive: bool) -> None:
        self.transport = Transport()
        self.flow = FlowControl(self.transport)
        self.ended = 0
        self.cycle = RequestResponseCycle(
            scope={"type": "http", "method": method},  # type: ignore[typeddict-item]
            transport=self.transport,
            flow=self.flow,
            logger=logging.getLogger(),
            access_logger=logging.getLogger(),
            access_log=False,
            default_headers=[(b"date", b"today")],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=self.end,
        )

    def end(self) -> None:
        self.ended += 1

    def told(self) -> tuple[bytes, bool, bool, int]:
        return (
            self.transport.sent,
            self.transport.is_closed,
            self.cycle.response_complete,
            self.ended,
        )


async def send(made: Made, status: int, fields: Fields, content: bytes) -> None:
    start: Any = {"type": "http.response.start", "status": status, "headers": fields}
    body: Any = {"type": "http.response.body", "body": content, "more_body": False}
    await made.cycle.send(start)
    await made.cycle.send(body)


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize(
    ("method", "status", "fields", "content"),
    [
        ("GET", 200, [JSON, LENGTH, NOSNIFF], b"{}"),
        ("POST", 404, [JSON, LENGTH], b"{}"),
        ("HEAD", 200, [JSON, (b"content-length", b"70000")], b""),
        ("GET", 304, [(b"etag", b'"x"')], b""),
        ("OPTIONS", 204, [(b"allow", b"GET")], b""),
    ],
)
def test_an_answer_is_what_uvicorn_would_send(
    method: str, status: int, fields: Fields, content: bytes, keep_alive: bool
) -> None:
    ours, theirs = (Made(method, keep_alive=keep_alive) for _ in range(2))
    assert give(ours.cycle, status, fields, content)
    asyncio.run(send(theirs, status, fields, content))
    assert ours.told() == theirs.told()
    assert ours.told()[1:] == (not keep_alive, True, 1)
    # No second one.
    assert not give(ours.cycle, status, fields, content)


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ([JSON], b"{}"),
        ([JSON, (b"content-length", b"3")], b"{}"),
        ([JSON, LENGTH, (b"connection", b"close")], b"{}"),
        ([JSON, (b"transfer-encoding", b"chunked")], b"{}"),
        ([JSON, LENGTH, (b"x", b"a\r\nset-cookie: b")], b"{}"),
        ([JSON, LENGTH, (b"x", b"a\nb")], b"{}"),
        ([JSON, LENGTH, (b"x", b"a\rb")], b"{}"),
        ([JSON, LENGTH, (b"x", b"a\0b")], b"{}"),
    ],
)
def test_what_is_not_as_simple_is_left_to_uvicorn(fields: Fields, content: bytes) -> None:
    made = Made("GET", keep_alive=True)
    assert not give(made.cycle, 200, fields, content)
    assert made.told() == (b"", False, False, 0)


def test_nothing_is_sent_to_a_client_that_is_gone_or_does_not_take_what_it_has() -> None:
    gone, slow = (Made("GET", keep_alive=True) for _ in range(2))
    gone.cycle.disconnected = True
    slow.flow.pause_writing()
    for made in (gone, slow):
        assert not give(made.cycle, 200, [JSON, LENGTH], b"{}")
        assert made.told() == (b"", False, False, 0)
