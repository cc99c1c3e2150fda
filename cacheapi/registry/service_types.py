"""What the backends can do, as clients see it: each type of service, and each service."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from backends.capabilities import Capability, Limits
from backends.registry import backend_classes
from cacheapi.caching.service import CacheService
from cacheapi.registry.forms import config_schema
from cacheapi.responses.remote import REMOTE


def service_types() -> list[dict[str, Any]]:
    """Describe each type of service by what its backend's class says of itself.

    A type whose driver's package is not installed is one of them; a broken plugin is not.
    """
    described = []
    for backend in backend_classes():
        words = dataclasses.asdict(backend.traits)
        described.append(
            {
                "name": backend.service_type,
                "label": words.pop("title") or backend.driver,
                "description": words.pop("description") or f"A cache on {backend.label}.",
                "driver": backend.driver,
                "capabilities": _flags(backend.capabilities),
                "limits": _numbers(backend.limits),
                "traits": words,
                "config_schema": config_schema(backend),
            }
        )
    words = dataclasses.asdict(REMOTE.traits)
    described.append(
        {
            "name": REMOTE.service_type,
            "label": words.pop("title"),
            "description": words.pop("description"),
            "driver": REMOTE.driver,
            "capabilities": _flags(()),
            "limits": _numbers(Limits()),
            "traits": words,
            "config_schema": config_schema(REMOTE),
        }
    )
    return described


def abilities(service: CacheService) -> dict[str, Any]:
    """Describe what one service can do, with its own settings.

    The longest key is the longest that a client may send: the service's prefix is taken off.
    """
    backend = service.backend
    backend.learn_capabilities()
    limits = dataclasses.replace(backend.limits, max_key_bytes=backend.max_key_bytes)
    return {
        "name": service.name,
        "type": service.type,
        "driver": backend.driver,
        "capabilities": _flags(backend.capabilities),
        "limits": _numbers(limits),
    }


def _flags(on: Iterable[Capability]) -> dict[str, bool]:
    return {flag.name.lower(): flag in on for flag in Capability}


def _numbers(limits: Limits) -> dict[str, Any]:
    pattern = limits.forbidden_in_key
    numbers = {field.name: getattr(limits, field.name) for field in dataclasses.fields(limits)}
    return numbers | {"forbidden_in_key": None if pattern is None else pattern.pattern}
