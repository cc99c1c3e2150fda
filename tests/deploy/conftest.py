"""What the tests of deploy/ share: the image of the Containerfile, which takes a minute to make."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
from pathlib import Path

import pytest

from tests.deploy import containerfile
from tests.deploy.containerfile import Failed, Stage
from tests.support.environment import copy_source
from tests.support.tools import tool


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Stage:
    """The last stage; of several processes that run tests, the first makes it."""
    if os.getuid() != 0:
        pytest.skip("only root can change the root of a process")
    tool("debootstrap")
    base = tmp_path_factory.getbasetemp()
    directory = (base if worker_id == "master" else base.parent) / "container"
    directory.mkdir(exist_ok=True)
    made = directory / "made"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.write_bytes(pickle.dumps(_make(directory)))
    stage = pickle.loads(made.read_bytes())
    if isinstance(stage, str):
        pytest.skip(stage)
    return stage


def _make(directory: Path) -> Stage | str:
    try:
        containerfile.debootstrap(directory / "base")
    except Failed as error:
        return f"no bare root could be made: {error}"
    context = directory / "context"
    copy_source(context)
    stage = containerfile.build(directory / "base", directory, context)
    for unneeded in (directory / "base", directory / "build"):
        shutil.rmtree(unneeded)
    return stage
