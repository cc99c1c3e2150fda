"""What root makes in another's folder is that other's; what was there stays whose it is."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from backends import owned
from tests.support.ownership import SOMEBODY, given_away


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of somebody else, while root is who works in it."""
    return given_away(tmp_path / "theirs", monkeypatch)


def test_what_root_makes_belongs_to_the_owner_of_the_folder(theirs: Path) -> None:
    owned.folder(theirs / "a" / "b")
    os.close(owned.opened(theirs / "a" / "b" / "file", os.O_WRONLY | os.O_APPEND))
    made = [theirs / "a", theirs / "a" / "b", theirs / "a" / "b" / "file"]
    assert {path.stat().st_uid for path in made} == {SOMEBODY}
    assert stat.S_IMODE(made[1].stat().st_mode) == 0o700
    assert stat.S_IMODE(made[2].stat().st_mode) == 0o600
    # As if it were there already.
    owned.folder(made[1])
    with owned.locked(made[2]) as descriptor:
        os.write(descriptor, b"kept")
    assert made[2].read_bytes() == b"kept"


def test_no_link_gives_away_what_is_roots(theirs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    owner = secret.stat().st_uid
    (theirs / "link").symlink_to(secret)
    (theirs / "another").hardlink_to(secret)
    (theirs / "nowhere").symlink_to(tmp_path / "nowhere")
    for name in ("link", "another", "nowhere"):
        os.close(owned.opened(theirs / name, os.O_RDWR))
    assert secret.stat().st_uid == owner
    assert (tmp_path / "nowhere").stat().st_uid == owner
    (theirs / "loop").symlink_to(theirs / "loop")
    with pytest.raises(OSError, match="symbolic links"):
        owned.opened(theirs / "loop", os.O_RDWR)


def test_what_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        owned.folder(tmp_path / "file")
    with pytest.raises(FileExistsError):
        owned.folder(tmp_path / "file" / "below")
    with pytest.raises(FileNotFoundError):
        owned.opened(tmp_path / "nowhere" / "file", os.O_RDWR)


def test_a_lock_is_one_threads_at_a_time_or_shared(tmp_path: Path) -> None:
    lock, order = tmp_path / "lock", []

    def second() -> None:
        with owned.locked(lock):
            order.append("second")

    with owned.locked(lock, shared=True), owned.locked(lock, shared=True):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
