"""The one table of cases, and what each client made of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from typing import Any

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


def run(command: Iterable[object], given: list[dict[str, Any]], **environ: str) -> Any:
    """Let a client's own program run the cases; return what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        input=json.dumps(given),
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


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
