"""Backends of other distributions: found, proven, and named where they are broken."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from backends import plugins, registry
from backends.capabilities import Capability, Limits, Traits
from backends.errors import DriverMissing, InvalidOption, PluginBroken
from cacheapi import SettingsError, create_app, load
from tests.support.plugins import BROKEN, SECRET, Plugin

pytest.register_assert_rewrite("backends.testing")

from backends.testing import CALLS  # noqa: E402


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of distributions."""
    directory = tmp_path / "packages"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "lru_backend", raising=False)
    return directory


def start(data_dir: Path, driver: str = "lru") -> None:
    settings = {
        "CACHE_DRIVER": driver,
        "CACHEAPI_DATA_DIR": str(data_dir),
        "CACHEAPI_API_KEY": "a-key",
    }
    create_app(load(settings, None))


def test_a_whole_plugin_is_taken(path: Path, tmp_path: Path) -> None:
    Plugin().install(path)
    assert registry.drivers() == [*registry.BUILT_IN, "lru"]
    assert registry.backend_class("lru").__name__ == "LruBackend"
    assert registry.create("lru", {"LRU_SIZE": 3}).get("key") is not None
    assert [kind.driver for kind in registry.backend_classes()] == registry.drivers()
    start(tmp_path)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_stops_the_start_with_one_line_that_names_it(
    path: Path, tmp_path: Path, name: str
) -> None:
    BROKEN[name].install(path)
    with pytest.raises(SettingsError) as raised:
        start(tmp_path)
    assert str(raised.value) == BROKEN[name].message
    assert SECRET not in str(raised.value)
    assert isinstance(raised.value.__cause__, PluginBroken)


def test_two_plugins_of_one_driver_are_both_named(path: Path, tmp_path: Path) -> None:
    Plugin().install(path)
    Plugin().install(path, "another")
    where = "(lru = lru_backend:LruBackend)"
    with pytest.raises(SettingsError) as raised:
        start(tmp_path)
    assert str(raised.value) == (
        f"The driver 'lru' is there twice: another 1.0 {where} and lru-backend 1.0 {where}."
    )


@pytest.mark.parametrize("error", [DriverMissing, InvalidOption])
def test_what_a_constructor_may_say_is_passed_on(
    path: Path, tmp_path: Path, error: type[Exception]
) -> None:
    raising = f"from backends.errors import {error.__name__}; raise {error.__name__}('own words')"
    Plugin(changes={"self._size = size": raising}).install(path)
    with pytest.raises(SettingsError, match=r"^own words$"):
        start(tmp_path)


@pytest.mark.parametrize("name", ["import error", "missing method"])
def test_a_broken_plugin_that_is_not_selected_is_not_imported(
    path: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    BROKEN[name].install(path)
    start(tmp_path, "file")
    assert "lru_backend" not in sys.modules
    assert caplog.messages == []
    with caplog.at_level(logging.WARNING):
        kinds = registry.backend_classes()
    assert [kind.driver for kind in kinds] == list(registry.BUILT_IN)
    assert caplog.messages == [BROKEN[name].message]


def test_a_plugin_need_not_describe_itself(path: Path) -> None:
    undescribed = {
        "    traits = Traits(": "    _ = Traits(",
        "    capabilities = frozenset(Capability) -": "    __ = set(Capability) -",
    }
    Plugin(changes=undescribed).install(path)
    plugin = registry.backend_class("lru")
    assert (plugin.traits, plugin.limits, plugin.capabilities) == (Traits(), Limits(), frozenset())


def test_each_flag_with_calls_of_its_own_has_its_methods_checked() -> None:
    # A plugin of before it came may have that flag on and no method, and works all the same.
    later = {Capability.ANALYZE}
    assert plugins.METHODS.keys() | later == CALLS.keys()
    assert {*Capability} - plugins.METHODS.keys() - later == {
        Capability.FLUSH_PREFIX,
        Capability.PERSISTENT,
    }
    # remaining_ttl_many is made of remaining_ttl where a backend has no better way.
    inherited = {Capability.REMAINING_TTL: 1}
    assert {
        flag: len(names) + inherited.get(flag, 0) for flag, names in plugins.METHODS.items()
    } == {flag: len(calls) for flag, calls in CALLS.items() if flag not in later}
