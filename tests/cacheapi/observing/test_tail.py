"""Requests as they come, the slowest of the hour: what is kept of them, and in which bounds."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cacheapi.observing.tail import files, slowest, watch
from cacheapi.observing.tail.files import BadPlace, Seen, TailFiles
from cacheapi.observing.tail.slowest import KEPT, LEAST_SECONDS, WINDOW_SECONDS, Slowest
from cacheapi.observing.tail.watch import MOST, Tail


def seen(number: int, ms: float = 1.0, moment: float | None = None) -> Seen:
    when = time.time() if moment is None else moment
    return Seen(when, "GET", "/api/v2/{service}", f"s{number}", "", 200, ms, 2, "fast")


def note(tail: Tail, service: str = "cache", seconds: float = 0.001, **more: Any) -> None:
    fields = {"key": "k", "status": 200, "size": 2, "lane": "fast", **more}
    tail.note("GET", "/api/v2/{service}/{key}", service, seconds=seconds, **fields)


def names(found: list[Seen]) -> list[str]:
    return [each.service for each in found]


def test_nothing_is_noted_while_nobody_watches(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "tail", keys="hash")
    assert not tail.takes(LEAST_SECONDS / 2)
    note(tail)
    tail.look()
    assert not tail.wanted
    assert not (tmp_path / "tail").exists()


def test_who_watches_sees_what_all_processes_answer(tmp_path: Path) -> None:
    one, other = (Tail(tmp_path / "tail", keys="hash") for _ in range(2))
    watcher = TailFiles(tmp_path / "tail")
    watcher.watch()
    place = watcher.read(None).place
    for tail in (one, other):
        tail.look()
        assert tail.wanted
    note(one, "first")
    note(other, "second")
    for tail in (other, one):
        tail.look()
    part = watcher.read(place)
    assert names(part.requests) == ["first", "second"]
    assert files.shown(part.requests[0]) == {
        "time": part.requests[0].time,
        "method": "GET",
        "route": "/api/v2/{service}/{key}",
        "service": "first",
        # Of "k".
        "key": "8254c329a92850f6",
        "status": 200,
        "ms": 1.0,
        "bytes": 2,
        "lane": "fast",
    }
    assert watcher.read(part.place) == ([], part.place)
    assert names(watcher.latest(10)) == ["second", "first"]
    directory = tmp_path / "tail"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


def test_no_key_is_told_where_logs_may_not_have_it(tmp_path: Path) -> None:
    tail = Tail(tmp_path, keys="off")
    tail.files.watch()
    tail.look()
    note(tail, key="secret", seconds=1.0)
    tail.look()
    assert [each.key for each in tail.files.latest(5)] == [""]
    assert [each.key for each in slowest.slowest(tmp_path, 5)] == [""]
    assert b"secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_of_too_many_some_are_taken_and_the_others_counted(tmp_path: Path) -> None:
    tail = Tail(tmp_path, keys="off")
    tail.files.watch()
    tail.look()
    for number in range(20 * MOST):
        note(tail, f"s{number}")
        if number < MOST + 3:
            note(tail, "fails", status=500)
    note(tail, "miss", status=404)
    tail.look()
    found = tail.files.latest(1000)
    assert names(found).count("fails") == MOST
    assert len(found) == 2 * MOST
    assert sum(each.more for each in found) == 20 * MOST + 1 - MOST + 3
    # Not the first ones alone.
    assert any(int(name[1:]) >= MOST for name in names(found) if name[0] == "s")


def test_what_is_kept_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    watcher = TailFiles(tmp_path)
    watcher.watch()
    place = watcher.read(None).place
    got: list[str] = []
    for number in range(60):
        watcher.write([seen(number)])
        part = watcher.read(place)
        got += names(part.requests)
        place = part.place
    # Who keeps up misses nothing where a file ends.
    assert got == [f"s{number}" for number in range(60)]
    kept = list(tmp_path.glob("*.lines"))
    assert len(kept) == 2
    assert sum(file.stat().st_size for file in kept) <= 2000
    # Who has slept goes on with the oldest that there is.
    late = watcher.read("1-0")
    assert 0 < int(late.requests[0].service[1:]) < 60
    assert names(watcher.latest(3)) == ["s59", "s58", "s57"]
    assert len(watcher.latest(1000)) > 3


def test_when_nobody_watches_any_more_it_ends(tmp_path: Path) -> None:
    tail = Tail(tmp_path, keys="off")
    tail.files.watch()
    tail.look()
    note(tail)
    tail.look()
    assert list(tmp_path.glob("*.lines"))
    os.utime(tmp_path / "watched", (1, 1))
    tail.look()
    assert not tail.wanted
    assert not list(tmp_path.glob("*.lines"))


def test_a_place_from_before_all_was_removed_leads_to_what_came_since(tmp_path: Path) -> None:
    kept = TailFiles(tmp_path)
    kept.watch()
    kept.write([seen(number) for number in range(5)])
    place = kept.read("1-0").place
    os.utime(tmp_path / "watched", (1, 1))
    kept.clear()
    kept.clear()
    kept.watch()
    # Fewer, and no more, bytes than there were.
    for number in (7, 8, *range(10, 30)):
        kept.write([seen(number)])
        assert names(kept.read(place).requests)[0] == "s7"
    assert names(kept.read(place).requests) == names(kept.latest(100)[::-1])
    # No file has a number that another had.
    assert not (tmp_path / "1.lines").exists()


def test_a_place_that_is_beyond_the_end_is_the_beginning(tmp_path: Path) -> None:
    kept = TailFiles(tmp_path)
    kept.watch()
    kept.write([seen(number) for number in range(5)])
    place = kept.read("1-0").place
    # The whole directory was removed by somebody, and so what it says of numbers.
    for file in tmp_path.iterdir():
        file.unlink()
    kept.watch()
    kept.write([seen(7)])
    assert names(kept.read(place).requests) == ["s7"]


def test_a_line_that_a_crash_has_cut_short_ends_nobodys_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    kept = TailFiles(tmp_path)
    kept.watch()
    kept.write([seen(1)])
    with (tmp_path / "1.lines").open("ab") as file:
        file.write(b"[1," + b"x" * 1000)
    place = kept.read("1-0").place
    assert kept.read(place) == ([], place)
    kept.write([seen(2)])
    assert names(kept.read(place).requests) == ["s2"]


@pytest.mark.parametrize("place", ["", "x", "1", "1-", "-1-0", "1-2-3", "1" * 13 + "-0"])
def test_what_is_no_place(tmp_path: Path, place: str) -> None:
    with pytest.raises(BadPlace):
        TailFiles(tmp_path).read(place)


def test_a_damaged_line_is_left_out(tmp_path: Path) -> None:
    kept = TailFiles(tmp_path)
    kept.watch()
    kept.write([seen(1)])
    with (tmp_path / "1.lines").open("ab") as file:
        file.write(b"[1,2\n\xff\n")
    kept.write([seen(2)])
    assert names(kept.read("1-0").requests) == ["s1", "s2"]
    # What is not written to its end yet is read the next time.
    with (tmp_path / "1.lines").open("ab") as file:
        file.write(b"[")
    assert kept.read(kept.read("1-0").place).requests == []


def test_the_slowest_of_all_processes_within_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10_000_000.0]
    clock = SimpleNamespace(time=lambda: now[0])
    for module in (slowest, watch):
        monkeypatch.setattr(module, "time", clock)
    one, other = (Tail(tmp_path, keys="off") for _ in range(2))
    note(one, "old", seconds=9.0)
    now[0] += slowest.HOUR - 60
    for number in range(3 * KEPT):
        note(one, f"s{number}", seconds=0.1 + number / 1000)
    note(other, "quick", seconds=LEAST_SECONDS / 2)
    note(other, "other", seconds=2.0)
    for tail in (one, other):
        tail.look()
    assert names(slowest.slowest(tmp_path, 4)) == ["old", "other", "s59", "s58"]
    assert "quick" not in names(slowest.slowest(tmp_path, 1000))
    # Only what is slower than those that are kept still costs anything.
    assert one.floor == pytest.approx(0.1 + 2 * KEPT / 1000)
    assert other.floor == LEAST_SECONDS
    now[0] += 120
    assert names(slowest.slowest(tmp_path, 2)) == ["other", "s59"]
    now[0] += WINDOW_SECONDS
    one.look()
    assert one.floor == LEAST_SECONDS


def test_memory_for_the_slowest_has_a_bound(tmp_path: Path) -> None:
    kept = Slowest(tmp_path)
    for minute in range(300):
        for number in range(50):
            kept.note(seen(number, 10.0 + number, 1e7 + 60 * minute))
    news = kept.news()
    assert news is not None
    assert len(news) <= (slowest.HOUR / WINDOW_SECONDS + 2) * KEPT
    assert kept.news() is None


def test_files_of_the_dead_go_after_an_hour(tmp_path: Path) -> None:
    (tmp_path / "1-dead.slow").write_bytes(b"[]")
    os.utime(tmp_path / "1-dead.slow", (1, 1))
    (tmp_path / "2-broken.slow").write_bytes(b"{")
    kept = Slowest(tmp_path)
    kept.note(seen(1, 50.0))
    found = kept.news()
    assert found is not None
    kept.write(found)
    left = {file.name for file in tmp_path.iterdir()}
    assert "1-dead.slow" not in left
    assert names(slowest.slowest(tmp_path, 5)) == ["s1"]


def test_a_disk_that_cannot_be_written_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tail").write_text("no directory")
    tail = Tail(tmp_path / "tail", keys="off")
    for _ in range(3):
        note(tail, seconds=1.0)
        tail.look()
    assert caplog.text.count("cannot be told") == 1
    tail.watch()
    tail.close()


def test_a_key_is_told_where_logs_may_have_it(tmp_path: Path) -> None:
    tail = Tail(tmp_path, keys="plain", is_secret=lambda text: text == "an-API-key")
    tail.files.watch()
    tail.look()
    for key in ("user:1", "an-API-key"):
        note(tail, key=key, seconds=1.0)
    tail.look()
    assert sorted(each.key for each in tail.files.latest(5)) == ["", "user:1"]
    assert sorted(each.key for each in slowest.slowest(tmp_path, 5)) == ["", "user:1"]
