"""Parameters that there are not: a slip is told, what others send is ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http.client import ALL, Api, AppApi, entry

KNOWN = {"GET": "a", "HEAD": "a", "DELETE": "a", "PUT": "a", "PATCH": "a", "POST": "new"}
BODIES: dict[str, Any] = {"PUT": {"value": 2}, "POST": {"value": 2}, "PATCH": {"ttl": 5}}
IGNORED = "_=1732831200&fields=*&session_token=abc&offset=0&filter=x&method=GET&order=key"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("prefx=user:", "There is no parameter 'prefx' here. Did you mean 'prefix'?"),
        ("dteails=true", "Did you mean 'details'?"),
        ("limits=5&_=1", "Did you mean 'limit'?"),
        ("keys=a&tll=true", "Did you mean 'ttl'?"),
        ("Keys=a", "Did you mean 'keys'?"),
        ("match=user:*", "There are no patterns; prefix=user:"),
        ("tag=prices", "It is for DELETE /api/v2/{service}"),
    ],
)
def test_a_slip_lists_nothing(listing_api: Api, query: str, said: str) -> None:
    listing_api.store_one("a", 1)
    answer = listing_api.call("GET", ALL, query=query)
    assert answer.status == 400
    assert said in answer.message


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("keys=a&details=true", "It is for a list of keys, GET /api/v2/{service} without keys="),
        ("details=true&key=a", "It is for a list of keys"),
        ("keys=a&cursor=x", "It is for a list of keys"),
        ("keys=a&limit=5", "It is for a list of keys"),
        ("keys=a&prefix=a", "It is for a list of keys"),
        ("ttl=true", "It is for keys that are named, GET /api/v2/{service}?keys=a,b; a list"),
        ("prefix=a&ttl=true", "It is for keys that are named"),
    ],
)
def test_what_another_way_of_reading_has_is_not_overlooked(api: Api, query: str, said: str) -> None:
    api.store_one("a", 1)
    answer = api.call("GET", ALL, query=query)
    assert answer.status == 400
    assert answer.message.startswith("There is no parameter '")
    assert said in answer.message


def test_keys_in_a_tunnelled_body_are_named_too(file_api: Api) -> None:
    file_api.store_one("a", 1)
    tunnel = {"X-HTTP-Method": "GET"}
    body = {"resource": ["a"]}
    read = file_api.call("POST", ALL, body=body, headers=tunnel, query="ttl=true")
    assert "ttl" in read.json["resource"][0]
    answer = file_api.call("POST", ALL, body=body, headers=tunnel, query="details=true")
    assert (answer.status, "'details'" in answer.message) == (400, True)


@pytest.mark.parametrize("query", ["prefx=u", "tags=u", "kes=u", "keys=a&prefx=u", "key=a&match=u"])
def test_a_slip_deletes_nothing(listing_api: Api, query: str) -> None:
    listing_api.store_one("a", 1)
    answer = listing_api.call("DELETE", ALL, query=query)
    assert answer.status == 400
    assert "There is no parameter '" in answer.message
    assert listing_api.value("a") == 1


@pytest.mark.parametrize(
    ("method", "query"),
    [
        *(("GET", query) for query in ("tll=true", "dfault=x", "Pull=true", "prefix=a", "tag=a")),
        *(("PUT", query) for query in ("tll=60", "foreever=true", "tag=a")),
        *(("POST", "tll=60"), ("PATCH", "froever=1"), ("DELETE", "prefix=a"), ("DELETE", "tag=a")),
        ("HEAD", "tll=true"),
    ],
)
def test_a_slip_leaves_a_key_as_it_is(file_api: Api, method: str, query: str) -> None:
    file_api.store_one("a", 1)
    answer = file_api.call(method, entry(KNOWN[method]), query=query, body=BODIES.get(method))
    assert answer.status == 400
    if method != "HEAD":
        assert answer.message.startswith(f"There is no parameter '{query.partition('=')[0]}' here.")
    assert file_api.value("a") == 1
    assert file_api.status("new") == 404


def test_a_slip_stores_nothing(file_api: Api) -> None:
    answer = file_api.call("POST", ALL, query="tll=60", body={"key": "a", "value": 1})
    assert (answer.status, "'ttl'" in answer.message) == (400, True)
    assert file_api.status("a") == 404


def test_what_clients_of_others_send_is_ignored(file_api: Api) -> None:
    file_api.store_one("a", 1)
    for method in ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"):
        answer = file_api.call(method, entry(KNOWN[method]), query=IGNORED, body=BODIES.get(method))
        assert answer.status in (200, 201), answer
    assert file_api.call("GET", ALL, query=IGNORED).json["resource"] == [{"key": "new"}]
    pair = {"key": "b", "value": 1}
    assert file_api.call("POST", ALL, query=IGNORED, body=pair).status == 201
    assert file_api.call("DELETE", ALL, query=f"{IGNORED}&keys=b").status == 200


def test_of_very_many_only_the_first_are_looked_at(file_app: AppApi) -> None:
    others = "&".join(f"x{number}" for number in range(19))
    assert file_app.call("GET", ALL, query=f"{others}&prefx=a").status == 400
    assert file_app.call("GET", ALL, query=f"{others}&y&prefx=a").status == 200


def test_each_parameter_that_is_described_is_known(file_app: AppApi) -> None:
    described = file_app.call("GET", "/api/v2/docs/openapi.json").json["paths"]
    looked = 0
    for path, operations in described.items():
        where = path.format(service="cache", key="k", reference="cache", number=1)
        for method in operations.keys() & {"get", "put", "post", "patch", "delete"}:
            body = {"key": "k", "value": 1} if path.endswith("{service}") else {"ttl": 5}
            body = {"value": 1} if method == "put" or where == entry("k") != method else body
            body = {"ttl": 5} if method == "patch" else body
            for parameter in operations[method].get("parameters", ()):
                if parameter.get("in") != "query":
                    continue
                name = parameter["name"]
                answer = file_app.call(
                    method.upper(),
                    where,
                    query=f"{name[0]}{name}=1",
                    body=None if method in ("get", "delete") else body,
                )
                assert (answer.status, f"'{name}'?" in answer.message) == (400, True), (path, name)
                looked += 1
    assert looked > 20


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        (
            "POST",
            ALL,
            {"key": "a", "value": 1, "tll": 5},
            "tll: Unknown field. Did you mean 'ttl'?",
        ),
        ("POST", ALL, {"key": "a", "value": 1, "x": 5}, "x: Unknown field. There are "),
        ("PUT", entry("a"), {"valuee": 1}, "Unknown field. Did you mean 'value'?"),
        ("POST", ALL, {"operations": [{"fetch": "a"}]}, "There are get, pull, exists, set, add"),
        ("POST", ALL, {"operations": [{"incrementt": {"key": "a"}}]}, "Did you mean 'increment'?"),
        (
            "POST",
            "/api/v2/system/api_key",
            {"name": "x", "rules": [{"service": "*", "verb": ["GET"]}]},
            "Did you mean 'verbs'?",
        ),
        (
            "POST",
            "/api/v2/system/service",
            {"name": "x", "type": "cache_local", "config": {"maxmb": 1}},
            "Did you mean 'max_mb'?",
        ),
    ],
)
def test_a_slip_in_a_body_is_told(
    file_app: AppApi, method: str, path: str, body: Any, said: str
) -> None:
    answer = file_app.call(method, path, body=body)
    assert (answer.status, said in json.dumps(answer.error, ensure_ascii=False)) == (400, True), (
        answer
    )


def test_what_a_path_takes_and_where_all_is_are_told(file_app: AppApi) -> None:
    answer = file_app.call("PUT", ALL, body={"value": 1})
    assert answer.message == (
        "This path does not take this method. It takes DELETE, GET, HEAD, POST. POST stores "
        "several, new or not; PUT and PATCH of /{service}/{key} change one."
    )
    answer = file_app.call("GET", "/api/v2/system/nothing")
    assert (answer.status, "/api/v2/docs shows all" in answer.message) == (404, True)
