"""``cacheapi services``: which there are, and whether one works."""

from __future__ import annotations

import click

from cacheapi.commands.failures import Exit
from cacheapi.commands.output import emit, table
from cacheapi.commands.session import as_json, defined, registry
from cacheapi.registry import administration, trial
from cacheapi.registry.definition import Definition


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def services(ctx: click.Context, as_json: bool) -> None:
    r"""List the services, or try one.

    \b
    Examples:
      cacheapi services
      cacheapi services --json
      cacheapi services test sessions
    """
    if ctx.invoked_subcommand is not None:
        return
    with registry() as opened:
        definitions = list(opened.snapshot.definitions.values())
        shown = administration.told(opened, *definitions)
    if as_json:
        emit({"resource": shown})
        return
    table(
        ("NAME", "TYPE", "FROM", "STATE", "LABEL"),
        [
            (_names(each), each.type, each.source.value, _state(each), each.label)
            for each in definitions
        ],
    )


def _names(definition: Definition) -> str:
    return " = ".join((definition.name, *definition.aliases))


def _state(definition: Definition) -> str:
    if definition.fault is not None:
        return f"cannot be used: {definition.fault}"
    return "in use" if definition.is_active else "switched off"


@services.command("test")
@click.argument("name")
@as_json
def test(name: str, as_json: bool) -> int:
    r"""Try a service: connect, write, read, delete a key of its own.

    The exit code is 3 where a step failed.

    \b
    Examples:
      cacheapi services test cache
      cacheapi services test sessions --json
    """
    with registry() as opened:
        outcome = trial.run(opened, defined(opened, name), saved=True)
    if as_json:
        steps = [step.__dict__ for step in outcome.steps]
        emit({"success": outcome.success, "steps": steps, "cause": outcome.cause})
    else:
        table(
            ("STEP", "", "MS", "MESSAGE"),
            [
                (step.name, "ok" if step.success else "FAILED", step.ms, step.message)
                for step in outcome.steps
            ],
        )
        if outcome.cause is not None:
            click.echo(f"Likely: {outcome.cause}")
    return Exit.DONE if outcome.success else Exit.FAILED
