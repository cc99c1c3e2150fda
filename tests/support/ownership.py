"""A folder of a user that a service runs as, in which root works."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

_IS_ROOT: Final = os.geteuid() == 0
# Who is not root can give nothing away but to itself.
SOMEBODY: Final = 65534 if _IS_ROOT else os.geteuid()


def given_away(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of :data:`SOMEBODY`, and let this process be root's."""
    directory.mkdir(mode=0o700, exist_ok=True)
    os.chown(directory, SOMEBODY, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return directory


def owners(directory: Path) -> dict[str, int]:
    """Return who owns each thing in a folder."""
    return {
        str(path.relative_to(directory)): path.lstat().st_uid
        for path in sorted(directory.rglob("*"))
    }
