"""What root's commands leave in the data directory is the service's own user's to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from cacheapi.observing.samples import Sampler
from cacheapi.observing.tail.files import FOLDER, Seen, TailFiles
from cacheapi.observing.tail.slowest import Slowest
from cacheapi.observing.troubles import Troubles
from tests.cacheapi.commands.conftest import Program
from tests.support.ownership import SOMEBODY, given_away, owners


def test_every_file_of_a_command_is_the_services(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = given_away(tmp_path / "data", monkeypatch)
    (data / "services").rmdir()
    program.settings["CACHEAPI_SECRET_KEY"] = "s" * 32
    program("services", "create", "more", "--type", "cache_local", "--test")
    program("set", "a", "1", "--tag", "t")
    program("set", "--service", "more", "a", "1")
    program("delete", "--tag", "t")
    program("delete", "--prefix", "a")
    program("flush", "--yes")
    made = program.run("set", "b", "1")
    assert "belongs to" not in made.stderr
    found = owners(data)
    assert {"cache.sqlite3", "cacheapi.sqlite3", "services", "services/1", "audit"} <= found.keys()
    assert {name for name, owner in found.items() if owner != SOMEBODY} == set()


def test_so_is_what_watching_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = given_away(tmp_path / "data", monkeypatch)
    files = TailFiles(data / FOLDER)
    files.watch()
    seen = Seen(1.0, "GET", "/", "cache", "", 200, 9.0, 2, "fast")
    files.write([seen])
    Slowest(data / FOLDER).write([seen])
    Troubles(data / "origins").add("shop", "GET", "/", 502, "away")
    sampler = Sampler(dict, data / "samples", 60.0)
    sampler.watch()
    sampler.close()
    found = owners(data)
    assert {
        "samples",
        "tail/watched",
        "tail/1.lines",
        "tail/lock",
        "origins/shop.troubles",
    } <= found.keys()
    assert set(found.values()) == {SOMEBODY}
