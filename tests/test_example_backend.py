"""The backend of ``examples/``: what the page about it shows, installed and at work."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.environment import Environment, copy_source
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Service, free_port, wait_for_port

EXAMPLE = REPOSITORY / "examples" / "lru-backend"
PAGE = (REPOSITORY / "docs" / "writing-a-backend.md").read_text()
BLOCK = re.compile(r"^<!-- (examples/\S+) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PLACES = """
import cacheapi, backends.testing, lru_backend
print(cacheapi.__file__, backends.testing.__file__, lru_backend.__file__, sep="\\n")
"""


def test_the_page_shows_the_files_of_the_example() -> None:
    shown = re.findall(
        r"^<!-- (examples/\S+) -->\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
    assert dict(shown) == {
        str(path.relative_to(REPOSITORY)): path.read_text()
        for path in EXAMPLE.iterdir()
        if path.is_file()
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with cacheapi and the example as distributions."""
    directory = tmp_path_factory.mktemp("example")
    environment = Environment(directory)
    environment.make_with_own_packages()
    source = directory / "source"
    copy_source(source)
    example = source / EXAMPLE.relative_to(REPOSITORY)
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--no-compile"]
    done = environment.run("python", "-m", "pip", "install", *offline, str(source), str(example))
    assert done.returncode == 0, done.stderr
    return environment


@contextlib.contextmanager
def gunicorn(environment: Environment, directory: Path) -> Iterator[int]:
    """Serve there with the plugin, as the page says; give the port."""
    for name in ("wsgi.py", "gunicorn.conf.py"):
        shutil.copy(REPOSITORY / name, directory)
    port = free_port()
    settings = environment.environ(
        CACHE_DRIVER="lru",
        LRU_SIZE="3",
        CACHEAPI_API_KEY=Service.api_key,
        CACHEAPI_DATA_DIR=str(directory / "data"),
        PORT=str(port),
        WEB_CONCURRENCY="1",
    )
    command = [environment.program("python"), "-m", "gunicorn", "wsgi:app"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=settings, stdout=log, stderr=log)
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def test_what_is_tested_is_what_is_installed(installed: Environment) -> None:
    places = installed.python(PLACES).stdout.splitlines()
    assert len(places) == 3
    assert all(place.startswith(f"{installed.path}/") for place in places)


def test_the_driver_selects_it_and_it_serves(installed: Environment, tmp_path: Path) -> None:
    with gunicorn(installed, tmp_path) as port:
        pair = {"key": "user:1", "value": {"name": "John"}, "ttl": 60}
        assert call(port, "POST", CACHE, pair).status == 201
        assert call(port, "GET", "/api/v2/lru/user:1").json["value"] == pair["value"]
        assert call(port, "PATCH", f"{CACHE}/n", {"increment": 1, "initial": 7}).json["value"] == 7
        assert call(port, "PATCH", f"{CACHE}/n", {"increment": 2}).json["value"] == 9
        assert call(port, "GET", CACHE).status == 400
        # LRU_SIZE reached it: of four keys, the first is gone.
        pairs = [{"key": key, "value": 0} for key in "abcd"]
        assert call(port, "POST", CACHE, {"resource": pairs}).status == 201
        answer = call(port, "GET", f"{CACHE}?keys=a,b,c,d,n").json
        assert answer["meta"]["missing"] == ["a", "n"]

        types = call(port, "GET", "/api/v2/system/service_type").json["resource"]
        (lru,) = [kind for kind in types if kind["driver"] == "lru"]
        assert (lru["name"], lru["label"]) == ("cache_lru", "Memory of one process")
        assert lru["capabilities"]["increment"] is True
        assert lru["capabilities"]["list_keys"] is False
        assert lru["traits"]["shared_by"] == "the threads of one process"
        assert call(port, "DELETE", CACHE).status == 200
        assert call(port, "GET", f"{CACHE}/d").status == 404


def test_it_passes_its_tests_where_it_is_installed(installed: Environment, tmp_path: Path) -> None:
    tests = shutil.copy(EXAMPLE / "test_lru_backend.py", tmp_path)
    done = installed.run(
        *("python", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"),
        *("-c", "/dev/null", "--rootdir", str(tmp_path), str(tests)),
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)
    assert passed is not None, done.stdout
    assert int(passed[1]) > 80
