"""``cacheapi services list`` and ``show``: which services there are, and the settings of one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from backends.errors import PluginBroken
from backends.options import Option
from backends.registry import options_of
from cacheapi.commands import completing
from cacheapi.commands.administering import administration
from cacheapi.commands.lifetimes import shown
from cacheapi.commands.options import as_json
from cacheapi.commands.output import emit, note, table
from cacheapi.registry.definition import Source
from cacheapi.settings import CORE, DEFAULT_TTL

# Not whether its server answers: that costs a look at each.
SWITCHED: Final = {True: "switched on", False: "switched off"}
_ELSEWHERE: Final = {
    "environment": (
        "They stand in the environment and .env, and are changed there, for the next start."
    ),
    "file": "They stand in the file CACHEAPI_SERVICES_FILE, and are changed there.",
}


def tell_warnings(told: Mapping[str, Any]) -> None:
    """Say what there is to say of a service, such as others that share its keys."""
    # A service elsewhere that is older may tell none.
    for warning in told.get("warnings", ()):
        note(warning)


def list_services(as_json: bool) -> None:
    """Print the services."""
    with administration() as place:
        found = place.services()
    if as_json:
        emit({"resource": found})
        return
    table(
        ("NAME", "TYPE", "FROM", "STATE", "LABEL"),
        [
            (_names(each), each["type"], each["source"], _state(each), each["label"])
            for each in found
        ],
    )


@click.command("list")
@as_json
def list_(as_json: bool) -> None:
    r"""List the services, as 'cacheapi services' does.

    STATE is whether a service can be asked, not whether its server answers: 'cacheapi doctor'
    looks at all, 'cacheapi services test NAME' at one.

    \b
    Examples:
      cacheapi services list
      cacheapi services list --json
    """
    list_services(as_json)


@click.command()
@click.argument("name", shell_complete=completing.services)
@as_json
def show(name: str, as_json: bool) -> None:
    r"""Show a service and its settings. Secrets are **********.

    What is set otherwise than by default is marked; 'cacheapi services edit' changes it. Of the
    system cache it says which variable sets each.

    \b
    Examples:
      cacheapi services show sessions
      cacheapi services show sessions --json | jq .config.host
    """
    with administration() as place:
        found = place.service(name)
        if as_json:
            emit(found)
            return
        kinds = {each["name"]: each for each in place.types()}
    table(
        ("SERVICE", found["name"]),
        [
            ("type", found["type"]),
            ("id", found["id"]),
            ("from", found["source"]),
            ("state", _state(found)),
            ("label", found["label"]),
            ("description", found["description"]),
            *(("also called", alias) for alias in found["aliases"]),
        ],
    )
    if found["config"]:
        click.echo()
        kind = kinds.get(found["type"], {})
        fields = kind.get("config_schema", [])
        if found["source"] == Source.ENVIRONMENT.value:
            options = _options(kind.get("driver", ""))
            table(("SETTING", "VALUE", "", "SET BY"), list(_set(found["config"], fields, options)))
        else:
            table(("SETTING", "VALUE", "", "MEANING"), list(_settings(found["config"], fields)))
    if found["source"] in _ELSEWHERE:
        note(_ELSEWHERE[found["source"]])
    tell_warnings(found)


def _settings(
    config: Mapping[str, Any], fields: list[Mapping[str, Any]]
) -> Iterator[tuple[object, ...]]:
    """Yield the settings in the order of the type's fields: name, value, mark, meaning."""
    known = {field["name"]: field for field in fields}
    for name in [*known, *(name for name in config if name not in known)]:
        if name not in config:
            continue
        value, field = config[name], known.get(name, {})
        mark = "set" if "default" in field and value != field["default"] else " "
        yield name, _value(name, value), mark, field.get("label")


def _options(driver: str) -> dict[str, Option]:
    """Return the options of the system cache by their fields; of a plugin elsewhere some only."""
    own: tuple[Option, ...] = ()
    with contextlib.suppress(KeyError, PluginBroken):
        own = options_of(driver)
    return {option.field: option for option in (*CORE, *own) if option.field}


def _set(
    config: Mapping[str, Any], fields: list[Mapping[str, Any]], options: Mapping[str, Option]
) -> Iterator[tuple[object, ...]]:
    """Yield the settings as :func:`_settings` does, with the variable of each for its meaning.

    Some have another default there than as a field.
    """
    known = [
        {**field, "default": _default(options[field["name"]])}
        if field["name"] in options
        else field
        for field in fields
    ]
    for name, value, mark, label in _settings(config, known):
        option = options.get(str(name))
        yield name, value, mark, label if option is None else option.variable


def _default(option: Option) -> Any:
    default = option.default
    return default if not default or option.kind.json == "string" else option.kind.parse(default)


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if name == DEFAULT_TTL.field and isinstance(value, int):
        # In minutes; zero and less are for ever.
        return f"{value} ({shown(value * 60 if value > 0 else None)})"
    return value


def _names(service: Mapping[str, Any]) -> str:
    return " = ".join((service["name"], *service["aliases"]))


def _state(service: Mapping[str, Any]) -> str:
    if service["fault"] is not None:
        return f"cannot be used: {service['fault']}"
    return SWITCHED[service["is_active"]]
