"""A signal that reaches a process as it is forked ends it, and nothing else."""

from __future__ import annotations

import subprocess
import sys

# A master as gunicorn is one: its handler notes what comes, and a child that has it goes on.
PROGRAM = """
import os, signal, sys, time
from cacheapi.serving.forking import ENDING, heed_signals_from_the_start

noted = []
for number in ENDING:
    signal.signal(number, lambda number, frame: noted.append(number))
if sys.argv[1] == "heed":
    heed_signals_from_the_start()
statuses = []
for number in ENDING:
    child = os.fork()
    if not child:
        # It has not set its own handlers yet.
        time.sleep(0.2 if sys.argv[1] != "heed" else 60)
        os._exit(7)
    os.kill(child, number)
    statuses.append(os.waitpid(child, 0)[1])
    os.kill(os.getpid(), number)
assert noted == list(ENDING), noted
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
print(*map(os.waitstatus_to_exitcode, statuses))
"""


def run(way: str) -> str:
    command = [sys.executable, "-c", PROGRAM, way]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout


def test_a_child_ends_at_once_and_the_parent_has_its_handlers() -> None:
    assert run("heed") == "0 0 0\n"


def test_without_it_the_signal_is_lost() -> None:
    assert run("not") == "7 7 7\n"
