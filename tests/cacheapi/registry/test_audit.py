"""The audit log as it is kept: who changed what, within bounds."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from cacheapi.registry import audit
from cacheapi.registry.audit import BadPlace, acts, note
from cacheapi.registry.rights import Caller

BOSS = Caller(b"digest", "boss", administrator=True, number=3)
SOMEBODY = Caller(b"", "somebody", administrator=True)


def test_the_newest_come_first_page_by_page(tmp_path: Path) -> None:
    note(tmp_path, BOSS, "created", "service", 7, "sessions")
    note(tmp_path, SOMEBODY, "revoked", "API key", 4, 'a "name"\n')
    note(tmp_path, BOSS, "flushed", "service", None, "cache")
    first = acts(tmp_path, 2)
    assert [(act.who, act.caller, act.action) for act in first.acts] == [
        ("API key 3", "boss", "flushed"),
        ("command line", "somebody", "revoked"),
    ]
    second = acts(tmp_path, 2, first.following)
    (last,) = second.acts
    assert audit.shown(last) == {
        "time": last.time,
        "who": "API key 3",
        "caller": "boss",
        "action": "created",
        "kind": "service",
        "id": 7,
        "name": "sessions",
        "detail": "",
    }
    assert second.following is None
    assert [act.name for act in acts(tmp_path, 9, None, "SERVICE 7").acts] == ["sessions"]
    with pytest.raises(BadPlace):
        acts(tmp_path, 2, "x")
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "audit").iterdir()} == {0o600}


def test_what_of_it_is_told_and_found_and_lines_of_before_have_nothing(tmp_path: Path) -> None:
    note(tmp_path, BOSS, "changed", "service", 7, "sessions")
    file = tmp_path / "audit" / "changes"
    (act,) = acts(tmp_path, 9).acts
    before = msgspec.json.encode(msgspec.structs.astuple(act)[:-1])
    file.write_bytes(b"\n" + before)
    note(tmp_path, BOSS, "changed", "service", 7, "sessions", "label, host")
    assert [act.detail for act in acts(tmp_path, 9).acts] == ["label, host", ""]
    assert [act.detail for act in acts(tmp_path, 9, None, "HOST").acts] == ["label, host"]


def test_many_purges_push_out_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_BYTES", 2000)
    note(tmp_path, BOSS, "created", "service", 7, "sessions")
    for number in range(200):
        note(tmp_path, BOSS, "purged", "service", 7, f"n{number}")
    found = acts(tmp_path, 1000).acts
    assert found[-1].action == "created"
    assert found[0].name == "n199"
    assert 10 < len(found) < 100
    assert sum(file.stat().st_size for file in (tmp_path / "audit").iterdir()) < 5000


def test_what_is_damaged_is_left_out_and_what_cannot_be_kept_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "cacheapi.audit")
    note(tmp_path, BOSS, "created", "service", 7, "sessions")
    with (tmp_path / "audit" / "changes").open("ab") as file:
        file.write(b"\n[1,")
    note(tmp_path, BOSS, "changed", "service", 7, "sessions")
    assert [act.action for act in acts(tmp_path, 9).acts] == ["changed", "created"]
    nowhere = tmp_path / "audit" / "changes"
    for _ in range(3):
        note(nowhere, BOSS, "deleted", "service", 7, "sessions")
    assert caplog.text.count('deleted service 7 "sessions"') == 3
    # Who looks for it in the files is told once why it is not there.
    assert caplog.text.count("cannot be kept in files") == 1
    assert acts(nowhere, 9) == ([], None)


def test_of_two_that_find_the_file_full_one_puts_it_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_BYTES", 1000)
    replace = Path.replace
    others: list[threading.Thread] = []

    def late(file: Path, target: Path) -> Path:
        """Let another one write, before this one puts the file aside."""
        if not others:
            others.append(threading.Thread(target=write_two))
            others[0].start()
            others[0].join(0.2)
        return replace(file, target)

    def write_two() -> None:
        for name in ("another", "one more"):
            note(tmp_path, BOSS, "changed", "service", 7, name)

    monkeypatch.setattr(Path, "replace", late)
    count = 0
    while not others:
        note(tmp_path, BOSS, "changed", "service", 7, f"n{count}")
        count += 1
    others[0].join()
    kept = [act.name for act in acts(tmp_path, 1000).acts]
    assert sorted(kept) == sorted(
        ["another", "one more", *(f"n{number}" for number in range(count))]
    )
