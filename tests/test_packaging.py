"""The installed distribution, without extras, in an environment of its own."""

from __future__ import annotations

import configparser
import fcntl
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import Environment, copy_source
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, free_port, wait_for_port

pytestmark = pytest.mark.timeout(300)

# With the setuptools that is there: an environment of pip's own would ask an index.
BUILD = """
from setuptools import build_meta
import sys
# It changes the arguments of the program.
_, dist = sys.argv
build_meta.build_sdist(dist)
build_meta.build_wheel(dist)
"""
ASK_FOR_THE_PAGE = """
from cacheapi import create_app
client = create_app().test_client()
key = {"X-DreamFactory-API-Key": "a-key"}
page = client.get("/api/v2/docs")
assets = [client.get(f"/api/v2/docs/assets/{name}") for name in
          ("api.js", "api.css", "swagger-ui.css", "swagger-ui-bundle.js", "frame.css",
           "icon.svg")]
stored = client.post("/api/v2/cache", json={"key": "k", "value": 1}, headers=key)
print([page.status_code, "cacheapi" in page.text, *(asset.status_code for asset in assets),
       stored.status_code, client.get("/api/v2/cache/k", headers=key).json["value"]])
"""
LIST_FILES = """
import importlib.metadata, json
print(json.dumps([str(file) for file in importlib.metadata.files("cacheapi")]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Environment:
    """The one environment; of several processes that run tests, the first makes it."""
    base = tmp_path_factory.getbasetemp()
    directory = (base if worker_id == "master" else base.parent) / "packaging"
    directory.mkdir(exist_ok=True)
    environment = Environment(directory)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "made").exists():
            _make(environment, directory / "source")
            (directory / "made").touch()
    return environment


def _make(environment: Environment, source: Path) -> None:
    copy_source(source)
    subprocess.run([sys.executable, "-m", "venv", environment.path], check=True, timeout=120)
    # As "make dist" builds it.
    dist = source.parent / "dist"
    command = [sys.executable, "-c", BUILD, str(dist)]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    (wheel,) = dist.glob("*.whl")
    assert len([*dist.glob("*.tar.gz")]) == 1
    done = environment.run("python", "-m", "pip", "install", "--quiet", "--no-compile", str(wheel))
    assert done.returncode == 0, done.stderr


def test_the_distribution_works_on_its_own(installed: Environment, tmp_path: Path) -> None:
    checked = installed.run("python", "-m", "pip", "check")
    assert (checked.returncode, checked.stdout.strip()) == (0, "No broken requirements found.")
    found = {
        file for file in json.loads(installed.python(LIST_FILES).stdout) if "dist-info" not in file
    }
    assert found >= {
        "backends/py.typed",
        "cacheapi/py.typed",
        "cacheapi/web/templates/api.html",
        "cacheapi/web/page/api.js",
        "cacheapi/web/page/api.css",
        *(
            str(path.relative_to(REPOSITORY))
            for folder in ("assets", "templates/console")
            for path in (REPOSITORY / "cacheapi/console" / folder).iterdir()
        ),
    }
    modules = {
        str(path.relative_to(REPOSITORY))
        for package in ("backends", "cacheapi")
        for path in (REPOSITORY / package).rglob("*.py")
    }
    assert modules <= found
    programs = {file for file in found if file.endswith("/bin/cacheapi")}
    assert len(programs) == 1
    assert {file.split("/")[0] for file in found - programs} == {"backends", "cacheapi"}


def test_a_checkout_has_the_program_in_its_environment(tmp_path: Path) -> None:
    """As ``make run`` puts it there, for ``. .venv/bin/activate``."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    venv = programs.parent
    made = subprocess.run(
        ["make", "-s", f"VENV={venv}", "-o", f"{venv}/.run", f"{programs}/cacheapi"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    # What lies where it is called from is not taken for a part of it.
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "__init__.py").write_text("raise SystemExit('not this one')\n")
    ended = subprocess.run(
        [programs / "cacheapi", "get", "a"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("cacheapi: There is no service here")


def test_an_application_on_a_file_serves_from_another_directory(
    installed: Environment, tmp_path: Path
) -> None:
    settings = {"CACHEAPI_DATA_DIR": str(tmp_path), "CACHEAPI_API_KEY": "a-key"}
    answered = installed.python(ASK_FOR_THE_PAGE, **settings)
    assert answered.stderr == ""
    assert answered.stdout.strip() == "[200, True, 200, 200, 200, 200, 200, 200, 201, 1]"


def test_the_program_serves_from_another_directory(installed: Environment, tmp_path: Path) -> None:
    port = free_port()
    settings = installed.environ(
        CACHEAPI_DATA_DIR=str(tmp_path / "data"), PORT=str(port), WEB_CONCURRENCY="1"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [installed.program("cacheapi"), "serve"],
            cwd=tmp_path,
            env=settings,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for_port(port, process)
        key = (tmp_path / "data" / "api-key").read_text().strip()
        assert call(port, "GET", f"{CACHE}/k", key=key).status == 404
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a_login_at_memcached_without_its_driver_names_the_package(
    installed: Environment, tmp_path: Path
) -> None:
    settings = {
        "CACHE_DRIVER": "memcached",
        # Without a login the service speaks to memcached itself.
        "MEMCACHED_USERNAME": "user",
        "MEMCACHED_PASSWORD": "password",
        "CACHEAPI_DATA_DIR": str(tmp_path),
        "CACHEAPI_API_KEY": "a-key",
        "PORT": str(free_port()),
    }
    script = (
        "import cacheapi\n"
        "try: cacheapi.create_app()\n"
        "except cacheapi.SettingsError as error: print(error)"
    )
    raised = installed.python(script, **settings)
    assert "pip install pylibmc " in raised.stdout
    configuration = str(REPOSITORY / "gunicorn.conf.py")
    ended = installed.run(
        "gunicorn", "--config", configuration, "cacheapi:create_app()", **settings
    )
    assert ended.returncode != 0
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert raised.stdout.strip() in line


# A fresh machine has the pip that Python brings, which takes an extra such as coverage[toml] of a
# lock file for another requirement, without a hash: so nothing is looked for beside the file.
EXACTLY = ("--quiet", "--no-deps", "--require-hashes")
# That of the tests is what "make test" begins with, on a fresh machine too.
LOCKS = {path.name for path in (REPOSITORY / "requirements").glob("*.txt")} - {"test.txt"}
# There is no ready-made file of it for later Pythons.
HAS_PYLIBMC = sys.version_info < (3, 12)


@pytest.mark.timeout(900)
def test_on_a_fresh_machine_each_lock_file_is_whole(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", environment.path], check=True, timeout=120)
    files = tmp_path / "files"

    def pip(*arguments: str) -> str:
        done = environment.run("python", "-m", "pip", "--disable-pip-version-check", *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return str(done.stdout)

    locks = {name: _without_what_must_be_built(tmp_path, name) for name in LOCKS}
    for lock in locks.values():
        pip("download", *EXACTLY, "--only-binary", ":all:", "--dest", str(files), "-r", str(lock))
    # The smallest first: of each, what it lacks is not there yet.
    for name, lock in sorted(locks.items(), key=lambda each: each[1].stat().st_size):
        offline = ("--no-index", "--find-links", str(files), "--no-compile")
        pip("install", *EXACTLY, *offline, "-r", str(lock))
        assert pip("check").strip() == "No broken requirements found.", name


def _without_what_must_be_built(directory: Path, name: str) -> Path:
    """Return a lock file, without pylibmc where that is compiled."""
    text = (REPOSITORY / "requirements" / name).read_text()
    if not HAS_PYLIBMC:
        text = re.sub(r"^pylibmc==(?:.*\\\n)*.*\n", "", text, flags=re.MULTILINE)
    lock = directory / name
    lock.write_text(text)
    return lock


def test_packages_to_install_are_named_as_the_extras_have_them() -> None:
    """Of an extra of ``cacheapi`` itself nobody knows what a public index has under that name."""
    configuration = configparser.ConfigParser()
    configuration.read(REPOSITORY / "setup.cfg")
    extras = "\n".join(configuration["options.extras_require"].values())
    known = set(re.findall(r"^[\w.-]+(?:\[\w+\])?", extras, re.MULTILINE))
    named: set[str] = set()
    for path in [*REPOSITORY.glob("cacheapi/**/*.py"), *REPOSITORY.glob("backends/**/*.py")]:
        # Texts may go on in the next line.
        text = re.sub(r'"\s*"', "", path.read_text())
        for found in re.findall(
            r"pip install ((?:'?[a-z][\w.-]*(?:\[\w+\])?'?(?: (?!\())?)+)", text
        ):
            named |= {name.strip("'.") for name in found.split()}
    assert len(named) >= 5
    assert named <= known
