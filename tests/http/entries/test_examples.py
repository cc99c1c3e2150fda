"""The examples of the document that the service was made after, run through curl as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.http.client import Api, LiveApi

BLOCKS = re.findall(
    r"^```\n(.*?)\n```$",
    Path(__file__).with_name("seed_examples.md").read_text(),
    re.DOTALL | re.MULTILINE,
)
(
    STORE,
    STORE_ANSWER,
    STORE_JSON,
    READ,
    READ_ANSWER,
    READ_SEVERAL,
    DELETE,
    FLUSH,
) = BLOCKS
CURL_SETTINGS = 'silent\nshow-error\nmax-time = 20\nwrite-out = "\\n%{http_code}"\n'

STORED_JSON = {"theme": "dark", "language": "en", "features": ["analytics", "reporting"]}


@pytest.fixture(params=["memcached live as memcache", "file live as cache", "file live as local"])
def service(request: pytest.FixtureRequest) -> tuple[LiveApi, str]:
    """A running service, empty, and the name that its cache is called by."""
    fixture, _, name = request.param.partition(" as ")
    api: LiveApi = request.getfixturevalue(fixture.replace(" ", "_"))
    assert api.call("DELETE", "/api/v2/cache").status == 200
    return api, name


@pytest.fixture
def curl(service: tuple[LiveApi, str], tmp_path: Path):
    """Run an example; return the status and the document of the answer."""
    api, name = service
    (tmp_path / ".curlrc").write_text(CURL_SETTINGS)

    def run(example: str, key: str = Api.api_key) -> tuple[int, Any]:
        # The document lost its line breaks: what follows the backslash was a new line.
        command = (
            example.replace(" \\  ", " \\\n  ")
            .replace("https://example.com", f"http://127.0.0.1:{api.port}")
            .replace("YOUR_API_KEY", key)
            .replace("/api/v2/memcache", f"/api/v2/{name}")
        )
        answer = subprocess.run(
            ["sh", "-c", command],
            env={**os.environ, "CURL_HOME": str(tmp_path)},
            capture_output=True,
            check=True,
        ).stdout
        body, _, status = answer.rpartition(b"\n")
        return int(status), json.loads(body)

    return run


def test_store_a_value(service: tuple[LiveApi, str], curl) -> None:
    assert curl(STORE) == (201, json.loads(STORE_ANSWER))
    left = service[0].store.lifetime("user:123:name")
    assert left == pytest.approx(3600, abs=30)


def test_store_json_data(service: tuple[LiveApi, str], curl) -> None:
    assert curl(STORE_JSON) == (201, {"resource": [{"key": "config:app", "success": True}]})
    assert service[0].value("config:app") == STORED_JSON
    assert service[0].store.lifetime("config:app") == pytest.approx(86400, abs=30)


def test_retrieve_a_value(curl) -> None:
    curl(STORE)
    assert curl(READ) == (200, json.loads(READ_ANSWER))


def test_retrieve_a_value_that_is_not_there(curl) -> None:
    status, document = curl(READ)
    assert status == 404
    assert document["error"]["message"] == "Key 'user:123:name' does not exist."


def test_retrieve_multiple_values(service: tuple[LiveApi, str], curl) -> None:
    curl(STORE)
    first = {"key": "user:123:name", "value": "John Doe"}
    assert curl(READ_SEVERAL) == (
        200,
        {"resource": [first], "meta": {"missing": ["user:456:name"]}},
    )
    service[0].store_one("user:456:name", "Jane Doe")
    second = {"key": "user:456:name", "value": "Jane Doe"}
    assert curl(READ_SEVERAL) == (200, {"resource": [first, second], "meta": {"missing": []}})


def test_delete_a_key(curl) -> None:
    curl(STORE)
    assert curl(DELETE) == (200, {"key": "user:123:name", "success": True})
    assert curl(READ)[0] == 404
    assert curl(DELETE)[0] == 404


def test_flush_all_keys(service: tuple[LiveApi, str], curl) -> None:
    curl(STORE)
    curl(STORE_JSON)
    assert curl(FLUSH) == (200, {"success": True})
    assert [service[0].status(key) for key in ("user:123:name", "config:app")] == [404, 404]


@pytest.mark.parametrize("example", [STORE, STORE_JSON, READ, READ_SEVERAL, DELETE, FLUSH])
def test_every_example_needs_a_key(curl, example: str) -> None:
    status, document = curl(example, key="another")
    assert status == 401
    assert document["error"]["status_code"] == 401
