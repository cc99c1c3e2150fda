"""cacheapi: a cache over HTTP.

What others import from here is loaded when it is asked for: the program ``cacheapi`` starts in
a fraction of the time that Flask takes to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cacheapi.application import create_app as create_app
    from cacheapi.settings import Settings as Settings
    from cacheapi.settings import SettingsError as SettingsError
    from cacheapi.settings import load as load
    from cacheapi.version import __version__ as __version__

_PLACES: Final = {
    "create_app": "cacheapi.application",
    "Settings": "cacheapi.settings",
    "SettingsError": "cacheapi.settings",
    "load": "cacheapi.settings",
    "__version__": "cacheapi.version",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found
