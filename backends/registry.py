"""From a driver's name to its backend class, imported when first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, cast

from backends.base import Backend

GROUP = "cacheapi.backends"
BUILT_IN = {
    "file": "backends.file:FileBackend",
    "memcached": "backends.memcached:MemcachedBackend",
}


def drivers() -> list[str]:
    """Return the names of all drivers: the built-in ones, then those of other distributions."""
    plugins = {point.name for point in entry_points(group=GROUP)}
    return [*BUILT_IN, *sorted(plugins - BUILT_IN.keys())]


def backend_class(driver: str) -> type[Backend]:
    """Import and return the class behind a driver's name.

    A built-in driver cannot be replaced by a plugin of the same name.

    :raises KeyError: no such driver.
    """
    if driver in BUILT_IN:
        module, _, name = BUILT_IN[driver].partition(":")
        return cast("type[Backend]", getattr(importlib.import_module(module), name))
    (point,) = entry_points(group=GROUP, name=driver) or [None]
    if point is None:
        raise KeyError(driver)
    return cast("type[Backend]", point.load())


def create(driver: str, values: Mapping[str, Any]) -> Backend:
    """Make the backend of a driver from the values of its options, by their variables.

    Opens no connection.

    :raises DriverMissing: its package is not installed.
    :raises InvalidOption: it cannot work with these values.
    """
    backend = backend_class(driver)
    return backend(**{option.name: values[option.variable] for option in backend.options})
