"""The program itself: its commands, and how it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from cacheapi.commands.failures import Exit, OutputClosed, code_of, is_of_output, line_of
from cacheapi.commands.output import log_lines, note, open_streams
from cacheapi.slips import did_you_mean

# Each by its name, with where it is and what it does: a call imports the one that it is for.
PLACES: Final = {
    "serve": ("serve:serve", "Serve the API over HTTP."),
    "doctor": ("doctor:doctor", "Find out what is wrong, and what to do."),
    "get": ("entries:get", "Print the values of keys."),
    "set": ("entries:set_", "Store a value."),
    "touch": ("changing:touch", "Give a key a new lifetime."),
    "ttl": ("changing:ttl", "Say how long keys have left."),
    "incr": ("changing:incr", "Count, in one atomic step."),
    "delete": ("keys:delete", "Delete keys: by name, prefix or tag."),
    "batch": ("batch:batch", "Do several different operations in one go."),
    "keys": ("keys:keys", "List keys."),
    "flush": ("flushing:flush", "Delete every key of a service."),
    "stats": ("stats:stats", "Show hits, memory and evictions, live."),
    "tail": ("tail:tail", "Show requests as they are answered, or the slowest."),
    "audit": ("tail:audit", "Show who changed a service or an API key."),
    "analyze": ("analyze:analyze", "Show what fills a service, by prefixes of its keys."),
    "export": ("exporting:export", "Write the entries of a service to a file."),
    "import": ("importing:import_", "Store the entries of such a file."),
    "services": ("services:services", "List, try, make, change and delete services."),
    "api-key": ("api_keys:api_key", "Make, list and revoke API keys."),
    "explain": ("explain:explain", "Say what is stored of a URL, of a service in front of an API."),
    "completion": ("completion:completion", "Print what lets a shell complete all this."),
}


class Commands(click.Group):
    """Commands that end as :mod:`~cacheapi.commands.failures` says."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in PLACES:
            return None
        if cmd_name not in self.commands:
            module, _, name = PLACES[cmd_name][0].partition(":")
            command = getattr(import_module(f"cacheapi.commands.{module}"), name)
            _keep_lines(command)
            self.add_command(command, cmd_name)
        return self.commands[cmd_name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in PLACES and not word.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command '{word}'.{did_you_mean(word, PLACES)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # click would call that the answer no.
            raise OutputClosed from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in PLACES.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [
            CompletionItem(name, help=does)
            for name, (_, does) in PLACES.items()
            if name.startswith(incomplete)
        ]
        # Its options.
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *_arguments: Any,
        **_options: Any,
    ) -> Any:
        """Run a command, and exit with its code."""
        open_streams()
        with log_lines():
            code = self._run(args, prog_name)
        sys.exit(code)

    def _run(self, args: Sequence[str] | None, prog_name: str | None) -> int:
        if "_CACHEAPI_COMPLETE" in os.environ:
            # A shell asks: how bash does it is known there.
            import_module("cacheapi.commands.completion")
        try:
            code = super().main(args, prog_name or "cacheapi", standalone_mode=False)
        except (KeyboardInterrupt, click.Abort):
            click.echo("cacheapi: Interrupted.", err=True)
            return Exit.INTERRUPTED
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return Exit.USAGE
        except OutputClosed:
            # Who read the output has seen enough, as "head" does.
            _drop_output()
            return Exit.CLOSED
        except Exception as error:
            expected = code_of(error)
            if expected is None:
                raise
            note(line_of(error))
            if is_of_output(error):
                _drop_output()
            return expected
        return code if isinstance(code, int) else Exit.DONE


def _drop_output() -> None:
    """Let what is still to be flushed go nowhere; else the interpreter complains at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from cacheapi.version import __version__

        click.echo(f"cacheapi, version {__version__}")
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 the answer is no; 2 wrong use; 3 something failed; "
    "130 interrupted.",
)
@click.option(
    *("-V", "--version"),
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version and exit.",
)
@click.option(
    "--url",
    envvar="CACHEAPI_URL",
    metavar="URL",
    help="Work on a service elsewhere, over HTTP: https://cache.example. [CACHEAPI_URL]",
)
@click.option(
    "--key",
    envvar="CACHEAPI_KEY",
    metavar="@FILE",
    help="With --url: the file of an API key, or the key itself, which others on this machine "
    "can see then. [CACHEAPI_KEY]",
)
@click.pass_context
def cacheapi(ctx: click.Context, url: str | None, key: str | None) -> None:
    r"""Serve a cache over HTTP, look into it, find out what is wrong.

    All commands read the settings that the service reads, from the environment and the file
    .env in this directory, and work on the same caches and API keys directly: the service
    need not run. With --url they ask a service elsewhere.

    \b
    Examples:
      cacheapi serve
      cacheapi doctor
      cacheapi set greeting '"hello"' --ttl 15m
      cacheapi --url https://cache.example --key @cache.key get greeting
    """
    typed = {
        name
        for name in ("url", "key")
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if "url" in typed and not url:
        # A variable that is not set: the command would work on this machine.
        raise click.UsageError("--url is empty.")
    if "key" in typed and not url:
        raise click.UsageError(
            "--key belongs to --url, the service that it is shown to: give both, or leave it out; "
            "on this machine nobody asks for an API key."
        )
    ctx.obj = {"url": url, "key": key, "key_from": "--key" if "key" in typed else "CACHEAPI_KEY"}


def _keep_lines(command: click.Command) -> None:
    """Let click see its marks of paragraphs that stay as they are: raw docstrings spell them."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _keep_lines(inner)


_keep_lines(cacheapi)
