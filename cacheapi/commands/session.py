"""What commands work on: the registry of the settings, and a service of it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from cacheapi.caching.service import CacheService
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.output import note
from cacheapi.registry.environment import SYSTEM_CACHE
from cacheapi.registry.live import Registry
from cacheapi.registry.opening import open_registry
from cacheapi.registry.rights import Caller
from cacheapi.settings import Settings, load

Command = TypeVar("Command", bound=Callable[..., Any])


def as_json(command: Command) -> Command:
    """Give a command the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        command
    )


def of_service(command: Command) -> Command:
    """Give a command the option ``--service``."""
    return click.option(
        "--service",
        "-s",
        "name",
        default=SYSTEM_CACHE,
        show_default=True,
        metavar="NAME",
        help="The service to work on; 'cacheapi services' lists them.",
    )(command)


@contextmanager
def registry() -> Iterator[Registry]:
    """Open the registry that the settings describe.

    :raises SettingsError: it cannot be used.
    """
    settings = load()
    for warning in settings.warnings:
        note(warning)
    owner = foreign_owner(settings)
    if owner is not None:
        note(f"The data directory belongs to {owner}: work as that user, or what is made now is "
             "not the service's to change.")  # fmt: skip
    opened = open_registry(settings)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def service(name: str) -> Iterator[CacheService]:
    """Open the registry, and give a service of it."""
    with registry() as opened:
        yield find(opened, name)


def find(opened: Registry, name: str) -> CacheService:
    """Return a service that can be used.

    :raises Failure: there is none of this name.
    """
    found = opened.find(name)
    if found is not None:
        return found
    definition = opened.snapshot.definitions.get(opened.snapshot.name_of(name))
    if definition is None:
        names = ", ".join(sorted(opened.snapshot.definitions))
        raise Failure(f"Service '{name}' does not exist; there are {names}.", Exit.USAGE)
    if name in opened.snapshot.remotes:
        raise Failure(
            f"Service '{name}' stands in front of an HTTP API; 'cacheapi explain {name} URL' says "
            "what is stored of it.",
            Exit.USAGE,
        )
    if definition.fault is not None:
        raise Failure(f"Service '{name}' cannot be used: {definition.fault}")
    raise Failure(f"Service '{name}' is switched off.")


def operator() -> Caller:
    """Return who works at this machine, as the log shall have it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return Caller(b"", name, administrator=True)


def foreign_owner(settings: Settings) -> str | None:
    """Return who owns the data directory, if that is somebody else."""
    directory = Path(settings["CACHEAPI_DATA_DIR"])
    try:
        if directory.stat().st_uid == os.geteuid():
            return None
        return directory.owner()
    except KeyError:
        return f"user {directory.stat().st_uid}"
    except OSError:
        return None
