"""Whether a Python was built with optimisations, and which one an environment is made with."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cacheapi.commands.diagnosis import interpreter
from tests.support.processes import REPOSITORY


@pytest.mark.parametrize(
    ("prefix", "arguments", "expected"),
    [
        ("/usr", "'--enable-shared' '--prefix=/usr'", True),
        ("/usr/local", "'--build=x86_64-linux-gnu' '--enable-optimizations' '--with-lto'", True),
        ("/root/.pyenv/versions/3.11.7", "'--prefix=/root/.pyenv/versions/3.11.7'", False),
        (r"C:\Python311", "", True),
    ],
)
def test_how_a_python_was_built(prefix: str, arguments: str, expected: bool) -> None:
    assert interpreter.optimised(prefix, arguments) is expected


def test_this_python_says_it_of_itself() -> None:
    script = interpreter.__file__
    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    built = interpreter.optimised(sys.base_prefix, sysconfig.get_config_var("CONFIG_ARGS") or "")
    version = f"{sys.version_info[0]} {sys.version_info[1]}"
    assert told.stdout == f"{'optimised' if built else 'plain'} {version}\n"


@pytest.mark.parametrize(
    ("own", "system", "expected"),
    [
        ("plain 3 11", "optimised 3 11", "system"),
        ("plain 3 11", "optimised 3 13", "python3"),
        ("plain 3 11", "plain 3 11", "python3"),
        ("plain 3 11", None, "python3"),
        ("optimised 3 12", "optimised 3 12", "python3"),
        (None, "optimised 3 11", "python3"),
        (None, None, "python3"),
    ],
)
def test_the_python_of_an_environment(
    own: str | None, system: str | None, expected: str, tmp_path: Path
) -> None:
    for name, says in (("python3", own), ("system", system)):
        if says is not None:
            (tmp_path / name).write_text(f"#!/bin/sh\necho {says}\n")
            (tmp_path / name).chmod(0o755)
    if own is None:
        # As one that is too old for the question, or there is none.
        (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "python3").chmod(0o755)
    found = subprocess.run(
        [REPOSITORY / "deploy" / "find-python", tmp_path / "system"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip().removeprefix(f"{tmp_path}/") == expected
