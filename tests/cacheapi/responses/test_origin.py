"""The client of an origin: what it sends, what it takes, and what it will not."""

from __future__ import annotations

import asyncio
import resource
import socket

import pytest

from cacheapi.responses.addresses import parse_base
from cacheapi.responses.connection import OriginFailed
from cacheapi.responses.messages import Response
from cacheapi.responses.origin import MAX_IDLE, Origin
from tests.support import origin as scripted
from tests.support.origin import reply
from tests.support.processes import free_port


def client(url: str, **more: float) -> Origin:
    limits = {"connect_seconds": 5.0, "read_seconds": 10.0, **more}
    return Origin(parse_base(url), **limits)


async def whole(made: Origin, method: str, path: str, **more):
    answer = await made.send(method, path, more.pop("fields", ()), **more)
    body = b"".join([chunk async for chunk in answer.chunks()])
    return answer, body


def ask(origin: scripted.Origin, path: str, method: str = "GET", **more):
    """Send one request and return the answer and its body."""
    limits = {name: more.pop(name) for name in ("read_seconds", "ignores_codings") if name in more}

    async def run():
        made = client(origin.url, **limits)
        try:
            return await whole(made, method, path, **more)
        finally:
            made.close()

    return asyncio.run(run())


def raw(text: str, *more: list) -> list[list]:
    return [["send", text], *more]


def test_an_answer_comes_with_its_fields_in_order(origin: scripted.Origin) -> None:
    origin.on("/o/1", reply(404, [("X-B", "1"), ("X-A", "2"), ("X-B", "3")], "nothing"))
    answer, body = ask(origin, "/o/1?q=1", fields=(("x-asked", "yes"),))
    assert (answer.head.status, answer.reason, answer.length, body) == (
        404,
        "Not Found",
        7,
        b"nothing",
    )
    assert [pair for pair in answer.head.fields if pair[0].startswith("x-")] == [
        ("x-b", "1"),
        ("x-a", "2"),
        ("x-b", "3"),
    ]
    (request,) = origin.log("/o/1")
    assert request["target"] == "/o/1?q=1"
    assert request["named"] == {"host": f"127.0.0.1:{origin.port}", "x-asked": "yes"}
    assert answer.request_time <= answer.response_time


def test_a_get_has_no_body(origin: scripted.Origin) -> None:
    origin.on("/o/2", reply(200, {}, "x"))
    ask(origin, "/o/2", body=b"unseen")
    (request,) = origin.log("/o/2")
    assert "content-length" not in request["named"]
    assert request["body"] == ""


@pytest.mark.parametrize("method", ["POST", "PURGE", "QUERY"])
def test_methods_known_and_unknown_are_passed_on(origin: scripted.Origin, method: str) -> None:
    origin.on("/o/3", reply(200, {}, "x"))
    ask(origin, "/o/3", method, body=b"sent")
    (request,) = origin.log("/o/3")
    assert (request["method"], request["body"]) == (method, "sent")


def test_a_head_has_a_length_and_no_body(origin: scripted.Origin) -> None:
    origin.on("/o/4", reply(200, {}, "12345"))
    answer, body = ask(origin, "/o/4", "HEAD")
    assert (dict(answer.head.fields)["content-length"], body) == ("5", b"")


def test_interim_answers_are_told(origin: scripted.Origin) -> None:
    hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
    go_on = "HTTP/1.1 100 Continue\r\n\r\n"
    origin.on("/o/5", [["send", hint + go_on], *reply(200, {}, "x")])
    told: list[Response] = []
    answer, body = ask(origin, "/o/5", inform=told.append)
    assert (answer.head.status, body) == (200, b"x")
    assert told == [Response(103, (("link", "</a>; rel=preload"),))]


def test_chunks_and_trailers(origin: scripted.Origin) -> None:
    text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n"
    origin.on("/o/6", raw(text))
    answer, body = ask(origin, "/o/6")
    assert (body, answer.length, answer.trailers) == (b"abc", None, (("x-sum", "3"),))


def test_an_answer_may_end_with_the_connection(origin: scripted.Origin) -> None:
    origin.on("/o/7", raw("HTTP/1.0 200 OK\r\n\r\nold", ["close"]))
    answer, body = ask(origin, "/o/7")
    assert (answer.length, body) == (None, b"old")


@pytest.mark.parametrize(
    "steps",
    [
        raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", ["close"]),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", ["close"]),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n", ["close"]),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabcde\r\n"),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gibberish\r\n\r\nabc", ["close"]),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ["close"]),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabcd"),
        raw("HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc"),
        raw("HTTP/1.1 200 OK\r\nbad field\r\n\r\nabc"),
        raw("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
        raw("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        raw("HTTP/1.1 103 Early\r\n\r\n" * 40),
        raw("HTTP/1.1 200 OK\r\n" + "X-Endless: aaaaaaaaaaaaaaaaaaaaaa\r\n" * 10_000, ["wait"]),
        raw("HTTP/1.1 200 OK\r\nX: " + "a" * 100_000, ["wait"]),
        # RFC 9110, section 15: a status is one of 100 to 599.
        raw("HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n"),
        raw("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
        raw("HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"),
        raw("no HTTP at all\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\nX: 1", ["close"]),
        [["close"]],
    ],
    ids=lambda steps: repr(steps[0])[:60],
)
def test_an_answer_that_is_broken_is_a_502(origin: scripted.Origin, steps: list) -> None:
    origin.on("/o/8", steps)
    with pytest.raises(OriginFailed) as failure:
        ask(origin, "/o/8")
    origin.go_on()
    assert failure.value.status == 502
    assert str(failure.value).endswith(".")


@pytest.mark.parametrize(
    "steps",
    [
        [["wait"]],
        raw("HTTP/1.1 200 OK\r\n", ["wait"]),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", ["wait"]),
        raw("HTTP/1.1 200 OK\r\n", *[["sleep", 0.05], ["send", "X: 1\r\n"]] * 40),
    ],
)
def test_an_answer_that_does_not_come_is_a_504(origin: scripted.Origin, steps: list) -> None:
    origin.on("/o/9", steps)
    with pytest.raises(OriginFailed) as failure:
        ask(origin, "/o/9", read_seconds=0.5)
    origin.go_on()
    assert failure.value.status == 504


def test_an_origin_that_is_down_is_a_502() -> None:
    with pytest.raises(OriginFailed, match="connection refused") as failure:
        asyncio.run(whole(client(f"http://127.0.0.1:{free_port()}"), "GET", "/"))
    assert failure.value.status == 502


def test_an_origin_that_takes_no_connection_is_a_504() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        # The first fills the queue of the kernel.
        with socket.create_connection(("127.0.0.1", port)), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(("127.0.0.1", port))
            made = client(f"http://127.0.0.1:{port}", connect_seconds=0.3)
            with pytest.raises(OriginFailed) as failure:
                asyncio.run(whole(made, "GET", "/"))
    assert failure.value.status == 504


def test_connections_are_kept_and_only_whole_ones(origin: scripted.Origin) -> None:
    origin.on("/o/10", reply(200, {}, "abc"))
    origin.on("/o/11", raw("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc", ["wait"]))

    async def run() -> None:
        made = client(origin.url)
        for _ in range(3):
            await whole(made, "GET", "/o/10")
        answer = await made.send("GET", "/o/11", ())
        answer.close()
        await whole(made, "GET", "/o/10")
        # Closing an answer that is over leaves a connection that another one uses.
        answer, _ = await whole(made, "GET", "/o/10")
        answer.close()
        await whole(made, "GET", "/o/10")
        made.close()

    asyncio.run(run())
    origin.go_on()
    peers = [entry["peer"] for entry in origin.log("/o/10")]
    assert len(set(peers[:3])) == 1
    assert peers[3] != peers[0]
    assert len(set(peers[3:])) == 1


def test_a_kept_connection_that_was_closed_costs_no_error(origin: scripted.Origin) -> None:
    origin.on("/o/12", [*reply(200, {}, "abc"), ["close"]])

    async def run() -> list[bytes]:
        made = client(origin.url)
        methods = ("GET", "GET", "PUT", "POST", "POST")
        bodies = [(await whole(made, method, "/o/12"))[1] for method in methods]
        made.close()
        return bodies

    assert asyncio.run(run()) == [b"abc"] * 5


def test_a_post_is_never_sent_twice(origin: scripted.Origin) -> None:
    origin.on("/o/13", reply(200, {}, "abc"), [["close"]])

    async def run() -> None:
        made = client(origin.url)
        await whole(made, "GET", "/o/13")
        with pytest.raises(OriginFailed):
            await whole(made, "POST", "/o/13")
        made.close()

    asyncio.run(run())
    assert origin.count("/o/13") == 2


def test_many_at_once_share_what_is_kept(origin: scripted.Origin) -> None:
    origin.on("/o/14", reply(200, {}, "abc", delay=0.2))

    async def run() -> None:
        made = client(origin.url)
        for _ in range(2):
            found = await asyncio.gather(*(whole(made, "GET", "/o/14") for _ in range(100)))
            assert {body for _, body in found} == {b"abc"}
        made.close()

    asyncio.run(run())
    peers = [entry["peer"] for entry in origin.log("/o/14")]
    assert len(set(peers[100:]) & set(peers[:100])) == MAX_IDLE


def test_a_body_of_any_size_costs_little_memory(origin: scripted.Origin) -> None:
    size = 300 * 1024 * 1024
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"
    origin.on("/o/15", [["send", head], ["fill", size]])

    async def run() -> tuple[int, int]:
        made = client(origin.url)
        answer = await made.send("GET", "/o/15", ())
        seen = 0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async for chunk in answer.chunks():
            seen += len(chunk)
        made.close()
        return seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    seen, grown = asyncio.run(run())
    assert seen == size
    assert grown < 10 * 1024
