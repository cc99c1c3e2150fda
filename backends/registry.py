"""From a driver's name to its backend class, imported when first asked for."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any, cast

from backends import plugins
from backends.base import Backend
from backends.errors import InvalidOption, PluginBroken
from backends.options import Option

log = logging.getLogger(__name__)

BUILT_IN = {
    "file": "backends.file.backend:FileBackend",
    "memcached": "backends.memcached.backend:MemcachedBackend",
    "redis": "backends.redis.backend:RedisBackend",
}
# What a start reads of all drivers, without the clients of those that it does not use.
_OPTIONS = {driver: f"backends.{driver}.options" for driver in BUILT_IN}


def drivers() -> list[str]:
    """Return the names of all drivers: the built-in ones, then those of other distributions."""
    return [*BUILT_IN, *sorted(plugins.names() - BUILT_IN.keys())]


def backend_class(driver: str) -> type[Backend]:
    """Import and return the class behind a driver's name.

    A built-in driver cannot be replaced by a plugin of the same name.

    :raises KeyError: no such driver.
    :raises PluginBroken: a plugin that cannot be used.
    """
    if driver not in BUILT_IN:
        return plugins.load(driver)
    module, _, name = BUILT_IN[driver].partition(":")
    return cast("type[Backend]", getattr(importlib.import_module(module), name))


def options_of(driver: str) -> tuple[Option, ...]:
    """Return the options of a driver; of a built-in one, its class is not imported.

    :raises KeyError: no such driver.
    :raises PluginBroken: a plugin that cannot be used.
    """
    if driver not in BUILT_IN:
        return backend_class(driver).options
    return cast("tuple[Option, ...]", importlib.import_module(_OPTIONS[driver]).OPTIONS)


def built_in_class(service_type: str) -> type[Backend] | None:
    """Return the built-in class that makes a type of service, if there is one.

    Those of the others are not imported.
    """
    for driver, options in _OPTIONS.items():
        if service_type == importlib.import_module(options).SERVICE_TYPE:
            return backend_class(driver)
    return None


def backend_classes() -> list[type[Backend]]:
    """Import and return the classes of all drivers.

    A broken plugin is left out, with a warning in the log.
    """
    classes = []
    for driver in drivers():
        try:
            classes.append(backend_class(driver))
        except PluginBroken as error:
            log.warning("%s", error)
    return classes


def create(driver: str, values: Mapping[str, Any]) -> Backend:
    """Make the backend of a driver from the values of its options, by their variables.

    Opens no connection.

    :raises DriverMissing: its package is not installed.
    :raises InvalidOption: it cannot work with these values.
    :raises PluginBroken: a plugin that cannot be used.
    """
    backend = backend_class(driver)
    for option in backend.options:
        if option.required and values[option.variable] is None:
            raise InvalidOption(f"{option.variable} must be set.")
    arguments = {option.name: values[option.variable] for option in backend.options}
    return backend(**arguments) if driver in BUILT_IN else plugins.make(backend, arguments)
