"""What is checked on the newest Python of the machine, where the tests run on another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY

OWN = sys.version_info.minor
TOOLS = "/usr/bin:/bin"


def check(home: Path, programs: Path) -> str:
    done = subprocess.run(
        [REPOSITORY / "tests/newest-python", sys.executable],
        cwd=home,
        env={"HOME": str(home), "PATH": f"{programs}:{TOOLS}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def put(programs: Path, name: str, text: str) -> None:
    program = programs / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


@pytest.mark.skipif(
    any(
        (Path(place) / f"python3.{minor}").exists()
        for place in TOOLS.split(":")
        for minor in range(11, 31)
        if minor != OWN
    ),
    reason="the system has another Python",
)
def test_with_no_other_python_one_line_says_so(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    # One that is switched off, as a shim of pyenv; and one that is not what its name says.
    put(programs, "python3.29", "exit 127")
    put(programs, "python3.28", f'exec {sys.executable} "$@"')
    said = check(tmp_path, programs)
    assert said == (
        f"No other Python than 3.{OWN} is here: what may differ on another is not checked.\n"
    )
    assert os.listdir(tmp_path) == ["bin"]
