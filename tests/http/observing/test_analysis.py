"""What fills a service, over HTTP, on every backend with real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends.base import Backend
from backends.errors import Unsupported
from backends.file.backend import FileBackend
from cacheapi.observing import analysis
from cacheapi.web.schemas.analysis import AnalysisSchema
from tests.http.client import Api, AppApi, application
from tests.support.processes import Memcached, memcached
from tests.support.redis import LEAST_RIGHTS, Redis

ANALYSIS = "/api/v2/system/service/cache/analysis"


def fill(api: Api) -> None:
    items: list[dict[str, Any]] = [
        {"key": f"user:{number}:name", "value": "x" * 100, "ttl": 1800} for number in range(40)
    ]
    items += [{"key": f"page:{number}", "value": "x" * 5000, "ttl": 0} for number in range(5)]
    items.append({"key": "largest", "value": "x" * 60_000, "ttl": 0})
    assert api.call("POST", "/api/v2/cache", body={"resource": items}).status == 201


def analyzed(api: Api, query: str = "") -> dict[str, Any]:
    answer = api.call("GET", ANALYSIS, query=query)
    assert answer.status == 200, answer
    told: dict[str, Any] = answer.json
    assert AnalysisSchema().validate(told) == {}
    return told


def test_every_backend_tells_what_fills_it(api: Api, request: pytest.FixtureRequest) -> None:
    fill(api)
    kept = [{"key": f"cacheapi:tag:{number}", "value": "x" * 70_000} for number in range(2)]
    assert api.call("POST", "/api/v2/cache", body={"resource": kept}).status == 201
    if request.node.callspec.id.startswith("sasl"):
        answer = api.call("GET", ANALYSIS)
        assert (answer.status, answer.message) == (400, "memcached cannot say what fills it.")
        return
    told = analyzed(api, "depth=1")
    assert told["complete"] is True
    assert told["notes"] == []
    # memcached counts what was flushed until it comes upon it.
    assert 48 <= told["looked_at"] <= told["held"]
    # What is the product's own is no user's: not in the sums, prefixes or largest entries.
    assert told["keys"] == 46
    assert told["own"]["keys"] == 2
    assert 140_000 <= told["own"]["bytes"] < 190_000
    found = {each["prefix"]: each for each in told["prefixes"]}
    assert [each["prefix"] for each in told["prefixes"]] == ["", "page:", "user:"]
    assert [found[prefix]["keys"] for prefix in ("", "page:", "user:")] == [1, 5, 40]
    assert sum(each["bytes"] for each in told["prefixes"]) == told["bytes"] >= 89_000
    assert sum(each["share"] for each in told["prefixes"]) == pytest.approx(1, abs=0.001)
    assert found["user:"]["lifetimes"]["hour"] == 40
    assert found["page:"]["lifetimes"]["forever"] == 5
    assert told["largest"][0]["key"] == "largest"
    assert told["largest"][0]["bytes"] >= 60_000
    assert told["largest"][0]["ttl"] is None
    assert 0 < told["largest"][-1]["ttl"] <= 1801
    deep = {each["prefix"] for each in analyzed(api)["prefixes"]}
    # Users of one entry each are worth no line.
    assert deep == {"", "page:", "user:"}
    other = {each["prefix"] for each in analyzed(api, "separator=e:")["prefixes"]}
    assert other == {"", "page:"}


def test_of_much_a_sample_is_looked_at_and_the_rest_estimated(file_app: AppApi) -> None:
    assert file_app.call("DELETE", "/api/v2/cache").status == 200
    for start in range(0, 20_000, 1000):
        items = [
            {"key": f"{'a' if number % 4 else 'b'}:{number}", "value": "x" * 50}
            for number in range(start, start + 1000)
        ]
        assert file_app.call("POST", "/api/v2/cache", body={"resource": items}).status == 201
    told = analyzed(file_app, "sample=2000")
    assert told["complete"] is False
    assert 1000 <= told["looked_at"] <= 2000
    assert told["held"] == 20_000
    assert told["keys"] == pytest.approx(20_000, abs=2)
    found = {each["prefix"]: each["keys"] for each in told["prefixes"]}
    assert found["a:"] == pytest.approx(15_000, rel=0.1)
    assert found["b:"] == pytest.approx(5_000, rel=0.3)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        *(("sample=0", "sample"), (f"sample={analysis.MOST + 1}", "sample")),
        *(("depth=9", "depth"), ("separator=", "separator"), ("separator=123456789", "separator")),
    ],
)
def test_what_cannot_be_asked_is_refused(file_app: AppApi, query: str, parameter: str) -> None:
    answer = file_app.call("GET", ANALYSIS, query=query)
    assert answer.status == 400
    assert f"The parameter {parameter} must" in answer.message


def test_it_is_for_administrators_and_for_services_that_are_there(file_app: AppApi) -> None:
    absent = ANALYSIS.replace("cache", "absent")
    assert file_app.call("GET", absent).status == 404
    rule = {"service": "cache", "verbs": ["GET", "POST", "PUT", "PATCH", "DELETE", "FLUSH"]}
    made = file_app.call("POST", "/api/v2/system/api_key", body={"name": "all", "rules": [rule]})
    key = made.json["resource"][0]["api_key"]
    answer = file_app.call("GET", ANALYSIS, headers={"X-DreamFactory-API-Key": key})
    assert answer.status == 403


def test_a_process_does_one_at_a_time(file_app: AppApi) -> None:
    with analysis._under_way:
        answer = file_app.call("GET", ANALYSIS)
        assert answer.status == 503, answer
        assert answer.message == analysis.BUSY
        assert answer.headers["Retry-After"] == "5"
    assert file_app.call("GET", ANALYSIS).status == 200


def test_a_backend_that_cannot_is_a_clear_400(
    file_app: AppApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a plugin has it that knows nothing of this.
    monkeypatch.setattr(FileBackend, "analyze", Backend.analyze)
    with pytest.raises(Unsupported):
        file_app.app.extensions["cacheapi"].find("cache").backend.analyze(1)
    answer = file_app.call("GET", ANALYSIS)
    assert (answer.status, answer.message) == (400, "the file backend cannot say what fills it.")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("-X",), "ERROR metadump not allowed"),
        (("-o", "no_lru_crawler"), "ERROR lru crawler disabled"),
    ],
)
def test_what_a_memcached_refuses_is_told(
    option: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with memcached(*option) as server, beside(tmp_path, server) as api:
        fill(api)
        answer = api.call("GET", ANALYSIS)
        assert answer.status == 400
        assert said in answer.message


def beside(directory: Path, *servers: Memcached) -> Any:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return application(
        directory, CACHE_DRIVER="memcached", MEMCACHED_HOST=hosts, MEMCACHED_TIMEOUT_MS="3000"
    )


def test_of_a_pool_the_servers_that_answer_are_told(tmp_path: Path) -> None:
    with memcached() as one, memcached("-X") as two, beside(tmp_path, one, two) as api:
        fill(api)
        told = analyzed(api)
        assert told["complete"] is False
        assert 0 < told["looked_at"] < 46
        (note,) = told["notes"]
        assert f"memcached at 127.0.0.1:{two.port}" in note
        assert "metadump not allowed" in note
        two.kill()
        (note,) = analyzed(api)["notes"]
        assert f"memcached at 127.0.0.1:{two.port} cannot be reached" in note
        one.kill()
        answer = api.call("GET", ANALYSIS)
        assert answer.status == 500
        assert "cannot be reached" in answer.message


def test_keys_of_others_are_counted_and_not_told(redis_one: Redis, tmp_path: Path) -> None:
    redis_one.empty()
    for number in range(30):
        redis_one.call("SET", f"theirs:{number}", "x" * 1000)
    settings = {"CACHE_DRIVER": "redis", **redis_one.settings, "REDIS_PREFIX": "ours:"}
    with application(tmp_path, **settings) as api:
        fill(api)
        told = analyzed(api)
        assert (told["keys"], told["looked_at"], told["held"]) == (46, 76, 76)
        assert not any("theirs" in each["prefix"] for each in told["prefixes"])


def test_without_the_right_to_memory_usage_values_are_measured(
    redis_acl: Redis, tmp_path: Path
) -> None:
    assert "+memory" not in LEAST_RIGHTS
    redis_acl.empty()
    settings = {"CACHE_DRIVER": "redis", **redis_acl.settings}
    with application(tmp_path, **settings) as api:
        fill(api)
        told = analyzed(api)
        (note,) = told["notes"]
        assert "MEMORY USAGE" in note
        # The value, in its quotes.
        assert told["largest"][0] == {"key": "largest", "bytes": 60_002, "ttl": None}
        redis_acl.call("RPUSH", "cacheapi:list", "a" * 500)
        again = analyzed(api)
        assert (again["keys"], again["bytes"]) == (47, told["bytes"])
