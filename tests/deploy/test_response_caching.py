"""docs/response-caching.md: every box of code, run by clients that all come at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.conftest import PATIENT
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Memcached, Service, free_port, service
from tests.support.tools import tool

pytestmark = pytest.mark.timeout(600)

PAGE = (REPOSITORY / "docs" / "response-caching.md").read_text()
CLIENTS = 12

# A client that computes slowly, notes that it did, and prints what it got.
PYTHON = """
def compute():
    with open("runs", "a") as runs:
        runs.write("run\\n")
    time.sleep(1)
    return {"sum": 42, "of": ["größe", None]}

print(json.dumps(cached("/report?day=1", 60, compute)))
"""
PHP = """
echo json_encode(cached('/report?day=1', 60, function () {
    file_put_contents('runs', "run\\n", FILE_APPEND);
    sleep(1);
    return ['sum' => 42, 'of' => ['größe', null]];
}));
"""
VALUE = {"sum": 42, "of": ["größe", None]}


def code(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module", params=["file", "memcached"])
def live(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    memcached_server: Memcached,
) -> Iterator[Service]:
    driver = {"CACHE_DRIVER": request.param, "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}"}
    directory = tmp_path_factory.mktemp(request.param)
    with service(directory, WEB_CONCURRENCY="2", **PATIENT, **driver) as started:
        yield started


@pytest.fixture(autouse=True)
def _empty(live: Service) -> None:
    assert call(live.port, "DELETE", CACHE).status == 200


def environ(live: Service | None, url: str = "") -> dict[str, str]:
    return {**os.environ, "KEY": Service.api_key, "CACHE": url or f"{live.url}{CACHE}"}


def program(language: str, directory: Path) -> list[str]:
    """Return the command of a client in a language."""
    (shown,) = code(language)
    # A machine that is busy with other tests is no cache that is away.
    shown, changed = re.subn(r"(timeout=|'timeout' => )2\b", r"\g<1>60", shown)
    assert changed == 1
    if language == "python":
        path = directory / "client.py"
        path.write_text(shown + PYTHON)
        return [sys.executable, str(path)]
    path = directory / "client.php"
    path.write_text(shown + PHP)
    # A notice would be printed, and be no JSON.
    return [tool("php"), "-d", "error_reporting=-1", "-d", "display_errors=1", str(path)]


def answers(command: list[str], directory: Path, count: int, **more) -> list[object]:
    started = [
        subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, **more)
        for _ in range(count)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert {process.returncode for process in started} == {0}
    return [json.loads(output) for output in outputs]


def runs(directory: Path) -> int:
    return (directory / "runs").read_text().count("run")


@pytest.mark.parametrize("language", ["python", "php"])
def test_of_those_who_miss_together_one_computes(
    live: Service, tmp_path: Path, language: str
) -> None:
    command = program(language, tmp_path)
    got = answers(command, tmp_path, CLIENTS, env=environ(live))
    assert got == [VALUE] * CLIENTS
    assert runs(tmp_path) == 1
    assert answers(command, tmp_path, 1, env=environ(live)) == [VALUE]
    assert runs(tmp_path) == 1


def test_both_languages_share_what_is_stored(live: Service, tmp_path: Path) -> None:
    for language in ("python", "php"):
        assert answers(program(language, tmp_path), tmp_path, 1, env=environ(live)) == [VALUE]
    assert runs(tmp_path) == 1


@pytest.mark.parametrize("language", ["python", "php"])
def test_without_a_cache_it_computes(tmp_path: Path, language: str) -> None:
    url = f"http://127.0.0.1:{free_port()}{CACHE}"
    assert answers(program(language, tmp_path), tmp_path, 2, env=environ(None, url)) == [VALUE] * 2
    assert runs(tmp_path) == 2


@pytest.mark.parametrize("language", ["python", "php"])
def test_the_lease_is_given_back(live: Service, tmp_path: Path, language: str) -> None:
    answers(program(language, tmp_path), tmp_path, 1, env=environ(live))
    key = "api:" + hashlib.sha256(b"/report?day=1").hexdigest()
    assert call(live.port, "GET", f"{CACHE}/{key}").json["value"] == VALUE
    assert call(live.port, "GET", f"{CACHE}/{key}:lease").status == 404


@pytest.mark.parametrize("language", ["python", "php"])
def test_a_lease_whose_owner_died_ends_by_itself(
    live: Service, tmp_path: Path, language: str
) -> None:
    lease = "api:" + hashlib.sha256(b"/report?day=1").hexdigest() + ":lease"
    assert call(live.port, "POST", CACHE, {"key": lease, "value": 1, "ttl": 2}).status == 201
    assert answers(program(language, tmp_path), tmp_path, 3, env=environ(live)) == [VALUE] * 3
    assert runs(tmp_path) == 1


def shell(script: str, directory: Path, live: Service) -> str:
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("-m 2 ", "-m 60 ")],
        cwd=directory,
        env=environ(live),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_shell_reads_what_it_stored_and_its_copy_stays_right(
    live: Service, tmp_path: Path
) -> None:
    tool("jq")
    # The last two; those before are of a service in front of an API.
    store, fetch = code("sh")[-2:]
    report = tmp_path / "report.json"
    report.write_text('{"sum": 42}')
    assert json.loads(shell(store, tmp_path, live)) == {"sum": 42}
    report.write_text('{"sum": 43}')
    assert json.loads(shell(store, tmp_path, live)) == {"sum": 42}
    assert shell(fetch, tmp_path, live).split() == ["200", "304"]
    assert json.loads((tmp_path / "report").read_text())["value"] == {"sum": 42}
    # A change is noticed.
    call(live.port, "POST", CACHE, {"key": "report:today", "value": {"sum": 44}})
    assert shell(fetch, tmp_path, live).split() == ["200", "304"]
    assert json.loads((tmp_path / "report").read_text())["value"] == {"sum": 44}


def test_a_tag_lets_go_of_all_that_has_it(live: Service) -> None:
    (shown,) = re.findall(r"`(\"tags\": .+?)`", PAGE)
    (way,) = re.findall(r"`DELETE …/cache(\?tag=.+?)`", PAGE)
    for key in ("one", "two"):
        body = json.loads(f'{{"key": "{key}", "value": 1, {shown}}}')
        assert call(live.port, "POST", CACHE, body).status == 201
    assert call(live.port, "DELETE", f"{CACHE}{way}").status == 200
    assert [call(live.port, "GET", f"{CACHE}/{key}").status for key in ("one", "two")] == [404, 404]


def test_every_box_of_code_is_run_here() -> None:
    languages = re.findall(r"^```(\w+)$", PAGE, re.MULTILINE)
    assert sorted(languages) == ["php", "python", "sh", "sh", "sh", "sh", "sh", "toml"]
