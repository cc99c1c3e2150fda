"""Processes that tell each other of changes: those that hang, and those that were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cacheapi.registry import colleagues
from cacheapi.registry.colleagues import Colleagues
from tests.support.processes import REPOSITORY, eventually


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the others for as long as a busy machine may keep them."""
    monkeypatch.setattr(colleagues, "MOST_SECONDS", 60.0)


OTHER = """
import sys, threading
from pathlib import Path
from cacheapi.registry.colleagues import Colleagues
mine = Colleagues(Path(sys.argv[1]))
mine.begin(0)
print("ready", flush=True)
while True:
    mine.wait(threading.Event(), 60)
    mine.note(int(Path(sys.argv[2]).read_text()))
"""


def other(directory: Path, number: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(directory), str(number)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_a_change_is_told_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = tmp_path / "number"
    number.write_text("7")
    processes = [other(tmp_path / "all", number) for _ in range(3)]
    try:
        me = Colleagues(tmp_path / "all")
        # Who is not one of them, as a command, may tell too.
        assert me.tell(7) is True
        me.begin(0)
        assert me.tell(7) is True
        assert len([*(tmp_path / "all").iterdir()]) == 8
        # One that has not got so far is waited for, and not for ever.
        started = time.monotonic()
        with monkeypatch.context() as patch:
            patch.setattr(colleagues, "MOST_SECONDS", 0.5)
            assert me.tell(8) is False
        assert time.monotonic() - started >= 0.5
        # One that is gone is not.
        for process in processes:
            process.kill()
            process.wait()
        assert me.tell(8) is True
        assert len([*(tmp_path / "all").iterdir()]) == 2
        me.end()
        assert [*(tmp_path / "all").iterdir()] == []
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_who_was_killed_is_forgotten_at_the_next_start(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    process = other(tmp_path / "all", number)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert len([*(tmp_path / "all").iterdir()]) == 2
    me = Colleagues(tmp_path / "all")
    me.begin(0)
    assert len([*(tmp_path / "all").iterdir()]) == 2
    me.end()


def test_a_wait_ends_when_somebody_tells(tmp_path: Path) -> None:
    me, you = Colleagues(tmp_path), Colleagues(tmp_path)
    me.begin(0)
    you.begin(0)
    woken = threading.Event()

    def wait() -> None:
        me.wait(threading.Event(), 60)
        me.note(3)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert you.tell(3) is True
    assert woken.wait(10)
    thread.join()
    thread = threading.Thread(target=me.wait, args=(threading.Event(), 60))
    thread.start()
    me.wake()
    thread.join(10)
    assert not thread.is_alive()
    me.end()
    you.end()


def test_without_a_place_for_it_everything_works_as_on_other_machines(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    me = Colleagues(tmp_path / "file")
    me.begin(0)
    me.note(1)
    me.wake()
    assert me.tell(1) is True
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    me.wait(stop, 60)
    eventually(stop.is_set, 5)
    me.end()
