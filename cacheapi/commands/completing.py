"""What a shell completes besides commands and options: services, their types, files."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, suppress
from typing import Final

import click
from click.shell_completion import CompletionItem

_LINE: Final = 100
# A file's name, to which a shell completes; whether there is such a file the command says.
FILE: Final = click.Path(readable=False, allow_dash=True)


class Group(click.Group):
    """Commands below another, whose lines of help a shell shows whole."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [
            CompletionItem(name, help=self.commands[name].get_short_help_str(limit=_LINE))
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        # Its options.
        return commands + click.Command.shell_complete(self, ctx, incomplete)


def services(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the services of this machine that begin so.

    None of a service elsewhere, which would be asked at each key that is pressed, and none
    where they cannot be read: a shell shows what is said there in the middle of a line.
    """
    from cacheapi.commands.here import registry

    names: list[str] = []
    if ctx.find_root().params.get("url") is None:
        with suppress(Exception), redirect_stderr(io.StringIO()), registry() as opened:
            names = sorted(opened.snapshot.definitions)
    return [name for name in names if name.startswith(incomplete)]


def types(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the types of services that begin so."""
    from cacheapi.registry.service_types import service_types

    names = (each["name"] for each in service_types())
    return sorted(name for name in names if name.startswith(incomplete))
