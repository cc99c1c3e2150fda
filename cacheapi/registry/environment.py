"""What the environment gives: the system cache, and the first administrators' API keys."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backends import registry as backend_registry
from backends.errors import DriverMissing, InvalidOption, PluginBroken
from cacheapi.caching.service import CacheService
from cacheapi.caching.values import BadValues
from cacheapi.caching.values import make as make_values
from cacheapi.registry.keyfile import keep
from cacheapi.registry.rights import Caller, digest_of
from cacheapi.settings import Settings, SettingsError, parse_api_keys

log = logging.getLogger(__name__)

SYSTEM_CACHE: Final = "cache"
KEYS: Final = "CACHEAPI_API_KEY"


def system_cache(settings: Settings) -> CacheService:
    """Return the system cache.

    :raises SettingsError: the driver's package is missing, it cannot work with a setting, or
        it is a broken plugin.
    """
    driver = settings["CACHE_DRIVER"]
    try:
        backend = backend_registry.create(driver, settings)
    except (DriverMissing, InvalidOption, PluginBroken) as error:
        raise SettingsError(str(error)) from error
    try:
        values = make_values(
            backend,
            settings["CACHE_VALUES"],
            settings["CACHE_JSON_FLAGS"],
            raw_bytes=settings["CACHE_RAW_BYTES"],
        )
    except BadValues as error:
        raise SettingsError(f"CACHE_JSON_FLAGS: {error}") from error
    return CacheService(
        SYSTEM_CACHE,
        backend,
        default_ttl=settings["CACHE_DEFAULT_TTL"],
        values=values,
        label="System cache",
        description=f"The cache that CACHE_DRIVER={driver} selects.",
    )


def key_file(settings: Settings) -> Path:
    """Return where the generated key is kept."""
    return Path(settings["CACHEAPI_DATA_DIR"]) / "api-key"


def load_keys(settings: Settings) -> tuple[str, ...]:
    """Return the API keys; with none set, the generated one, made if this is the first start.

    :raises SettingsError: the key's file cannot be written or read.
    """
    if settings[KEYS]:
        return tuple(settings[KEYS])
    path = key_file(settings)
    try:
        if keep(path, lambda: secrets.token_urlsafe(32)):
            log.warning("No CACHEAPI_API_KEY is set: made an API key, see %s", path)
        key = path.read_text(encoding="ascii").strip()
        (key,) = parse_api_keys(key)
    except ValueError as error:
        raise SettingsError(
            f"CACHEAPI_DATA_DIR: {str(path)!r} does not hold one API key of printable ASCII "
            "characters; delete it to get a new one."
        ) from error
    except OSError as error:
        raise SettingsError(
            f"CACHEAPI_DATA_DIR: the API key cannot be kept in {str(path)!r} "
            f"({error.strerror}); it must be a directory that the service may write to."
        ) from error
    return (key,)


def callers(keys: Sequence[str], origin: str = KEYS) -> dict[bytes, Caller]:
    """Return the administrators that show these API keys, by digest.

    :param origin: what their names say: as :func:`origin_of_keys` has it.
    """
    found = {}
    for index, key in enumerate(keys, 1):
        digest = digest_of(key)
        name = origin if len(keys) == 1 else f"{origin}, key {index}"
        found[digest] = Caller(digest, name, administrator=True)
    return found


def origin_of_keys(settings: Settings) -> str:
    """Return where the API keys stand, for people: the setting, or the file of the one made."""
    return KEYS if settings[KEYS] else "/".join(key_file(settings).absolute().parts[-2:])
