"""The units: what systemd says of them, and a service that systemd starts, stops and restarts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheapi import load
from tests.deploy.site import replaced
from tests.http.live.test_load import Load
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Service, eventually
from tests.support.tools import run, tool

pytestmark = pytest.mark.timeout(600)

UNITS = REPOSITORY / "deploy" / "systemd"
SERVICE = (UNITS / "cacheapi.service").read_text()
# It is 1.2 with systemd 252; others weigh a little otherwise.
MOST_EXPOSED = 1.5


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with a program that there is on this machine."""
    changed = {"/opt/cacheapi/bin/cacheapi": sys.executable}
    (tmp_path / "cacheapi.service").write_text(replaced(SERVICE, changed))
    (tmp_path / "cacheapi.socket").write_text((UNITS / "cacheapi.socket").read_text())
    return sorted(tmp_path.glob("cacheapi.*"))


def test_systemd_finds_no_fault_with_the_units(units: list[Path]) -> None:
    verified = run(tool("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", *units)
    # Of the units themselves; those of this machine are its own affair.
    assert [line for line in verified.stderr.splitlines() if "cacheapi" in line] == []


def test_a_directive_that_is_misspelt_would_be_found(units: list[Path]) -> None:
    with units[0].open("a") as unit:
        unit.write("\n[Service]\nProtectSytem=strict\n")
    verified = run(tool("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", *units)
    assert "ProtectSytem" in verified.stderr


def test_the_service_can_do_little_else_than_serve(units: list[Path]) -> None:
    judged = run(
        *(tool("systemd-analyze"), "security", "--offline=true", "--no-pager"),
        *(f"--threshold={MOST_EXPOSED * 10:.0f}", units[0]),
    )
    assert judged.returncode == 0, judged.stdout
    assert re.search(r"exposure level for cacheapi.service: 1\.\d", judged.stdout)


def test_the_settings_are_for_root_alone_and_are_ones_that_there_are() -> None:
    assert re.search(r"^EnvironmentFile=/etc/cacheapi/environment$", SERVICE, re.MULTILINE)
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    assert "install -D -m 0600 deploy/systemd/environment /etc/cacheapi/environment" in page
    text = (UNITS / "environment").read_text()
    given = dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert load(given, None).warnings == ()
    assert "REDIS_PASSWORD" in given
    assert not any(given[name] for name in ("REDIS_PASSWORD", "CACHEAPI_API_KEY"))


class Unit(Service):
    """The service as systemd has it: with a port of systemd's, and told when it is up.

    :ivar told: what it said to systemd.
    """

    def __init__(self, directory: Path, **settings: str) -> None:
        self.told: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(directory / "notify"))
        self.notified.settimeout(60)
        super().__init__(directory, NOTIFY_SOCKET=str(directory / "notify"), **settings)

    def start(self) -> None:
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        number = self.listener.fileno()
        # LISTEN_PID is the process itself; sockets begin at 3.
        script = f'exec 3<&{number}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", script, "bash", sys.executable, "-m", "gunicorn", "wsgi:app"],
                cwd=REPOSITORY,
                env=self.environ,
                stdout=log,
                stderr=log,
                pass_fds=[number],
            )
        self.told.append(self.notified.recv(1000).decode())
        eventually(lambda: len(self.workers()) >= int(self.environ["WEB_CONCURRENCY"]), 60)

    def close(self) -> None:
        self.stop()
        self.listener.close()
        self.notified.close()


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    # A port of its own, which it is not to take.
    started = Unit(tmp_path, WEB_CONCURRENCY="2")
    with contextlib.closing(started):
        yield started


def test_it_tells_systemd_that_it_is_up_as_the_process_that_was_started(unit: Unit) -> None:
    (said,) = unit.told
    assert said.startswith("READY=1\n")
    assert call(unit.port, "GET", "/api/v2/").status == 200
    assert f"[{unit.process.pid}] [INFO] Listening at" in unit.log.read_text()


def test_restarts_under_load_refuse_nobody_where_the_port_is_systemds(unit: Unit) -> None:
    load = Load(unit.port)
    with load.running():
        for _ in range(3):
            assert unit.stop() == 0
            unit.start()
            eventually(load.grows(100), 60)
    assert load.failures == []
    load.assert_nothing_was_lost(unit.port)


def test_a_reload_keeps_the_process_and_renews_its_workers(unit: Unit) -> None:
    before = set(unit.workers())
    os.kill(unit.process.pid, signal.SIGHUP)
    eventually(lambda: len(unit.workers()) == 2 and not before & set(unit.workers()), 60)
    assert call(unit.port, "POST", CACHE, {"key": "k", "value": 1}).status == 201
    assert unit.process.poll() is None
