"""``cacheapi completion``: the script that lets a shell complete the commands."""

from __future__ import annotations

import os
from typing import Final

import click
from click.shell_completion import (
    BashComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from cacheapi.commands.output import emit_text

SHELLS: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_CACHEAPI_COMPLETE"


@add_completion_class
class _Bash(BashComplete):
    """What bash asks, by the line as it is typed.

    Its own words end at each ":" and "=": an address would be several arguments.
    """

    source_template = BashComplete.source_template.replace(
        'COMP_WORDS="${COMP_WORDS[*]}"', 'COMP_WORDS="${COMP_LINE:0:COMP_POINT}"'
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_WORDS"]
        _, *words = split_arg_string(line)
        return words, "" if line[-1:].isspace() or not words else words.pop()


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    r"""Print what lets a shell complete commands, options, services and files.

    zsh looks where fpath says: fpath=(~/.zfunc $fpath) stands before compinit in ~/.zshrc.

    \b
    Examples:
      cacheapi completion bash > ~/.local/share/bash-completion/completions/cacheapi
      cacheapi completion zsh > ~/.zfunc/_cacheapi
      cacheapi completion fish > ~/.config/fish/completions/cacheapi.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    script = made(ctx.find_root().command, {}, "cacheapi", VARIABLE).source()
    # Of what click writes for fish a description ends at its first comma.
    emit_text(script.replace('string split ","', 'string split --max 1 ","'))
