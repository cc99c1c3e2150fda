"""What commands do to all that a service holds: who did is noted, and how far it came."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from typing import Any

import pytest

from backends.errors import Unavailable
from cacheapi.caching.service import CacheService
from tests.cacheapi.commands.conftest import Program

LINES = "".join(f'{{"key":"user:{number}","value":1}}\n' for number in range(3))


def noted(program: Program) -> list[tuple[str, str, int | None]]:
    """Return what the audit log has of contents, the oldest first."""
    acts = program.json("audit")["resource"]
    person = [getpass.getuser(), "alice as root"]
    assert {act["who"] for act in acts} == {"command line"}
    assert all(act["caller"] in person for act in acts)
    return [(act["action"], act["name"], act["id"]) for act in reversed(acts)]


def test_what_the_shell_does_to_all_of_a_service_is_in_the_audit_log(program: Program) -> None:
    program("import", "-", stdin=LINES.encode())
    program("delete", "--prefix", "user:")
    program("delete", "--tag", "none")
    program("flush", "--yes")
    assert noted(program) == [
        ("imported into", "cache", None),
        ("deleted by prefix in", "cache", None),
        ("purged", "cache", None),
        ("flushed", "cache", None),
    ]
    program("services", "create", "more", "--type", "cache_local")
    program("flush", "--service", "more", "--yes")
    assert noted(program)[-1] == ("flushed", "more", 1)
    # What asks first and is told no, what finds nothing to do, and single keys.
    program.run("flush", stdin=b"n\n")
    program.run("import", "-", stdin=b"")
    program("set", "a", "1")
    program("delete", "a")
    assert len(noted(program)) == 6


def test_what_was_deleted_is_told(program: Program) -> None:
    told = {
        ("delete", "--prefix", "none"): "Deleted 0 keys.",
        ("delete", "--prefix", "none*"): (
            "Deleted 0 keys. A prefix is taken as it stands: leave out the '*'."
        ),
        ("delete", "--tag", "one"): "Every entry that had the tag one is deleted.",
        ("delete", "--tag", "one,two"): "Every entry that had one of the tags one, two is deleted.",
        ("flush", "--yes"): "Deleted every key of cache.",
    }
    for words, said in told.items():
        ended = program.run(*words)
        assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", f"cacheapi: {said}\n")
        assert program.json(*words)["success"] is True


def test_who_is_behind_sudo_is_told(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    program.settings["SUDO_USER"] = "alice"
    program.settings["LOGNAME"] = "root"
    program("flush", "--yes")
    (act,) = program.json("audit")["resource"]
    assert act["caller"] == "alice as root"


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the deletion of keys fail from some step on."""
    works = CacheService.delete_many

    def after(steps: int) -> None:
        left = [steps]

        def delete_many(self: CacheService, keys: Any) -> list[Any]:
            left[0] -= 1
            if left[0] >= 0:
                return works(self, keys)
            return [*works(self, keys[:-1]), Unavailable("Timed out.")]

        monkeypatch.setattr(CacheService, "delete_many", delete_many)

    return after


def test_a_deletion_that_stops_half_way_says_how_far_it_came(
    program: Program, stops: Callable[[int], None]
) -> None:
    program("set", "user:1", "1")
    stops(0)
    ended = program.run("delete", "--prefix", "user:")
    assert ended.exit_code == 3
    assert ended.stderr.splitlines() == ["cacheapi: Timed out. Nothing was deleted."]
    for key in ("user:1", "user:2"):
        program("set", key, "1")
    ended = program.run("delete", "--prefix", "user:")
    told = "1 key was deleted until then, and the rest is left: delete it again once that is mended"
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    # Some of it is gone: that is noted.
    assert noted(program) == [("deleted by prefix in", "cache", None)]
    # One that is asked for by name has nothing beside it.
    assert program.fails("delete", "user:1", code=3) == (
        "Timed out. 'cacheapi doctor' says what it may be."
    )
    program("set", "user:1", "1")
    assert told in program.fails("delete", "user:1", "user:2", code=3)
    assert program.fails("delete", "a" * 2000, code=2)


def test_an_import_that_ends_half_way_is_noted(program: Program) -> None:
    (program.directory / "half.ndjson").write_text(f"{LINES}no entry\n")
    assert "Line 4" in program.run("import", "half.ndjson").stderr
    assert noted(program) == [("imported into", "cache", None)]
    ended = program.run("import", "half.ndjson", "--resume")
    # Nothing more was stored.
    assert (ended.exit_code, len(noted(program))) == (3, 1)
    json.loads(program("get", "user:2"))
