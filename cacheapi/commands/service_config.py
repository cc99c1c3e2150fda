"""``--set FIELD=VALUE``: the config of a service on the command line, by what each field takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from backends.options import SYMBOLS
from cacheapi.commands.administering import Administration
from cacheapi.commands.lifetimes import shown
from cacheapi.commands.output import note
from cacheapi.registry.spans import NotWhole, how, is_span, number_of
from cacheapi.slips import did_you_mean

_NAMES: Final = {symbol: unit for unit, symbol in SYMBOLS.items()}
_UNUSUAL: Final = "min"

with_settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A field of its config; 'cacheapi services types' lists them. FIELD=@FILE reads the "
    "value from a file, which keeps a password out of the list of processes. Time spans are "
    "written 90s, 15m, 2h, 7d; a plain number is in the unit of its field, that of default_ttl in "
    "minutes.",
)


def config_of(place: Administration, kind: str, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the members of a config from ``FIELD=VALUE``, by what each field takes.

    :raises click.UsageError: there is no such type or field.
    """
    types = {each["name"]: each for each in place.types()}
    if kind not in types:
        raise click.UsageError(
            f"There is no type '{kind}'; there are: {', '.join(sorted(types))}."
            + did_you_mean(kind, types)
        )
    fields = {each["name"]: each for each in types[kind]["config_schema"]}
    config = {}
    for text in settings:
        field, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--set: {text!r} is no FIELD=VALUE.")
        if field not in fields:
            names = ", ".join(fields)
            raise click.UsageError(
                f"--set: {kind} has no field '{field}'; it has: {names}."
                + did_you_mean(field, fields)
            )
        config[field] = _value(field, fields[field], value)
    return config


def _value(field: str, schema: Mapping[str, Any], text: str) -> Any:
    kind = schema["type"]
    if text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8").rstrip("\n")
    if kind == "integer":
        return _number(field, schema, text)
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise click.UsageError(f"--set: {field} must be true or false.")
        return text.lower() == "true"
    return text


def _number(field: str, schema: Mapping[str, Any], text: str) -> int:
    unit = schema.get("unit") or ""
    try:
        number = number_of(schema, text)
    except NotWhole as error:
        raise click.UsageError(
            f"--set: {field} must be whole {_NAMES[unit]}, and {text!r} is not; "
            f"write {how(schema)}."
        ) from error
    except ValueError as error:
        what = f"{_NAMES[unit]}, or {how(schema)}" if is_span(schema) else "a whole number"
        raise click.UsageError(f"--set: {field} must be {what}, not {text!r}.") from error
    if unit == _UNUSUAL and text.strip() == str(number) and number > 0:
        # It would be seconds elsewhere.
        note(f"{field}={number} is in minutes: {shown(number * 60)}.")
    return number
