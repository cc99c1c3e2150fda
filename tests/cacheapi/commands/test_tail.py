"""``tail`` and ``audit``: here, and over HTTP."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cacheapi.commands.conftest import Program
from tests.cacheapi.commands.test_elsewhere import Elsewhere
from tests.support.live import CACHE, call
from tests.support.processes import Service, eventually, service


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("tail")
    with service(directory, WEB_CONCURRENCY="1", CACHEAPI_LOG_KEYS="hash") as running:
        yield running


@pytest.fixture(params=["here", "elsewhere"])
def watcher(request: pytest.FixtureRequest, live: Service, tmp_path: Path) -> Program:
    (tmp_path / "mine").mkdir()
    made = Elsewhere(tmp_path / "mine", live.url)
    if request.param == "here":
        made.settings = {"CACHEAPI_DATA_DIR": str(live.directory / "data")}
    return made


def started(watcher: Program, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``cacheapi tail`` for itself; who started pytest may have left SIGINT ignored."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from cacheapi.commands.main import cacheapi; cacheapi(sys.argv[1:])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "tail", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", **watcher.settings},
    )


def asked_until_told(live: Service, running: subprocess.Popen[bytes]) -> bytes:
    """Ask the service until the program prints a line, and return that."""
    assert running.stdout is not None
    out = running.stdout

    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.append(out.readline()), daemon=True)
    reader.start()

    def told() -> list[bytes]:
        call(live.port, "GET", f"{CACHE}/absent")
        call(live.port, "GET", "/api/v2/nowhere/k")
        return lines

    (line,) = eventually(told, 30)
    return line


def test_requests_are_shown_until_it_is_ended(live: Service, watcher: Program) -> None:
    with started(watcher, "--service", "cache") as running:
        line = asked_until_told(live, running).decode()
        running.send_signal(signal.SIGINT)
        rest, errors = running.communicate(timeout=30)
    assert (running.returncode, b"Traceback" in errors) == (0, False)
    assert errors.startswith(b"cacheapi: Watching; Ctrl-C ends it.\n")
    _, method, status, _, unit, lane, name, route, key = line.split()
    assert (method, status, unit, lane) == ("GET", "404", "ms", "fast")
    assert (name, route, len(key)) == ("cache", "/api/v2/{service}/{key}", 16)
    assert b"nowhere" not in rest


def test_who_reads_as_a_program_gets_a_document_a_line(live: Service, watcher: Program) -> None:
    # What is absent is an answer of a cache; a service that is not there is none.
    with started(watcher, "--json", "--errors", "--count", "1", "--min-ms", "0") as running:
        row = json.loads(asked_until_told(live, running))
        running.communicate(timeout=30)
    assert running.returncode == 0
    assert (row["status"], row["service"], row["lane"]) == (404, "", "flask")


def test_who_reads_no_more_ends_it(live: Service, watcher: Program) -> None:
    with started(watcher) as running:
        asked_until_told(live, running)
        assert running.stdout is not None
        running.stdout.close()
        running.stdout = None

        def has_ended() -> bool:
            call(live.port, "GET", f"{CACHE}/absent")
            return running.poll() is not None

        eventually(has_ended, 30)
        assert running.stderr is not None
        assert b"Traceback" not in running.stderr.read()


def test_the_slowest(live: Service, watcher: Program) -> None:
    def found() -> list[dict[str, object]]:
        call(live.port, "GET", "/api/v2/system/service_type")
        rows: list[dict[str, object]] = watcher.json("tail", "--slowest", "--count", "1")[
            "resource"
        ]
        return rows

    (row,) = eventually(found, 30)
    assert str(row["route"]) in watcher("tail", "--slowest")
    nothing = watcher.run("tail", "--slowest", "--min-ms", "1e9")
    assert "Nothing of that took 5 ms or more" in nothing.stderr
    # It is of no service.
    assert watcher.json("tail", "--slowest", "--service", "cache", "--min-ms", "1e9") == {
        "resource": []
    }


def test_a_service_is_known_by_its_other_name_too(live: Service, watcher: Program) -> None:
    with started(watcher, "--service", "local", "--count", "1") as running:
        line = asked_until_told(live, running).decode()
        running.communicate(timeout=30)
    assert line.split()[6] == "cache"


def test_nobody_watches_a_service_that_is_not_there(watcher: Program) -> None:
    for arguments in (("tail", "-s", "nope"), ("tail", "-s", "nope", "--slowest")):
        line = watcher.fails(*arguments, code=2)
        assert line.startswith("Service 'nope' does not exist")


def test_the_audit_log(live: Service, watcher: Program) -> None:
    for _ in range(2):
        call(live.port, "POST", "/api/v2/system/api_key", {"name": "audited"})
    call(live.port, "DELETE", CACHE)
    told = watcher.json("audit", "--limit", "2")
    assert [act["action"] for act in told["resource"]] == ["flushed", "created"]
    assert told["meta"]["next"]
    shown = watcher("audit", "AUDITED")
    assert "API key (CACHEAPI_API_KEY)" in shown
    assert "flushed" not in shown


def test_whose_audit_log_it_is_where_machines_share_a_database(program: Program) -> None:
    program("flush", "--yes")
    assert program.json("audit")["meta"]["whole"] is True
    assert program.run("audit").stderr == ""
    program.settings["CACHEAPI_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    meta = program.json("audit")["meta"]
    assert (meta["machine"], meta["whole"]) == (socket.gethostname(), False)
    assert program.run("audit").stderr.startswith(f"cacheapi: Of {socket.gethostname()} alone: ")


def test_where_nothing_is_there_is_nothing_to_watch(program: Program) -> None:
    (program.directory / "data" / "services").rmdir()
    for command in ("tail", "audit"):
        assert program.fails(command, code=3).startswith("There is no service here")


def test_who_only_looks_makes_no_api_key(program: Program) -> None:
    del program.settings["CACHEAPI_API_KEY"]
    for arguments in (("services",), ("tail", "--slowest", "-s", "cache"), ("api-key", "list")):
        program(*arguments)
    assert not (program.directory / "data" / "api-key").exists()
