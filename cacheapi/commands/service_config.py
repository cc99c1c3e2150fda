"""``--set FIELD=VALUE``: the config of a service on the command line, by what each field takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from cacheapi.caching.ttl import FOREVER, seconds_of
from cacheapi.commands.administering import Administration
from cacheapi.commands.lifetimes import shown
from cacheapi.commands.output import note
from cacheapi.settings import DEFAULT_TTL
from cacheapi.slips import did_you_mean

# How many of a unit a second is; a span of time may be written with any.
_A_SECOND: Final = {"ms": 1000, "s": 1}
_NAMES: Final = {"ms": "milliseconds", "s": "seconds"}

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
    if field == DEFAULT_TTL.field:
        return _minutes(text)
    if kind == "integer":
        unit = schema.get("unit") or ""
        seconds = seconds_of(text) if unit in _A_SECOND else None
        try:
            return int(text) if seconds is None else seconds * _A_SECOND[unit]
        except ValueError as error:
            is_span = unit in _A_SECOND
            what = f"{_NAMES[unit]}, or 90s, 15m, 2h, 7d" if is_span else "a whole number"
            raise click.UsageError(f"--set: {field} must be {what}, not {text!r}.") from error
    if kind == "boolean":
        if text.lower() not in ("true", "false"):
            raise click.UsageError(f"--set: {field} must be true or false.")
        return text.lower() == "true"
    return text


def _minutes(text: str) -> int:
    """Return a default lifetime, which the config has in minutes."""
    if text == FOREVER:
        return 0
    seconds = seconds_of(text)
    if seconds is None:
        try:
            minutes = int(text)
        except ValueError as error:
            raise click.UsageError(
                f"--set: default_ttl: {text!r} is no lifetime; write 90m, 2h, 7d or forever. "
                "A plain number is in minutes."
            ) from error
        if minutes > 0:
            # It would be seconds elsewhere.
            note(f"default_ttl={minutes} is in minutes: {shown(minutes * 60)}.")
        return minutes
    if seconds % 60:
        raise click.UsageError(
            f"--set: default_ttl must be whole minutes, and {text!r} is not; write 2m, 90m, 2h."
        )
    return seconds // 60
