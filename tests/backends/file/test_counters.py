"""The counters of the cache file: exact over processes, kills, forks and restarts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Item
from backends.file import counters as file_counters
from backends.file.backend import FileBackend
from backends.file.counters import Counters, Totals
from tests.conftest import Clock
from tests.support import scripts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters"


@pytest.fixture
def counters(path: Path) -> Iterator[Counters]:
    counters = Counters(path)
    yield counters
    counters.close()


def totals(path: Path) -> Totals:
    """Return what somebody else reads."""
    reader = Counters(path)
    found = reader.totals()
    reader.close()
    assert found is not None
    return found


def test_counts_add_up(counters: Counters, path: Path):
    counters.add(hits=3, misses=2, read=300)
    counters.add(stored=1000, evictions=5)
    counters.add(hits=2**40)
    found = totals(path)
    assert found[1:] == (2**40 + 3, 2, 1000, 300, 5)
    assert counters.totals() == found


def test_threads_lose_no_count(counters: Counters):
    def count() -> None:
        for _ in range(5000):
            counters.add(hits=1, misses=2)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = counters.totals()
    assert found is not None
    assert (found.hits, found.misses) == (20_000, 40_000)


COUNT = """
    import os, sys
    from pathlib import Path
    from backends.file.counters import Counters
    counters = Counters(Path(sys.argv[1]))
    for number in range(int(sys.argv[2])):
        counters.add(hits=1)
        if number == 100:
            print("counting", flush=True)
"""


def test_processes_count_at_once_and_one_after_another(path: Path):
    for generation in (1, 2):
        processes = [scripts.start(COUNT, path, 20_000) for _ in range(3)]
        for process in processes:
            scripts.finish(process)
        assert totals(path).hits == generation * 60_000


def test_a_killed_process_loses_no_count(path: Path):
    script = COUNT + "        if number == 500: os.kill(os.getpid(), 9)\n"
    for generation in (1, 2, 3):
        process = scripts.start(script, path, 1000)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert totals(path).hits == 501 * generation
    # Its slot is the next one's.
    words = memoryview(path.read_bytes()).cast("Q")
    assert [slot for slot in range(1, file_counters.SLOTS) if words[slot * 8]] == [1]


def test_a_forked_child_has_a_slot_of_its_own(path: Path):
    scripts.run(
        """
        import os, sys
        from pathlib import Path
        from backends.file.counters import Counters
        counters = Counters(Path(sys.argv[1]))
        counters.add(hits=1)
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                for _ in range(10_000):
                    counters.add(hits=1)
                os._exit(0)
            children.append(child)
        for _ in range(10_000):
            counters.add(hits=1)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
        """,
        path,
    )
    assert totals(path).hits == 30_001


def test_counting_goes_on_where_the_file_was_deleted(
    counters: Counters, path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(file_counters, "CALLS_A_LOOK", 10)
    counters.add(hits=100)
    path.unlink()
    for _ in range(30):
        counters.add(hits=1)
    assert 20 <= totals(path).hits <= 30


def test_where_nothing_can_be_counted_nothing_fails(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(file_counters, "CALLS_A_LOOK", 10)
    path.mkdir()
    counters = Counters(path)
    for _ in range(100):
        counters.add(hits=1, stored=1, evictions=1)
    assert counters.totals() is None
    assert len(caplog.records) == 1
    path.rmdir()
    for _ in range(30):
        counters.add(hits=1)
    assert 20 <= totals(path).hits <= 30
    counters.close()


def test_a_file_of_another_layout_is_left_alone(path: Path):
    content = b"\xff" * file_counters.SIZE
    path.write_bytes(content)
    counters = Counters(path)
    counters.add(hits=1)
    assert counters.totals() is None
    counters.close()
    assert path.read_bytes() == content


def test_damaged_counts_fail_no_request(path: Path):
    Counters(path).add(hits=1)
    content = bytearray(path.read_bytes())
    content[64:128] = b"\xff" * 64
    path.write_bytes(content)
    counters = Counters(path)
    counters.add(hits=2, misses=2, stored=2, read=2, evictions=2)
    assert counters.totals() is not None
    counters.close()


def test_more_processes_than_slots_are_not_counted(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file_counters, "SLOTS", 3)
    every = [Counters(path) for _ in range(3)]
    for counters in every:
        counters.add(hits=1)
    assert every[0].totals()[1] == 2  # type: ignore[index]
    assert every[2].totals() is None
    for counters in every:
        counters.close()


def test_the_backend_counts(tmp_path: Path, clock: Clock):
    backend = FileBackend(data_dir=str(tmp_path), max_mb=1, clock=clock)
    backend.set_many([Item(key, b"12345", None) for key in "abc"])
    backend.set("d", b"1", 1)
    backend.add("e", b"1", None)
    assert backend.get_many(["a", "b", "x"])
    assert backend.get("c")
    assert not backend.get("y")
    assert backend.get_with_token("a")
    assert backend.get_and_delete("a")
    assert not backend.get_and_delete("a")
    backend.increment("e", 1)
    clock.advance(1)
    (server,) = backend.stats()
    figures = server.figures
    assert figures is not None
    assert (figures.get_hits, figures.get_misses) == (5, 3)
    assert (figures.bytes_read, figures.bytes_written) == (17, 25)
    assert (figures.curr_items, figures.evictions) == (4, 0)
    assert figures.uptime is not None
    assert figures.uptime >= 0
    stored = 0
    for number in range(100):
        stored += 1
        backend.set(f"large{number}", b"v" * 20_000, None)
    (server,) = backend.stats()
    assert server.figures is not None
    assert server.figures.evictions + server.figures.curr_items == 3 + stored
    backend.close()
    again = FileBackend(data_dir=str(tmp_path), max_mb=1)
    (server,) = again.stats()
    assert server.figures is not None
    assert server.figures.get_hits == 5
    again.close()


def test_a_backend_that_cannot_count_reads_and_writes(tmp_path: Path):
    (tmp_path / "cache.sqlite3.counters").mkdir()
    backend = FileBackend(data_dir=str(tmp_path))
    backend.set("key", b"value", None)
    assert backend.get("key") == b"value"
    (server,) = backend.stats()
    assert server.figures is not None
    assert (server.figures.curr_items, server.figures.get_hits) == (1, None)
    backend.close()


def test_others_may_not_read_the_counters(path: Path):
    previous = os.umask(0)
    try:
        Counters(path).add(hits=1)
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o600
