"""The last failures of an API, kept where all processes see them."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from cacheapi.observing import troubles
from cacheapi.observing.troubles import LATEST, Troubles


def test_every_process_shows_what_all_have_met(tmp_path: Path) -> None:
    one, other = Troubles(tmp_path / "t"), Troubles(tmp_path / "t")
    one.add("shop", "GET", "/v1/a?token=secret", 504, "The origin sent no answer in time.")
    other.add("shop", "POST", "/v1/b", 503, "The origin answered 503.")
    other.add("else", "GET", "/", 502, "It is gone.")
    found = one.latest("shop")
    assert found == other.latest("shop")
    assert [(each.method, each.path, each.status) for each in found] == [
        ("POST", "/v1/b", 503),
        ("GET", "/v1/a", 504),
    ]
    assert found[1].message == "The origin sent no answer in time."
    assert abs(found[0].time - time.time()) < 600
    assert "secret" not in "".join(file.read_text() for file in (tmp_path / "t").iterdir())
    assert one.latest("none") == []
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o700


def test_a_storm_is_one_line_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(troubles.time, "monotonic", lambda: now[0])
    kept = Troubles(tmp_path)
    for _ in range(100):
        kept.add("shop", "GET", "/", 502, "It is gone.")
    assert len(kept.latest("shop")) == 1
    now[0] += 1
    kept.add("shop", "GET", "/", 502, "It is gone.")
    assert [each.more for each in kept.latest("shop")] == [99, 0]


def test_the_file_stays_small_and_damage_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(troubles, "PAUSE_SECONDS", 0.0)
    kept = Troubles(tmp_path)
    for number in range(400):
        kept.add("shop", "GET", f"/{number}" + "x" * 1000, 502, "It is gone.")
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size < 65 * 1024
    found = kept.latest("shop")
    assert len(found) == LATEST
    assert found[0].path.startswith("/399x")
    assert len(found[0].path) == troubles.LONGEST_PATH
    with file.open("ab") as damaged:
        damaged.write(b'\n[1,"GET"\n\xff\n{}')
    assert kept.latest("shop") == found


def test_what_cannot_be_kept_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Troubles(tmp_path / "file")
    kept.add("shop", "GET", "/", 502, "It is gone.")
    assert kept.latest("shop") == []
