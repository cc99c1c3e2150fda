"""Put the sources of the settings together to the registry of a process."""

from __future__ import annotations

from pathlib import Path

from cacheapi.registry import environment, forms
from cacheapi.registry.database.connecting import connect
from cacheapi.registry.database.errors import DatabaseUnusable
from cacheapi.registry.declared import BadFile
from cacheapi.registry.errors import Conflict
from cacheapi.registry.live import Registry
from cacheapi.registry.vault import Vault
from cacheapi.settings import Settings, SettingsError


def open_registry(settings: Settings, *, asks: bool = True) -> Registry:
    """Return the services and API keys of the settings. Leaves no connection open.

    :param asks: whether anybody will show an API key of the environment. Where nobody does, the
        first start is still to come, and none is made.
    :raises SettingsError: a source of them cannot be used; see
        :mod:`~cacheapi.registry.environment` and
        :meth:`~cacheapi.registry.live.Registry.start`.
    """
    data_dir = Path(settings["CACHEAPI_DATA_DIR"])
    system = environment.system_cache(settings)
    callers = {}
    if asks:
        keys = environment.load_keys(settings)
        callers = environment.callers(keys, environment.origin_of_keys(settings))
    file = settings["CACHEAPI_SERVICES_FILE"]
    url = settings["CACHEAPI_DATABASE_URL"]
    try:
        registry = Registry(
            system,
            callers,
            file=None if file is None else Path(file),
            database=connect(url, data_dir),
            vault=Vault(settings["CACHEAPI_SECRET_KEY"], data_dir / "secret-key"),
            data_dir=data_dir,
            names_keys=settings["CACHEAPI_LOG_KEYS"] == "plain",
            config=forms.of_environment(type(system.backend), settings.texts),
        )
        registry.start()
    except DatabaseUnusable as error:
        variable = "CACHEAPI_DATA_DIR" if url is None else "CACHEAPI_DATABASE_URL"
        raise SettingsError(f"{variable}: the database cannot be used: {error}") from error
    except BadFile as error:
        raise SettingsError(f"CACHEAPI_SERVICES_FILE: {error}") from error
    except Conflict as error:
        raise SettingsError(f"Services: {error}") from error
    return registry
