"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import click

from cacheapi.commands import completing
from cacheapi.registry.environment import SYSTEM_CACHE

Command = TypeVar("Command", bound=Callable[..., Any])


class Remote(NamedTuple):
    """What ``--url`` and ``--key`` say.

    :ivar key_from: where the key was given.
    """

    url: str
    key: str | None
    key_from: str


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
        shell_complete=completing.services,
        help="The service to work on; 'cacheapi services' lists them.",
    )(command)


def remote() -> Remote | None:
    """Return what is said of a service elsewhere, if anything."""
    ctx = click.get_current_context(silent=True)
    given = None if ctx is None else ctx.find_root().obj
    if not given or not given.get("url"):
        return None
    return Remote(given["url"], given["key"], given["key_from"])


def only_here() -> None:
    """Refuse ``--url`` for a command that looks into this machine.

    :raises click.UsageError: it is given.
    """
    if remote() is not None:
        raise click.UsageError(
            "This command works on the machine of the service itself: leave out --url, and unset "
            "CACHEAPI_URL."
        )
