"""PHP, with the extensions that caches of PHP programs use."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.tools import run, tool


@functools.cache
def _modules() -> frozenset[str]:
    return frozenset(run(tool("php"), "-m").stdout.lower().split())


def php(code: str, *arguments: object, needs: tuple[str, ...] = ()) -> Any:
    """Run code of PHP; return what it printed, which is JSON.

    :param arguments: ``$argv[1]`` and on.
    :param needs: extensions; the test is skipped where one of them is not installed.
    """
    return _run(needs, "-r", code, "--", *arguments)


def script(path: Path, *arguments: object, needs: tuple[str, ...] = ()) -> Any:
    """Run a file of PHP as :func:`php` runs code; skip where Laravel's cache is not installed."""
    if not Path("/usr/share/php/Illuminate/Redis").is_dir():
        pytest.skip("php-illuminate-redis is not installed (`make test` installs it)")
    return _run(needs, path, *arguments)


def _run(needs: tuple[str, ...], *arguments: object) -> Any:
    for module in needs:
        if module not in _modules():
            pytest.skip(f"php-{module} is not installed (`make test` installs it)")
    done = run(tool("php"), "-d", "error_reporting=-1", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
