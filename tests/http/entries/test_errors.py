"""Errors: one shape, the right status, and nothing lost or told that should not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Response, abort

from cacheapi import create_app, load
from tests.http.client import ALL, API_KEY, Api, AppApi, FileStore, MemcachedStore, close_app, entry
from tests.http.conftest import make_app_api
from tests.support.processes import eventually, memcached
from tests.support.timing import Stopwatch

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/v2x", "/api/v1/cache/k", "/api/v2//k", "/cache/k", "/%FF", "/robots.txt"],
)
def test_a_path_that_is_nothing_is_404_or_400_in_json(api: Api, path: str) -> None:
    answer = api.call("GET", path)
    assert answer.status == (400 if path == "/%FF" else 404)
    assert answer.message


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", ALL, {"GET", "HEAD", "POST", "DELETE"}),
        ("PATCH", ALL, {"GET", "HEAD", "POST", "DELETE"}),
        ("POST", "/api/v2", {"GET", "HEAD"}),
        ("DELETE", "/api/v2/", {"GET", "HEAD"}),
        ("PROPFIND", entry("k"), {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        ("TRACE", entry("k"), {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
    ],
)
def test_a_method_that_a_path_does_not_take(
    api: Api, method: str, path: str, allowed: set[str]
) -> None:
    answer = api.call(method, path)
    assert answer.status == 405
    assert answer.message.startswith("This path does not take this method. It takes ")
    assert all(name in answer.message for name in allowed)
    assert set(answer.headers["Allow"].split(", ")) - {"OPTIONS"} == allowed


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        (
            "PUT",
            ALL,
            " POST stores several, new or not; PUT and PATCH of /{service}/{key} change one.",
        ),
        ("POST", "/api/v2", " Keys are those of a service: /api/v2/{service}."),
        (
            "PATCH",
            "/api/v2/system/service",
            " What is to be changed or deleted is named in the path: /{id}.",
        ),
        ("DELETE", "/api/v2/system/api_key", " named in the path: /{id}."),
        ("TRACE", ALL, ""),
    ],
)
def test_what_may_be_meant_by_a_method(
    file_app: AppApi, method: str, path: str, meant: str
) -> None:
    answer = file_app.call(method, path)
    assert answer.status == 405, answer.message
    names = sorted(set(answer.headers["Allow"].split(", ")) - {"OPTIONS"})
    assert answer.message.startswith(
        f"This path does not take this method. It takes {', '.join(names)}."
    )
    assert answer.message.endswith(meant or ".")
    assert bool(meant) == (not answer.message.endswith(f"It takes {', '.join(names)}."))


def test_absent_key_and_absent_service_are_told_apart(api: Api) -> None:
    key = api.call("GET", f"{ALL}/nothing").message
    service = api.call("GET", "/api/v2/nothing/key").message
    path = api.call("GET", "/nothing").message
    assert len({key, service, path}) == 3
    assert "Key" in key
    assert "Service" in service


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": None},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "text/json"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json-patch+json"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
    ],
    ids=str,
)
def test_a_body_that_is_not_said_to_be_json_is_415(api: Api, headers: dict[str, Any]) -> None:
    body = b'{"key":"k","value":1,"ttl":60}'
    for method, path in (("POST", ALL), ("PUT", entry("k")), ("PATCH", entry("k"))):
        answer = api.call(method, path, headers, body)
        assert answer.status == 415
        assert answer.message
    assert api.status("k") == 404


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "APPLICATION/JSON",
    ],
)
def test_json_in_utf8_may_be_said_in_several_ways(api: Api, content_type: str) -> None:
    body = {"key": "k", "value": "é"}
    assert api.call("POST", ALL, {"Content-Type": content_type}, body).status == 201


@pytest.mark.parametrize("size", [8 * MEBIBYTE + 1, 10 * MEBIBYTE])
def test_a_body_over_the_limit_is_413_and_stores_nothing(api: Api, size: int) -> None:
    head, tail = b'{"key":"k","value":"', b'"}'
    body = head + b"x" * (size - len(head) - len(tail)) + tail
    answer = api.call("POST", ALL, body=body)
    assert answer.status == 413
    assert "8 MiB" in answer.message
    assert api.status("k") == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_every_method_with_a_body_has_its_limit(file_app: AppApi, method: str) -> None:
    path = ALL if method == "DELETE" else entry("k")
    assert file_app.call(method, path, body=b" " * (8 * MEBIBYTE + 1)).status == 413


def test_a_body_at_the_limit_is_taken(tmp_path: Path) -> None:
    api = make_app_api("file", FileStore(tmp_path), tmp_path, CACHEAPI_MAX_BODY_MB="1")
    head, tail = b'{"key":"k","value":"', b'"}'
    body = head + b"x" * (MEBIBYTE - len(head) - len(tail)) + tail
    assert api.call("POST", ALL, body=body).status == 201
    assert api.call("POST", ALL, body=body + b" ").status == 413
    api.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_write_without_a_body_is_refused(api: Api, method: str) -> None:
    for path in (entry("k"), ALL) if method == "POST" else (entry("k"),):
        answer = api.call(method, path)
        assert answer.status == 400
        assert "no body" in answer.message


def test_each_bad_item_of_a_batch_is_named_and_nothing_is_stored(api: Api) -> None:
    items = [
        {"key": "good 0".replace(" ", "-"), "value": 1},
        {"key": "k", "value": 1, "ttl": -5},
        {"key": "", "value": 1},
        {"value": 1},
        {"key": "k"},
        "text",
        {"key": "k", "value": 1, "tll": 5},
        {"key": "x" * 2000, "value": 1},
        {"key": 5, "ttl": "x"},
        {"key": "good-9", "value": 1},
        None,
    ]
    answer = api.call("POST", ALL, body={"resource": items})
    assert answer.status == 400
    details = answer.error["context"]["errors"]
    for detail in details:
        assert sorted(detail) == ["field", "index", "message"]
        assert detail["message"]
    # Redis takes a key of this length.
    too_long = set() if api.driver == "redis" else {(7, "key")}
    assert {(detail["index"], detail["field"]) for detail in details} == too_long | {
        (1, "ttl"),
        (2, "key"),
        (3, "key"),
        (4, "value"),
        (5, None),
        (6, "tll"),
        (8, "key"),
        (8, "value"),
        (8, "ttl"),
        (10, None),
    }
    assert "1" in answer.message
    assert [api.status(key) for key in ("good-0", "good-9", "k")] == [404, 404, 404]


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("POST", {"value": 1, "ttl": "x"}, "ttl"),
        ("PUT", {"ttl": 5}, "value"),
        ("PUT", {"value": 1, "key": "other"}, "key"),
        ("PATCH", {"ttl": -7}, "ttl"),
        ("PATCH", {"increment": "1"}, "increment"),
    ],
)
def test_a_bad_member_of_a_single_body_is_named(
    api: Api, method: str, body: Any, field: str
) -> None:
    answer = api.call(method, entry("k"), body=body)
    assert answer.status == 400
    (detail,) = answer.error["context"]["errors"]
    assert (detail["index"], detail["field"]) == (None, field)
    assert answer.message.startswith(f"{field}: ")


def test_a_batch_that_memcached_refuses_in_part_tells_what_is_stored(memcached_api: Api) -> None:
    values = ["first", "x" * 2_000_000, "last"]
    items = [{"key": f"k{index}", "value": value} for index, value in enumerate(values)]
    answer = memcached_api.call("POST", ALL, body={"resource": items})
    assert answer.status == 500
    assert answer.message.startswith("SERVER_ERROR")
    first, middle, last = answer.error["context"]["resource"]
    assert first == {"key": "k0", "success": True}
    assert last == {"key": "k2", "success": True}
    assert (middle["key"], middle["success"]) == ("k1", False)
    assert middle["message"].startswith("SERVER_ERROR")
    assert [memcached_api.status(f"k{index}") for index in range(3)] == [200, 404, 200]


def test_a_batch_that_the_file_refuses_in_part_tells_what_is_stored(tmp_path: Path) -> None:
    api = make_app_api("file", FileStore(tmp_path), tmp_path, CACHE_FILE_MAX_MB="2")
    values = ["first", "x" * 300_000, "last"]
    items = [{"key": f"k{index}", "value": value} for index, value in enumerate(values)]
    answer = api.call("POST", ALL, body={"resource": items})
    assert answer.status == 500
    outcomes = answer.error["context"]["resource"]
    assert [(item["key"], item["success"]) for item in outcomes] == [
        ("k0", True),
        ("k1", False),
        ("k2", True),
    ]
    assert outcomes[1]["message"].startswith("SERVER_ERROR")
    assert [api.status(f"k{index}") for index in range(3)] == [200, 404, 200]
    api.close()


REQUESTS: list[tuple[str, str, Any, str | None]] = [
    ("GET", entry("k"), None, None),
    ("GET", entry("k"), None, "default=x"),
    ("GET", entry("k"), None, "check_exist=true"),
    ("GET", entry("k"), None, "clear=true"),
    ("GET", ALL, None, "keys=k,l"),
    ("POST", ALL, {"resource": [{"key": "k", "value": 1}, {"key": "l", "value": 2}]}, None),
    ("POST", entry("k"), {"value": 1}, None),
    ("PUT", entry("k"), {"value": 1}, None),
    ("PATCH", entry("k"), {"ttl": 60}, None),
    ("PATCH", entry("k"), {"increment": 1, "initial": 1}, None),
    ("DELETE", entry("k"), None, None),
    ("DELETE", ALL, None, "keys=k,l"),
    ("DELETE", ALL, None, None),
]


def test_a_dead_backend_is_500_with_retry_after_and_never_404(tmp_path: Path) -> None:
    with memcached() as server:
        api = make_app_api(
            "memcached",
            MemcachedStore(server),
            tmp_path,
            MEMCACHED_HOST="127.0.0.1",
            MEMCACHED_PORT=str(server.port),
        )
        api.store_one("k", 1)
        server.kill()
        for method, path, body, query in REQUESTS:
            answer = api.call(method, path, body=body, query=query)
            assert answer.status == 500, (method, path, query)
            assert answer.message.startswith("Connection refused: ")
            assert int(answer.headers["Retry-After"]) >= 1
            assert "Traceback" not in answer.message
        assert api.call("HEAD", entry("k")).status == 500
        conditional = api.call("PUT", entry("k"), {"If-Match": '"x"'}, {"value": 1})
        assert conditional.status == 500
        batch = api.call("POST", ALL, body=REQUESTS[5][2])
        outcomes = batch.error["context"]["resource"]
        assert [(item["key"], item["success"]) for item in outcomes] == [("k", False), ("l", False)]
        assert api.call("GET", "/api/v2").status == 200
        server.start()
        eventually(lambda: api.status("k") == 404)
        api.close()


def test_a_hung_backend_is_500_within_bounds(tmp_path: Path) -> None:
    with memcached() as server:
        api = make_app_api(
            "memcached",
            MemcachedStore(server),
            tmp_path,
            MEMCACHED_HOST="127.0.0.1",
            MEMCACHED_PORT=str(server.port),
        )
        api.store_one("k", 1)
        server.pause()
        # The signal may take a moment.
        eventually(lambda: api.status("k") == 500)
        taken = Stopwatch()
        answer = api.call("GET", entry("k"))
        assert taken() < 2
        server.resume()
        assert answer.status == 500
        assert answer.headers["Retry-After"]
        eventually(lambda: api.status("k") == 200)
        api.close()


def test_an_unexpected_error_says_nothing_of_the_inside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = make_app_api("file", FileStore(tmp_path), tmp_path)

    def fail() -> Response:
        raise RuntimeError("the secret of /etc/passwd")

    api.app.add_url_rule("/api/v2/docs/fail", view_func=fail)
    answer = api.call("GET", "/api/v2/docs/fail")
    api.close()
    assert answer.status == 500
    assert "secret" not in answer.body.decode()
    assert "Retry-After" not in answer.headers
    assert "the secret of /etc/passwd" in caplog.text


def test_a_ready_made_error_response_is_kept(tmp_path: Path) -> None:
    api = make_app_api("file", FileStore(tmp_path), tmp_path)

    def refuse() -> Response:
        abort(Response("made", 418))

    api.app.add_url_rule("/api/v2/docs/made", view_func=refuse)
    answer = api.call("GET", "/api/v2/docs/made")
    api.close()
    assert (answer.status, answer.body) == (418, b"made")


def test_a_backend_error_is_logged_with_its_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with memcached() as server:
        settings = {
            "CACHE_DRIVER": "memcached",
            "MEMCACHED_HOST": "127.0.0.1",
            "MEMCACHED_PORT": str(server.port),
            "CACHEAPI_API_KEY": API_KEY,
            "CACHEAPI_DATA_DIR": str(tmp_path),
        }
        app = create_app(load(settings, None))
        server.kill()
        AppApi("memcached", MemcachedStore(server), app).call("GET", entry("k"))
        close_app(app)
    assert "Connection refused" in caplog.text
    assert "libmemcached error" in caplog.text


def test_a_body_that_ends_too_soon_is_refused(file_app: AppApi) -> None:
    body = b'{"key":"cut","value":1}'
    answer = file_app.call("POST", ALL, {"Content-Length": str(len(body) + 5)}, body)
    assert answer.status == 400
    assert "23 bytes of the 28" in answer.message
    assert file_app.status("cut") == 404
