"""Backends of other distributions: found by their entry points, proven before they are used.

What is wrong with a plugin is said in one line that names its distribution and its entry
point, and only when it is asked for: one that nobody selects is not even imported.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from backends.base import Backend
from backends.capabilities import Capability, Limits, Traits
from backends.errors import DriverMissing, InvalidOption, PluginBroken
from backends.options import Option

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

GROUP: Final = "cacheapi.backends"

METHODS: Final[Mapping[Capability, tuple[str, ...]]] = {
    Capability.LIST_KEYS: ("list_keys",),
    Capability.INCREMENT: ("increment",),
    Capability.COMPARE_AND_SET: ("get_with_token", "compare_and_set", "compare_and_delete"),
    Capability.TOUCH: ("touch",),
    Capability.REMAINING_TTL: ("remaining_ttl",),
    Capability.GET_AND_DELETE: ("get_and_delete",),
    Capability.STATS: ("stats",),
    # Not ANALYZE: it came later, and who has all flags on but some would be broken by it.
}
_NAMES: Final = ("driver", "label", "service_name", "service_type")
_RECORDS: Final = {"limits": Limits, "traits": Traits}


def names() -> set[str]:
    """Return the drivers of other distributions."""
    return {point.name for point in _points()}


def _points() -> EntryPoints:
    """Return all entry points of the group.

    To look through all installed distributions takes milliseconds, and this is asked for each
    service: so only where a directory of packages has changed.
    """
    places = []
    for path in sys.path:
        try:
            places.append((path, os.stat(path or ".").st_mtime_ns))
        except OSError:
            places.append((path, 0))
    return _points_in(tuple(places))


@functools.lru_cache(maxsize=1)
def _points_in(places: tuple[tuple[str, int], ...]) -> EntryPoints:  # noqa: ARG001 (the key)
    # It takes a while to import, and the built-in drivers do not need it.
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def load(driver: str) -> type[Backend]:
    """Import a plugin and return its class.

    :raises KeyError: no distribution has this driver.
    :raises PluginBroken: it cannot be imported, it is no whole backend, or several
        distributions have this driver.
    """
    points = list(_points().select(name=driver))
    if not points:
        raise KeyError(driver)
    if len(points) > 1:
        found = " and ".join(sorted(map(_described, points)))
        raise PluginBroken(f"The driver {driver!r} is there twice: {found}.")
    (point,) = points
    try:
        loaded = point.load()
    # What a module raises while it is imported is its own.
    except Exception as error:
        raise _broken(point, f"it cannot be imported: {_one_line(error)}") from error
    fault = next(_faults(driver, loaded), None)
    if fault is not None:
        raise _broken(point, fault)
    plugin: type[Backend] = loaded
    return plugin


def make(plugin: type[Backend], arguments: Mapping[str, Any]) -> Backend:
    """Make the backend of a plugin that was loaded.

    :raises DriverMissing: its package is not installed.
    :raises InvalidOption: it cannot work with these arguments.
    :raises PluginBroken: its constructor failed otherwise, or turned on a flag that it lacks.
    """
    (point,) = _points().select(name=plugin.driver)
    try:
        backend = plugin(**arguments)
    except (DriverMissing, InvalidOption):
        raise
    except Exception as error:
        # Without its text: it may repeat a password that the constructor was given.
        raise _broken(point, f"its constructor raises {type(error).__name__}") from error
    fault = next(_flag_faults(backend), None)
    if fault is not None:
        raise _broken(point, fault)
    return backend


def _faults(driver: str, plugin: Any) -> Iterator[str]:
    """Yield what is wrong with a class; each check relies on those before it."""
    if not isinstance(plugin, type) or not issubclass(plugin, Backend):
        yield "it names no subclass of backends.base.Backend"
        return
    if plugin.__abstractmethods__:
        yield f"{plugin.__name__} lacks {', '.join(sorted(plugin.__abstractmethods__))}"
    for name in _NAMES:
        text = getattr(plugin, name, None)
        if not isinstance(text, str) or not text:
            yield f"{plugin.__name__} lacks the class attribute {name}"
    if plugin.driver != driver:
        yield f"its class says driver = {plugin.driver!r}, its entry point {driver!r}"
    for name, kind in _RECORDS.items():
        if not isinstance(getattr(plugin, name), kind):
            yield f"{plugin.__name__}.{name} is no {kind.__name__}"
    yield from _option_faults(plugin)
    yield from _flag_faults(plugin)


def _option_faults(plugin: type[Backend]) -> Iterator[str]:
    if not isinstance(plugin.options, tuple) or not all(
        isinstance(option, Option) and option.name for option in plugin.options
    ):
        yield f"{plugin.__name__}.options is no tuple of Option with a name each"
        return
    try:
        inspect.signature(plugin).bind(**{option.name: None for option in plugin.options})
    except TypeError as error:
        yield f"the constructor does not take what {plugin.__name__}.options says: {error}"


def _flag_faults(plugin: Backend | type[Backend]) -> Iterator[str]:
    """Yield each flag that is on without its method; an object may have other flags on."""
    kind = plugin if isinstance(plugin, type) else type(plugin)
    if not isinstance(plugin.capabilities, frozenset) or not plugin.capabilities <= {*Capability}:
        yield f"{kind.__name__}.capabilities is no frozenset of Capability"
        return
    for flag in sorted(plugin.capabilities & METHODS.keys(), key=lambda flag: flag.name):
        for name in METHODS[flag]:
            if getattr(kind, name) is getattr(Backend, name):
                yield f"{kind.__name__} has the flag {flag.name} on, but no method {name}"


def _broken(point: EntryPoint, fault: str) -> PluginBroken:
    return PluginBroken(f"The plugin {_described(point)} is broken: {fault}.")


def _described(point: EntryPoint) -> str:
    owner = f"{point.dist.name} {point.dist.version}" if point.dist else "of no distribution"
    return f"{owner} ({point.name} = {point.value})"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
