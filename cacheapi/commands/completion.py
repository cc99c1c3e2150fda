"""``cacheapi completion``: the script that lets a shell complete the commands."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from cacheapi.commands.output import emit_text

SHELLS: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = "_CACHEAPI_COMPLETE"


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
    script = made(ctx.find_root().command, {}, "cacheapi", _VARIABLE).source()
    # Of what click writes for fish a description ends at its first comma.
    emit_text(script.replace('string split ","', 'string split --max 1 ","'))
