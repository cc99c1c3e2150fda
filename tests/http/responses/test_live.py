"""A service in front of an API as clients meet it: the same under both ways of serving."""

from __future__ import annotations

import asyncio
import concurrent.futures
import http.client
import io
import re
import socket
import time
from collections.abc import Callable

import pytest

from tests.http.responses.conftest import Site
from tests.support.live import Connection, call, head
from tests.support.metrics import Metrics, metrics
from tests.support.origin import Origin, date, reply
from tests.support.processes import Service, eventually
from tests.support.timing import Stopwatch, starved

FRESH = {"Cache-Control": "max-age=60"}
KEY = {"X-DreamFactory-API-Key": Service.api_key}


def is_threaded(site: Site) -> bool:
    return "gthread" in site.instances[0]._arguments


def cache_of(answer) -> str:
    return answer.headers["Cache-Status"].partition("; ")[2].partition("; ttl")[0]


def test_a_read_comes_from_the_cache_of_any_instance(site: Site, origin: Origin) -> None:
    made = date(20)
    fields = {**FRESH, "X-Made": "1", "Content-Type": "text/x-own"}
    origin.on("/l/1", reply(200, {**fields, "Date": made, "Server": "the API"}, "body"))
    first = site.get("/l/1?q=%C3%BC")
    assert (first.status, first.body, cache_of(first)) == (200, b"body", "fwd=uri-miss")
    assert first.headers.get_all("Date") == [made]
    for number in (0, 1, 0, 1):
        again = site.get("/l/1?q=%c3%bc", number)
        assert (again.status, again.body, cache_of(again)) == (200, b"body", "hit")
        assert again.headers["Age"]
        assert again.headers["Content-Type"] == "text/x-own"
        assert again.headers["Cache-Control"] == "max-age=60"
        assert again.headers.get_all("Server") == ["the API"]
        # RFC 9110, section 6.6.1: the date is of the answer, not of its delivery.
        assert again.headers.get_all("Date") == [made]
    (request,) = origin.log("/l/1")
    assert request["target"] == "/l/1?q=%C3%BC"
    assert not {name for name in request["named"] if name.startswith("x-")}


def test_keys_by_parameter_and_bearer_do_not_reach_the_origin(site: Site, origin: Origin) -> None:
    origin.on("/l/2", reply(200, {}, "body"))
    port = site.instances[0].port
    for path, headers in (
        (f"/l/2?a=1&api_key={Service.api_key}", {}),
        ("/l/2?a=1", {"Authorization": f"Bearer {Service.api_key}"}),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", f"/api/v2/shop{path}", headers=headers)
        assert connection.getresponse().status == 200
        connection.close()
    for request in origin.log("/l/2"):
        assert Service.api_key not in str(request)
        assert request["target"] == "/l/2?a=1"


@pytest.mark.parametrize(("key", "status"), [("wrong", 401), ("", 401)])
def test_nobody_comes_in_without_a_key(site: Site, origin: Origin, key: str, status: int) -> None:
    origin.on("/l/3", reply(200, FRESH, "body"))
    site.get("/l/3")
    answer = call(site.instances[0].port, "GET", "/api/v2/shop/l/3", key=key)
    assert answer.status == status
    assert answer.json["error"]["code"] == status
    assert answer.headers["WWW-Authenticate"]


def make_key(port: int, *rules: dict) -> str:
    made = call(port, "POST", "/api/v2/system/api_key", {"name": "some", "rules": list(rules)})
    assert made.status == 201, made.body
    return made.json["resource"][0]["api_key"]


def status_of(key: str, port: int, method: str, path: str, **headers: str) -> int:
    with Connection(port, key) as connection:
        return connection.call(method, f"/api/v2/shop{path}", headers=headers).status


def test_rights_are_those_of_the_path_and_the_method(site: Site, origin: Origin) -> None:
    port = site.instances[0].port
    reader = make_key(port, {"service": "shop", "verbs": ["GET"], "keys": "l/open/*"})
    for path in ("/l/open/1", "/l/closed"):
        origin.on(path, reply(200, FRESH, "body"))

    def status(method: str, path: str, **headers: str) -> int:
        return status_of(reader, port, method, path, **headers)

    # Another worker knows the key within a moment.
    eventually(lambda: status("GET", "/l/open/1") == 200)
    eventually(lambda: {status("GET", "/l/open/1") for _ in range(10)} == {200})
    assert status("HEAD", "/l/open/1") == 200
    assert status("GET", "/l/open/%31") == 200
    assert status("GET", "/l/closed") == 403
    assert status("GET", "/l/open/../closed") == 400
    assert status("GET", "/l/open/%2e%2e/closed") == 400
    for method in ("POST", "PUT", "PATCH", "DELETE", "PURGE"):
        assert status(method, "/l/open/1") == 403
    # A method in a header is not what counts.
    assert status("POST", "/l/open/1", **{"X-HTTP-Method": "GET"}) == 403
    for purge in ("/l/open/1?purge=true", "", "?tag=a"):
        assert status("DELETE", purge) == 403
    assert origin.count("/l/closed") == 0
    assert {entry["method"] for entry in origin.log("/l/open/1")} == {"GET"}


def test_purging_is_a_right_of_its_own(site: Site, origin: Origin) -> None:
    port = site.instances[0].port
    purger = make_key(port, {"service": "shop", "verbs": ["FLUSH"]})
    writer = make_key(port, {"service": "shop", "verbs": ["GET", "DELETE"]})
    origin.on("/l/own", reply(200, FRESH, "body"))
    eventually(lambda: {status_of(writer, port, "GET", "/l/own") for _ in range(10)} == {200})
    for purge in ("/l/own?purge=true", "?tag=a", ""):
        assert status_of(purger, port, "DELETE", purge) == 200
        assert status_of(writer, port, "DELETE", purge) == 403
    assert status_of(purger, port, "DELETE", "/l/own") == 403
    assert status_of(writer, port, "DELETE", "/l/own") == 200
    assert [entry["method"] for entry in origin.log("/l/own")] == ["GET", "DELETE"]


def test_a_limit_on_requests_holds(site: Site, origin: Origin) -> None:
    port = site.instances[0].port
    made = call(
        port,
        "POST",
        "/api/v2/system/api_key",
        {
            "name": "slow",
            "rules": [{"service": "shop", "verbs": ["GET"]}],
            "rate_limit": {"requests": 3, "seconds": 3600},
        },
    )
    key = made.json["resource"][0]["api_key"]
    origin.on("/l/limited", reply(200, FRESH, "body"))
    # Another worker knows the key within a moment.
    eventually(lambda: status_of(key, port, "GET", "/l/limited") == 429)
    with Connection(port, key) as connection:
        eventually(lambda: connection.call("GET", "/api/v2/shop/l/limited").status == 429)
        answer = connection.call("GET", "/api/v2/shop/l/limited")
    assert answer.headers["Retry-After"]
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert origin.count("/l/limited") <= 1


def test_who_may_write_to_the_cache_may_not_write_answers(site: Site, origin: Origin) -> None:
    port = site.instances[0].port
    key = make_key(port, {"service": "cache", "verbs": ["GET", "POST", "PUT", "DELETE"]})

    def status(method: str) -> int:
        with Connection(port, key) as connection:
            body = {"value": 1} if method != "GET" else None
            path = "/api/v2/cache/cacheapi:response:url:0"
            return connection.call(method, path, body).status

    eventually(lambda: {status(method) for method in ("GET", "POST", "PUT")} == {403})


def test_every_method_reaches_the_origin(site: Site, origin: Origin) -> None:
    origin.on("/l/4", reply(200, {}, "done"))
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "M-SEARCH"):
        answer = site.call(method, "/l/4", body={"a": 1} if method == "POST" else None)
        assert (answer.status, answer.body) == (200, b"done"), method
        assert cache_of(answer) == "fwd=method"
    found = origin.log("/l/4")
    assert found[0]["method"] == "POST"
    assert len(found) == 7
    assert found[0]["body"] == '{"a": 1}'


def test_a_purge_is_in_force_everywhere_at_once(site: Site, origin: Origin) -> None:
    def fill(*paths: str) -> None:
        for path in paths:
            origin.on(path, reply(200, {**FRESH, "Surrogate-Key": "a b"}, "body"))
            site.get(path)
            assert cache_of(site.get(path, 1)) == "hit"

    def gone(path: str) -> bool:
        return cache_of(site.get(path, 1)) == "fwd=uri-miss"

    fill("/l/5", "/l/6")
    assert site.call("DELETE", "/l/5?purge=true").json == {"success": True}
    assert gone("/l/5")
    assert not gone("/l/6")
    assert site.call("DELETE", "?tag=x,b").json == {"success": True}
    assert gone("/l/5")
    assert gone("/l/6")
    assert site.call("DELETE", "?tag=A").status == 200
    assert not gone("/l/5")
    assert site.call("DELETE", "").json == {"success": True}
    assert gone("/l/5")
    assert site.call("DELETE", "/l/5", headers={"X-Purge": "true"}).status == 200
    assert gone("/l/5")
    assert {entry["method"] for entry in origin.log("/l/5")} == {"GET"}
    for slip in ("?tags=a", "?tag=", "?keys=a", "?prefix=a"):
        assert site.call("DELETE", slip).status == 400
    assert not gone("/l/5")


def test_a_soft_purge_leaves_something_to_serve(site: Site, origin: Origin) -> None:
    headers = {"Cache-Control": "max-age=60, stale-if-error=600"}
    origin.on("/l/7", reply(200, headers, "body"), reply(503))
    site.get("/l/7")
    assert site.call("DELETE", "/l/7?purge=true&soft=true").status == 200
    answer = site.get("/l/7", 1)
    assert (answer.status, answer.body) == (200, b"body")
    assert "stale-if-error" in answer.headers["Cache-Status"]


async def crowd(site: Site, path: str) -> list[tuple[float, str]]:
    """Have 100 clients ask at once on connections that are there.

    :return: the seconds of each, and its ``Cache-Status``.
    """

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[float, str]:
        started = time.monotonic()
        writer.write(head(f"GET /api/v2/shop{path}"))
        line = await reader.readuntil(b"\r\n\r\n")
        assert line.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(4) == b"body"
        writer.close()
        fields = http.client.parse_headers(io.BytesIO(line.partition(b"\r\n")[2]))
        return time.monotonic() - started, fields["Cache-Status"]

    ports = [instance.port for instance in site.instances]
    opened = [await asyncio.open_connection("127.0.0.1", ports[n % 2]) for n in range(100)]
    return await asyncio.gather(*(ask(*connection) for connection in opened))


def test_one_fetch_for_a_hundred_clients_of_two_instances(
    site: Site, origin: Origin, record_property: Callable[[str, object], None]
) -> None:
    # Every worker has its engine, and its connections.
    origin.on("/l/8", reply(200, FRESH, "body"))
    asyncio.run(crowd(site, "/l/8"))
    delay = 0.5
    origin.on("/l/8b", reply(200, FRESH, "body", delay=delay))
    before = starved()
    slowest, _ = max(asyncio.run(crowd(site, "/l/8b")))
    record_property("seconds beyond the origin's", slowest - delay)
    assert origin.count("/l/8b") == 1
    # By itself it is some 0.02 s.
    assert slowest < delay + 0.5 + (starved() - before)


def test_an_answer_for_one_is_waited_for_once(site: Site, origin: Origin) -> None:
    delay = 0.5
    origin.on("/l/9", reply(200, {"Cache-Control": "private"}, "body", delay=delay))
    before = starved()
    found = asyncio.run(crowd(site, "/l/9"))
    # By itself it is some 0.1 s.
    assert max(found)[0] < 2 * delay + 0.5 + (starved() - before)
    assert {status for _, status in found} == {"cacheapi; fwd=uri-miss; detail=private"}
    assert origin.count("/l/9") == 100


@pytest.mark.parametrize("headers", [{"Cache-Control": "private"}, {"Set-Cookie": "a=1"}])
def test_nobody_waits_for_two_of_those_answers_and_then_for_none(
    site: Site, origin: Origin, headers: dict[str, str]
) -> None:
    """By the origin's own record: it has all the requests before it has answered a second one."""
    path = f"/l/9/{next(iter(headers))}"
    own = reply(200, headers, "body")
    origin.on(path, [["wait"], *own], [["wait", 2], *own])
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        try:
            asked = threads.submit(asyncio.run, crowd(site, path))
            eventually(lambda: origin.count(path) == 1)
            # All wait for the first, in all workers.
            time.sleep(0.3)
            assert origin.count(path) == 1
            origin.go_on()
            eventually(lambda: origin.count(path) == 100, 30)
            origin.go_on()
            (status,) = {status for _, status in asked.result()}
            assert status.startswith("cacheapi; fwd=uri-miss; detail=")
            # It is remembered: none waits for another's any more.
            origin.on(path, [["wait"], *own])
            asked = threads.submit(asyncio.run, crowd(site, path))
            eventually(lambda: origin.count(path) == 100, 30)
        finally:
            origin.go_on()
            origin.go_on()
        asked.result()


def test_errors_have_the_one_shape(site: Site, origin: Origin) -> None:
    origin.on("/l/10", [["send", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], ["close"]])
    answer = site.get("/l/10")
    assert (answer.status, answer.json["error"]["code"]) == (502, 502)
    assert cache_of(answer) == "fwd=uri-miss"
    answer = site.get("/l/11", **{"Cache-Control": "only-if-cached"})
    assert (answer.status, answer.json["error"]["code"]) == (504, 504)
    assert site.call("TRACE", "/l/11").status == 405


def test_a_body_of_any_size_passes(site: Site, origin: Origin) -> None:
    size = 200 * 1024 * 1024
    head = f"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {size}\r\n\r\n"
    origin.on("/l/12", [["send", head], ["fill", size]])
    instance = site.instances[0]

    def peak() -> int:
        total = 0
        for pid in instance.workers():
            with open(f"/proc/{pid}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return total

    site.get("/l/1")
    before = peak()
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=60)
    connection.request("GET", "/api/v2/shop/l/12", headers=KEY)
    answer = connection.getresponse()
    seen = 0
    while chunk := answer.read(1 << 20):
        seen += len(chunk)
        if seen < 20 << 20:
            # A client that is slow at first: nothing may pile up.
            time.sleep(0.02)
    connection.close()
    assert seen == size
    assert peak() - before < 20 * 1024


def test_what_is_cut_off_while_it_passes_never_looks_whole(site: Site, origin: Origin) -> None:
    text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    origin.on("/l/13", [["send", text], ["close"]])
    connection = http.client.HTTPConnection("127.0.0.1", site.instances[0].port, timeout=30)
    connection.request("GET", "/api/v2/shop/l/13", headers=KEY)
    answer = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, OSError)):
        answer.read()
    connection.close()


def test_what_is_told_about_it(site: Site, origin: Origin) -> None:
    origin.on("/l/14", reply(200, FRESH, "body"))
    answer = site.get("/l/14", **{"X-Server-Timing": "1"})
    parts = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["Server-Timing"])
    names, seconds = zip(*parts, strict=True)
    assert names == ("total", "cache", "origin")
    # What is told beside the total is a part of it.
    assert float(seconds[0]) >= max(map(float, seconds[1:])) > 0
    again = site.get("/l/14", **{"X-Server-Timing": "1"})
    assert re.findall(r"(\w+);dur=", again.headers["Server-Timing"]) == ["total", "cache"]
    listed = call(site.instances[0].port, "GET", "/api/v2/").json["services"]
    (shop,) = [one for one in listed if one["name"] == "shop"]
    assert (shop["label"], shop["type"]) == ("shop", "rws")
    tried = call(site.instances[0].port, "POST", "/api/v2/system/service/shop/test").json
    assert tried["success"], tried
    assert [step["name"] for step in tried["steps"]] == ["configure", "connect", "cache"]
    port = site.instances[0].port
    eventually(
        lambda: metrics(port).sum("cacheapi_responses_total", result="miss", service="shop") > 0
    )


def test_five_hundred_who_wait_hold_up_nobody(site: Site, origin: Origin) -> None:
    if is_threaded(site):
        pytest.skip("a server of threads has no more than it has")
    instance = site.instances[0]
    origin.on("/l/16", reply(200, FRESH, "hit"))
    site.get("/l/16")
    assert call(instance.port, "POST", "/api/v2/cache", {"key": "k", "value": 1}).status == 201
    for number in range(50):
        origin.on(f"/l/slow-{number}", reply(200, {}, "slow", delay=5.0))
    waiting = []
    for number in range(500):
        client = socket.create_connection(("127.0.0.1", instance.port), 30)
        client.sendall(
            f"GET /api/v2/shop/l/slow-{number % 50}?n={number} HTTP/1.1\r\nHost: x\r\n"
            f"X-DreamFactory-API-Key: {Service.api_key}\r\n\r\n".encode()
        )
        waiting.append(client)
    took = []
    with Connection(instance.port) as connection:
        for path in ("/api/v2/cache/k", "/api/v2/shop/l/16") * 20:
            watch = Stopwatch()
            assert connection.call("GET", path).status == 200
            took.append(watch())
    assert max(took) < 2.0
    for client in waiting:
        client.settimeout(60)
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.close()


def test_interim_answers_reach_the_client(site: Site, origin: Origin) -> None:
    if is_threaded(site):
        pytest.skip("WSGI has no interim answers")
    hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
    origin.on("/l/17", [["send", hint], ["sleep", 0.2], *reply(200, {}, "x")])
    with socket.create_connection(("127.0.0.1", site.instances[0].port), 30) as client:
        client.sendall(
            b"GET /api/v2/shop/l/17 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"X-DreamFactory-API-Key: " + Service.api_key.encode() + b"\r\n\r\n"
        )
        client.settimeout(30)
        text = b"".join(iter(lambda: client.recv(65536), b""))
    assert text.startswith(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\nHTTP/1.1 200"
    )


def test_a_change_of_the_service_is_in_force_within_a_moment(site: Site, origin: Origin) -> None:
    port = site.instances[0].port
    origin.on("/base/l/18", reply(200, FRESH, "below"))
    fields = {"name": "made", "type": "rws", "config": {"base_url": origin.url + "/base"}}
    made = call(port, "POST", "/api/v2/system/service", {"resource": [fields]})
    assert made.status == 201, made.body
    try:
        deadline = time.monotonic() + 20
        while True:
            answer = call(port, "GET", "/api/v2/made/l/18")
            if answer.status == 200 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert answer.body == b"below"
    finally:
        assert call(port, "DELETE", "/api/v2/system/service/made").status == 200


def settled(port: int) -> Metrics:
    """Return the metrics once what the tests before have left is over and counted."""
    names = ("cacheapi_responses_total", "cacheapi_origin_seconds_count")
    last, stopwatch = metrics(port), Stopwatch()
    while stopwatch() < 30:
        time.sleep(1)
        now = metrics(port)
        if all(now.sum(name) == last.sum(name) for name in names):
            return now
        last = now
    raise AssertionError("somebody still asks")


def test_how_the_api_does_is_counted(site: Site, origin: Origin) -> None:
    instance = site.instances[0]
    before = settled(instance.port)
    origin.on("/l/17", reply(200, FRESH, "body"))
    origin.on("/l/18", reply(503, {}, "no"))
    origin.on("/l/19", [["send", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], ["close"]])
    statuses = [site.get(path).status for path in ("/l/17", "/l/17", "/l/18", "/l/19")]
    assert statuses[:3] == [200, 200, 503]
    for path in ("/l/17?purge=true", "?tag=none", ""):
        assert site.call("DELETE", path).status == 200
    expected: list[tuple[str, dict[str, str], int]] = [
        ("responses_total", {"result": "hit"}, 1),
        ("responses_total", {"result": "miss"}, 2),
        ("responses_total", {"result": "purge"}, 3),
        ("origin_seconds_count", {}, 3),
        ("origin_errors_total", {"error": "status"}, 1),
        ("origin_errors_total", {"error": "failed"}, 1),
        ("origin_errors_total", {"error": "timeout"}, 0),
        *(("purges_total", {"scope": scope}, 1) for scope in ("url", "tag", "all")),
    ]

    def grown(now: Metrics, name: str, labels: dict[str, str]) -> float:
        sums = [each.sum(f"cacheapi_{name}", service="shop", **labels) for each in (now, before)]
        return sums[0] - sums[1]

    def is_counted() -> bool:
        now = metrics(instance.port)
        return all(grown(now, name, labels) == number for name, labels, number in expected)

    # The workers hand their counts over several times a second.
    eventually(is_counted)


def test_trailers_of_the_origin_are_dropped(site: Site, origin: Origin) -> None:
    """RFC 9110, section 6.5.1: none is merged into the header; section 6.5.2: they may go."""
    head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n"
    chunks = "Trailer: X-Sum, Set-Cookie\r\n\r\n3\r\nabc\r\n0\r\n"
    trailers = "X-Sum: 3\r\nSet-Cookie: a=b\r\nCache-Control: no-store\r\nContent-Length: 9\r\n\r\n"
    origin.on("/l/20", [["send", head + chunks + trailers]])
    for how in ("fwd=uri-miss", "hit"):
        answer = site.get("/l/20")
        assert (answer.status, answer.body, cache_of(answer)) == (200, b"abc", how)
        assert not {"X-Sum", "Set-Cookie", "Trailer"} & set(answer.headers)
        assert answer.headers["Cache-Control"] == "max-age=60"
        assert answer.headers["Content-Length"] == "3"
