"""examples/sql-api: started by one command, and faster through the cache."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.support.processes import REPOSITORY


def test_it_is_started_by_one_command_and_shows_the_difference() -> None:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CACHE", "MEMCACHED_", "REDIS_"))
    }
    ended = subprocess.run(
        [sys.executable, "examples/sql-api/run.py", "--measure"],
        cwd=REPOSITORY,
        env=kept | {"WEB_CONCURRENCY": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    direct, cached = (float(text) for text in re.findall(r"([\d.]+) ms", ended.stdout))
    assert cached < direct
    assert "Cache-Status:    cacheapi; hit; ttl=" in ended.stdout
