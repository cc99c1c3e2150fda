"""clients/python: the table, on what its distribution installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conformance import CLIENTS, check, python, run
from tests.support.processes import Service

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which pip installed the distribution."""
    directory = tmp_path_factory.mktemp("python-client")
    source = shutil.copytree(CLIENTS / "python", directory / "source")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--no-compile", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *offline]
    subprocess.run([*command, "--target", directory / "site", source], check=True, timeout=300)
    return directory / "site"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_table(live: Service, table: list[Any], installed: Path, kind: str) -> None:
    check(live, table, run(python(kind), table, PYTHONPATH=str(installed)))
