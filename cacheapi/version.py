"""Which version this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cacheapi")
except PackageNotFoundError:  # Run from a checkout.
    __version__ = "0.1.0"
