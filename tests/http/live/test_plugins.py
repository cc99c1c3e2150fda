"""A plugin behind gunicorn: a broken one stops the start, unless nobody selects it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.http.live.test_start import environ
from tests.support.live import call
from tests.support.plugins import BROKEN, SECRET
from tests.support.processes import REPOSITORY, service


@pytest.mark.parametrize(
    "name",
    [
        "import error",
        "another class",
        "missing method",
        "missing service_name",
        "flag without its method",
        "constructor",
    ],
)
def test_a_broken_plugin_stops_the_start_with_one_line(tmp_path: Path, name: str) -> None:
    BROKEN[name].install(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "wsgi:app"],
        cwd=REPOSITORY,
        env=environ(tmp_path / "data", CACHE_DRIVER="lru", PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [f"cacheapi cannot start. {BROKEN[name].message}"]
    assert SECRET not in ended.stderr


def test_a_broken_plugin_that_is_not_selected_is_left_out(tmp_path: Path) -> None:
    BROKEN["import error"].install(tmp_path)
    settings = {"CACHE_DRIVER": "file", "WEB_CONCURRENCY": "1", "PYTHONPATH": str(tmp_path)}
    with service(tmp_path, **settings) as live:
        assert "lru" not in live.log.read_text()
        types = call(live.port, "GET", "/api/v2/system/service_type")
        assert types.status == 200
        assert "lru" not in [kind["driver"] for kind in types.json["resource"]]
        (line,) = [line for line in live.log.read_text().splitlines() if "lru" in line]
    assert line.endswith(f"[WARNING] {BROKEN['import error'].message}")
