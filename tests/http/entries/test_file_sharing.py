"""The cache file is shared: what one process has stored, every other one sees."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from backends.base import MISSING
from backends.file.backend import FileBackend

OPEN_AND_CLOSE = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(database.execute("SELECT count(*) FROM entries").fetchone()[0])
database.close()
"""


def test_a_process_that_leaves_does_not_take_the_log_of_those_that_stay(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite3"

    def count_in_another_process() -> int:
        command = [sys.executable, "-c", OPEN_AND_CLOSE, path]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    backend = FileBackend(data_dir=str(tmp_path))
    backend.set("first", b"1", None)
    reading, done = threading.Event(), threading.Event()

    def hold_a_connection(sqlite: object) -> None:
        reading.set()
        done.wait(10)

    holder = threading.Thread(target=backend._database.read, args=(hold_a_connection,))
    holder.start()
    assert reading.wait(10)
    # The second connection of this process.
    assert backend.get("absent") is MISSING
    done.set()
    holder.join()
    assert count_in_another_process() == 1
    assert (tmp_path / "cache.sqlite3-wal").exists()
    backend.set("second", b"2", None)
    assert count_in_another_process() == 2
    backend.close()
