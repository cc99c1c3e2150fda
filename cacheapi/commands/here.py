"""What commands work on at this machine: the registry of its settings, and a service of it.

What a command does not need is not imported: the database only where services or API keys of it
are asked for, and the system cache is opened by itself.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from backends import late
from backends.errors import BackendError
from backends.registry import backend_class
from cacheapi.caching.service import CacheService
from cacheapi.commands.failures import Failure
from cacheapi.commands.options import only_here
from cacheapi.commands.output import note, quiet
from cacheapi.commands.service_words import switched_off, unknown, without_keys
from cacheapi.registry.contents import Author
from cacheapi.registry.environment import SYSTEM_CACHE, system_cache
from cacheapi.registry.errors import NotFound, RegistryUnavailable
from cacheapi.registry.rights import Caller
from cacheapi.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from cacheapi.commands.answers import Answers
    from cacheapi.registry.definition import Definition
    from cacheapi.registry.live import Registry

Found = TypeVar("Found", bound="CacheService | Answers")


@contextmanager
def registry(*, makes: bool = False) -> Iterator[Registry]:
    """Open the registry that the settings describe.

    :param makes: whether it may be the first that is done here, as what sets up a service may.
        All else makes no data directory: it may be the wrong place.
    :raises Failure: nothing was ever stored here.
    :raises SettingsError: it cannot be used.
    """
    settings = _settings()
    with _opened(settings, is_new=_is_new(settings), makes=makes) as opened:
        yield opened


@contextmanager
def service(name: str) -> Iterator[CacheService]:
    """Give a service to work on.

    :raises Failure: there is no such service, or none at all.
    :raises SettingsError: the settings cannot be used.
    """
    with authored_service(name) as (opened, _):
        yield opened


@contextmanager
def authored_service(name: str) -> Iterator[tuple[CacheService, Author]]:
    """Do as :func:`service`, and give who does what is to be noted."""
    with _authored(name, find) as opened:
        yield opened


@contextmanager
def emptied(name: str) -> Iterator[tuple[CacheService | Answers, Author]]:
    """Do as :func:`authored_service`, and give what stores of one in front of an API too."""
    with _authored(name, _emptied) as opened:
        yield opened


@contextmanager
def _authored(
    name: str, find: Callable[[Registry, str], Found]
) -> Iterator[tuple[CacheService | Found, Author]]:
    settings = _settings()
    who, is_new = operator(), _is_new(settings)
    # A cache on servers needs no directory here, and an audit log that nobody reads makes none.
    kept = None if is_new else Path(settings["CACHEAPI_DATA_DIR"])
    names = settings["CACHEAPI_LOG_KEYS"] == "plain"
    if name not in (SYSTEM_CACHE, backend_class(settings["CACHE_DRIVER"]).service_name):
        with _opened(settings, is_new=is_new) as opened:
            found = find(opened, name)
            number = opened.snapshot.definitions[found.name].number
            try:
                yield found, Author(kept, who, found.name, number, names)
            except BackendError as error:
                if isinstance(found, CacheService):
                    error.args = (found.backend.told(str(error)),)
                raise
        return
    if settings["CACHE_DRIVER"] == "file" and is_new:
        _begin(settings)
    with late.parts():
        system = system_cache(settings)
    try:
        yield system, Author(kept, who, system.name, None, names)
    finally:
        system.backend.close()


def _settings() -> Settings:
    only_here()
    settings = load()
    for warning in settings.warnings:
        note(warning)
    owner = foreign_owner(settings)
    if owner is not None:
        note(f"The data directory belongs to {owner}: work as that user, or what is made now is "
             "not the service's to change.")  # fmt: skip
    return settings


def _is_new(settings: Settings) -> bool:
    return nothing_is_in(Path(settings["CACHEAPI_DATA_DIR"]))


def _begin(settings: Settings, *, makes: bool = False) -> None:
    """Say where nothing was ever stored.

    :raises Failure: and nothing is to be.
    """
    place = Path(settings["CACHEAPI_DATA_DIR"])
    if makes:
        note(f"No service was here before: {str(place.absolute())!r} is new.")
        return
    raise Failure(
        f"{no_service(place)} Run this in the service's directory and with its settings, or name "
        "its CACHEAPI_DATA_DIR; 'cacheapi serve' starts a new one."
    )


def nothing_is_in(place: Path) -> bool:
    """Return whether nothing was ever stored in a data directory, which may not be there."""
    try:
        return next(place.iterdir(), None) is None
    except FileNotFoundError:
        return True
    except OSError:
        # What is wrong with it says who opens it.
        return False


def no_service(place: Path) -> str:
    """Return what is said of such a data directory."""
    return f"There is no service here: {str(place.absolute())!r} is not there, or empty."


@contextmanager
def _opened(settings: Settings, *, is_new: bool, makes: bool = False) -> Iterator[Registry]:
    if is_new and not settings["CACHEAPI_DATABASE_URL"]:
        _begin(settings, makes=makes)
    from cacheapi.registry.opening import open_registry

    with late.parts():
        opened = open_registry(settings, asks=makes)
        try:
            yield opened
        finally:
            opened.close()


def find(opened: Registry, name: str) -> CacheService:
    """Return a service that can be used.

    :raises Failure: there is none of this name.
    """
    found = opened.find(name)
    if found is not None:
        return found
    definition = defined(opened, name)
    name = definition.name
    found = opened.find(name)
    if found is not None:
        return found
    if name in opened.snapshot.remotes:
        raise without_keys(name)
    if definition.fault is not None:
        raise Failure(f"Service '{name}' cannot be used: {definition.fault}")
    raise switched_off(name)


def _emptied(opened: Registry, name: str) -> CacheService | Answers:
    definition = opened.snapshot.definitions.get(name)
    remote = opened.snapshot.remotes.get(name if definition is None else definition.name)
    if remote is None:
        return find(opened, name)
    from cacheapi.commands.answers import Answers

    cache = opened.find(remote.cache)
    if cache is None:
        raise Failure(f"The service '{remote.cache}' that stores cannot be used.")
    return Answers(remote, cache)


def sharing(name: str) -> list[str]:
    """Return what there is to say of services that share keys with one, a sentence each.

    None where the others cannot be read: who empties one does not need them.
    """
    settings = load()
    try:
        with quiet(), _opened(settings, is_new=_is_new(settings)) as opened:
            return opened.snapshot.overlaps.of(name)
    except (Failure, SettingsError, RegistryUnavailable):
        return []


def defined(opened: Registry, reference: str) -> Definition:
    """Return the service of a name or an id, whether it can be used or not.

    :raises Failure: there is none.
    """
    from cacheapi.registry import administration

    try:
        return administration.find(opened, reference)
    except NotFound:
        raise unknown(reference, opened.snapshot.definitions) from None


def served_dir() -> Path:
    """Return the data directory of the settings.

    :raises Failure: nothing was ever stored there.
    """
    settings = _settings()
    if _is_new(settings):
        _begin(settings)
    return Path(settings["CACHEAPI_DATA_DIR"])


def shares_database() -> bool:
    """Return whether other machines may change the services and API keys of the settings."""
    url = load()["CACHEAPI_DATABASE_URL"]
    return bool(url) and not url.startswith("sqlite")


def data_dir() -> Path:
    """Return the data directory of the settings, which may not be there."""
    return Path(load()["CACHEAPI_DATA_DIR"])


def operator() -> Caller:
    """Return who works at this machine, as the log shall have it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    behind = os.environ.get("SUDO_USER", name)
    if behind != name and os.geteuid() == 0:
        name = f"{behind} as {name}"
    return Caller(b"", name, administrator=True)


def foreign_owner(settings: Settings) -> str | None:
    """Return who owns the data directory, if what is made there now would not be theirs."""
    directory = Path(settings["CACHEAPI_DATA_DIR"])
    try:
        # What root makes is given to them, see backends.owned.
        if os.geteuid() in (0, directory.stat().st_uid):
            return None
        return directory.owner()
    except KeyError:
        return f"user {directory.stat().st_uid}"
    except OSError:
        return None
