"""The file backend: expiry, eviction, several processes, damage, locks, full disks."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backends.base import MISSING, Item
from backends.errors import BackendError, InvalidOption, OutOfMemory, Timeout, Unavailable
from backends.file import counters as file_counters
from backends.file import database as file_database
from backends.file import entries, freeing, rows
from backends.file.backend import FileBackend
from backends.file.entries import Entries
from backends.file.housekeeping import GRAIN, WALK, WRITES_A_WALK
from backends.file.opening import PAGE_BYTES
from backends.file.recent import Recent, most_open
from backends.file.seen import MAX_BYTES, Connection
from tests.conftest import Clock
from tests.support import scripts
from tests.support.processes import eventually
from tests.support.timing import Stopwatch

Open = Callable[..., FileBackend]
free = freeing._free


@pytest.fixture
def open_backend(tmp_path: Path) -> Iterator[Open]:
    """A way to open more backends on the test's directory."""
    with contextlib.ExitStack() as stack:

        def open_one(**options: object) -> FileBackend:
            backend = FileBackend(**{"data_dir": str(tmp_path), **options})
            stack.callback(backend.close)
            return backend

        yield open_one


def cache_file(directory: Path) -> Path:
    return directory / "cache.sqlite3"


@contextlib.contextmanager
def plain_sqlite(directory: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the cache file of somebody else."""
    with contextlib.closing(
        sqlite3.connect(cache_file(directory), isolation_level=None)
    ) as connection:
        yield connection


def keys_in(directory: Path) -> set[str]:
    """Return what is in the file, expired or not."""
    with plain_sqlite(directory) as connection:
        return {key.decode() for (key,) in connection.execute("SELECT key FROM entries")}


def assert_sound(directory: Path) -> None:
    with plain_sqlite(directory) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# Expiry


@pytest.mark.parametrize("ttl", [0.5, 1, 90, 31 * 86400, 10.0**9])
def test_an_entry_is_there_until_its_lifetime_ends(open_backend: Open, clock: Clock, ttl: float):
    backend = open_backend(clock=clock)
    backend.set("key", b"value", ttl)
    clock.advance(ttl - 0.25)
    assert backend.get("key") == b"value"
    clock.advance(0.25)
    assert backend.get("key") is MISSING
    assert backend.get_many(["key"]) == {}
    assert backend.list_keys("", 10, None) == ([], None)
    assert backend.get_with_token("key") is MISSING


def test_an_expired_entry_is_absent_to_every_write(open_backend: Open, clock: Clock):
    backend = open_backend(clock=clock)
    backend.set("key", b"1", 10)
    token = backend.get_with_token("key").token
    # More expired entries than a write removes on its way.
    backend.set_many([Item(f"other{number}", b"", 1) for number in range(100)])
    clock.advance(10)
    assert backend.touch("key", 60) is False
    assert backend.replace("key", b"2", 60) is False
    assert backend.compare_and_set("key", b"2", token, 60) is False
    assert backend.compare_and_delete("key", token) is False
    assert backend.increment("key", 1) is MISSING
    assert backend.get_and_delete("key") is MISSING
    assert backend.delete("key") is False
    assert backend.add("key", b"2", None) is True
    assert backend.get("key") == b"2"


def test_touch_and_set_give_a_new_lifetime_and_counting_leaves_it(open_backend: Open, clock: Clock):
    backend = open_backend(clock=clock)
    backend.set_many([Item(key, b"1", 10) for key in ("touched", "set", "counted", "for ever")])
    clock.advance(5)
    backend.touch("touched", 10)
    backend.set("set", b"2", 10)
    backend.increment("counted", 1)
    backend.touch("for ever", None)
    clock.advance(5)
    keys = ["touched", "set", "counted", "for ever"]
    assert backend.get_many(keys).keys() == {"touched", "set", "for ever"}
    clock.advance(5)
    assert backend.get_many(keys).keys() == {"for ever"}


def test_later_writes_remove_expired_entries(open_backend: Open, clock: Clock, tmp_path: Path):
    backend = open_backend(clock=clock)
    backend.set_many([Item(f"expired{number}", b"", 10) for number in range(20)])
    clock.advance(20)
    for number in range(WRITES_A_WALK):
        backend.set(f"live{number % 3}", b"", None)
    assert keys_in(tmp_path) == {"live0", "live1", "live2"}


@pytest.mark.parametrize("batch", [1, 10, 500])
def test_writes_keep_the_expired_few(open_backend: Open, clock: Clock, tmp_path: Path, batch: int):
    backend = open_backend(clock=clock)
    for start in range(0, 2500, batch):
        backend.set_many([Item(f"{number}", b"", 500) for number in range(start, start + batch)])
        clock.advance(batch)
    # 500 live, and as many that expired since the last walk came by.
    assert len(keys_in(tmp_path)) <= 500 + 500 + 2 * max(batch, WALK)


def test_no_write_removes_many(open_backend: Open, clock: Clock, tmp_path: Path):
    backend = open_backend(clock=clock)
    backend.set_many([Item(f"{number}", b"", 500) for number in range(2500)])
    clock.advance(500)
    left = 2500
    while left > 1:
        backend.set("live", b"", None)
        now = len(keys_in(tmp_path))
        assert left - WALK <= now <= left + 1
        left = now


# Eviction


def mixed_sizes() -> Iterator[int]:
    chance = random.Random(7)
    while True:
        yield chance.choice([0, 10, 3000, 4000, 5000, 60_000, 131_072])


@pytest.mark.parametrize(
    ("sizes", "key_bytes"),
    [
        (itertools.repeat(100), 10),
        (itertools.repeat(0), 1024),
        (itertools.repeat(3000), 10),
        (itertools.repeat(PAGE_BYTES), 10),
        (itertools.repeat(131_072), 10),
        (mixed_sizes(), 100),
    ],
    ids=["small", "long keys", "3 kB", "a page", "largest", "mixed"],
)
def test_the_file_stays_within_its_bound(
    open_backend: Open, tmp_path: Path, sizes: Iterator[int], key_bytes: int
):
    backend = open_backend(max_mb=1)
    written, number = 0, 0
    while written < 5 * 2**20:
        items = []
        for size in itertools.islice(sizes, 250):
            number += 1
            items.append(Item(f"{number:0{key_bytes}}", os.urandom(size), None))
            written += size + key_bytes
        assert backend.set_many(items) == [True] * len(items)
        backend.set("single", items[-1].value, None)
        assert cache_file(tmp_path).stat().st_size <= 2**20
        assert backend.get("single") == items[-1].value
        assert backend.get(items[-1].key) == items[-1].value
    backend.close()
    assert cache_file(tmp_path).stat().st_size <= 2**20
    assert cache_file(tmp_path).stat().st_size > 2**19
    assert_sound(tmp_path)


def test_a_full_file_still_takes_the_largest_value(open_backend: Open, tmp_path: Path):
    backend = open_backend(max_mb=1)
    backend.set_many([Item(f"{number:05}", b"v" * 50, None) for number in range(20_000)])
    largest = os.urandom(backend.limits.max_value_bytes)
    backend.set("largest", largest, None)
    assert backend.get("largest") == largest
    assert cache_file(tmp_path).stat().st_size <= 2**20


def test_expired_entries_make_room_before_live_ones(open_backend: Open, clock: Clock):
    backend = open_backend(clock=clock, max_mb=1)
    live = [f"live{number}" for number in range(50)]
    backend.set_many([Item(key, b"v" * 2000, None) for key in live])
    clock.advance(60)
    for number in range(350):
        backend.set(f"expired{number}", b"v" * 2000, 10)
    assert backend.get_many(live).keys() == set(live)
    clock.advance(60)
    backend.set("large", b"v" * 130_000, None)
    backend.set("large too", b"v" * 130_000, None)
    assert backend.get_many(live).keys() == set(live)


@pytest.mark.parametrize("read", ["get", "get_many", "get_with_token", "none"])
def test_the_least_recently_used_entry_goes_first(open_backend: Open, clock: Clock, read: str):
    backend = open_backend(clock=clock, max_mb=1)
    keys = [f"key{number:03}" for number in range(40)]
    for key in keys:
        backend.set(key, b"v" * 20_000, None)
        clock.advance(1)
    assert keys[0] in backend.get_many(keys)
    clock.advance(1)
    backend.set("notes are written by this", b"", None)
    clock.advance(GRAIN)
    if read == "get_many":
        backend.get_many([keys[0], "none"])
    elif read != "none":
        getattr(backend, read)(keys[0])
    for number in range(60):
        clock.advance(1)
        backend.set(f"new{number:03}", b"v" * 20_000, None)
        if len(backend.list_keys("key", 100, None)[0]) < 20:
            break
    left = backend.list_keys("key", 100, None)[0]
    assert (keys[0] in left) is (read != "none")


def test_what_is_used_outlives_what_is_not(open_backend: Open, clock: Clock):
    """With more entries than a sample has, of which a tenth is read again and again."""
    backend = open_backend(clock=clock, max_mb=1)
    hot = [f"hot{number}" for number in range(100)]
    for number, key in enumerate(hot):
        backend.set_many([Item(name, b"v" * 400, None) for name in (key, f"cold{number}")])
    for number in range(600):
        clock.advance(GRAIN)
        backend.get_many(hot)
        backend.set_many([Item(f"new{number}-{n}", b"v" * 400, None) for n in range(10)])
    found = backend.get_many([*hot, *(f"cold{number}" for number in range(100))])
    assert len(found.keys() & set(hot)) >= 95
    assert len(found) - len(found.keys() & set(hot)) <= 5


def test_eviction_ends_when_nothing_is_left(open_backend: Open, tmp_path: Path):
    backend = open_backend(max_mb=1)
    backend.set("key", b"value", None)
    with plain_sqlite(tmp_path) as connection:
        connection.execute("CREATE TABLE somebody_elses (value BLOB)")
        connection.execute("INSERT INTO somebody_elses VALUES (zeroblob(1000000))")
    with pytest.raises(OutOfMemory):
        backend.set("large", bytes(120_000), None)
    assert backend.get("large") is MISSING


def test_entries_are_evicted_in_the_order_of_their_use(open_backend: Open, clock: Clock):
    backend = open_backend(clock=clock, max_mb=1)
    keys = [f"key{number:03}" for number in range(200)]
    for key in keys:
        backend.set(key, b"v" * 20_000, None)
        clock.advance(1)
    left = backend.list_keys("", 1000, None)[0]
    assert 20 < len(left) < 52
    assert left == keys[-len(left) :]


# Several processes


def test_counts_of_several_processes_are_exact(open_backend: Open, tmp_path: Path):
    backend = open_backend()
    backend.set("count", b"0", None)
    script = """
        import sys
        from backends.file.backend import FileBackend
        backend = FileBackend(data_dir=sys.argv[1], timeout=20)
        for number in range(150):
            backend.increment("count", 1)
            backend.set(f"{sys.argv[2]}-{number}", b"value", None)
    """
    processes = [scripts.start(script, tmp_path, number) for number in range(4)]
    for process in processes:
        scripts.finish(process)
    assert backend.get("count") == b"600"
    keys = [f"{process}-{number}" for process in range(4) for number in range(150)]
    assert backend.get_many(keys) == dict.fromkeys(keys, b"value")
    backend.close()
    assert_sound(tmp_path)


def test_backends_on_one_file_see_what_each_other_did(open_backend: Open, clock: Clock):
    """Random operations on three backends, which remember what they read, beside a model."""
    backends = [open_backend(clock=clock) for _ in range(3)]
    chance = random.Random(11)
    keys = [f"key{number}" for number in range(12)]
    model: dict[str, tuple[bytes, float]] = {}

    def live() -> dict[str, bytes]:
        return {key: value for key, (value, end) in model.items() if end > clock.now}

    for turn in range(4000):
        backend, key, value = chance.choice(backends), chance.choice(keys), b"%d" % turn
        match chance.randrange(24):
            case 0:
                backend.set(key, value, 20)
                model[key] = (value, clock.now + 20)
            case 1:
                assert backend.delete(key) is (key in live())
                model.pop(key, None)
            case 2:
                assert backend.touch(key, 5) is (key in live())
                if key in live():
                    model[key] = (model[key][0], clock.now + 5)
            case 3:
                if backend.add(key, value, 50):
                    assert key not in live()
                    model[key] = (value, clock.now + 50)
            case 4:
                assert backend.get_and_delete(key) == live().get(key, MISSING)
                model.pop(key, None)
            case 5:
                clock.advance(1)
            case 6 if turn % 5 == 0:
                backend.flush()
                model.clear()
            case choice if choice % 2:
                assert backend.get(key) == live().get(key, MISSING)
            case _:
                assert backend.get_many([*keys, "never"]) == live()


def test_what_is_remembered_is_bounded(open_backend: Open):
    backend = open_backend()
    backend.set_many([Item(f"{number}", b"v" * 10_000, None) for number in range(1500)])
    backend.set("large", b"v" * 100_000, None)

    def remembered(sqlite: Connection) -> set[bytes]:
        return set(sqlite.seen())

    for number in range(1500):
        assert backend.get(f"{number}") == b"v" * 10_000
        assert backend.get("large") == b"v" * 100_000
        assert backend.get(f"{number}") == b"v" * 10_000
        assert len(backend._database.read(remembered)) * 10_000 < MAX_BYTES
    assert b"large" not in backend._database.read(remembered)
    assert b"1499" in backend._database.read(remembered)


def test_processes_that_start_together_lay_out_one_file(tmp_path: Path):
    script = """
        import sys
        from backends.file.backend import FileBackend
        backend = FileBackend(data_dir=sys.argv[1], timeout=20)
        sys.stdin.readline()
        print(backend.add("key", sys.argv[2].encode(), None))
    """
    processes = [scripts.start(script, tmp_path / "new", number) for number in range(4)]
    outputs = sorted(scripts.finish(process) for process in processes)
    assert outputs == ["False\n", "False\n", "False\n", "True\n"]
    assert not list(tmp_path.glob("new/*.damaged"))


def test_a_forked_child_works_beside_its_parent(tmp_path: Path):
    output = scripts.run(
        """
        import os, sys
        from backends.file.backend import FileBackend
        backend = FileBackend(data_dir=sys.argv[1], timeout=5)
        backend.set("key", b"parent", None)
        assert backend.get("key") == b"parent"
        child = os.fork()
        if child == 0:
            good = backend.get("key") == b"parent"
            backend.set("child", b"was here", None)
            backend.set("count", b"0", None)
            for _ in range(100):
                backend.increment("count", 1)
            backend.close()
            os._exit(0 if good else 1)
        for _ in range(100):
            backend.set("parent", b"was here", None)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        found = backend.get_many(["key", "child", "parent", "count"])
        print(*sorted(found.items()))
        """,
        tmp_path,
    )
    assert output == (
        "('child', b'was here') ('count', b'100') ('key', b'parent') ('parent', b'was here')\n"
    )
    assert_sound(tmp_path)


def test_nothing_acknowledged_is_lost_when_a_writer_is_killed(open_backend: Open, tmp_path: Path):
    script = """
        import sys
        from backends.file.backend import FileBackend
        backend = FileBackend(data_dir=sys.argv[1])
        for number in range(1_000_000):
            backend.set(f"{sys.argv[2]}-{number}", b"%d" % number * 500, None)
            print(number, flush=True)
    """
    acknowledged: dict[str, bytes] = {}
    for generation in range(3):
        writer = scripts.start(script, tmp_path, generation)
        lines = list(itertools.islice(writer.stdout, 150 + 37 * generation))
        writer.kill()
        # Not by communicate(): it passes over what the reading of lines has in its buffer.
        lines.append(writer.stdout.read())
        writer.communicate()
        numbers = [int(line) for line in "".join(lines).split("\n")[:-1]]
        acknowledged |= {f"{generation}-{number}": b"%d" % number * 500 for number in numbers}
        backend = open_backend(timeout=0.5)
        backend.set("no lock is left", b"", None)
        assert backend.get_many(acknowledged) == acknowledged
    assert len(acknowledged) > 500
    backend.close()
    assert_sound(tmp_path)
    assert not list(tmp_path.glob("*.damaged"))


ANOTHER_PROCESS = """
    import sys
    from backends.file.backend import FileBackend
    backend = FileBackend(data_dir=sys.argv[1])
    print(backend.get(sys.argv[2]))
    backend.close()
"""


def test_a_process_that_comes_and_goes_costs_no_other_its_writes(
    open_backend: Open, tmp_path: Path
):
    backend = open_backend()
    backend.set("key", b"1", None)
    barrier = threading.Barrier(2)

    def read(_: int) -> object:
        return backend._database.read(lambda _: barrier.wait(10))

    # Two threads at once: the second opens a connection while the first has one.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read, range(2)))
    assert scripts.run(ANOTHER_PROCESS, tmp_path, "key") == "b'1'\n"
    backend.set("key", b"2", None)
    assert backend.get("key") == b"2"
    assert scripts.run(ANOTHER_PROCESS, tmp_path, "key") == "b'2'\n"
    assert open_backend().get("key") == b"2"


def test_a_forked_child_keeps_its_writes_when_its_parent_closes(tmp_path: Path):
    scripts.run(
        """
        import os, sys, time
        from backends.file.backend import FileBackend
        backend = FileBackend(data_dir=sys.argv[1])
        backend.set("key", b"parent", None)
        opened, closed = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            good = backend.get("key") == b"parent"
            os.write(opened[1], b"1")
            os.read(closed[0], 1)
            backend.set("key", b"child", None)
            os._exit(0 if good else 1)
        os.read(opened[0], 1)
        backend.close()
        os.write(closed[1], b"1")
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        """,
        tmp_path,
    )
    assert scripts.run(ANOTHER_PROCESS, tmp_path, "key") == "b'child'\n"


def test_values_outlive_the_process(open_backend: Open, tmp_path: Path):
    scripts.run(
        """
        import sys
        from backends.file.backend import FileBackend
        FileBackend(data_dir=sys.argv[1]).set("key", b"value", None)
        """,
        tmp_path,
    )
    assert open_backend().get("key") == b"value"


# Damage


def fill(backend: FileBackend) -> None:
    backend.set_many([Item(f"key{number}", b"secret" * 100, None) for number in range(200)])


def spoil_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xde\xad\xbe\xef" * 25)


def spoil_pages(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(os.urandom(size - PAGE_BYTES))


def spoil_first_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (PAGE_BYTES - 100))


def spoil_values(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"secret", b"public"))


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES)


def write_text(path: Path) -> None:
    path.write_text("no database at all\n" * 1000)


def change_version(path: Path) -> None:
    with plain_sqlite(path.parent) as connection:
        connection.execute("PRAGMA user_version = 99")


DAMAGES = [
    spoil_header,
    spoil_pages,
    spoil_first_page,
    spoil_values,
    halve,
    write_text,
    change_version,
]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("first", ["get", "set", "get_many"])
def test_a_damaged_file_is_moved_aside(
    open_backend: Open,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    first: str,
):
    before = open_backend()
    fill(before)
    before.close()
    path = cache_file(tmp_path)
    damage(path)
    damaged = path.read_bytes()
    keys = [f"key{number}" for number in range(200)]
    backend = open_backend()
    if first == "set":
        backend.set("other", b"", None)
    elif first == "get":
        assert backend.get("key0") in (MISSING, b"secret" * 100)
    # What is not damaged may still be right; what is, is never given out.
    assert set(backend.get_many(keys).values()) <= {b"secret" * 100}
    assert [backend.get(key) for key in keys] == [MISSING] * 200
    aside = (tmp_path / "cache.sqlite3.damaged").read_bytes()
    # What was written since may have got there.
    assert aside == damaged or first == "set"
    (message,) = errors(caplog)
    assert "damaged" in message
    backend.set("new", b"value", None)
    for _ in range(3):
        again = open_backend()
        assert again.get("new") == b"value"
        again.set("new", b"value", None)
        again.close()
    assert len(errors(caplog)) == 1
    backend.close()
    assert_sound(tmp_path)


def test_a_value_under_another_key_is_damage(open_backend: Open, tmp_path: Path):
    backend = open_backend()
    backend.set("key", b"value", None)
    with plain_sqlite(tmp_path) as connection:
        connection.execute("UPDATE entries SET key = ?", (b"other",))
    assert backend.get("other") is MISSING
    assert (tmp_path / "cache.sqlite3.damaged").exists()


def test_the_file_of_an_earlier_version_is_begun_anew(
    open_backend: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with plain_sqlite(tmp_path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE entries (id INTEGER PRIMARY KEY, key BLOB, value BLOB)")
        connection.execute("INSERT INTO entries (key, value) VALUES (x'6b', x'76')")
        connection.execute("PRAGMA user_version = 1")
    one, two = open_backend(), open_backend()
    assert one.get("k") is MISSING
    one.set("k", b"value", None)
    assert two.get("k") == b"value"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "earlier version" in record.message
    assert not list(tmp_path.glob("*.damaged"))
    one.close()
    assert_sound(tmp_path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_under_an_open_backend_gives_no_wrong_value(
    open_backend: Open, tmp_path: Path, damage: Callable[[Path], None]
):
    backend = open_backend()
    fill(backend)
    with plain_sqlite(tmp_path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(cache_file(tmp_path))
    for number in range(200):
        assert backend.get(f"key{number}") in (MISSING, b"secret" * 100)
        backend.set(f"new{number}", b"value", None)
        assert backend.get(f"new{number}") == b"value"
    other = open_backend()
    assert other.get("new199") in (b"value", MISSING)
    other.set("other", b"value", None)
    assert other.get("other") == backend.get("other") == b"value"


@pytest.mark.parametrize("open_meanwhile", [True, False])
def test_an_emptied_file_is_a_new_cache(open_backend: Open, tmp_path: Path, open_meanwhile: bool):
    backend = open_backend()
    fill(backend)
    if not open_meanwhile:
        backend.close()
    os.truncate(cache_file(tmp_path), 0)
    assert backend.get("key1") in (MISSING, b"secret" * 100)
    backend.set("key", b"value", None)
    assert backend.get("key") == b"value"
    backend.close()
    other = open_backend()
    assert other.get("key") == b"value" or open_meanwhile
    other.set("key", b"value", None)
    assert open_backend().get("key") == b"value"


@pytest.mark.parametrize("names", [["cache.sqlite3"], ["cache.sqlite3*"]], ids=["file", "all"])
def test_a_file_deleted_under_an_open_backend_is_begun_anew(
    open_backend: Open, tmp_path: Path, names: list[str]
):
    one, two = open_backend(), open_backend()
    fill(one)
    assert two.get("key1") == b"secret" * 100
    for name in names:
        for path in tmp_path.glob(name):
            path.unlink()
    assert one.get("key1") is MISSING
    one.set("key", b"value", None)
    assert two.get("key") == b"value"
    two.set("key", b"other", None)
    assert one.get("key") == b"other"


def test_of_several_backends_on_a_damaged_file_one_moves_it(
    open_backend: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for round_ in range(8):
        directory = tmp_path / str(round_)
        before = open_backend(data_dir=str(directory))
        fill(before)
        before.close()
        spoil_header(cache_file(directory))
        backends = [open_backend(data_dir=str(directory), timeout=5) for _ in range(6)]
        keys = {backend: f"mine{number}" for number, backend in enumerate(backends)}
        barrier = threading.Barrier(len(backends))

        def begin(backend: FileBackend, keys=keys, barrier=barrier) -> None:
            barrier.wait(10)
            backend.set(keys[backend], b"value", None)

        caplog.clear()
        with ThreadPoolExecutor(len(backends)) as pool:
            list(pool.map(begin, backends))
        expected = dict.fromkeys(keys.values(), b"value")
        for backend in backends:
            assert backend.get_many([*expected, "key1"]) == expected
            backend.close()
        assert len(errors(caplog)) == 1


def test_open_backends_follow_to_the_new_file(
    open_backend: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    one, two = open_backend(), open_backend()
    fill(one)
    assert two.get("key1") == b"secret" * 100
    with plain_sqlite(tmp_path) as connection:
        connection.execute("UPDATE entries SET checksum = checksum + 1")
    assert one.get("key1") is MISSING
    assert two.get("key1") is MISSING
    two.set("key", b"value", None)
    assert one.get("key") == b"value"
    assert len(errors(caplog)) == 1


def test_processes_on_a_damaged_file_go_on_with_the_same_new_one(
    open_backend: Open, tmp_path: Path
):
    before = open_backend()
    fill(before)
    before.close()
    spoil_pages(cache_file(tmp_path))
    script = """
        import sys
        from backends.file.backend import FileBackend
        backend = FileBackend(data_dir=sys.argv[1], timeout=20)
        for number in range(50):
            backend.set(f"{sys.argv[2]}-{number}", b"value", None)
    """
    processes = [scripts.start(script, tmp_path, number) for number in range(4)]
    for process in processes:
        scripts.finish(process)
    keys = [f"{process}-{number}" for process in range(4) for number in range(50)]
    assert open_backend().get_many(keys) == dict.fromkeys(keys, b"value")


# Locks


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[sqlite3.Connection]:
    with plain_sqlite(directory) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_reads_go_on_while_the_file_is_locked_and_writes_time_out(
    open_backend: Open, tmp_path: Path
):
    backend = open_backend(timeout=0.3)
    backend.set("key", b"1", None)
    item = Item("key", b"2", None)
    writes = [
        lambda: backend.set(*item),
        lambda: backend.add(*item),
        lambda: backend.increment("key", 1),
        lambda: backend.flush(),
    ]
    with locked(tmp_path):
        for write in writes:
            began, taken = time.monotonic(), Stopwatch()
            with pytest.raises(Timeout):
                write()
            assert taken() < 1.3
            assert time.monotonic() - began > 0.2
            assert backend.get("key") == b"1"
            assert backend.get_many(["key"]) == {"key": b"1"}
        for outcomes in (backend.set_many([item, item]), backend.delete_many(["key", "none"])):
            assert [type(outcome) for outcome in outcomes] == [Timeout, Timeout]
        assert open_backend().get("key") == b"1"
    assert backend.increment("key", 1) == 2


def test_a_large_batch_lets_others_write_in_between(open_backend: Open):
    items = [Item(f"key{number}", b"", None) for number in range(50_000)]
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(open_backend().set_many, items)
        other = open_backend()
        written = 0
        while not batch.done():
            other.set("other", b"", None)
            written += 1
        assert batch.result() == [True] * len(items)
    # All in one transaction, only the first or the last could have come in between.
    assert written > 5


def test_reads_that_overlap_without_an_end_let_the_log_begin_anew(
    open_backend: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(file_database, "LOG_BYTES", 5 * 1024 * 1024)
    backend = open_backend(max_mb=4)
    backend.set("k", b"1", None)
    stop = threading.Event()

    def read() -> None:
        with (
            contextlib.closing(sqlite3.connect(cache_file(tmp_path))) as first,
            contextlib.closing(sqlite3.connect(cache_file(tmp_path))) as second,
        ):
            for reader in itertools.cycle((first, second)):
                reader.rollback()
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM entries").fetchone()
                if stop.wait(0.002):
                    return

    thread = threading.Thread(target=read)
    thread.start()
    sizes = [0]
    # Not each attempt succeeds, where readers are slow to go on.
    while sizes[-1] >= max(sizes) and len(sizes) < 2000:
        backend.set(f"{len(sizes) % 10}", os.urandom(100_000), None)
        sizes.append((tmp_path / "cache.sqlite3-wal").stat().st_size)
    stop.set()
    thread.join()
    assert max(sizes) >= file_database.LOG_BYTES
    assert sizes[-1] < file_database.LOG_BYTES


def test_threads_that_wait_for_one_lock_all_time_out(open_backend: Open, tmp_path: Path):
    backend = open_backend(timeout=0.3)
    backend.set("key", b"1", None)

    def write(_: int) -> float:
        taken = Stopwatch()
        with pytest.raises(Timeout):
            backend.set("key", b"2", None)
        return taken()

    with locked(tmp_path), ThreadPoolExecutor(8) as pool:
        assert max(pool.map(write, range(8))) < 1.6
    backend.set("key", b"3", None)
    assert backend.get("key") == b"3"


def test_a_write_waits_for_a_lock_that_ends_in_time(open_backend: Open, tmp_path: Path):
    backend = open_backend(timeout=5)
    backend.set("key", b"1", None)
    with locked(tmp_path) as connection, ThreadPoolExecutor(1) as pool:
        write = pool.submit(backend.set, "key", b"2", None)
        time.sleep(0.2)
        assert not write.done()
        connection.execute("ROLLBACK")
        write.result(5)
    assert backend.get("key") == b"2"


# The disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    options = f"size=3m,mode=777,uid={os.getuid()}"
    subprocess.run([*sudo, "mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run([*sudo, "umount", "--lazy", disk], check=True)


def fill_disk(backend: FileBackend) -> dict[str, bytes]:
    """Store until it fails; return what was acknowledged."""
    stored: dict[str, bytes] = {}
    for number in range(100):
        value = os.urandom(50_000)
        (outcome,) = backend.set_many([Item(f"key{number}", value, None)])
        if outcome is not True:
            break
        stored[f"key{number}"] = value
    with pytest.raises(OutOfMemory, match=r"^SERVER_ERROR"):
        raise outcome
    assert stored
    return stored


def test_reads_go_on_when_the_disk_is_full(small_disk: Path, open_backend: Open):
    backend = open_backend(data_dir=str(small_disk))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20))
    stored = fill_disk(backend)
    for _ in range(5):
        with pytest.raises(OutOfMemory):
            backend.set("large", bytes(500_000), None)
        assert backend.get_many([*stored, "large"]) == stored
        assert {key: backend.get(key) for key in stored} == stored
    ballast.unlink()
    backend.set("large", bytes(500_000), None)
    assert backend.get("large") == bytes(500_000)
    assert backend.get_many(stored) == stored
    backend.close()
    assert_sound(small_disk)
    assert not list(small_disk.glob("*.damaged"))


def test_a_backend_that_starts_on_a_full_disk_reads(small_disk: Path, open_backend: Open):
    backend = open_backend(data_dir=str(small_disk))
    stored = fill_disk(backend)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(bytes(4096)):
            pass
    other = open_backend(data_dir=str(small_disk))
    assert other.get_many(stored) == stored
    with pytest.raises(OutOfMemory):
        other.set("large", bytes(500_000), None)
    backend.close()
    assert other.get_many(stored) == stored


# Options and files


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/below"):
        with pytest.raises(InvalidOption, match="CACHEAPI_DATA_DIR"):
            FileBackend(data_dir=str(tmp_path / name))


def test_a_directory_that_went_away_is_an_error_and_no_miss(open_backend: Open, tmp_path: Path):
    backend = open_backend(data_dir=str(tmp_path / "data"))
    backend.set("key", b"value", None)
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(Unavailable):
        backend.get("key")
    with pytest.raises(Unavailable):
        backend.set("key", b"value", None)
    (tmp_path / "data").mkdir()
    backend.set("key", b"new", None)
    assert backend.get("key") == b"new"


def test_nobody_else_may_read_the_files(tmp_path: Path):
    output = scripts.run(
        """
        import os, sys
        from pathlib import Path
        from backends.file.backend import FileBackend
        os.umask(0)
        directory = Path(sys.argv[1])
        backend = FileBackend(data_dir=str(directory))
        backend.set("key", b"value", None)
        for path in sorted([directory, *directory.iterdir()]):
            print(path.name, oct(path.stat().st_mode & 0o777))
        """,
        tmp_path / "data",
    )
    assert output.splitlines() == [
        "data 0o700",
        "cache.sqlite3 0o600",
        "cache.sqlite3-shm 0o600",
        "cache.sqlite3-wal 0o600",
        "cache.sqlite3.counters 0o600",
        "cache.sqlite3.lock 0o600",
    ]


def test_the_damaged_file_may_be_read_by_nobody_else_either(open_backend: Open, tmp_path: Path):
    backend = open_backend()
    fill(backend)
    backend.close()
    spoil_header(cache_file(tmp_path))
    backend.get("key")
    assert stat.S_IMODE((tmp_path / "cache.sqlite3.damaged").stat().st_mode) == 0o600


def test_backends_of_two_prefixes_list_and_flush_their_own_keys(open_backend: Open):
    one, two = open_backend(prefix="one:"), open_backend(prefix="two:")
    for backend in (one, two):
        backend.set("key", backend.prefix.encode(), None)
    assert one.list_keys("", 10, None) == (["key"], None)
    one.flush()
    assert (one.get("key"), two.get("key")) == (MISSING, b"two:")


# Listing and flushing what is large


def test_a_page_of_a_listing_looks_at_a_bounded_number_of_entries(
    open_backend: Open, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rows, "LOOKED_AT", 10)
    backend = open_backend(clock=clock)
    backend.set_many([Item(f"{number:03}", b"", 5) for number in range(25)])
    backend.set_many([Item(f"{number:03}", b"", 500) for number in range(25, 100, 5)])
    clock.advance(6)
    pages, keys, cursor = 0, [], None
    while pages == 0 or cursor is not None:
        page, cursor = backend.list_keys("", 4, cursor)
        assert len(page) <= 4
        keys += page
        pages += 1
    assert keys == [f"{number:03}" for number in range(25, 100, 5)]
    # The first pages find nothing that is there, and say where to go on.
    assert pages > 4


def test_a_listing_steps_to_its_place_in_the_index(open_backend: Open, tmp_path: Path):
    backend = open_backend()
    backend.set_many([Item(f"{number:05}", b"", None) for number in range(20_000)])
    steps = []
    with plain_sqlite(tmp_path) as connection:
        for after in (None, b"18000"):
            count = itertools.count(1)
            connection.set_progress_handler(lambda count=count: next(count) and 0, 1)
            found, _ = Entries(1000, time.time).list_keys(connection, b"", 10, after)
            assert len(found) == 10
            steps.append(next(count))
    first, late = steps
    # Instructions of SQLite's machine: late in the listing as many as at its start.
    assert late < 2 * first


def test_a_flush_is_seen_by_every_connection_and_frees_the_disk(open_backend: Open, tmp_path: Path):
    one, two = open_backend(), open_backend()
    one.set_many([Item(f"key{number}", b"v" * 10_000, None) for number in range(1000)])
    assert two.get("key7") == b"v" * 10_000
    size = cache_file(tmp_path).stat().st_size
    one.flush()
    assert two.get("key7") is MISSING
    assert two.get_many([f"key{number}" for number in range(1000)]) == {}
    two.set("key7", b"new", None)
    assert one.get("key7") == b"new"
    assert one.add("key7", b"no", None) is False
    assert cache_file(tmp_path).stat().st_size < size / 10
    assert_sound(tmp_path)


def test_nothing_written_after_a_flush_is_lost_to_it(open_backend: Open, tmp_path: Path):
    """Writers in threads of two backends, while others flush: each sees its own write."""
    backends = [open_backend(), open_backend()]
    stop = threading.Event()

    def flush() -> None:
        while not stop.is_set():
            backends[0].flush()
            stop.wait(0.01)

    flushing = threading.Thread(target=flush)
    flushing.start()
    try:
        for number in range(300):
            writer = backends[number % 2]
            writer.set("mine", b"%d" % number, None)
            # It may be gone already; it is never an older one.
            assert writer.get("mine") in (b"%d" % number, MISSING)
    finally:
        stop.set()
        flushing.join()
    backends[0].set("last", b"1", None)
    assert backends[1].get("last") == b"1"
    assert_sound(tmp_path)


def test_a_flush_with_a_prefix_lets_others_write_between_its_steps(
    open_backend: Open, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(entries, "DELETED_AT_ONCE", 10)
    one, two = open_backend(prefix="one:"), open_backend(prefix="two:")
    one.set_many([Item(f"key{number}", b"", None) for number in range(95)])
    two.set("stays", b"1", None)
    written = []
    delete_some = entries.Entries.delete_some

    def between(self: Entries, sqlite: Any, prefix: bytes) -> bool:
        written.append(prefix)
        return delete_some(self, sqlite, prefix)

    monkeypatch.setattr(entries.Entries, "delete_some", between)
    one.flush()
    assert len(written) == 10
    assert one.list_keys("", 10, None) == ([], None)
    assert two.get("stays") == b"1"


def descriptors() -> int:
    """Return how many files of caches this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += "cache.sqlite3" in os.readlink(f"/proc/self/fd/{name}")
    return found


@pytest.fixture
def few_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    recent = Recent()
    recent.warm, recent.most = 2, 4
    monkeypatch.setattr(file_database, "RECENT", recent)
    monkeypatch.setattr(file_counters, "MOST_OPEN", 4)


@pytest.mark.usefixtures("few_stay_open")
def test_many_files_take_few_descriptors_and_little_memory(
    open_backend: Open, tmp_path: Path
) -> None:
    backends = [open_backend(data_dir=str(tmp_path / str(n))) for n in range(20)]
    before = descriptors()
    for turn in range(3):
        for number, backend in enumerate(backends):
            if turn == 0:
                backend.set("k", b"%d" % number, None)
            for _ in range(6):
                assert backend.get("k") == b"%d" % number
    # Of a connection the file and its log, of a file the index of the log, and the counters twice.
    assert descriptors() - before <= 4 * 5
    idle = [each for backend in backends for each in backend._database._pool._idle]
    assert len(idle) == 4
    assert sum(bool(each.sqlite._seen) for each in idle) == 2
    (totals,) = backends[0].stats()
    assert totals.error is None
    assert backends[0]._counters.totals().hits == 18  # type: ignore[union-attr]


@pytest.mark.usefixtures("few_stay_open")
def test_what_is_being_used_is_not_closed(open_backend: Open, tmp_path: Path) -> None:
    backends = [open_backend(data_dir=str(tmp_path / str(n))) for n in range(12)]
    failures: list[Exception] = []
    right = []

    def work(offset: int) -> None:
        try:
            for turn in range(40):
                backend = backends[(turn * 5 + offset) % len(backends)]
                backend.set(f"k{offset}", b"%d" % turn, None)
                right.append(backend.get(f"k{offset}") == b"%d" % turn)
        except BackendError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert right == [True] * 6 * 40


@pytest.mark.usefixtures("few_stay_open")
def test_a_backend_that_nobody_holds_leaves_nothing_open(tmp_path: Path) -> None:
    before = descriptors()
    backend = FileBackend(data_dir=str(tmp_path))
    backend.set("k", b"1", None)
    backend._counters.close()
    assert descriptors() > before
    del backend
    gc.collect()
    assert descriptors() == before


def test_as_many_stay_open_as_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed, expected in ((32, 4), (256, 25), (512, 51), (1024, 64), (-1, 64)):
        monkeypatch.setattr("resource.getrlimit", lambda _, allowed=allowed: (allowed, allowed))
        assert most_open() == expected


def test_a_file_is_freed_in_steps_once_nobody_has_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100_000)
    assert freeing.hold(path) is None
    assert freeing.hold(tmp_path / "none") is None
    monkeypatch.setattr(freeing, "LITTLE", 1000)
    monkeypatch.setattr(freeing, "STEP", 10_000)
    held = freeing.hold(path)
    assert held is not None
    # It shows how large the file is, and does not count as somebody else.
    watched = os.dup(held)
    steps: list[int] = []
    truncate = os.ftruncate
    monkeypatch.setattr(
        "os.ftruncate", lambda file, size: (steps.append(size), truncate(file, size))
    )
    with path.open("rb") as other:
        path.unlink()
        freeing.free(held)
        time.sleep(0.2)
        assert os.fstat(watched).st_size == 100_000
        assert other.read(3) == b"xxx"
    eventually(lambda: os.fstat(watched).st_size == 0)
    os.close(watched)
    assert steps == list(range(90_000, -1, -10_000))


def test_who_keeps_a_file_open_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeing, "LITTLE", 1000)
    monkeypatch.setattr(freeing, "WAIT_SECONDS", 0.1)
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100_000)
    with path.open("rb") as other:
        held = freeing.hold(path)
        assert held is not None
        path.unlink()
        freeing._free(held)
        assert os.fstat(other.fileno()).st_size == 100_000
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(held)


def test_a_flush_frees_the_file_and_leaves_nothing_open(
    open_backend: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeing, "LITTLE", 0)
    backend = open_backend()
    backend.set("k", b"v" * 100_000, None)
    freed: list[int] = []
    monkeypatch.setattr(freeing, "_free", lambda held: (freed.append(held), free(held)))
    backend.flush()
    backend.set("k", b"1", None)
    assert backend.get("k") == b"1"
    eventually(lambda: freed and not is_open(freed[0]))


def is_open(descriptor: int) -> bool:
    try:
        return os.fstat(descriptor).st_nlink == 0
    except OSError:
        return False
