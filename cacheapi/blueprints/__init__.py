"""Views: translate HTTP to a call of the cache service and back, nothing more."""

from __future__ import annotations

from flask import current_app

from cacheapi.errors import ApiError
from cacheapi.services import CacheService

EXTENSION = "cacheapi"


def services() -> dict[str, CacheService]:
    """Return the application's services by name."""
    found: dict[str, CacheService] = current_app.extensions[EXTENSION]
    return found


def find_service(name: str) -> CacheService:
    """Return a service.

    :raises ApiError: 404; there is none of this name.
    """
    try:
        return services()[name]
    except KeyError:
        raise ApiError(404, f"Service '{name}' does not exist.") from None
