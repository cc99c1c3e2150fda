"""The description of the API, valid, complete and true; its page, which loads nothing from afar."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.specs.openapi.definitions import OPENAPI_30

from tests.http.client import ALL, Answer, Api, AppApi
from tests.http.entries.test_examples import READ_ANSWER, STORE, STORE_ANSWER, STORE_JSON

DESCRIPTION = "/api/v2/docs/openapi.json"
SERVICES = "/api/v2/system/service"
API_KEYS = "/api/v2/system/api_key"
NO_HEADER = {"X-DreamFactory-API-Key": None}
OPERATIONS = [
    "GET /api/v2/",
    "GET /api/v2/{service}",
    "POST /api/v2/{service}",
    "DELETE /api/v2/{service}",
    "GET /api/v2/{service}/{key}",
    "POST /api/v2/{service}/{key}",
    "PUT /api/v2/{service}/{key}",
    "PATCH /api/v2/{service}/{key}",
    "DELETE /api/v2/{service}/{key}",
    "GET /api/v2/system/service_type",
    "GET /api/v2/system/tail",
    "GET /api/v2/system/slowest",
    "GET /api/v2/system/audit",
    "GET /api/v2/system/service",
    "POST /api/v2/system/service",
    "GET /api/v2/system/service/{reference}",
    "PATCH /api/v2/system/service/{reference}",
    "PUT /api/v2/system/service/{reference}",
    "DELETE /api/v2/system/service/{reference}",
    "POST /api/v2/system/service/{reference}/test",
    "GET /api/v2/system/service/{reference}/stats",
    "GET /api/v2/system/service/{reference}/analysis",
    "POST /api/v2/system/service/test",
    "GET /api/v2/system/api_key",
    "POST /api/v2/system/api_key",
    "GET /api/v2/system/api_key/{number}",
    "PATCH /api/v2/system/api_key/{number}",
    "DELETE /api/v2/system/api_key/{number}",
    "GET /api/v2/system/service/{service}/capabilities",
]
METHODS = {"get", "put", "post", "patch", "delete"}


@pytest.fixture(scope="module")
def described(file_app: AppApi) -> dict[str, Any]:
    answer = file_app.call("GET", DESCRIPTION)
    assert answer.status == 200
    document: dict[str, Any] = answer.json
    return document


@pytest.fixture(scope="module", autouse=True)
def _as_it_was(file_app: AppApi) -> Iterator[None]:
    """Take away the services and API keys that were made to try the description."""
    yield
    for path in (SERVICES, API_KEYS):
        for made in file_app.call("GET", path).json["resource"]:
            if made["id"] is not None:
                assert file_app.call("DELETE", f"{path}/{made['id']}").status == 200


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def test_the_description_is_valid_openapi_3(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.0.")
    validator = jsonschema_rs.validator_for(OPENAPI_30)
    assert [error.message for error in validator.iter_errors(described)] == []


def test_every_operation_of_the_contract_is_described(described: dict[str, Any]) -> None:
    assert sorted(operations(described)) == sorted(OPERATIONS)
    names = [operation["operationId"] for operation in operations(described).values()]
    assert len(set(names)) == len(names)


def test_every_operation_documents_its_errors(described: dict[str, Any]) -> None:
    for name, operation in operations(described).items():
        responses = operation["responses"]
        wanted = {"400", "401", "404", "500"}
        if name.startswith(("POST", "PUT", "PATCH")):
            wanted |= {"413", "415"}
        if "{key}" in name:
            wanted |= {"412"}
        assert wanted <= set(responses), name
        for status in wanted:
            schema = responses[status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Error"}, (name, status)
            assert responses[status]["description"]
        assert any(status.startswith("2") for status in responses), name


def test_required_parameters_come_first(described: dict[str, Any]) -> None:
    for name, operation in operations(described).items():
        needed = [each.get("required", False) for each in operation.get("parameters", ())]
        assert needed == sorted(needed, reverse=True), name
        assert needed.count(True) == name.count("{")


def test_names_of_operations_have_no_marks(described: dict[str, Any]) -> None:
    """They are shown as plain text; descriptions are Markdown."""
    summaries = [operation["summary"] for operation in operations(described).values()]
    assert [summary for summary in summaries if "`" in summary or "*" in summary] == []


@pytest.fixture(scope="module")
def powerless(file_app: AppApi) -> str:
    """The API key of one who may ask for nothing."""
    made = file_app.call("POST", API_KEYS, body={"name": "powerless", "rules": []}).json
    return str(made["resource"][0]["api_key"])


def asked(name: str, *, slip: bool = False, known: bool = False) -> tuple[str, str]:
    """Return method and path of an operation, on what is there or on what is not."""
    method, path = name.split()
    if slip and "{" not in path:
        path = path.replace("/v2", "/v2x")
    service = "cache" if known or ("{key}" in path and method != "POST") else "sessions"
    return method, path.format(
        service=service, key="user:123:name", reference="cache" if known else "sessions", number=7
    )


def answers(file_app: AppApi, powerless: str, name: str) -> dict[str, Callable[[], Answer]]:
    """Return how an operation is brought to each of its errors."""
    method, path = asked(name, known=True)
    with_body = method in ("POST", "PUT", "PATCH")
    body = {"PUT": {"value": 1}, "PATCH": {"ttl": 5}, "POST": {"key": "k", "value": 1}}.get(method)
    key = {"X-DreamFactory-API-Key": powerless}
    found = {
        "401": lambda: file_app.call(method, path, {"X-DreamFactory-API-Key": "none"}),
        "403": lambda: file_app.call(method, path, key, body),
        "404": lambda: file_app.call(*asked(name, slip=True), body=absent_body(name, body)),
        "default": lambda: file_app.call("PROPFIND", path),
    }
    if with_body:
        found["400"] = lambda: file_app.call(method, path, body=b"{")
    else:
        found["400"] = lambda: fragment(file_app, method, path)
    if with_body or name == "DELETE /api/v2/{service}":
        large = {"Content-Length": str(8 * 2**20 + 1)}
        found["413"] = lambda: file_app.call(method, path, large, b"{}")
        found["415"] = lambda: file_app.call(method, path, {"Content-Type": "text/plain"}, b"{}")
    if "{key}" in name:
        wanted = {"If-Match": '"another"'}
        one = {"PATCH": {"ttl": 5}}.get(method, {"value": 1} if with_body else None)
        found["412"] = lambda: file_app.call(method, path, wanted, one)
    return found


def absent_body(name: str, body: Any) -> Any:
    """Return a body that an operation takes, were there what it is about."""
    if "api_key" in name or "/system/service/" in name:
        return {"PATCH": {}, "PUT": {"type": "cache_local"}, "POST": {}}.get(name.split()[0])
    return body


def fragment(file_app: AppApi, method: str, path: str) -> Answer:
    given = file_app.app.test_client().open(
        path,
        method=method,
        headers={"X-DreamFactory-API-Key": Api.api_key},
        environ_overrides={"RAW_URI": f"{path}#a"},
    )
    return Answer(given.status_code, given.headers, given.data)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_example_of_each_error_is_what_is_answered(
    file_app: AppApi, described: dict[str, Any], powerless: str, name: str
) -> None:
    file_app.call("DELETE", f"{SERVICES}/sessions")
    file_app.call("DELETE", f"{ALL}/user:123:name")
    responses = operations(described)[name]["responses"]
    shown = {
        status: response["content"]["application/json"]["example"]
        for status, response in responses.items()
        if status >= "4"
    }
    for status, example in shown.items():
        code = 405 if status == "default" else int(status)
        assert (example["error"]["code"], example["error"]["status_code"]) == (code, code)
    tried = answers(file_app, powerless, name)
    # What takes a server that is away, or much asked for, is said by others' tests.
    assert set(shown) - set(tried) <= {"429", "500", "503"}
    for status, answer in tried.items():
        if status in shown:
            assert answer().json == shown[status], status


def test_every_way_to_show_a_key_is_described(described: dict[str, Any]) -> None:
    schemes = described["components"]["securitySchemes"]
    ways = {(scheme["type"], scheme.get("in"), scheme.get("name")) for scheme in schemes.values()}
    assert ways == {
        ("apiKey", "header", "X-DreamFactory-API-Key"),
        ("apiKey", "query", "api_key"),
        ("http", None, None),
    }
    assert described["security"] == [{name: []} for name in schemes]


def body_of(example: str) -> Any:
    match = re.search(r"-d '(.*)'", example)
    assert match is not None
    return json.loads(match[1])


def test_the_examples_are_those_of_the_document(described: dict[str, Any]) -> None:
    store = operations(described)["POST /api/v2/{service}"]
    examples = store["requestBody"]["content"]["application/json"]["examples"]
    values = [example["value"] for example in examples.values()]
    assert body_of(STORE) in values
    assert body_of(STORE_JSON) in values
    text = json.dumps(described)
    assert json.loads(STORE_ANSWER)["resource"][0]["key"] in text
    assert json.loads(READ_ANSWER)["value"] in text


def test_every_example_body_is_taken(file_app: AppApi, described: dict[str, Any]) -> None:
    for name, operation in operations(described).items():
        content = operation.get("requestBody", {}).get("content", {})
        for example in content.get("application/json", {}).get("examples", {}).values():
            method, path = name.split()
            made = {"name": "sessions", "type": "cache_memcached"}
            file_app.call("DELETE", f"{SERVICES}/sessions")
            if "{reference}" in path:
                assert file_app.call("POST", SERVICES, body=made).status == 201
            key = file_app.call("POST", API_KEYS, body={"name": "k"}).json["resource"][0]
            path = path.format(
                service="cache", key="user:123:name", reference="sessions", number=key["id"]
            )
            if method in ("PUT", "PATCH"):
                file_app.store_one("user:123:name", 1)
            elif "user" in path:
                file_app.call("DELETE", path)
            answer = file_app.call(method, path, body=example["value"])
            assert answer.status in (200, 201), (name, example)


@pytest.mark.parametrize("path", ["/api/v2/docs", "/api/v2/docs/"])
def test_the_page_is_open_and_guarded(api: Api, path: str) -> None:
    answer = api.call("GET", path, NO_HEADER)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def links(page: str) -> list[str]:
    return re.findall(r'(?:src|href|data-description)="([^"]*)"', page)


def test_the_page_loads_only_from_its_own_host(api: Api) -> None:
    page = api.call("GET", "/api/v2/docs", NO_HEADER).body.decode()
    found = links(page)
    assert len(found) >= 6
    assert "://" not in page
    for link in found:
        assert re.match(r"/[^/]", link), link
        answer = api.call("GET", link)
        # The console asks who it is.
        assert answer.status == (303 if link.startswith("/console") else 200), link
        assert answer.body


def test_the_files_of_the_page_are_kept_as_long_as_they_are_the_same(api: Api) -> None:
    page = api.call("GET", "/api/v2/docs", NO_HEADER).body.decode()
    ours = [link for link in links(page) if re.search(r"/(api|frame|icon)\.", link)]
    assert len(ours) >= 4
    assert all(re.search(r"\?v=[0-9a-f]{12}$", link) for link in ours), ours


def test_the_assets_are_open_and_load_nothing_from_afar(api: Api) -> None:
    page = api.call("GET", "/api/v2/docs", NO_HEADER).body.decode()
    for link in links(page):
        if "/assets/" not in link:
            continue
        answer = api.call("GET", link, NO_HEADER)
        assert answer.status == 200
        # The name of a format is no address.
        text = answer.body.decode("latin-1").replace("http://www.w3.org/2000/svg", "")
        assert "@import" not in text
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", text)
        if not link.endswith(("bundle.js", "swagger-ui.css")):
            assert "://" not in text


@pytest.mark.parametrize(
    "name",
    ["absent.js", "..%2Fapi.html", "%2E%2E/templates/api.html", "", "index.html", "swagger-ui.js"],
)
def test_other_files_are_not_given(api: Api, name: str) -> None:
    assert api.call("GET", f"/api/v2/docs/assets/{name}").status == 404


def test_the_description_wants_a_key(api: Api) -> None:
    assert api.call("GET", DESCRIPTION, NO_HEADER).status == 401


def untrue_by_nature(case: schemathesis.Case) -> list:
    """Return the checks whose rule is not the service's.

    What the schema allows may be refused for what is stored (a key to create that exists,
    a condition that is not met, a value that is no number) and for rules that OpenAPI has
    no words for (a key's length in bytes). What it does not allow is refused in bodies;
    unknown headers and query parameters are ignored, as HTTP wants it.
    """
    wrong = {
        location
        for location, component in case.meta.components.items()
        if component.mode is GenerationMode.NEGATIVE
    }
    if ParameterLocation.BODY in wrong:
        return [positive_data_acceptance]
    return [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(scope="module")
def web_schema(file_app: AppApi):
    headers = {"X-DreamFactory-API-Key": Api.api_key}
    return schemathesis.openapi.from_wsgi(DESCRIPTION, file_app.app, headers=headers)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_service_does_what_the_description_says(
    file_app: AppApi, web_schema, name: str, mode: GenerationMode
) -> None:
    method, path = name.split()
    operation = web_schema[path][method]

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    def check(case: schemathesis.Case, known: bool) -> None:
        # Else nearly every case would be a stranger, an unknown service, or an absent key.
        if "service" in case.path_parameters:
            case.path_parameters["service"] = "cache"
        if known and "key" in case.path_parameters:
            case.path_parameters["key"] = "known"
            file_app.store_one("known", 1)
        headers = {"X-DreamFactory-API-Key": Api.api_key}
        case.call_and_validate(headers=headers, excluded_checks=untrue_by_nature(case))

    check()
