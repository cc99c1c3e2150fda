"""What clients get of a service in front of an origin, and what the origin is asked."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from backends.base import Backend
from cacheapi.responses.asking import Incoming
from cacheapi.responses.config import config_of
from cacheapi.responses.entries import part_key
from cacheapi.responses.messages import Response
from cacheapi.responses.options import OPTIONS
from cacheapi.responses.policy import Policy
from tests.cacheapi.responses.running import MOUNT, get, run, running
from tests.conftest import Clock
from tests.support.origin import Origin, date, reply
from tests.support.processes import free_port

FRESH = {"Cache-Control": "max-age=60"}
KEPT_OUT = "fwd=uri-miss; detail=set-cookie"
OWN_COOKIE = ("Set-Cookie", "session=1")


def configured(**texts: str) -> dict[str, Any]:
    """Return the settings that a form with some texts makes."""
    given = {option.name: texts.get(option.name, option.default) for option in OPTIONS}
    return {
        option.name: None if given[option.name] is None else option.kind.parse(given[option.name])
        for option in OPTIONS
    }


def behind() -> Clock:
    """Return a clock that is behind the origin's, whose dates are then of now."""
    return Clock(time.time() - 1000)


def asked(origin: Origin, path: str) -> list[str]:
    return [entry["method"] for entry in origin.log(path)]


def test_a_second_read_comes_from_the_cache(cache: Backend, origin: Origin) -> None:
    origin.on(
        "/e/1", reply(200, {**FRESH, "X-Made": "yes", "Connection": "x-hop", "X-Hop": "1"}, "a")
    )

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            first = await get(engine, "/e/1?q=1")
            assert (first.status, first.body, first.cache) == (200, b"a", "fwd=uri-miss; stored")
            assert first.fields["x-made"] == "yes"
            # A page of the origin's is under the console's address.
            assert first.fields["content-security-policy"] == "sandbox"
            assert not {"connection", "x-hop"} & first.fields.keys()
            second = await get(engine, "/e/1?q=1")
            assert (second.status, second.body, second.cache) == (200, b"a", "hit")
            assert second.fields["age"] in ("0", "1", "2")
            assert second.fields["cache-control"] == "max-age=60"
            assert second.fields["content-length"] == "1"
            assert second.fields["content-security-policy"] == "sandbox"
            other = await get(engine, "/e/1?q=2")
            assert other.cache == "fwd=uri-miss; stored"
        # Another worker finds it too.
        async with running(cache, origin.url) as engine:
            assert (await get(engine, "/e/1?q=2")).cache == "hit"
        async with running(cache, origin.url, name="other") as engine:
            assert (await get(engine, "/e/1?q=2")).cache == "fwd=uri-miss; stored"

    run(work())
    assert origin.count("/e/1") == 3


@pytest.mark.parametrize(
    ("headers", "sent", "reason"),
    [
        ({"Cache-Control": "no-store"}, {}, "no-store"),
        ({"Cache-Control": "private, max-age=60"}, {}, "private"),
        ({**FRESH, "Set-Cookie": "id=1"}, {}, "set-cookie"),
        ({**FRESH, "Vary": "*"}, {}, "vary-star"),
        (FRESH, {"authorization": "Basic abc"}, "authorization"),
        ({}, {}, "no-freshness"),
    ],
)
def test_one_users_answer_reaches_no_other(
    cache: Backend, origin: Origin, headers: dict, sent: dict, reason: str
) -> None:
    origin.on("/e/2", reply(200, headers, "first"), reply(200, headers, "second"))

    async def work() -> None:
        async with running(cache, origin.url, authorization=True) as engine:
            got = [await get(engine, "/e/2", **sent) for _ in range(2)]
            assert [one.body for one in got] == [b"first", b"second"]
            assert got[0].cache == f"fwd=uri-miss; detail={reason}"

    run(work())


def test_what_is_the_clients_own_does_not_reach_the_origin(cache: Backend, origin: Origin) -> None:
    origin.on("/e/3", reply(200, FRESH, "a"))
    sent = {
        "x_dreamfactory_api_key": "key",
        "authorization": "Bearer key",
        "cookie": "id=1; lang=de",
        "x_forwarded_host": "evil.example",
        "x_forwarded_for": "10.0.0.1",
        "x_original_url": "/admin",
        "x_http_method_override": "DELETE",
        "forwarded": "host=evil.example",
        "connection": "x-mine",
        "x_mine": "1",
        "te": "trailers",
        "expect": "100-continue",
        "upgrade": "h2c",
        "transfer_encoding": "chunked",
        "content_length": "10",
        "host": "evil.example",
        "x_kept": "yes",
    }

    async def work() -> None:
        headers = (("authorization", "Basic secret"),)
        async with running(cache, origin.url, headers=headers) as engine:
            await get(engine, "/e/3?api_key=key&a=1", **sent, body=b"unseen")
            # Underscores are not for hyphens on the wire.
            sly = (("x_forwarded_host", "evil.example"), ("x-kept", "yes"))

            await engine.answer(Incoming("GET", b"/e/3", b"b", sly))

    run(work())
    first, second = origin.log("/e/3")
    named = {
        "host": f"127.0.0.1:{origin.port}",
        "x-kept": "yes",
        "authorization": "Basic secret",
        "via": "1.1 cacheapi",
    }
    assert (first["named"], first["target"], first["body"]) == (named, "/e/3?a=1", "")
    assert second["named"] == named


def test_9111_7_3_a_cookie_that_is_nobodys_own_does_not_keep_an_answer_out(
    cache: Backend, origin: Origin
) -> None:
    origin.on("/e/shared", reply(200, {**FRESH, "Set-Cookie": "lang=de"}, "a"))
    origin.on("/e/own", reply(200, [*FRESH.items(), ("Set-Cookie", "lang=de"), OWN_COOKIE], "a"))

    async def work() -> None:
        policy = config_of(configured(base_url=origin.url, shared_cookies="lang")).policy
        async with running(cache, origin.url, policy=policy) as engine:
            for path, cached in (("/e/shared", "hit"), ("/e/own", KEPT_OUT)):
                first, second = [await get(engine, path) for _ in range(2)]
                assert first.fields["set-cookie"] == second.fields["set-cookie"]
                assert second.cache == cached
        policy = config_of(configured(base_url=origin.url, cookies="lang")).policy
        async with running(cache, origin.url, policy=policy, name="other") as engine:
            for _ in range(2):
                assert (await get(engine, "/e/shared")).cache == KEPT_OUT

    run(work())


def test_cookies_that_are_passed_on_part_the_answers(cache: Backend, origin: Origin) -> None:
    origin.on("/e/4", reply(200, FRESH, "de"), reply(200, FRESH, "en"))

    async def work() -> None:
        async with running(cache, origin.url, cookies=frozenset({"lang"})) as engine:
            assert (await get(engine, "/e/4", cookie="id=1; lang=de")).body == b"de"
            assert (await get(engine, "/e/4", cookie="lang=en; id=1")).body == b"en"
            again = await get(engine, "/e/4", cookie="id=3; lang=de")
            assert (again.body, again.cache) == (b"de", "hit")

    run(work())
    assert [entry["named"]["cookie"] for entry in origin.log("/e/4")] == ["lang=de", "lang=en"]


def test_fields_of_the_key_part_the_answers(cache: Backend, origin: Origin) -> None:
    origin.on("/e/5", reply(200, FRESH, "1"), reply(200, FRESH, "2"))

    async def work() -> None:
        async with running(cache, origin.url, key_headers=("x-tenant",)) as engine:
            bodies = [
                (await get(engine, "/e/5", x_tenant=tenant)).body for tenant in ("a", "b", "a", "b")
            ]
            assert bodies == [b"1", b"2", b"1", b"2"]

    run(work())


def test_parameters_that_do_not_count(cache: Backend, origin: Origin) -> None:
    origin.on("/e/6", reply(200, FRESH, "1"))

    async def work() -> None:
        settings = {"sort_query": True, "ignore_params": ("utm_*",)}
        async with running(cache, origin.url, **settings) as engine:
            await get(engine, "/e/6?b=1&utm_source=x&a=2")
            assert (await get(engine, "/e/6?a=2&b=1&utm_medium=y")).cache == "hit"

    run(work())
    assert [entry["target"] for entry in origin.log("/e/6")] == ["/e/6?a=2&b=1"]


def test_variants_by_vary(cache: Backend, origin: Origin) -> None:
    headers = {**FRESH, "Vary": "X-V"}
    origin.on("/e/7", *(reply(200, headers, str(number)) for number in range(1, 4)))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            bodies = [
                (await get(engine, "/e/7", x_v=value)).body.decode() for value in "12123123123"
            ]
            assert "".join(bodies) == "12123123123"

    run(work())
    assert origin.count("/e/7") == 3


def test_validation_both_ways(cache: Backend, origin: Origin) -> None:
    headers = {"Cache-Control": "max-age=10", "ETag": '"1"'}
    origin.on(
        "/e/8",
        reply(200, headers, "body"),
        reply(304, {**headers, "X-New": "1"}, length=False),
        reply(200, {**headers, "ETag": '"2"'}, "next"),
    )
    clock = behind()

    async def work() -> None:
        async with running(cache, origin.url, clock=clock) as engine:
            await get(engine, "/e/8")
            mine = await get(engine, "/e/8", if_none_match='"1"')
            assert (mine.status, mine.body, mine.cache) == (304, b"", "hit")
            clock.advance(11)
            fresh = await get(engine, "/e/8")
            assert (fresh.status, fresh.body) == (200, b"body")
            assert fresh.cache == "fwd=stale; fwd-status=304; stored"
            assert fresh.fields["x-new"] == "1"
            assert (await get(engine, "/e/8")).cache == "hit"
            clock.advance(11)
            assert (await get(engine, "/e/8")).body == b"next"

    run(work())
    tags = [entry["named"].get("if-none-match") for entry in origin.log("/e/8")]
    assert tags == [None, '"1"', '"1"']


def test_9111_7_3_what_a_304_has_for_one_client_reaches_that_client_alone(
    cache: Backend, origin: Origin
) -> None:
    old = {"Cache-Control": "max-age=10", "ETag": '"1"'}
    own = {"X-Name": "bob", "X-New": "1", "Cache-Control": 'max-age=10, private="x-name"'}
    cookies = [("Set-Cookie", "session=1"), ("Set-Cookie", "theme=dark")]
    origin.on(
        "/e/304",
        reply(200, old, "body"),
        reply(304, [*{**old, **own}.items(), *cookies], length=False),
    )
    clock = behind()

    async def work() -> None:
        async with running(cache, origin.url, clock=clock) as engine:
            await get(engine, "/e/304")
            clock.advance(11)
            both = await asyncio.gather(get(engine, "/e/304"), get(engine, "/e/304"))
            # Either may have come first.
            asked, other = sorted(both, key=lambda got: got.result != "validated")
            assert asked.cache == "fwd=stale; fwd-status=304; stored"
            assert (asked.body, other.body) == (b"body", b"body")
            assert asked.all("set-cookie") == ["session=1", "theme=dark"]
            assert (asked.fields["x-name"], asked.fields["x-new"]) == ("bob", "1")
            for got in (other, await get(engine, "/e/304")):
                assert (got.fields["x-new"], got.result) in [("1", "collapsed"), ("1", "hit")]
                assert got.fields.keys().isdisjoint({"set-cookie", "x-name"})

    run(work())
    assert origin.count("/e/304") == 2


def test_what_is_one_clients_reaches_it_with_a_condition_too(
    cache: Backend, origin: Origin
) -> None:
    headers = {"Cache-Control": 'max-age=60, private="x-name"', "ETag": '"1"', "X-Name": "bob"}
    origin.on("/e/own", reply(200, headers, "body"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            got = await get(engine, "/e/own", if_none_match='"1"')
            assert (got.status, got.cache) == (304, "fwd=uri-miss; stored")
            assert got.fields["x-name"] == "bob"
            assert "x-name" not in (await get(engine, "/e/own", if_none_match='"1"')).fields

    run(work())


def test_the_clients_own_condition_is_answered_on_a_miss(cache: Backend, origin: Origin) -> None:
    origin.on("/e/9", reply(200, {**FRESH, "ETag": '"1"'}, "body"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            got = await get(engine, "/e/9", if_none_match='"1"')
            assert (got.status, got.body, got.cache) == (304, b"", "fwd=uri-miss; stored")
            assert (await get(engine, "/e/9")).body == b"body"

    run(work())
    assert origin.count("/e/9") == 1


def test_head_and_ranges_of_what_is_stored(cache: Backend, origin: Origin) -> None:
    origin.on("/e/10", reply(200, {**FRESH, "ETag": '"1"'}, "0123456789"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            await get(engine, "/e/10")
            head = await get(engine, "/e/10", "HEAD")
            assert (head.status, head.body, head.fields["content-length"]) == (200, b"", "10")
            part = await get(engine, "/e/10", range="bytes=2-4")
            assert (part.status, part.body) == (206, b"234")
            several = await get(engine, "/e/10", range="bytes=0-1,8-")
            assert several.status == 206
            assert several.fields["content-length"] == str(len(several.body))
            assert (await get(engine, "/e/10", range="bytes=20-")).status == 416

    run(work())
    assert asked(origin, "/e/10") == ["GET"]


def test_parts_become_a_whole(cache: Backend, origin: Origin) -> None:
    headers = {**FRESH, "ETag": '"1"'}
    origin.on(
        "/e/11",
        reply(206, {**headers, "Content-Range": "bytes 0-4/10"}, "01234"),
        reply(206, {**headers, "Content-Range": "bytes 5-9/10"}, "56789"),
    )

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            first = await get(engine, "/e/11", range="bytes=0-4")
            assert (first.status, first.body) == (206, b"01234")
            whole = await get(engine, "/e/11")
            assert (whole.status, whole.body) == (200, b"0123456789")
            assert (await get(engine, "/e/11")).cache == "hit"

    run(work())
    assert [entry["named"].get("range") for entry in origin.log("/e/11")] == [
        "bytes=0-4",
        "bytes=5-",
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PURGE"])
def test_a_write_passes_and_makes_invalid(cache: Backend, origin: Origin, method: str) -> None:
    origin.on(
        "/e/12", reply(200, FRESH, "old"), reply(201, {"Location": "/e/13"}), reply(200, {}, "x")
    )
    origin.on("/e/13", reply(200, FRESH, "old"), reply(200, FRESH, "new"))
    origin.on("/e/14", reply(200, FRESH, "other"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            for path in ("/e/12", "/e/13", "/e/14"):
                await get(engine, path)
            done = await get(engine, "/e/12", method, body=b"written")
            assert (done.status, done.cache) == (201, "fwd=method")
            assert done.fields["location"] == f"{MOUNT}/e/13"
            assert (await get(engine, "/e/12")).body == b"x"
            assert (await get(engine, "/e/13")).body == b"new"
            assert (await get(engine, "/e/14")).cache == "hit"

    run(work())
    assert origin.log("/e/12")[1]["body"] == "written"


def test_a_write_that_fails_makes_nothing_invalid(cache: Backend, origin: Origin) -> None:
    origin.on("/e/15", reply(200, FRESH, "old"), reply(500))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            await get(engine, "/e/15")
            assert (await get(engine, "/e/15", "POST")).status == 500
            assert (await get(engine, "/e/15")).cache == "hit"

    run(work())


def test_interim_answers_reach_the_client(cache: Backend, origin: Origin) -> None:
    hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    origin.on("/e/16", [["send", hint], *reply(200, FRESH, "x")])
    told: list[Response] = []

    async def work() -> None:

        async with running(cache, origin.url) as engine:
            await engine.answer(Incoming("GET", b"/e/16", inform=told.append))

    run(work())
    assert told == [Response(103, (("link", "</a>"),))]


def test_redirects_are_passed_back(cache: Backend, origin: Origin) -> None:
    for number, place in enumerate(
        ["/e/x?a=1", f"{origin.url}/e/x", "x", "http://other.example/e/x", "/outside"]
    ):
        origin.on(f"/e/17-{number}", reply(302, {"Location": place, **FRESH}))

    async def work() -> list[str]:
        async with running(cache, f"{origin.url}/e") as engine:
            found = []
            for number in range(5):
                for _ in range(2):
                    got = await get(engine, f"/17-{number}")
                    assert got.status == 302
                    found.append(got.fields["location"])
            return found

    found = run(work())
    assert found[0::2] == found[1::2]
    assert found[0::2] == [
        f"{MOUNT}/x?a=1",
        f"{MOUNT}/x",
        f"{MOUNT}/x",
        "http://other.example/e/x",
        f"{origin.url}/outside",
    ]


STALE = {"Cache-Control": "max-age=10, stale-if-error=60", "ETag": '"1"'}
FAILURES = {
    "503": reply(503, {}, "down"),
    "cut off": [["send", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"], ["close"]],
    "closed": [["close"]],
    "no HTTP": [["send", "nonsense\r\n\r\n"], ["close"]],
    "slow": [["wait"]],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_stale_instead_of_an_error_where_allowed(
    cache: Backend, origin: Origin, failure: str
) -> None:
    clock = behind()
    origin.on("/e/18", reply(200, STALE, "good"), FAILURES[failure])

    async def work() -> None:
        async with running(cache, origin.url, clock=clock, read_seconds=1.0) as engine:
            await get(engine, "/e/18")
            clock.advance(20)
            got = await get(engine, "/e/18")
            assert (got.status, got.body) == (200, b"good")
            assert got.cache == "hit; detail=stale-if-error"
            clock.advance(60)
            late = await get(engine, "/e/18")
            assert late.status in (502, 503, 504)
            assert late.cache == "fwd=stale" or late.cache.startswith("fwd=stale; detail=")

    run(work())
    origin.go_on()


@pytest.mark.parametrize("word", ["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"])
def test_never_stale_past_what_forbids_it(cache: Backend, origin: Origin, word: str) -> None:
    clock = behind()
    headers = {"Cache-Control": f"{word}, {STALE['Cache-Control']}", "ETag": '"1"'}
    origin.on("/e/19", reply(200, headers, "good"), FAILURES["503"])

    async def work() -> None:
        async with running(
            cache, origin.url, clock=clock, policy=Policy(stale_if_error=600)
        ) as engine:
            await get(engine, "/e/19")
            clock.advance(20)
            assert (await get(engine, "/e/19")).status == 503

    run(work())


def test_stale_while_it_is_fetched_in_the_background(cache: Backend, origin: Origin) -> None:
    clock = behind()
    headers = {"Cache-Control": "max-age=10, stale-while-revalidate=60", "ETag": '"1"'}
    origin.on(
        "/e/20",
        reply(200, headers, "old"),
        reply(200, {**headers, "ETag": '"2"'}, "new", delay=0.3),
    )

    async def work() -> None:
        async with (
            running(cache, origin.url, clock=clock) as engine,
            running(cache, origin.url, clock=clock) as other,
        ):
            await get(engine, "/e/20")
            clock.advance(20)
            found = await asyncio.gather(
                *(get(one, "/e/20") for one in (engine, other) for _ in range(20))
            )
            assert {(one.body, one.result) for one in found} == {(b"old", "stale")}
            for _ in range(200):
                got = await get(engine, "/e/20")
                if got.body == b"new":
                    break
                await asyncio.sleep(0.05)
            assert got.body == b"new"

    run(work())
    assert [entry["named"].get("if-none-match") for entry in origin.log("/e/20")] == [None, '"1"']


def test_an_answer_that_is_cut_off_is_an_error_and_not_stored(
    cache: Backend, origin: Origin
) -> None:
    origin.on("/e/21", FAILURES["cut off"], reply(200, FRESH, "whole"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            got = await get(engine, "/e/21")
            assert (got.status, got.cache) == (502, "fwd=uri-miss")
            assert b"cut off" in got.body or b"without sending complete" in got.body
            assert (await get(engine, "/e/21")).body == b"whole"

    run(work())


def test_a_body_over_the_limit_passes_and_is_not_stored(cache: Backend, origin: Origin) -> None:
    size = 3_000_000
    head = f"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {size}\r\n\r\n"
    chunked = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\n"
    origin.on("/e/22", [["send", head], ["fill", size]])
    origin.on("/e/23", [["send", chunked], ["fill", size], ["close"]])

    async def work() -> None:
        async with running(cache, origin.url, max_body=1_000_000) as engine:
            for path in ("/e/22", "/e/23", "/e/22", "/e/23"):
                got = await get(engine, path)
                assert (got.status, len(got.body)) == (200, size)
                assert "too-large" in got.cache
        async with running(cache, origin.url, max_body=4_000_000) as engine:
            await get(engine, "/e/22")
            got = await get(engine, "/e/22")
            assert (got.cache, len(got.body)) == ("hit", size)

    run(work())


def test_only_if_cached(cache: Backend, origin: Origin) -> None:
    origin.on("/e/24", reply(200, FRESH, "a"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            got = await get(engine, "/e/24", cache_control="only-if-cached")
            assert (got.status, got.fields["cache-status"]) == (
                504,
                "cacheapi; detail=only-if-cached",
            )
            await get(engine, "/e/24")
            assert (await get(engine, "/e/24", cache_control="only-if-cached")).status == 200

    run(work())


def test_methods_that_are_not_passed_on(cache: Backend, origin: Origin) -> None:
    async def work() -> None:
        async with running(cache, origin.url, methods=frozenset({"GET"})) as engine:
            assert (await get(engine, "/e/25", "HEAD")).status == 404
            refused = await get(engine, "/e/25", "POST")
            assert refused.status == 405
            assert b"It passes on GET, HEAD." in refused.body
        async with running(cache, origin.url) as engine:
            assert (await get(engine, "/e/25", "CONNECT")).status == 405
            assert (await get(engine, "/../x")).status == 400

    run(work())


def test_a_cache_that_is_switched_off(cache: Backend, origin: Origin) -> None:
    origin.on("/e/26", reply(200, FRESH, "1"), reply(200, FRESH, "2"))

    async def work() -> None:
        async with running(cache, origin.url, is_on=False) as engine:
            assert (await get(engine, "/e/26")).body == b"1"
            got = await get(engine, "/e/26")
            assert (got.body, got.cache) == (b"2", "fwd=bypass; detail=off")

    run(work())


def test_an_origin_that_is_down_is_told(cache: Backend) -> None:
    async def work() -> None:
        async with running(cache, f"http://127.0.0.1:{free_port()}") as engine:
            for method in ("GET", "HEAD", "POST"):
                got = await get(engine, "/", method)
                assert got.status == 502
                assert b"refused" in got.body

    run(work())


def test_the_same_url_written_in_two_ways_is_one(cache: Backend, origin: Origin) -> None:
    origin.on("/e/27~a", reply(200, FRESH, "1"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            await get(engine, "/e/27%7ea?x=%61")
            assert (await get(engine, "/%65/27~a?x=a")).cache == "hit"

    run(work())


def test_a_store_that_loses_a_body_costs_a_fetch(cache: Backend, origin: Origin) -> None:
    body = "x" * 600_000
    origin.on("/e/28", reply(200, FRESH, body))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            await get(engine, "/e/28")
            looked = engine.store.look(origin.url + "/e/28")
            place = looked.variants[0].place

            assert cache.delete(part_key(place.name, 0))
            got = await get(engine, "/e/28")
            assert (got.status, got.body.decode()) == (200, body)
            assert (await get(engine, "/e/28")).cache == "hit"

    run(work())
    assert origin.count("/e/28") == 2


def test_heuristics_and_the_services_own_lifetime(cache: Backend, origin: Origin) -> None:
    origin.on("/e/29", reply(200, {"Last-Modified": date(10_000)}, "1"))
    origin.on("/e/30", reply(200, {}, "1"))

    async def work() -> None:
        async with running(cache, origin.url, policy=Policy(ttl=60)) as engine:
            for path in ("/e/29", "/e/30"):
                await get(engine, path)
                assert (await get(engine, path)).cache == "hit"

    run(work())


def test_tags_purge(cache: Backend, origin: Origin) -> None:
    for path, headers in {
        "/e/31": {"Surrogate-Key": "a b"},
        "/e/32": {"Cache-Tag": "b, c"},
        "/e/33": {"xkey": "ab"},
    }.items():
        origin.on(path, reply(200, {**FRESH, **headers}, "x"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            paths = ("/e/31", "/e/32", "/e/33")
            for path in paths:
                await get(engine, path)
            engine.store.purge_tags(["b"])
            found = [(await get(engine, path)).result for path in paths]
            assert found == ["miss", "miss", "hit"]

    run(work())


def test_an_error_that_may_be_stored_does_not_replace_what_is_served_instead(
    cache: Backend, origin: Origin
) -> None:
    stale = {"Cache-Control": "max-age=1, stale-if-error=900"}
    origin.on("/e/stale", reply(200, stale, "good"), reply(503, FRESH, "bad"))
    clock = Clock(time.time())

    async def work() -> None:
        async with running(cache, origin.url, clock=clock) as engine:
            assert (await get(engine, "/e/stale")).body == b"good"
            clock.now += 10
            for _ in range(2):
                got = await get(engine, "/e/stale")
                assert (got.status, got.body) == (200, b"good")

    run(work())
    assert origin.count("/e/stale") == 3


def test_one_clients_own_request_does_not_remove_what_all_have(
    cache: Backend, origin: Origin
) -> None:
    origin.on(
        "/e/own",
        reply(200, {"Cache-Control": "max-age=1", "ETag": '"a"'}, "all"),
        reply(304, {"ETag": '"a"'}, length=False),
    )
    clock = Clock(time.time())

    async def work() -> None:
        async with running(cache, origin.url, clock=clock, authorization=True) as engine:
            assert (await get(engine, "/e/own")).body == b"all"
            clock.now += 10
            got = await get(engine, "/e/own", authorization="Basic abc")
            assert (got.status, got.body) == (200, b"all")
            got = await get(engine, "/e/own")
            assert (got.body, got.cache) == (b"all", "fwd=stale; fwd-status=304; stored")

    run(work())


@pytest.mark.parametrize(("place", "is_stored"), [("/e/post", True), ("/e/other", False)])
def test_the_answer_to_a_post_is_stored_where_it_is_what_a_get_gets(
    cache: Backend, origin: Origin, place: str, is_stored: bool
) -> None:
    made = reply(200, {**FRESH, "Content-Location": place}, "made")
    origin.on("/e/post", reply(200, FRESH, "old"), made, reply(200, FRESH, "new"))

    async def work() -> None:
        async with running(cache, origin.url) as engine:
            assert (await get(engine, "/e/post")).body == b"old"
            got = await get(engine, "/e/post", "POST", b"x")
            assert got.cache == ("fwd=method; stored" if is_stored else "fwd=method")
            got = await get(engine, "/e/post")
            assert got.body == (b"made" if is_stored else b"new")

    run(work())


def test_head_freshens_what_has_no_validator(cache: Backend, origin: Origin) -> None:
    origin.on(
        "/e/head",
        reply(200, {"Cache-Control": "max-age=1, stale-if-error=900", "A": "1"}, "body"),
        reply(200, {**FRESH, "A": "2", "Content-Length": "4"}, length=False),
    )
    clock = Clock(time.time())

    async def work() -> None:
        async with running(cache, origin.url, clock=clock) as engine:
            await get(engine, "/e/head")
            clock.now += 10
            await get(engine, "/e/head", "HEAD")
            got = await get(engine, "/e/head")
            assert (got.body, got.cache, got.fields["a"]) == (b"body", "hit", "2")

    run(work())
