"""Who may call: keys by header, parameter and Bearer, and nothing without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.client import ALL, API_KEY, Api, AppApi, FileStore, entry
from tests.http.conftest import make_app_api

NO_HEADER = {"X-DreamFactory-API-Key": None}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_is_a_key(api: Api, scheme: str) -> None:
    headers = {**NO_HEADER, "Authorization": f"{scheme} {api.api_key}"}
    assert api.call("GET", "/api/v2", headers).status == 200


def test_a_parameter_is_a_key(api: Api) -> None:
    api.store_one("k", 1)
    query = f"api_key={api.api_key}"
    assert api.call("GET", entry("k"), NO_HEADER, query=query).json["value"] == 1
    assert api.call("DELETE", entry("k"), NO_HEADER, query=query).status == 200


def test_header_names_are_of_either_case(api: Api) -> None:
    headers = {**NO_HEADER, "x-dreamfactory-api-key": api.api_key}
    assert api.call("GET", "/api/v2", headers).status == 200


# A preflight, OPTIONS, needs no key: a browser sends none with it.
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v2", ALL, entry("k"), "/api/v2/nothing/k", "/api/v2/docs/openapi.json", "/x"],
)
def test_without_a_key_everything_is_401(api: Api, path: str) -> None:
    api.store_one("k", 1)
    for method in METHODS:
        answer = api.call(method, path, NO_HEADER)
        assert answer.status == 401, method
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        if method != "HEAD":
            assert "API key" in answer.message
            assert answer.error["context"] is None
    assert api.value("k") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-DreamFactory-API-Key": "wrong"},
        {"X-DreamFactory-API-Key": API_KEY + "x"},
        {"X-DreamFactory-API-Key": API_KEY[:-1]},
        {"X-DreamFactory-API-Key": API_KEY.upper()},
        {"X-DreamFactory-API-Key": "cl\xe9"},
        {"X-DreamFactory-API-Key": "wrong", "Authorization": f"Bearer {API_KEY}"},
        {**NO_HEADER, "Authorization": f"Basic {API_KEY}"},
        {**NO_HEADER, "Authorization": API_KEY},
        {**NO_HEADER, "Authorization": "Bearer"},
        {**NO_HEADER, "Authorization": "Bearer wrong"},
        {"X-DreamFactory-API-Key": ""},
    ],
    ids=str,
)
def test_a_wrong_key_is_401(api: Api, headers: dict[str, str | None]) -> None:
    answer = api.call("DELETE", ALL, headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"]
    assert API_KEY not in answer.message


def test_the_header_wins_over_the_parameter(api: Api) -> None:
    wrong, right = "api_key=wrong", f"api_key={api.api_key}"
    assert api.call("GET", "/api/v2", query=wrong).status == 200
    assert api.call("GET", "/api/v2", {"X-DreamFactory-API-Key": "x"}, query=right).status == 401


def test_the_parameter_wins_over_the_bearer_token(api: Api) -> None:
    headers = {**NO_HEADER, "Authorization": "Bearer wrong"}
    assert api.call("GET", "/api/v2", headers, query=f"api_key={api.api_key}").status == 200


def test_an_unauthorized_tunnel_is_401(api: Api) -> None:
    api.store_one("k", 1)
    headers = {**NO_HEADER, "X-HTTP-Method": "DELETE"}
    assert api.call("POST", ALL, headers).status == 401
    assert api.value("k") == 1


def test_an_unknown_service_with_a_valid_key_is_404(api: Api) -> None:
    assert api.call("GET", "/api/v2/nothing").status == 404


@pytest.mark.parametrize("key", ["one", "two", "three"])
def test_each_of_several_keys_may_call(tmp_path: Path, key: str) -> None:
    api: AppApi = make_app_api(
        "file", FileStore(tmp_path), tmp_path, CACHEAPI_API_KEY="one, two,three,"
    )
    assert api.call("GET", "/api/v2", {"X-DreamFactory-API-Key": key}).status == 200
    for wrong in ("one, two,three,", "one,", "four"):
        assert api.call("GET", "/api/v2", {"X-DreamFactory-API-Key": wrong}).status == 401
    api.close()


def test_the_generated_key_may_call(tmp_path: Path) -> None:
    api = make_app_api("file", FileStore(tmp_path), tmp_path, CACHEAPI_API_KEY="")
    key = (tmp_path / "api-key").read_text().strip()
    assert api.call("GET", "/api/v2", {"X-DreamFactory-API-Key": key}).status == 200
    assert api.call("GET", "/api/v2").status == 401
    api.close()
