"""docs/operations.md: its commands run, its figures hold, its messages are those of the service."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.troubles import TROUBLES
from tests.http.conftest import PATIENT
from tests.support.live import CACHE, Connection, call
from tests.support.processes import (
    REPOSITORY,
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    Service,
    free_port,
    memcached,
    sasl_memcached,
    service,
)
from tests.support.redis import PASSWORD as REDIS_PASSWORD
from tests.support.redis import Redis, locked_redis, redis_server
from tests.support.tools import tool

pytestmark = pytest.mark.timeout(600)

PAGE = (REPOSITORY / "docs" / "operations.md").read_text()


def section(title: str) -> str:
    """Return the text under a heading of the page."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def commands(title: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)


def bash(script: str, directory: Path, **environ: str) -> str:
    """Run a script as an operator would who has installed the package; return what it printed."""
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    program = programs / "cacheapi"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m cacheapi "$@"\n'
    )
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CACHE")}
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env={**kept, "PATH": f"{programs}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    return ended.stdout


def test_every_box_of_commands_is_run_by_a_test_here() -> None:
    run_here = [
        *commands("memcached: memory and slabs"),
        *commands("Failover drill"),
        *commands("Backup"),
    ]
    assert re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) == run_here


def test_the_commands_that_look_into_memcached_show_it(
    memcached_server: Memcached, tmp_path: Path
) -> None:
    tool("nc")
    nc, curl = commands("memcached: memory and slabs")
    driver = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{memcached_server.port}"}
    with service(tmp_path, WEB_CONCURRENCY="1", **PATIENT, **driver) as live:
        assert call(live.port, "POST", CACHE, {"key": "k", "value": 1}).status == 201
        shown = bash(nc.replace("11211", str(memcached_server.port)), tmp_path)
        for word in ("curr_items", "evictions", "limit_maxbytes", "chunk_size"):
            assert word in shown
        told = bash(
            curl.replace("127.0.0.1:8000", f"127.0.0.1:{live.port}"), tmp_path, KEY=live.api_key
        )
        assert '"hit_ratio"' in told


def test_the_failover_drill_goes_as_it_says(tmp_path: Path) -> None:
    (script,) = commands("Failover drill")
    ports = {port: str(free_port()) for port in ("21211", "21212", "21213", "8000")}
    for shown, port in ports.items():
        script = re.sub(rf"\b{shown}\b", port, script)
    printed = bash(script, tmp_path, MEMCACHED_TIMEOUT_MS="3000", CACHEAPI_READY_TIMEOUT_MS="8000")
    counts = [int(line) for line in printed.splitlines() if line.isdigit()]
    none, died, taken_over, came_back = counts
    assert (none, taken_over) == (0, 0)
    # A third each, and as even as 300 keys are.
    assert 50 < died < 160
    assert 50 < came_back < 160
    assert re.search(r"^ended with [13]$", printed, re.MULTILINE)
    assert f"127.0.0.1:{ports['21212']}" in (tmp_path / "diagnosis").read_text()


def test_a_backup_made_while_it_runs_restores_services_and_keys(tmp_path: Path) -> None:
    (script,) = commands("Backup")
    copy = tmp_path / "copy"
    copy.mkdir()
    with locked_redis() as server:
        config = {"host": "127.0.0.1", "port": server.port, "password": REDIS_PASSWORD}
        with service(tmp_path / "first", WEB_CONCURRENCY="1", CACHEAPI_API_KEY="") as live:
            data = tmp_path / "first" / "data"
            administrator = (data / "api-key").read_text().strip()
            made = {"name": "locked", "type": "cache_redis", "config": config}
            system = "/api/v2/system"
            created = call(
                live.port, "POST", f"{system}/service", {"resource": [made]}, key=administrator
            )
            assert created.status == 201
            rules = {"name": "reader", "rules": [{"service": "*", "verbs": ["GET"]}]}
            answer = call(live.port, "POST", f"{system}/api_key", rules, key=administrator)
            (reader,) = [key["api_key"] for key in answer.json["resource"]]
            bash(script, tmp_path, CACHEAPI_DATA_DIR=str(data), BACKUP=str(copy))
        assert sorted(path.name for path in copy.iterdir()) == [
            *("api-key", "cacheapi.sqlite3", "secret-key")
        ]
        with restored(tmp_path / "second", copy) as live:
            assert call(live.port, "GET", "/api/v2/locked/k", key=reader).status == 404
            assert call(live.port, "GET", "/api/v2/", key=administrator).status == 200
        (copy / "secret-key").unlink()
        with restored(tmp_path / "third", copy) as live:
            lost = call(live.port, "GET", "/api/v2/locked/k", key=reader)
            assert (lost.status, lost.message) == (
                500,
                "Service 'locked' has settings that cannot be used.",
            )
            assert "has settings that cannot be used" in section("Backup")


@contextlib.contextmanager
def restored(directory: Path, copy: Path) -> Iterator[Service]:
    data = directory / "data"
    data.mkdir(parents=True)
    for path in copy.iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    with service(directory, WEB_CONCURRENCY="1", CACHEAPI_API_KEY="", **PATIENT) as live:
        yield live


# Parts of the messages that other tests make with real servers: of names, of what answers.
MADE_ELSEWHERE = (
    "was not looked up in time",
    "CLIENT_ERROR unauthenticated",
    "answered so",
    "The API key expired at",
)


@pytest.mark.parametrize("name", TROUBLES)
def test_the_service_says_what_the_page_has(name: str, tmp_path: Path) -> None:
    table = re.split(r"<!-- /?troubles -->\n", PAGE)[1]
    shown = set(re.findall(r"^\| (\d{3}) `(.+?)` \|", table, re.MULTILINE))
    for said in TROUBLES[name](tmp_path):
        status, message = said.split(" ", 1)
        assert (status, message) in shown


def test_the_page_has_no_message_twice_and_as_many_as_the_troubles_make() -> None:
    table = re.split(r"<!-- /?troubles -->\n", PAGE)[1]
    rows = re.findall(r"^\| \d{3} `(.+?)` \|", table, re.MULTILINE)
    assert len(rows) == len(set(rows)) == 25 + len(MADE_ELSEWHERE)
    assert all(any(part in row for row in rows) for part in MADE_ELSEWHERE)


# Connections and memory


def connections(live: Service, port: int) -> list[int]:
    """Return how many connections each worker has to a port of this machine."""
    hexadecimal = f":{port:04X}"
    inodes = {
        fields[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        # 01: established.
        if (fields := line.split())[2].endswith(hexadecimal) and fields[3] == "01"
    }
    found = []
    for worker in live.workers():
        links = []
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(os.readlink(descriptor))
        found.append(sum(link in {f"socket:[{inode}]" for inode in inodes} for link in links))
    return found


def work(live: Service) -> None:
    """Let 40 clients send all kinds of requests at once."""

    def client(number: int) -> None:
        with Connection(live.port) as connection:
            for turn in range(30):
                key = f"k{number}-{turn}"
                connection.call("POST", CACHE, {"key": key, "value": "v" * 100, "ttl": 60})
                connection.call("GET", f"{CACHE}/{key}")
                connection.call("PATCH", f"{CACHE}/n{number}", {"increment": 1, "initial": 1})
                connection.call("GET", f"{CACHE}?keys={key},absent")
                if turn % 10 == 0:
                    # A large body is a thread's, which has a connection of its own.
                    connection.call("POST", CACHE, {"key": key, "value": "v" * 300_000, "ttl": 60})
                if number % 10 == 0:
                    connection.call("GET", "/health/ready")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def most(title: str) -> int:
    """Return what the page says of the connections of one worker."""
    (number,) = re.findall(rf"^\| {title} \| (\d+)", section("Sizing"), re.MULTILINE)
    return int(number)


@contextlib.contextmanager
def cache(kind: str) -> Iterator[tuple[Memcached | Redis, dict[str, str]]]:
    if kind == "Redis":
        with redis_server() as server:
            yield server, {"CACHE_DRIVER": "redis", **server.settings}
        return
    with memcached() if kind == "memcached" else sasl_memcached() as server:
        login = {"MEMCACHED_USERNAME": SASL_USER, "MEMCACHED_PASSWORD": SASL_PASSWORD}
        where = {"CACHE_DRIVER": "memcached", "MEMCACHED_HOST": f"127.0.0.1:{server.port}"}
        yield server, where if kind == "memcached" else where | login


@pytest.mark.parametrize("kind", ["memcached", "memcached with a login", "Redis"])
def test_a_worker_has_no_more_connections_than_the_page_says(tmp_path: Path, kind: str) -> None:
    with (
        cache(kind) as (server, settings),
        service(tmp_path, WEB_CONCURRENCY="2", **PATIENT, **settings) as live,
    ):
        work(live)
        counts = connections(live, server.port)
        assert max(counts) <= most(kind), counts
        assert max(counts) > 1


def fill(size: int, factor: str) -> int:
    """Return how many values of a size memcached holds in 64 MB."""
    count = 90 * 1024 * 1024 // size
    value = b"v" * size
    with memcached("-m", "64", "-f", factor) as server:
        with server.connect() as connection, connection.makefile("rwb") as stream:
            for number in range(count):
                stream.write(b"set key:%08d 0 0 %d noreply\r\n%s\r\n" % (number, size, value))
            stream.write(b"version\r\n")
            stream.flush()
            assert stream.readline().startswith(b"VERSION")
        return int(server.statistics()["curr_items"])


def test_the_table_of_slabs_is_so() -> None:
    """By the two rows that say most; versions of memcached differ a little."""
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| \**([\d,]+)\** \|$", PAGE, re.MULTILINE)
    figures = {
        int(size.replace(",", "")): [int(number.replace(",", "")) for number in numbers]
        for size, *numbers in rows
    }
    for size in (10_000, 100_000):
        for factor, shown in zip(("1.25", "1.1"), figures[size], strict=True):
            assert shown * 0.9 <= fill(size, factor) <= shown * 1.1
    assert all(close > usual for size, (usual, close) in figures.items() if size < 40_000)


def test_the_files_that_the_page_names_are_there() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (REPOSITORY / "docs" / link).exists(), link
    named = set(re.findall(r"deploy/[\w./-]+", PAGE))
    assert all((REPOSITORY / path.rstrip("/.")).exists() for path in named), named


def test_a_database_of_a_later_version_is_refused_as_the_page_says(tmp_path: Path) -> None:
    import sqlite3

    with service(tmp_path, WEB_CONCURRENCY="1"):
        pass
    database = sqlite3.connect(tmp_path / "data" / "cacheapi.sqlite3")
    with contextlib.closing(database), database:
        database.execute("UPDATE alembic_version SET version_num = 'later'")
    with pytest.raises(RuntimeError, match="its tables are of a later version of cacheapi"):
        service(tmp_path, WEB_CONCURRENCY="1").__enter__()
    assert "*its tables are of a later version of cacheapi*" in PAGE
