"""Rights before work, and a bound on the work that one request may ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.access.test_api_keys import make, rule
from tests.http.client import ALL, Answer, FileStore, LiveApi, entry
from tests.support.processes import free_port, service
from tests.support.timing import Stopwatch

MOST = 10_000
# Eight million bytes that are no pair.
EMPTY_ITEMS = b'{"resource":[' + b"{}," * 2_600_000 + b"{}]}"


@pytest.fixture(scope="module", params=["own worker", "gthread"])
def api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApi]:
    directory = tmp_path_factory.mktemp("work")
    arguments = [] if request.param == "own worker" else ["-k", "gthread"]
    with service(directory, *arguments, WEB_CONCURRENCY="1") as live:
        yield LiveApi("file", FileStore(directory / "data"), live.port)


@pytest.fixture(scope="module")
def reader(api: LiveApi) -> LiveApi:
    """The service, with a key that may read some keys."""
    made = LiveApi("file", api.store, api.port)
    _, made.api_key = make(api, rule("cache", "GET", keys="own:*"))
    return made


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", ALL, {}),
        ("POST", f"{ALL}?ttl=60", {}),
        ("DELETE", ALL, {}),
        ("POST", ALL, {"X-HTTP-Method": "DELETE"}),
        ("PUT", entry("own:k"), {}),
        ("POST", entry("own:k"), {}),
        ("PATCH", entry("own:k"), {}),
        ("POST", ALL, {"If-Match": '"x"'}),
    ],
)
@pytest.mark.parametrize("body", [b"{", EMPTY_ITEMS], ids=["broken", "large"])
def test_who_may_not_is_told_so_before_the_body_is_looked_at(
    reader: LiveApi, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    taken = Stopwatch()
    answer = reader.call(method, path, headers, body)
    assert answer.status == 403
    assert answer.error
    assert taken() < 3


def few_faults(answer: Answer, more: int | None) -> None:
    assert answer.status == 400
    assert len(answer.body) < 10_000
    context = answer.error["context"]
    assert [fault["index"] for fault in context["errors"]] == list(range(20))
    assert context.get("more") == more


def test_the_first_faults_are_listed_and_the_others_counted(api: LiveApi) -> None:
    few_faults(api.call("POST", ALL, body={"resource": [{"key": "a"}] * 20}), None)
    few_faults(api.call("POST", ALL, body={"resource": [{"key": "a"}] * 5000}), 4980)
    keys = ["k" * 2000 + str(number) for number in range(500)]
    few_faults(api.call("DELETE", ALL, body={"resource": keys}), 480)


@pytest.mark.parametrize(
    "body",
    [
        {"resource": [{"key": f"k{number}", "value": 1} for number in range(MOST + 1)]},
        {"resource": [{}] * (MOST + 1)},
        EMPTY_ITEMS,
        b"[" + b"[]," * 1_000_000 + b"[]]",
        b"{" + b'"a":1,' * 1_000_000 + b'"b":1}',
    ],
    ids=["pairs", "empty", "many empty", "lists", "members"],
)
def test_a_batch_has_a_bound(api: LiveApi, body: object) -> None:
    taken = Stopwatch()
    answer = api.call("POST", ALL, body=body)
    assert answer.status == 400
    assert "CACHEAPI_MAX_BATCH" in answer.message
    assert str(MOST) in answer.message
    assert taken() < 3
    assert api.status("k0") == 404


def test_a_batch_at_the_bound_is_taken(api: LiveApi) -> None:
    pairs = [{"key": f"n{number}", "value": number} for number in range(MOST)]
    assert api.call("POST", ALL, body={"resource": pairs}).status == 201
    keys = [pair["key"] for pair in pairs]
    for method in ("GET", "DELETE"):
        tunnel = {"X-HTTP-Method": method}
        refused = api.call("POST", ALL, tunnel, {"resource": [*keys, "one more"]})
        assert refused.status == 400
        assert "CACHEAPI_MAX_BATCH" in refused.message
        answer = api.call("POST", ALL, tunnel, {"resource": keys})
        assert len(answer.json["resource"]) == MOST
    assert api.status("n7") == 404


def test_a_key_is_answered_once(api: LiveApi) -> None:
    api.store_one("large", "x" * 1_000_000)
    for query in ("keys=" + ",".join(["large"] * 800), "&".join(["key=large"] * 500)):
        answer = api.call("GET", ALL, query=query)
        assert [found["key"] for found in answer.json["resource"]] == ["large"]
    listed = {"resource": ["large", "absent"] * 800}
    answer = api.call("POST", ALL, {"X-HTTP-Method": "GET"}, listed)
    assert len(answer.body) < 1_100_000
    assert answer.json["meta"] == {"missing": ["absent"]}
    deleted = api.call("DELETE", ALL, query="keys=large,large,absent,large")
    assert json.loads(deleted.body)["resource"] == [
        {"key": "large", "success": True},
        {"key": "absent", "success": False},
    ]


def test_where_a_cache_is_is_told_to_administrators_alone(tmp_path: Path) -> None:
    port = free_port()
    settings = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{port}"}
    with service(tmp_path, WEB_CONCURRENCY="1", **settings) as live:
        api = LiveApi("memcached", FileStore(tmp_path), live.port)
        _, key = make(api, rule("cache", "GET", "POST", "PUT"))
        other = {"X-DreamFactory-API-Key": key}
        pair = {"key": "k", "value": 1}
        # Again and again: Flask answers, and the lane.
        for _ in range(5):
            for method, path, body in (
                ("GET", entry("k"), None),
                ("GET", f"{ALL}?keys=a,b", None),
                ("POST", ALL, pair),
                ("POST", ALL, {"resource": [pair, pair]}),
                ("PUT", entry("k"), {"value": 1}),
            ):
                answer = api.call(method, path, other, body)
                assert answer.status == 500
                assert "memcached" in answer.message
                assert "127.0.0.1" not in answer.body.decode()
                assert str(port) not in answer.body.decode()
                assert str(port) in api.call(method, path, body=body).message
