"""Options that there are not: which was meant, and where it is."""

from __future__ import annotations

import itertools
import re
from typing import Final

import click

from cacheapi.slips import did_you_mean

# Of the program itself, so they stand before the command.
_BEFORE: Final = {"--url": "URL", "--key": "@FILE"}
_AFTER: Final = frozenset({"--service", "-s", "--json", "--ttl", "--yes"})
# What other programs call it, or another command has; and the option that a command must have
# for this to be of use.
_MEANT: Final = {
    **dict.fromkeys(
        ("--ex", "--px", "--exp", "--expire", "--expires", "--expiry"),
        ("--ttl", "A lifetime is given with --ttl."),
    ),
    "--nx": ("--add", "--add stores only if the key is not there yet."),
    "--xx": ("--replace", "--replace stores only if the key is there."),
    "--force": ("--yes", "--yes does not ask."),
    **dict.fromkeys(
        ("--match", "--pattern", "--glob"),
        (
            "--service",
            "'cacheapi keys --match PATTERN -0 | xargs -0 cacheapi delete' deletes by pattern.",
        ),
    ),
    "--prefix": ("--service", "'cacheapi keys' and 'cacheapi delete' have it."),
    "--tag": ("--service", "'cacheapi set' and 'cacheapi delete' have it."),
    "--by": ("--service", "'cacheapi incr KEY N' counts by N."),
}
# What is meant as an option, and no value such as -5.
_OPTION: Final = re.compile(r"(--[A-Za-z][\w-]*|-[A-Za-z])(=.*)?", re.DOTALL)


class NegativeNumbers(click.Command):
    """A command whose arguments may begin with ``-``, as negative numbers do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is meant as an option, and take the rest as it is.

        Where click may take what it does not know, it takes a misspelt option for an argument.
        """
        known = {name: each for each in self.get_params(ctx) for name in each.opts}
        options: list[str] = []
        arguments: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                arguments += words
                break
            found = _OPTION.fullmatch(word)
            option = known.get(found[1] if found else word[:2])
            takes = isinstance(option, click.Option) and not option.is_flag
            if found is None and not takes:
                arguments.append(word)
                continue
            if option is None and not ctx.resilient_parsing:
                assert found is not None
                raise click.NoSuchOption(found[1], ctx=ctx)
            options.append(word)
            if takes and found is not None and found[2] is None:
                # Its value, whatever that is.
                options += itertools.islice(words, 1)
        return super().parse_args(ctx, [*options, "--", *arguments])


def told(error: click.NoSuchOption) -> str:
    """Return what is said of an option that there is not, with what to do instead."""
    name, ctx = error.option_name, error.ctx
    said = f"No such option '{name}'."
    if ctx is None:
        return said
    path = ctx.command_path
    if ctx.parent is None:
        if name in _AFTER:
            return f"{said} It stands after the command: '{path} COMMAND … {name}'."
    elif name in _BEFORE:
        root = ctx.find_root().command_path
        rest = path.removeprefix(root).strip()
        return f"{said} It stands before the command: '{root} {name} {_BEFORE[name]} {rest} …'."
    known = [opt for each in ctx.command.get_params(ctx) for opt in each.opts if opt[:1] == "-"]
    needed, meant = _MEANT.get(name, ("", ""))
    # Letters are all alike.
    words = [opt for opt in known if opt.startswith("--")] if name.startswith("--") else []
    near = f" {meant}" if needed in known else did_you_mean(name, words)
    if not near and isinstance(ctx.command, NegativeNumbers):
        near = " What begins so and is no option stands after '--'."
    return f"{said}{near}"
