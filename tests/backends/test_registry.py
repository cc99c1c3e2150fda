"""Drivers by name, and their settings."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from backends import registry
from backends.base import Backend
from backends.errors import DriverMissing, InvalidOption
from backends.file.backend import FileBackend
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import SERVERS
from backends.options import DIRECTORY, TEXT, integer
from tests.support import scripts
from tests.support.processes import free_port

PLUGIN = """
from backends.file.backend import FileBackend

class Plugin(FileBackend):
    driver = "plugin"
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution, with a driver of its own and one named like a built-in one."""
    (tmp_path / "its_module.py").write_text(PLUGIN)
    information = tmp_path / "its_distribution-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: its-distribution\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text(
        "[cacheapi.backends]\nplugin = its_module:Plugin\nfile = its_module:Plugin\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "its_module", raising=False)


@pytest.mark.parametrize(
    ("driver", "expected"), [("file", FileBackend), ("memcached", MemcachedBackend)]
)
def test_a_built_in_driver_is_found(driver: str, expected: type[Backend]) -> None:
    assert registry.backend_class(driver) is expected
    assert expected.driver == driver
    assert driver in registry.drivers()


@pytest.mark.parametrize("driver", ["", "File", "nothing", "backends.file.backend:FileBackend"])
def test_another_name_is_no_driver(driver: str) -> None:
    with pytest.raises(KeyError):
        registry.backend_class(driver)


@pytest.mark.usefixtures("plugin")
def test_a_driver_of_another_distribution_is_found() -> None:
    assert registry.drivers() == [*registry.BUILT_IN, "plugin"]
    assert registry.backend_class("plugin").driver == "plugin"


@pytest.mark.usefixtures("plugin")
def test_a_built_in_driver_cannot_be_replaced() -> None:
    assert registry.backend_class("file") is FileBackend


def test_a_backend_is_made_of_its_settings(tmp_path: Path) -> None:
    values = {"CACHEAPI_DATA_DIR": str(tmp_path), "CACHE_FILE_MAX_MB": 8, "PORT": "another's"}
    backend = registry.create("file", values)
    assert isinstance(backend, FileBackend)
    assert backend.limits.max_value_bytes == 2**20
    assert list(tmp_path.iterdir()) == []


def test_making_a_backend_opens_no_connection() -> None:
    values = {option.variable: None for option in MemcachedBackend.options} | {
        "MEMCACHED_HOST": SERVERS.parse("127.0.0.1"),
        "MEMCACHED_PORT": free_port(),
        "MEMCACHED_PREFIX": "app:",
        "MEMCACHED_TIMEOUT_MS": 250,
    }
    assert registry.create("memcached", values).prefix == "app:"


def test_a_type_that_is_built_in_is_found_without_the_others() -> None:
    found = {registry.backend_class(driver).service_type: driver for driver in registry.BUILT_IN}
    for service_type, driver in found.items():
        assert registry.built_in_class(service_type) is registry.backend_class(driver)
    assert registry.built_in_class("cache_lru") is None
    output = scripts.run(
        """
        import sys
        from backends import registry
        print(registry.built_in_class("cache_redis").driver)
        print(sorted({"backends.memcached.backend", "backends.file.backend"} & set(sys.modules)))
        """
    )
    assert output == "redis\n[]\n"


def test_a_driver_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sasl", "libmemcached"):
        monkeypatch.delitem(sys.modules, f"backends.memcached.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pylibmc", None)
    with pytest.raises(DriverMissing, match="pip install pylibmc "):
        MemcachedBackend(servers=SERVERS.parse("127.0.0.1"), username="user", password="word")
    # Without a login nothing of it is needed.
    MemcachedBackend(servers=SERVERS.parse("127.0.0.1"))


def test_the_file_backend_needs_no_driver_of_another() -> None:
    output = scripts.run(
        """
        import sys
        from backends import registry
        registry.backend_class("file")
        unwanted = {"pylibmc", "backends.memcached.backend", "flask", "cacheapi"}
        print(sorted(unwanted & set(sys.modules)))
        """
    )
    assert output == "[]\n"


@pytest.mark.parametrize(("text", "number"), [("1", 1), (" 7 ", 7), ("10", 10), ("+3", 3)])
def test_a_number_in_range_is_taken(text: str, number: int) -> None:
    assert integer(1, 10).parse(text) == number


@pytest.mark.parametrize("text", ["", "0", "11", "-1", "1.5", "one", "0x1", "1e0"])
def test_another_text_is_no_number_of_the_range(text: str) -> None:
    kind = integer(1, 10)
    assert kind.allowed == "a whole number from 1 to 10"
    with pytest.raises(ValueError, match=r".*"):
        kind.parse(text)


def test_a_directory_may_be_any_path() -> None:
    assert DIRECTORY.parse("some/where else") == "some/where else"
    assert TEXT.parse("any\0thing") == "any\0thing"
    with pytest.raises(ValueError, match="a\0b"):
        DIRECTORY.parse("a\0b")


@pytest.mark.parametrize("backend", [FileBackend, MemcachedBackend])
def test_each_option_is_an_argument_and_its_default_is_allowed(backend: type[Backend]) -> None:
    values = {option.variable: option for option in backend.options}
    assert len(values) == len({option.name for option in backend.options})
    for option in backend.options:
        if option.default is not None:
            option.kind.parse(option.default)
    secrets = [option.name for option in backend.options if option.secret]
    assert secrets == (["password"] if backend is MemcachedBackend else [])
    arguments = {option.name: None for option in backend.options}
    with pytest.raises((TypeError, InvalidOption)):
        backend(**arguments, unknown=1)


@pytest.mark.parametrize("driver", registry.BUILT_IN)
def test_each_built_in_class_says_what_it_is_chosen_by(driver: str) -> None:
    backend = registry.backend_class(driver)
    words = dataclasses.asdict(backend.traits)
    if backend.limits.max_value_bytes is not None:
        words.pop("max_value")
    assert [name for name, text in words.items() if not text] == []
    assert not any("|" in text or "\n" in text for text in words.values())
