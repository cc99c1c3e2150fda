"""A virtual environment beside the tests' own, for what is installed rather than checked out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

from tests.support.processes import REPOSITORY


def copy_source(target: Path) -> None:
    """Copy what a distribution is made of, so that making it leaves nothing in the checkout."""
    unneeded = shutil.ignore_patterns(".*", "var", "build", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(REPOSITORY, target, ignore=unneeded)


class Environment:
    """A virtual environment in ``directory``, used from an empty directory beside it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "venv"
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir(exist_ok=True)

    def make_with_own_packages(self) -> None:
        """Make it with the packages of this environment in its sight, so that it needs no network.

        What is installed into it comes first.
        """
        venv.create(self.path, with_pip=False, symlinks=True)
        (packages,) = self.path.glob("lib/python*/site-packages")
        (packages / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")

    def environ(self, **settings: str) -> dict[str, str]:
        """Return the environment of its programs; the settings are those given and no others."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CACHE", "MEMCACHED_", "REDIS_", "PYTHON", "COV_"))
            and name not in ("HOST", "PORT", "WEB_CONCURRENCY", "VIRTUAL_ENV")
        }
        return kept | settings

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.path / "bin" / name)

    def run(self, program: str, *arguments: str, **settings: str):
        """Run one of its programs."""
        return subprocess.run(
            [self.program(program), *arguments],
            cwd=self.elsewhere,
            env=self.environ(**settings),
            capture_output=True,
            text=True,
            timeout=240,
        )

    def python(self, script: str, **settings: str):
        return self.run("python", "-c", script, **settings)
