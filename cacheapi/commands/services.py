"""``cacheapi services``: whether one works, and to make and change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cacheapi.commands import completing, listing
from cacheapi.commands.administering import administration
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.options import as_json
from cacheapi.commands.output import emit, emit_text, is_interactive, note, printable, table
from cacheapi.commands.service_config import config_of, with_settings
from cacheapi.registry.definition import Source

_NAMED = click.argument("name", shell_complete=completing.services)
_LABEL = click.option("--label", metavar="TEXT", help="Its name for people.")
_DESCRIPTION = click.option("--description", metavar="TEXT", help="What it is for.")
_TEST = click.option(
    "--test", "tries", is_flag=True, help="Try it first; nothing is saved where that fails."
)
# Behind what was done, with --test.
_TRIED = ", and every step of the test succeeded"


@click.group(cls=completing.Group, invoke_without_command=True)
@as_json
@click.pass_context
def services(ctx: click.Context, as_json: bool) -> None:
    r"""List the services; show, try, make, change or delete one.

    \b
    Examples:
      cacheapi services
      cacheapi services show sessions
      cacheapi services --json
      cacheapi services create sessions --type cache_redis --set host=10.0.0.1 --test
    """
    if ctx.invoked_subcommand is not None:
        return
    listing.list_services(as_json)


services.add_command(listing.list_)
services.add_command(listing.show)


@services.command()
@as_json
def types(as_json: bool) -> None:
    r"""List the types of services, and what each can be told.

    \b
    Examples:
      cacheapi services types
      cacheapi services types --json
    """
    with administration() as place:
        found = place.types()
    if as_json:
        emit({"resource": found})
        return
    table(
        ("TYPE", "FIELD", "VALUE", "DEFAULT", "MEANING"),
        [
            (kind["name"], field["name"], _type(field), _default(field), _plain(field))
            for kind in found
            for field in kind["config_schema"]
        ],
    )


def _type(field: Mapping[str, Any]) -> str:
    unit = field.get("unit")
    return f"{field['type']} ({unit})" if unit else str(field["type"])


def _plain(field: Mapping[str, Any]) -> str:
    """Return what a field means without the marks of a page."""
    return str(field["description"]).replace("**", "").replace("`", "")


def _default(field: Mapping[str, Any]) -> Any:
    default = field.get("default")
    return str(default).lower() if isinstance(default, bool) else default


@services.command("test")
@_NAMED
@as_json
def test(name: str, as_json: bool) -> int:
    r"""Try a service: connect, write, read, delete a key of its own.

    The exit code is 3 where a step failed.

    \b
    Examples:
      cacheapi services test cache
      cacheapi services test sessions --json
    """
    with administration() as place:
        outcome = place.try_service(name)
    if as_json:
        emit(outcome)
    else:
        _show_trial(outcome)
    return Exit.DONE if outcome["success"] else Exit.FAILED


def _show_trial(outcome: Mapping[str, Any]) -> None:
    table(
        ("STEP", "", "MS", "MESSAGE"),
        [
            (step["name"], "ok" if step["success"] else "FAILED", step["ms"], step["message"])
            for step in outcome["steps"]
        ],
    )
    if outcome["cause"] is not None:
        emit_text(f"Likely: {outcome['cause']}")


@services.command()
@click.argument("name")
@click.option(
    "--type",
    "kind",
    required=True,
    metavar="TYPE",
    shell_complete=completing.types,
    help="Such as cache_redis.",
)
@with_settings
@_LABEL
@_DESCRIPTION
@click.option("--off", is_flag=True, help="Make it switched off.")
@_TEST
@as_json
def create(
    name: str,
    kind: str,
    settings: tuple[str, ...],
    label: str | None,
    description: str | None,
    off: bool,
    tries: bool,
    as_json: bool,
) -> None:
    r"""Make a service: a cache with a name of its own.

    \b
    Examples:
      cacheapi services create pages --type cache_local --set default_ttl=2h
      cacheapi services create sessions --type cache_memcached --set host=10.0.0.1:11211 --test
      cacheapi services create shop --type cache_redis --set password=@/run/secrets/redis
    """
    with administration(makes=True) as place:
        config = config_of(place, kind, settings)
        fields = {"name": name, "type": kind, "config": config, "is_active": not off}
        fields |= _given(label=label, description=description)
        if tries:
            _refuse_failed(place.try_draft(fields))
        made = place.create(fields)
    if as_json:
        emit(made)
        return
    note(f"Service '{name}' is there{_TRIED if tries else ''}.")
    listing.tell_warnings(made)


@services.command()
@_NAMED
@with_settings
@click.option("--name", "new_name", metavar="NAME", help="Call it so from now on.")
@_LABEL
@_DESCRIPTION
@_TEST
@as_json
def edit(
    name: str,
    settings: tuple[str, ...],
    new_name: str | None,
    label: str | None,
    description: str | None,
    tries: bool,
    as_json: bool,
) -> None:
    r"""Change what is given of a service, and leave the rest.

    \b
    Examples:
      cacheapi services edit sessions --set host=10.0.0.2:11211 --test
      cacheapi services edit sessions --name carts --label "Carts"
    """
    fields: dict[str, Any] = _given(name=new_name, label=label, description=description)
    if not fields and not settings:
        raise click.UsageError("There is nothing to change: give --set, --name or --label.")
    with administration() as place:
        if settings:
            kind = place.service(name)["type"]
            fields["config"] = config_of(place, kind, settings)
        if tries:
            _refuse_failed(place.try_service(name, fields.get("config")))
        changed = place.change(name, fields)
    _told(changed, f"Service '{changed['name']}' is changed{_TRIED if tries else ''}.", as_json)


@services.command()
@_NAMED
@as_json
def on(name: str, as_json: bool) -> None:
    r"""Switch a service on, so that it can be asked again.

    \b
    Examples:
      cacheapi services on sessions
    """
    _switch(name, True, as_json)


@services.command()
@_NAMED
@as_json
def off(name: str, as_json: bool) -> None:
    r"""Switch a service off: its keys stay, and nobody can ask for them.

    \b
    Examples:
      cacheapi services off sessions
    """
    _switch(name, False, as_json)


def _switch(name: str, is_active: bool, as_json: bool) -> None:
    with administration() as place:
        changed = place.change(name, {"is_active": is_active})
    _told(changed, f"Service '{changed['name']}' is {listing.SWITCHED[is_active]}.", as_json)


@services.command()
@_NAMED
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def delete(name: str, yes: bool, as_json: bool) -> None:
    r"""Delete a service. What its server holds stays there; its own file goes.

    Asks first; where nobody can be asked, it needs --yes.

    \b
    Examples:
      cacheapi services delete sessions
      cacheapi services delete sessions --yes
    """
    with administration() as place:
        found = place.service(name)
        # One that is set up elsewhere is refused below, and nobody is asked for that.
        if not yes and found["source"] == Source.DATABASE.value:
            if not is_interactive():
                raise Failure("Nobody can be asked here; say --yes to delete it.", Exit.USAGE)
            click.confirm(
                f"Delete the service {printable(found['name'])} ({found['type']})?",
                abort=True,
                err=True,
            )
        place.delete(name)
    if as_json:
        emit({"success": True})
    else:
        note(f"Service '{found['name']}' is deleted.")


def _told(changed: Mapping[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        emit(changed)
    else:
        note(words)
        listing.tell_warnings(changed)


def _given(**fields: str | None) -> dict[str, Any]:
    return {name: text for name, text in fields.items() if text is not None}


def _refuse_failed(outcome: Mapping[str, Any]) -> None:
    """End with what a trial found.

    :raises Failure: a step of it failed.
    """
    if outcome["success"]:
        return
    step = outcome["steps"][-1]
    cause = f" {outcome['cause']}" if outcome["cause"] else ""
    raise Failure(f"Nothing is saved: '{step['name']}' failed: {step['message']}{cause}")
