"""What is told to browsers and to those who look for a way around: origins, types, hosts, paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheapi import SettingsError, load
from tests.http.access.test_api_keys import make, rule
from tests.http.client import ALL, API_KEY, Api, FileStore, LiveApi, application, entry
from tests.support.live import Wire, call, head
from tests.support.processes import Service, service

PAGE = "https://shop.example"
OTHER = "http://127.0.0.1:3000"
NO_KEY = {"X-DreamFactory-API-Key": None}
ASKS = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}


@pytest.fixture(scope="module", params=["own worker", "gthread"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    arguments = [] if request.param == "own worker" else ["-k", "gthread"]
    settings = {"WEB_CONCURRENCY": "1", "CACHEAPI_CORS_ORIGINS": f"{PAGE},{OTHER}"}
    with service(tmp_path_factory.mktemp("origins"), *arguments, **settings) as made:
        yield made


@pytest.fixture
def api(live: Service) -> LiveApi:
    return LiveApi("file", FileStore(live.directory / "data"), live.port)


def names(text: str) -> set[str]:
    return {part.strip().lower() for part in text.split(",")}


def test_a_page_of_a_named_origin_may_ask_and_see(api: LiveApi) -> None:
    for origin in (PAGE, OTHER):
        asked = api.call("OPTIONS", entry("k"), {**NO_KEY, **ASKS, "Origin": origin})
        assert (asked.status, asked.body) == (204, b"")
        assert asked.headers["Access-Control-Allow-Origin"] == origin
        assert names(asked.headers["Allow"]) >= {"get", "head", "post", "put", "patch", "delete"}
        allowed = asked.headers["Access-Control-Allow-Methods"]
        assert names(allowed) == names(asked.headers["Allow"])
        wanted = {"x-dreamfactory-api-key", "authorization", "content-type", "if-match"}
        assert names(asked.headers["Access-Control-Allow-Headers"]) >= wanted
        api.store_one("k", 1)
        for path, status in ((entry("k"), 200), (entry("absent"), 404), (f"{ALL}?keys=k", 200)):
            answer = api.call("GET", path, {"Origin": origin})
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            exposed = names(answer.headers["Access-Control-Expose-Headers"])
            assert exposed >= {"etag", "retry-after", "ratelimit-limit", "ratelimit-reset"}
            assert "Origin" in answer.headers["Vary"]
        refused = api.call("GET", entry("k"), {**NO_KEY, "Origin": origin})
        assert refused.status == 401
        assert refused.headers["Access-Control-Allow-Origin"] == origin


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Our own worker: gunicorn's others refuse what they cannot read without its fields."""
    settings = {"WEB_CONCURRENCY": "1", "CACHEAPI_CORS_ORIGINS": f"{PAGE},{OTHER}"}
    with service(tmp_path_factory.mktemp("own"), **settings) as made:
        yield made


MANY = [f"X-{number}: y" for number in range(70)]
REFUSED = [
    (("GET", *MANY), 431),
    (("GET", "X: " + "x" * 9000), 431),
    (("POST", "Transfer-Encoding: gzip, chunked"), 501),
    (("POST", "Content-Length: 5", "Expect: nothing"), 417),
    (("POST", "Content-Length: x"), 400),
    (("POST", "Content-Length: 50000000"), 413),
]


@pytest.mark.parametrize(("sent", "status"), REFUSED, ids=lambda sent: str(sent)[:40])
def test_a_page_sees_why_a_connection_refuses(
    own: Service, sent: tuple[str, ...], status: int
) -> None:
    method, *fields = sent
    for origin, seen in ((PAGE, PAGE), ("https://evil.example", None)):
        with Wire(own.port) as wire:
            wire.send(head(f"{method} {ALL}", f"Origin: {origin}", *fields))
            answer = wire.answer()
        assert answer.status == status
        assert answer.headers.get("Access-Control-Allow-Origin") == seen
        assert answer.headers["Vary"] == "Origin"
        exposed = answer.headers["Access-Control-Expose-Headers"] or ""
        assert ("Retry-After" in exposed) == (seen is not None)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://shop.example.evil"])
def test_another_origin_is_told_nothing(api: LiveApi, origin: str) -> None:
    for method in ("OPTIONS", "GET"):
        answer = api.call(method, entry("k"), {**ASKS, "Origin": origin})
        assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]


def test_without_the_setting_options_is_204_with_allow(file_api: Api) -> None:
    for path, method in ((ALL, "post"), (entry("k"), "patch"), ("/health/live", "get")):
        answer = file_api.call("OPTIONS", path, {**NO_KEY, **ASKS})
        assert (answer.status, answer.body) == (204, b"")
        assert method in names(answer.headers["Allow"])
        assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]
    assert file_api.call("OPTIONS", "/nowhere", NO_KEY).status == 404


@pytest.mark.parametrize("value", ["*", "shop.example", f"{PAGE}/", f"{PAGE}, *", "null", ","])
def test_an_origin_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match="CACHEAPI_CORS_ORIGINS"):
        load({"CACHEAPI_CORS_ORIGINS": value}, None)


def test_no_answer_may_be_taken_for_another_type(live: Service) -> None:
    key, stranger = f"X-DreamFactory-API-Key: {API_KEY}", "X: y"
    call(live.port, "POST", ALL, {"key": "k", "value": "<script>"})
    for line, field in [
        (f"GET {ALL}/k", key),
        (f"GET {ALL}/k?", key),
        (f"GET {ALL}/absent", key),
        (f"GET {ALL}/k", stranger),
        ("GET /health/live", stranger),
        ("GET /metrics", key),
        ("GET /nowhere", key),
        ("GET /console/sign-in", stranger),
        ("GET /api/v2/docs", stranger),
        ("OPTIONS /", stranger),
        ("GARBAGE", stranger),
    ]:
        with Wire(live.port) as wire:
            wire.send(f"{line} HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n".encode())
            answer = wire.answer()
            assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"], line
    with Wire(live.port) as wire:
        tag = call(live.port, "GET", f"{ALL}/k").headers["ETag"]
        wire.send(head(f"GET {ALL}/k", f"If-None-Match: {tag}"))
        answer = wire.answer()
        assert (answer.status, answer.headers["X-Content-Type-Options"]) == (304, "nosniff")


@pytest.mark.parametrize(
    "target",
    [
        "//metrics",
        "//api/v2/cache/k",
        "///metrics",
        "/%6detrics",
        "/api/v2/%63ache/k",
        "/api%2Fv2/cache/k",
        "/%61pi/v2/cache/k",
        "/health/%6cive",
        "/api/v2/cache%2Fk",
    ],
)
def test_another_way_to_write_a_path_is_404(live: Service, target: str) -> None:
    call(live.port, "POST", ALL, {"key": "k", "value": 1})
    with Wire(live.port) as wire:
        wire.send(head(f"GET {target}"))
        answer = wire.answer()
        assert answer.status == 404, answer
        assert answer.error


@pytest.mark.parametrize("hosts", ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n"])
@pytest.mark.parametrize("path", [f"{ALL}/k", f"{ALL}/k?", "/health/live"])
def test_a_request_names_one_host(live: Service, path: str, hosts: str) -> None:
    with Wire(live.port) as wire:
        wire.send(
            f"GET {path} HTTP/1.1\r\n{hosts}X-DreamFactory-API-Key: {API_KEY}\r\n\r\n".encode()
        )
        answer = wire.answer()
        assert answer.status == 400
        assert answer.error


def test_who_may_not_read_learns_nothing_of_values(tmp_path: Path) -> None:
    with application(tmp_path) as api:
        writes = ("POST", "PUT", "PATCH", "DELETE")
        _, reads = make(api, rule("cache", "GET", *writes))
        _, only_writes = make(api, rule("cache", *writes))
        for key, told in ((reads, True), (only_writes, False)):
            headers = {"X-DreamFactory-API-Key": key}
            for method, body in (
                ("POST", {"value": 1}),
                ("PUT", {"value": 2}),
                ("PATCH", {"ttl": 60}),
                ("PATCH", {"increment": 1}),
            ):
                answer = api.call(method, entry("k"), headers, body)
                assert answer.status in (200, 201), answer
                assert ("ETag" in answer.headers) is told
            status = api.call("PATCH", entry("k"), headers, {"increment": 0}).status
            assert status == (200 if told else 403)
            assert api.call("DELETE", entry("k"), headers).status == 200
