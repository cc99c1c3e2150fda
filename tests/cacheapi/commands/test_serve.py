"""``cacheapi serve``, away from a checkout."""

from __future__ import annotations

import errno
import http.client
import json
import logging
import os
import re
import runpy
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cacheapi.serving.address import refused_address
from tests.support.certificates import Certificates
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Service, eventually, free_port
from tests.support.program import environ, run, serving


def test_it_serves_from_an_empty_directory(tmp_path: Path) -> None:
    with serving(tmp_path, WEB_CONCURRENCY="1") as live:
        port = live.port
        assert call(port, "POST", CACHE, {"key": "k", "value": 1}).status == 201
        answer = call(port, "GET", f"{CACHE}/k")
        assert (answer.status, answer.json["value"]) == (200, 1)
        # Our worker, with the fast lane, and the lines of the start.
        said = live.log.read_text()
        assert f"cacheapi is at http://127.0.0.1:{port}, its API page at" in said
        assert "cacheapi.serving.worker.Worker" in said
        assert Service.api_key not in said


def test_options_of_gunicorn_go_before_the_settings(
    tmp_path: Path, certificates: Certificates
) -> None:
    options = ("--certfile", str(certificates.server), "--keyfile", str(certificates.server_key))
    with serving(tmp_path, "--", *options, WEB_CONCURRENCY="1") as live:
        context = ssl.create_default_context(cafile=str(certificates.authority))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", live.port, timeout=30, context=context
        )
        connection.request("GET", "/api/v2/", headers={"X-DreamFactory-API-Key": Service.api_key})
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["services"][0]["name"] == "cache"
        connection.close()
        assert f"cacheapi is at https://127.0.0.1:{live.port}" in live.log.read_text()


def test_a_socket_is_said_with_a_command_that_reaches_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--", "--bind", f"unix:{tmp_path}/s", WEB_CONCURRENCY="1") as live:
        (command,) = re.findall(r"^  (curl .*/greeting.*)$", live.log.read_text(), re.MULTILINE)
        shown = subprocess.check_output(
            ["bash", "-c", command.replace("YOUR_API_KEY", Service.api_key)], timeout=30
        )
        assert json.loads(shown)["error"]["message"] == "Key 'greeting' does not exist."


def test_settings_are_read_again_on_hup(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_CONCURRENCY=1\n")
    with serving(tmp_path) as live:
        (tmp_path / ".env").write_text("WEB_CONCURRENCY=3\n")
        os.kill(live.pid, signal.SIGHUP)
        children = Path(f"/proc/{live.pid}/task/{live.pid}/children")
        eventually(lambda: len(children.read_text().split()) == 3, 30)


def test_a_reload_that_could_not_start_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_CONCURRENCY=1\n")
    with serving(tmp_path) as live:
        children = Path(f"/proc/{live.pid}/task/{live.pid}/children")
        # It has read its settings.
        assert call(live.port, "GET", f"{CACHE}/k").status == 404
        workers = children.read_text().split()
        (tmp_path / ".env").write_text("WEB_CONCURRENCY=x\n")
        os.kill(live.pid, signal.SIGHUP)
        eventually(lambda: "Not reloaded, all stays as it was" in live.log.read_text(), 30)
        assert "WEB_CONCURRENCY: 'x' is not allowed" in live.log.read_text()
        assert call(live.port, "GET", f"{CACHE}/k").status == 404
        assert children.read_text().split() == workers


def test_a_dry_run_shows_the_command(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", "--dry-run", "--json", "--", "--reload")
    command = json.loads(ended.stdout)["command"]
    configuration = REPOSITORY / "cacheapi" / "serving" / "gunicorn_conf.py"
    assert command[1:] == [
        *("-m", "gunicorn", "-c", str(configuration), "--reload", "cacheapi:create_app()"),
    ]
    assert b"cacheapi:create_app()" in run(tmp_path, "serve", "--dry-run").stdout
    assert not (tmp_path / "data").exists()


def test_what_it_cannot_start_with_is_one_line(tmp_path: Path) -> None:
    for options in ((), ("--dry-run",)):
        ended = run(tmp_path, "serve", *options, PORT="0")
        assert ended.returncode in (1, 3)
        (line,) = ended.stderr.decode().splitlines()
        assert "PORT: '0' is not allowed" in line
    ended = run(tmp_path, "serve", "--json")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.count(b"\n") == 1


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What gunicorn reads, run in this process, but for what it does to the log."""
    for name, value in environ(tmp_path, HOST="::1", PORT="9000", WEB_CONCURRENCY="3").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CACHEAPI_API_KEY")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(logging.Logger, "setLevel", lambda *_: None)
    return runpy.run_module("cacheapi.serving.gunicorn_conf")


def test_the_configuration_is_what_the_settings_say(configuration: dict[str, Any]) -> None:
    assert configuration["bind"] == "[::1]:9000"
    assert configuration["workers"] == 3
    assert configuration["worker_class"] == "cacheapi.serving.worker.Worker"


def test_the_start_says_where_the_key_is(
    configuration: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for listener, url in (
        ("https://10.0.0.1:443", "https://10.0.0.1:443"),
        ("unix:/run/a socket", "http://localhost"),
    ):
        configuration["when_ready"](SimpleNamespace(LISTENERS=[listener]))
        said = capsys.readouterr().out
        assert f"cacheapi is at {url}, its API page at {url}/api/v2/docs" in said
        assert f"The API key is in {tmp_path}/data/api-key" in said
        assert f"$(cat {tmp_path}/data/api-key)" in said
    assert "curl --unix-socket '/run/a socket' " in said


def test_a_log_for_programs_has_no_other_lines(
    configuration: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    when_ready = configuration["when_ready"]
    settings = {**when_ready.__globals__["_settings"], "CACHEAPI_LOG_FORMAT": "json"}
    monkeypatch.setitem(when_ready.__globals__, "_settings", settings)
    when_ready(SimpleNamespace(LISTENERS=["http://127.0.0.1:8000"]))
    said = capsys.readouterr()
    assert (said.out, "cacheapi is at http://127.0.0.1:8000" in said.err) == ("", True)


def test_settings_that_stop_the_start_stop_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(logging.Logger, "setLevel", lambda *_: None)
    with pytest.raises(SystemExit, match=r"cacheapi cannot start\. PORT: '0' is not allowed"):
        runpy.run_module("cacheapi.serving.gunicorn_conf")


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = run(tmp_path, "serve", PORT=str(port))
    assert ended.returncode != 0
    (line,) = (ended.stdout + ended.stderr).decode().splitlines()[-1:]
    assert f"Port {port} of 127.0.0.1 is taken by another program" in line
    assert f"PORT={port + 1} cacheapi serve" in line


def test_an_address_that_is_none_of_the_machine_is_one_line_at_once(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", HOST="192.0.2.1", PORT=str(free_port()))
    assert ended.returncode == 1
    said = (ended.stdout + ended.stderr).decode()
    assert "cacheapi cannot start. This machine has no address 192.0.2.1: HOST (or" in said
    # gunicorn's own words, with which it tries again.
    assert "Retrying" not in said
    assert "Invalid address" not in said


def test_an_address_that_is_refused_is_told_with_what_to_do() -> None:
    for error, words in (
        (OSError(errno.EACCES, "Permission denied"), "take one above 1023"),
        (OSError(errno.ENETDOWN, "Network is down"), "port 80 of ::1: Network is down."),
    ):
        assert words in refused_address("::1", 80, error)


def test_settings_of_its_own_win_over_host_and_port(tmp_path: Path) -> None:
    port = free_port()
    given = {"HOST": "not.to.be.resolved.invalid", "CACHEAPI_HOST": "127.0.0.1"}
    with serving(tmp_path, WEB_CONCURRENCY="1", CACHEAPI_PORT=str(port), **given) as live:
        assert live.port != port
        assert call(port, "GET", f"{CACHE}/k").status == 404


@pytest.mark.parametrize("variable", ["HOST", "CACHEAPI_HOST"])
def test_a_host_that_cannot_be_resolved_is_one_line(tmp_path: Path, variable: str) -> None:
    ended = run(tmp_path, "serve", **{variable: "not.to.be.resolved.invalid"})
    assert ended.returncode == 1
    (line,) = ended.stderr.decode().strip().splitlines()
    assert line.startswith(
        f"cacheapi cannot start. {variable}: 'not.to.be.resolved.invalid' is no address to listen"
    )


def test_a_line_of_the_settings_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CACHE_DRIVER file\n")
    ended = run(tmp_path, "serve")
    assert ended.returncode == 1
    (line,) = ended.stderr.decode().strip().splitlines()
    assert line.startswith("cacheapi cannot start. The file .env, line 1: it is not NAME=value.")
