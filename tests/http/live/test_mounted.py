"""Under a path: the same answers from the lane and Flask, in both kinds of worker."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from cacheapi import SettingsError, load
from cacheapi.web.mounting import base_path
from tests.http.client import Answer
from tests.support import origin as scripted
from tests.support.live import Wire, call, head
from tests.support.origin import reply
from tests.support.processes import Service, service

WORKERS: dict[str, tuple[str, ...]] = {"lane": (), "gthread": ("-k", "gthread")}


@pytest.fixture(
    scope="module",
    params=[
        (worker, variable)
        for worker in WORKERS
        for variable in ("CACHEAPI_BASE_PATH", "SCRIPT_NAME")
    ],
    ids=" ".join,
)
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    worker, variable = request.param
    directory = tmp_path_factory.mktemp("mounted")
    with service(directory, *WORKERS[worker], WEB_CONCURRENCY="1", **{variable: "/c"}) as running:
        yield running


def ask(live: Service, method: str, path: str, body: str = "", **headers: str) -> Answer:
    """Send a request without an API key, as a browser does."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, path, body or None, sent)
    response = connection.getresponse()
    try:
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/nothing", "a cache is at /c/api/v2/{service}. /c/api/v2/docs shows all there is."),
        (
            "/api/v2/absent/k",
            "Service 'absent' does not exist; GET /c/api/v2/ lists those that do.",
        ),
        (
            "/api/v2/cache/k?match=a*",
            "prefix=user: at GET /c/api/v2/{service} lists what starts so.",
        ),
        ("/api/v2/cache/%20%2Fapi%2Fv2%2Fk", "Key ' /api/v2/k' does not exist."),
    ],
)
def test_addresses_in_a_text_are_below_the_path(live: Service, path: str, told: str) -> None:
    assert call(live.port, "GET", f"/c{path}").message.endswith(told)


def test_what_comes_again_is_answered_as_what_comes_first(live: Service) -> None:
    """With the path and without, on one connection, in one piece and in several."""
    root = "/c/api/v2/cache"
    put = [
        head(f"POST {root}/again{one}", f"Content-Length: {len(body)}") + body
        for one, body in (("1", b'{"value":1}'), ("2", b'{"value":"two"}'))
    ]
    reads = [
        head(f"GET {path}")
        for path in (
            f"{root}/again1",
            f"{root}/again2",
            f"{root}/absent",
            "/api/v2/cache/again1",
            "/c/c/api/v2/cache/again1",
            f"{root}/again2?default=x",
            "/cc/api/v2/cache/again1",
            f"{root}/again1",
        )
    ]
    deletes = [head(f"DELETE {root}/again{one}") for one in (1, 2, 3)]
    sent = [*put, *reads, *deletes]
    seen = []
    for pieces in (sent, [b"".join(sent)]):
        with Wire(live.port) as wire:
            answers = []
            for piece in pieces:
                wire.send(piece)
                count = len(sent) if len(pieces) == 1 else 1
                answers += [wire.answer() for _ in range(count)]
        seen.append([(one.status, one.body) for one in answers])
    apart = []
    for one in sent:
        with Wire(live.port) as wire:
            wire.send(one)
            answer = wire.answer()
            apart.append((answer.status, answer.body))
    assert seen == [apart, apart]
    assert [status for status, _ in apart] == [201] * 2 + [200] * 2 + [404, 200, 404, 200, 404] + [
        200,
        200,
        200,
        404,
    ]


def test_the_api_is_below_it_and_answers_probes_without_it(live: Service) -> None:
    pair = {"key": "c/api/v2", "value": [1]}
    for path in ("/c/api/v2/cache", "/api/v2/cache"):
        assert call(live.port, "POST", path, {"resource": [pair]}).status == 201
        # By the lane, and by Flask.
        for query in ("", "?ttl=true"):
            answer = call(live.port, "GET", f"{path}/c/api/v2{query}")
            assert (answer.status, answer.json["value"]) == (200, [1])
        assert call(live.port, "GET", f"{path}?keys=c/api/v2").json["resource"] == [pair]
        assert call(live.port, "PATCH", f"{path}/c/api/v2", {"ttl": 60}).status == 200
    for path in ("/c/health/live", "/health/live", "/c/health/ready"):
        assert ask(live, "GET", path).status == 200
    assert b"cacheapi_requests" in call(live.port, "GET", "/c/metrics").body
    for path in ("/cx/api/v2/cache/k", "/x/c/api/v2/cache/k", "/c/c/api/v2/cache/k", "/c/c"):
        answer = call(live.port, "GET", path)
        assert (answer.status, answer.message.startswith("There is nothing")) == (404, True), path
    assert (
        call(live.port, "GET", "/c/api/v2/cache/absent").message == "Key 'absent' does not exist."
    )
    assert call(live.port, "GET", "/c/api/v2/cache/k", key="wrong").status == 401


def test_a_key_may_look_like_the_path(live: Service) -> None:
    assert call(live.port, "POST", "/c/api/v2/cache//c/k", {"value": 1}).status == 201
    assert call(live.port, "GET", "/c/api/v2/cache//c/k").json["key"] == "/c/k"


def test_the_page_of_the_api_finds_all_that_it_needs(live: Service) -> None:
    page = ask(live, "GET", "/c/api/v2/docs").body.decode()
    wanted = re.findall(r'(?:href|src|data-description)="(/[^"]*)"', page)
    assert len(wanted) >= 6
    # The console asks who it is.
    assert "/c/console/" in wanted
    wanted = [path for path in wanted if path != "/c/console/"]
    for path in wanted:
        assert path.startswith("/c/api/v2/docs/")
        assert call(live.port, "GET", path).status == 200, path
    described = call(live.port, "GET", "/c/api/v2/docs/openapi.json").json
    # Where the page sends what is tried there.
    assert described["servers"] == [{"url": "/c"}]


def test_the_console_stays_below_it(live: Service) -> None:
    for path in ("/c", "/c/"):
        answer = ask(live, "GET", path, Accept="text/html")
        assert (answer.status, answer.headers["Location"]) == (302, "/c/console/")
    answer = ask(live, "GET", "/c/console/keys")
    assert answer.status == 303
    way = answer.headers["Location"]
    assert way.startswith("/c/console/sign-in?next=")
    page = ask(live, "GET", way)
    cookie = page.headers["Set-Cookie"]
    assert "Path=/c/console" in cookie
    text = page.body.decode()
    paths = re.findall(r'(?:href|src|action)="(/[^"]*)"', text)
    assert all(path.startswith("/c/") for path in paths)
    action = re.search(r'action="([^"]+)"', text)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)
    assert action is not None
    assert token is not None
    form = urlencode({"csrf_token": token[1], "key": Service.api_key})
    answer = ask(
        live,
        "POST",
        action[1].replace("&amp;", "&"),
        form,
        Cookie=cookie.partition(";")[0],
        Content_Type="application/x-www-form-urlencoded",
    )
    assert (answer.status, answer.headers["Location"]) == (303, "/c/console/keys")
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    inside = ask(live, "GET", "/c/console/keys", Cookie=cookie)
    assert inside.status == 200
    assert all(
        path.startswith("/c/")
        for path in re.findall(r'(?:href|src|action)="(/[^"]*)"', inside.body.decode())
    )
    page = ask(live, "GET", "/c/console/service/cache", Cookie=cookie)
    shown = page.body.decode()
    assert "<code>/c/api/v2/cache</code>" in shown
    # The token is in it, too.
    cookie = page.headers.get("Set-Cookie", cookie).partition(";")[0]
    # Making one says where it is, too.
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', shown)
    assert token is not None
    form = urlencode({"csrf_token": token[1], "name": "made", "is_active": "true"})
    saved = ask(
        live,
        "POST",
        "/c/console/new-service?type=cache_local",
        form,
        Cookie=cookie,
        Content_Type="application/x-www-form-urlencoded",
    )
    assert saved.status == 303, saved.body
    # What is told once is in the cookie.
    cookie = saved.headers["Set-Cookie"].partition(";")[0]
    told = ask(live, "GET", saved.headers["Location"], Cookie=cookie).body.decode()
    assert "answers at /c/api/v2/made" in told


def test_an_api_behind_it_leads_back_below_it(live: Service) -> None:
    fresh = {"Cache-Control": "max-age=60"}
    with scripted.origin() as origin:
        body = {"name": "shop", "type": "rws", "config": {"base_url": origin.url}}
        made = call(live.port, "POST", "/c/api/v2/system/service", body)
        assert made.status == 201, made
        origin.on("/moved", reply(301, {"Location": f"{origin.url}/there", **fresh}))
        # From the API, and from the cache.
        for _ in range(2):
            answer = call(live.port, "GET", "/c/api/v2/shop/moved")
            assert (answer.status, answer.headers["Location"]) == (301, "/c/api/v2/shop/there")
        origin.on("/c/x", reply(200, fresh, "x"))
        assert call(live.port, "GET", "/c/api/v2/shop/c/x").body == b"x"
        assert call(live.port, "DELETE", "/c/api/v2/system/service/shop").status == 200


def test_the_start_says_where_it_is(live: Service) -> None:
    log = live.log.read_text()
    assert f"cacheapi is at http://127.0.0.1:{live.port}/c, its API page at" in log
    assert f"http://127.0.0.1:{live.port}/c/api/v2/cache" in log


WRONG = [
    "c",
    "/api",
    "/api/x",
    "/console",
    "/health",
    "/metrics/a",
    "/a b",
    "//a",
    "/a//b",
    "/../a",
]


@pytest.mark.parametrize("text", [*WRONG, "/../a", "/%63"])
def test_what_is_no_such_path_stops_the_start(text: str) -> None:
    for variable in ("CACHEAPI_BASE_PATH", "SCRIPT_NAME"):
        with pytest.raises(SettingsError, match=variable):
            load({variable: text}, None)


def test_which_path_it_is() -> None:
    assert base_path(load({}, None)) == ""
    assert base_path(load({"SCRIPT_NAME": "/a/b/"}, None)) == "/a/b"
    assert base_path(load({"SCRIPT_NAME": "/"}, None)) == ""
    assert base_path(load({"SCRIPT_NAME": "/a", "CACHEAPI_BASE_PATH": "/c"}, None)) == "/c"
