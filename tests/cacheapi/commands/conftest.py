"""The program in this very process: one call of it is a millisecond, and not a start of Python."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cacheapi.commands.main import cacheapi


class Program:
    """``cacheapi`` in a directory where a service is; ``settings`` are all that there are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "data" / "services").mkdir(mode=0o700, parents=True)
        self.settings = {
            "CACHEAPI_DATA_DIR": str(directory / "data"),
            "CACHEAPI_API_KEY": "the-key",
        }

    def run(self, *arguments: str, stdin: bytes | None = None) -> Result:
        """Run a command, to whatever end."""
        return CliRunner(env=dict(self.settings)).invoke(cacheapi, arguments, input=stdin)

    def __call__(self, *arguments: str, stdin: bytes | None = None, code: int = 0) -> str:
        """Run a command that ends with ``code``; return its stdout."""
        ended = self.run(*arguments, stdin=stdin)
        assert ended.exit_code == code, (arguments, ended.output, ended.exception)
        return ended.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with ``--json``; return what it printed."""
        return json.loads(self(*arguments, "--json", code=code))

    def fails(self, *arguments: str, code: int, stdin: bytes | None = None) -> str:
        """Run a command that fails and prints nothing but one line on stderr; return that."""
        ended = self.run(*arguments, stdin=stdin)
        assert (ended.exit_code, ended.stdout) == (code, ""), ended.output
        (line,) = ended.stderr.splitlines()
        assert line.startswith("cacheapi: ")
        return line.removeprefix("cacheapi: ")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    for name in os.environ:
        if name.startswith(("CACHE", "MEMCACHED_", "REDIS_")) or name in ("HOST", "PORT"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Program(tmp_path)
