"""The one table of cases, and what each client made of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from tests.support import tools
from tests.support.live import CACHE, call
from tests.support.processes import REPOSITORY, Service

CLIENTS = REPOSITORY / "clients"
TABLE = CLIENTS / "conformance" / "cases.json"


def cases(live: Service, away: str, other: str) -> list[dict[str, Any]]:
    """Return the table, with an address and an API key for each case."""
    places = {
        "live": (f"{live.url}{CACHE}", live.api_key),
        "away": (away, live.api_key),
        "wrong key": (f"{live.url}{CACHE}", "wrong"),
        "no service": (f"{live.url}/api/v2/nosuch", live.api_key),
        "other": (other, live.api_key),
    }
    found = []
    for case in json.loads(TABLE.read_text()):
        url, key = places[case.get("cache", "live")]
        found.append({**case, "url": url, "key": key})
    return found


def php(transport: str) -> list[object]:
    """Return the program for PHP, by ``curl`` or by ``stream``; skip where there is none."""
    path = tools.tool("php")
    if transport == "curl" and "curl" not in tools.run(path, "-m").stdout.splitlines():
        pytest.skip("PHP's curl extension is not installed (`make test` installs it)")
    # Without an ini file there are no extensions but PHP's own. Every notice is told.
    without = ["-n"] if transport == "stream" else []
    told = ["-d", "error_reporting=-1", "-d", "display_errors=stderr"]
    return [path, *without, *told, CLIENTS / "conformance" / "run.php", transport]


def python(kind: str) -> list[object]:
    """Return the program for Python, ``sync`` or ``async``; PYTHONPATH says what it loads."""
    return [sys.executable, "-W", "error", CLIENTS / "conformance" / "run.py", kind]


def node() -> list[object]:
    """Return the program for Node; skip where there is none."""
    return [tools.tool("node"), CLIENTS / "conformance" / "run.js", "stdin"]


def start(command: Iterable[object], **environ: str) -> subprocess.Popen[str]:
    """Start a client's program; it waits for the cases on its standard input."""
    return subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, "PYTHONPATH": str(CLIENTS / "python"), **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def give(process: subprocess.Popen[str], given: list[dict[str, Any]]) -> None:
    """Give a program its cases, and go on beside it."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(given))
    process.stdin.close()
    process.stdin = None


def finish(process: subprocess.Popen[str], given: list[dict[str, Any]] | None) -> Any:
    """Give a program its cases, unless it has them; return what it printed."""
    try:
        text = None if given is None else json.dumps(given)
        output, errors = process.communicate(text, timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()) from None
    assert (process.returncode, errors) == (0, ""), output + errors
    return json.loads(output)


def run(command: Iterable[object], given: list[dict[str, Any]], **environ: str) -> Any:
    """Let a client's own program run the cases; return what it printed."""
    return finish(start(command, **environ), given)


def check(live: Service, given: list[dict[str, Any]], found: list[list[dict[str, Any]]]) -> None:
    """Compare the outcomes with the table; true is not 1, but 1.0 is, for JSON does not tell."""
    wrong = []
    assert len(found) == len(given)
    for case, outcomes in zip(given, found, strict=True):
        assert len(outcomes) == len(case["steps"]), case["name"]
        for step, outcome in zip(case["steps"], outcomes, strict=True):
            wanted = {key: step[key] for key in ("gives", "raises") if key in step}
            if _shape(outcome) != _shape(wanted):
                wrong.append(f"{case['name']}: {step} gave {outcome}")
    assert not wrong, "\n".join(line[:600] for line in wrong)
    assert call(live.port, "DELETE", CACHE).status == 200


def _shape(value: Any) -> Any:
    """Return a value in which True is not 1."""
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return str(value) if isinstance(value, bool) else (value,)
