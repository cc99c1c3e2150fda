"""The units, carried out by a real systemd: one that ``systemd-nspawn`` starts in a root."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.containerfile import Failed, Stage, run_in
from tests.support.processes import REPOSITORY, eventually
from tests.support.tools import run, tool

pytestmark = pytest.mark.timeout(2400)

UNITS = REPOSITORY / "deploy" / "systemd"

ASK = """
import json, sys, urllib.request
method, path, *body = sys.argv[1:]
key = open("/var/lib/private/cacheapi/api-key").read().strip()
request = urllib.request.Request(
    f"http://127.0.0.1:8000{path}", method=method, data=body[0].encode() if body else None,
    headers={"X-DreamFactory-API-Key": key, "Content-Type": "application/json"})
said = urllib.request.urlopen(request, timeout=30).read().decode()
print(said if said.startswith("{") else json.dumps(said))
"""


class Machine:
    """A machine that has booted, in namespaces of its own."""

    def __init__(self, root: Path, log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [
                    *(tool("systemd-nspawn"), "--quiet", "--directory", root, "--boot"),
                    *("--register=no", "--keep-unit", "--private-network"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        self._leader = 0

    def has_booted(self) -> bool:
        """Tell whether it is up; start what is to be started then."""
        if self.process.poll() is not None:
            raise Failed(self.log.read_text())
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for child in children.read_text().split():
            self._leader = int(child)
            said = self.do("systemctl", "is-system-running", check=False)
            if said.strip() in ("running", "degraded"):
                return True
        return False

    def do(self, *command: str, check: bool = True) -> str:
        """Run a program inside; return what it said."""
        enter = (tool("nsenter"), "--target", str(self._leader), "--all", "--")
        done = run(*enter, *command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        assert not check or done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def ask(self, *request: str) -> object:
        return json.loads(self.do("/opt/cacheapi/bin/python", "-c", ASK, *request))

    def property(self, name: str) -> str:
        return self.do("systemctl", "show", "cacheapi.service", "--value", "-p", name).strip()

    def stop(self) -> None:
        # The leader's signal for "power off".
        with contextlib.suppress(ProcessLookupError):
            if self._leader:
                os.kill(self._leader, signal.SIGRTMIN + 4)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def machine(image: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    tool("systemd-nspawn")
    directory = tmp_path_factory.mktemp("machine")
    root = directory / "root"
    subprocess.run(["cp", "-a", image.root, root], check=True)
    inside = dataclasses.replace(image, root=root, environ={}, directory="/")
    run_in(inside, "apt-get update && apt-get install -y --no-install-recommends systemd-sysv dbus")
    # The user of the image; the unit has one of its own.
    run_in(inside, "userdel cacheapi; rm -r /var/lib/cacheapi")
    for unit in ("cacheapi.service", "cacheapi.socket"):
        shutil.copy(UNITS / unit, root / "etc" / "systemd" / "system")
    settings = root / "etc" / "cacheapi" / "environment"
    settings.parent.mkdir()
    shutil.copy(UNITS / "environment", settings)
    settings.chmod(0o600)
    run_in(inside, "systemctl enable cacheapi.socket cacheapi.service")
    started = Machine(root, directory / "log")
    try:
        try:
            eventually(started.has_booted, 90)
        except (AssertionError, Failed) as error:
            pytest.skip(f"no systemd can be started here: {error}")
        yield started
    finally:
        started.stop()
        shutil.rmtree(root)


def test_it_runs_as_a_user_of_its_own_without_any_right(machine: Machine) -> None:
    assert machine.property("ActiveState") == "active", machine.do("journalctl", "-u", "cacheapi")
    assert machine.property("StatusText") == "Gunicorn arbiter booted"
    main = machine.property("MainPID")
    status = machine.do("cat", f"/proc/{main}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["Uid"].split()[0]) > 0
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert machine.do("stat", "-c", "%a", "/var/lib/private/cacheapi").strip() == "700"


def test_it_serves_and_keeps_what_it_has_through_a_reload_and_a_restart(machine: Machine) -> None:
    stored = machine.ask("POST", "/api/v2/cache", '{"key": "k", "value": 1}')
    assert stored == {"resource": [{"key": "k", "success": True}]}
    # A worker hands its counts over several times a second.
    eventually(lambda: "cacheapi_requests_total{" in str(machine.ask("GET", "/metrics")), 20)
    main = machine.property("MainPID")
    machine.do("systemctl", "reload", "cacheapi")
    assert machine.property("MainPID") == main
    assert machine.ask("GET", "/api/v2/cache/k") == {"key": "k", "value": 1}
    machine.do("systemctl", "restart", "cacheapi")
    assert machine.property("MainPID") != main
    assert machine.ask("GET", "/api/v2/cache/k") == {"key": "k", "value": 1}
    assert machine.property("NRestarts") == "0"


def test_the_program_runs_beside_it_as_the_page_says(machine: Machine) -> None:
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    (command,) = re.findall(r"^systemd-run .*?[^\\]$", page, re.MULTILINE | re.DOTALL)
    machine.ask("POST", "/api/v2/cache", '{"key": "k", "value": 1}')
    said = machine.do("sh", "-c", command.removesuffix("doctor") + "keys")
    assert said.split() == ["k"]


def test_it_writes_to_the_journal_and_reads_its_names_from_the_system(machine: Machine) -> None:
    said = machine.do("journalctl", "-u", "cacheapi", "--no-pager")
    assert "Listening at: http://127.0.0.1:8000" in said
    assert "Traceback" not in said
    # A name is looked up without the kinds of socket that the unit denies.
    config = {"host": "localhost", "port": 9}
    made = {"name": "absent", "type": "cache_memcached", "config": config}
    machine.ask("POST", "/api/v2/system/service", json.dumps({"resource": [made]}))
    tried = json.dumps(machine.ask("POST", "/api/v2/system/service/absent/test"))
    assert "refused" in tried.lower()
