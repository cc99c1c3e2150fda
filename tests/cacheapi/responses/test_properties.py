"""What holds for any traffic at all."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cacheapi.responses.dates import format_date, parse_date
from cacheapi.responses.deciding import Hit, Miss, decide, on_error
from cacheapi.responses.directives import parse_directives, parse_targeted, seconds
from cacheapi.responses.freshness import current_age
from cacheapi.responses.messages import Request, Response, Stored, first, split
from cacheapi.responses.policy import Policy
from cacheapi.responses.ranges import spans
from cacheapi.responses.serving import serve
from cacheapi.responses.storing import keep, may_store
from cacheapi.responses.vary import normalise, selecting_values, vary_names
from tests.cacheapi.responses.simulation import START, URL

SECONDS = st.integers(-50, 50)
NUMBERS = st.sampled_from(["0", "1", "5", "30", '"7"', "x", "-1", "99999999999", ""])
DIRECTIVES = st.one_of(
    st.sampled_from(
        [
            "must-revalidate", "proxy-revalidate", "no-cache", 'no-cache="a"', "public",
            "no-store", "private", "immutable", "must-understand", "foo", "max-stale",
            "only-if-cached", 'x="',
        ]
    ),
    st.builds(
        "{}={}".format,
        st.sampled_from(
            [
                "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error", "max-stale",
                "min-fresh",
            ]
        ),
        NUMBERS,
    ),
)  # fmt: skip
CONTROL = st.lists(DIRECTIVES, max_size=5).map(", ".join)
DATES = SECONDS.map(lambda offset: format_date(START + offset)) | st.sampled_from(["0", "x"])
VALUES = st.sampled_from(["1", "2", "1,2", "2, 1", ""])
REQUEST_FIELDS = st.lists(
    st.one_of(
        st.tuples(st.just("cache-control"), CONTROL),
        st.tuples(st.sampled_from(["foo", "bar"]), VALUES),
        st.tuples(st.just("pragma"), st.sampled_from(["no-cache", "x"])),
        st.tuples(st.just("if-none-match"), st.sampled_from(['"a"', "*"])),
        st.tuples(st.just("range"), st.sampled_from(["bytes=0-4", "bytes=-1", "bytes=9-"])),
        st.tuples(st.just("authorization"), st.just("x")),
    ),
    max_size=5,
).map(tuple)
RESPONSE_FIELDS = st.lists(
    st.one_of(
        st.tuples(st.just("cache-control"), CONTROL),
        st.tuples(st.just("cdn-cache-control"), CONTROL),
        st.tuples(st.just("vary"), st.sampled_from(["Foo", "Foo, Bar", "*", ""])),
        st.tuples(st.sampled_from(["date", "expires", "last-modified"]), DATES),
        st.tuples(st.just("age"), NUMBERS),
        st.tuples(st.just("etag"), st.sampled_from(['"a"', 'W/"b"'])),
        st.tuples(st.just("set-cookie"), st.just("a=b")),
        st.tuples(st.just("content-range"), st.sampled_from(["bytes 0-4/10", "bytes 2-6/10"])),
    ),
    max_size=7,
).map(tuple)
REQUESTS = st.builds(Request, st.sampled_from(["GET", "HEAD"]), st.just(URL), REQUEST_FIELDS)
RESPONSES = st.builds(Response, st.sampled_from([200, 206, 301, 404, 503, 599]), RESPONSE_FIELDS)
POLICIES = st.builds(
    Policy,
    ttl=st.sampled_from([0.0, 10.0]),
    stale_while_revalidate=st.sampled_from([0.0, 20.0]),
    stale_if_error=st.sampled_from([0.0, 20.0]),
)
LATER = st.floats(-10, 100)


def store(request: Request, response: Response, policy: Policy) -> Stored | None:
    asked = Request("GET", URL, request.fields)
    if may_store(asked, response, policy, START) is not None:
        return None
    return keep(asked, response, START - 1, START, 5, policy)


@settings(max_examples=300)
@given(REQUESTS, RESPONSES, REQUESTS, POLICIES, LATER)
def test_what_is_served_was_stored_for_such_a_request_and_is_as_fresh_as_must_be(
    first_request: Request, response: Response, request: Request, policy: Policy, later: float
) -> None:
    stored = store(first_request, response, policy)
    variants = [] if stored is None else [stored]
    decision = decide(request, variants, START + later)
    failed = on_error(request, decision, START + later)
    for hit in (decision, failed):
        if not isinstance(hit, Hit):
            continue
        assert hit.age >= 0
        names = vary_names(response.fields)
        assert selecting_values(first_request.fields, names) == selecting_values(
            request.fields, names
        )
        ruling = parse_targeted(response.fields) or parse_directives(response.fields)
        stale = hit.age >= hit.stored.lifetime
        assert not (stale and {"must-revalidate", "proxy-revalidate", "s-maxage"} & ruling.keys())
        assert "no-cache" not in ruling or ruling["no-cache"] == ["a"] * len(ruling["no-cache"])
        assert not {"private"} & ruling.keys()
        assert "no-store" not in ruling or "must-understand" in ruling
        assert first(response.fields, "set-cookie") is None
        if first(first_request.fields, "authorization"):
            assert {"public", "s-maxage", "must-revalidate"} & ruling.keys()
        check_reply(request, hit)


def check_reply(request: Request, hit: Hit) -> None:
    reply = serve(request, hit.stored, hit.age, "x")
    assert int(first(reply.fields, "age") or "-1") >= 0
    total = 0
    for piece in reply.body:
        if isinstance(piece, bytes):
            total += len(piece)
        else:
            assert 0 <= piece[0] < piece[1] <= hit.stored.length
            total += piece[1] - piece[0]
    if request.method == "GET" and reply.status != 304:
        assert first(reply.fields, "content-length") == str(total)
    else:
        assert reply.body == ()


@given(RESPONSES, POLICIES, LATER, LATER)
def test_age_is_never_negative_and_never_sinks(
    response: Response, policy: Policy, one: float, other: float
) -> None:
    stored = store(Request("GET", URL), response, policy)
    if stored is not None:
        ages = [current_age(stored, START + later) for later in sorted((one, other))]
        assert 0 <= ages[0] <= ages[1]


@given(RESPONSES, POLICIES)
def test_what_is_stored_comes_back_from_its_bytes(response: Response, policy: Policy) -> None:
    stored = store(Request("GET", URL), response, policy)
    if stored is not None:
        data = msgspec.msgpack.encode(stored)
        assert msgspec.msgpack.decode(data, type=Stored) == stored


@given(REQUESTS, RESPONSES, LATER)
def test_another_urls_response_is_never_served(
    request: Request, response: Response, later: float
) -> None:
    stored = store(Request("GET", URL, request.fields), response, Policy())
    variants = [] if stored is None else [stored]
    other = Request("GET", URL + "?", request.fields)
    assert not isinstance(decide(other, variants, START + later), Hit)
    assert on_error(other, Miss("uri-miss"), START) is None


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    lines = (("cache-control", text), ("cdn-cache-control", text))
    for directives in (parse_directives(lines), parse_targeted(lines) or {}):
        for name in directives:
            assert (seconds(directives, name) or 0) >= 0
    assert all(member == member.strip(" \t") != "" for member in split(text))
    assert normalise("accept-language", normalise("accept-language", text)) == normalise(
        "accept-language", text
    )
    for start, stop in spans(f"bytes={text}", 10) or []:
        assert 0 <= start < stop <= 10


@given(st.integers(0, 253402300799))
def test_a_date_that_is_written_is_read(moment: int) -> None:
    assert parse_date(format_date(moment), START) == moment
