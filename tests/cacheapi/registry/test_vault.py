"""Secrets at rest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cacheapi.registry.vault import Sealed, Vault

KEY = "k" * 32
SECRETS = {"password": "hush é \N{SNOWMAN}"}


def test_what_is_sealed_comes_back_and_cannot_be_seen(tmp_path: Path) -> None:
    vault = Vault(KEY, tmp_path / "key")
    sealed = vault.seal(SECRETS)
    assert vault.unseal(sealed) == SECRETS
    assert vault.seal(SECRETS) != sealed
    for text in ("hush", "password"):
        assert text not in sealed
    assert list(tmp_path.iterdir()) == []


def test_nothing_needs_no_key(tmp_path: Path) -> None:
    vault = Vault(None, tmp_path / "key")
    assert vault.seal({}) == ""
    assert vault.unseal("") == {}
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_when_it_is_needed_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret-key"
    sealed = Vault(None, path).seal(SECRETS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Vault(None, path).unseal(sealed) == SECRETS
    assert Vault(path.read_text().strip(), tmp_path / "none").unseal(sealed) == SECRETS


@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda text: "x" + text, str.lower])
def test_damage_is_found(tmp_path: Path, damage) -> None:
    vault = Vault(KEY, tmp_path)
    with pytest.raises(Sealed, match="another secret key"):
        vault.unseal(damage(vault.seal(SECRETS)))


def test_another_key_says_what_to_do_and_nothing_of_the_secret(tmp_path: Path) -> None:
    sealed = Vault(KEY, tmp_path).seal(SECRETS)
    with pytest.raises(Sealed) as raised:
        Vault("o" * 32, tmp_path).unseal(sealed)
    message = str(raised.value)
    assert "CACHEAPI_SECRET_KEY" in message
    assert "\n" not in message
    assert "hush" not in message
    assert KEY not in message


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(Sealed, match="does not hold a secret key"):
        Vault(None, tmp_path / "key").seal(SECRETS)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Sealed, match="cannot be kept"):
        Vault(None, Path("/proc/nothing/key")).seal(SECRETS)
