"""What a call of the program imports: each library costs a part of what a person waits for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import Memcached
from tests.support.program import environ, run
from tests.support.redis import Redis
from tests.support.redis_groups import Cluster, SentinelGroup

WITH_TABLES = ("services", "api-key", "doctor", "audit", "tail")
HEAVY = ("alembic", "cryptography", "flask", "marshmallow", "rich", "sqlalchemy", "werkzeug")
DRIVERS = (*("redis", "hiredis", "asyncio", "opentelemetry"), "backends.memcached.backend")


def call(
    directory: Path, *arguments: str, code: int = 0, **settings: str
) -> tuple[str, set[str], int]:
    """Run a command; return what it printed, what it imported of these, and how much in all."""
    script = (
        "import atexit, sys; from cacheapi.commands.main import cacheapi\n"
        f"atexit.register(lambda: print(*(m for m in {HEAVY + DRIVERS} if m in sys.modules),"
        " len(sys.modules), file=sys.stderr))\n"
        f"cacheapi({list(arguments)!r})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=directory,
        env=environ(directory, **settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == code, ended.stderr
    *found, number = ended.stderr.splitlines()[-1].split()
    return ended.stdout, set(found), int(number)


@pytest.mark.parametrize(
    "arguments",
    [
        *(("get", "a"), ("set", "a", "1"), ("delete", "a"), ("keys",), ("--version",), ("--help",)),
        *(("services",), ("services", "types"), ("services", "off", "s"), ("api-key", "list")),
        *(("doctor",), ("audit",), ("tail", "-s", "cache", "--slowest")),
    ],
    ids=" ".join,
)
def test_a_call_imports_what_it_needs(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    run(tmp_path, "services", "create", "s", "--type", "cache_local")
    run(tmp_path, "set", "a", "1")
    _, found, number = call(tmp_path, *arguments)
    heavy = found & {*HEAVY}
    if arguments[0] in WITH_TABLES:
        assert heavy <= {"rich"}
        assert number < 480
    else:
        assert not heavy
        assert number < 320


MEMCACHED = "backends.memcached.backend"


def test_a_call_imports_no_driver_of_another_service(
    tmp_path: Path, redis_one: Redis, memcached_server: Memcached
) -> None:
    at = f"host=127.0.0.1:{redis_one.port}"
    run(tmp_path, "services", "create", "r", "--type", "cache_redis", "--set", at)
    for arguments in (("services",), ("api-key", "list"), ("audit",), ("keys",)):
        assert not call(tmp_path, *arguments)[1] & {*DRIVERS}, arguments
    run(tmp_path, "set", "a", "1", "-s", "r")
    printed, found, _ = call(tmp_path, "get", "a", "-s", "r")
    assert (printed, found & {*DRIVERS}) == ("1\n", {"redis", "hiredis", "asyncio"})
    # Nor where there are services of every type.
    at = f"host=127.0.0.1:{memcached_server.port}"
    run(tmp_path, "services", "create", "m", "--type", "cache_memcached", "--set", at)
    run(tmp_path, "set", "a", "2", "-s", "m")
    printed, found, _ = call(tmp_path, "get", "a", "-s", "m")
    assert (printed, found & {*DRIVERS}) == ("2\n", {MEMCACHED})
    assert call(tmp_path, "services")[1] & {*DRIVERS} == {MEMCACHED}
    # What is wrong with settings is told without the driver.
    wrong = ("--type", "cache_redis", "--set", "username=me")
    ended = run(tmp_path, "services", "create", "w", *wrong)
    assert ended.returncode == 2
    assert b"username needs password" in ended.stderr


@pytest.mark.parametrize("name", ["redis_one", "redis_tls", "redis_sentinels", "redis_nodes"])
def test_a_system_cache_on_redis_does_all_with_what_is_imported_late(
    tmp_path: Path, request: pytest.FixtureRequest, name: str
) -> None:
    server: Redis | SentinelGroup | Cluster = request.getfixturevalue(name)
    settings = {"CACHE_DRIVER": "redis", "REDIS_PREFIX": "late:", **server.settings}
    call(tmp_path, "set", "n", "1", **settings)
    printed, found, number = call(tmp_path, "get", "n", **settings)
    assert printed == "1\n"
    assert found & {*DRIVERS} == {"redis", "hiredis", "asyncio"}
    assert number < 560
    assert call(tmp_path, "incr", "n", **settings)[0] == "2\n"
    assert call(tmp_path, "keys", **settings)[0] == "n\n"
    assert "hits" in call(tmp_path, "stats", "--once", **settings)[0].lower()
    call(tmp_path, "flush", "--yes", **settings)
    assert not call(tmp_path, "get", "n", code=1, **settings)[0]


@pytest.mark.parametrize("lacking", ["redis", "hiredis", "redis.connection"])
def test_a_driver_that_is_missing_is_told_in_a_line(tmp_path: Path, lacking: str) -> None:
    script = (
        f"import sys; sys.modules[{lacking!r}] = None\n"
        "from cacheapi.commands.main import cacheapi; cacheapi(['get', 'a'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environ(tmp_path, CACHE_DRIVER="redis"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 3
    assert ended.stderr == ("cacheapi: Redis needs redis-py: pip install 'redis[hiredis]'\n")
