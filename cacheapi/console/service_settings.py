"""The settings of a service that is there, as they are read."""

from __future__ import annotations

import dataclasses
from typing import Any

from cacheapi.amounts import counted
from cacheapi.console import words
from cacheapi.console.service_form import USUAL, types
from cacheapi.registry import administration
from cacheapi.registry.definition import Definition
from cacheapi.settings import DEFAULT_TTL


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting as it is read.

    :ivar is_usual: whether it tells where values are kept, how many and how long.
    """

    label: str
    text: str
    is_usual: bool


def settings_of(definition: Definition) -> list[Setting]:
    """Return the settings of a service that is there, in the order of its form."""
    config = administration.shown(definition)["config"]
    schema = types().get(definition.type, {}).get("config_schema", [])
    return [
        Setting(
            field["label"].removesuffix(f" ({field['unit']})"),
            _text(field["name"], config[field["name"]], field["unit"]),
            is_usual=field["name"] in USUAL,
        )
        for field in schema
        if field["name"] in config
    ]


def _text(name: str, value: Any, unit: str | None) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == DEFAULT_TTL.field:
        minutes = counted(value, "minute")
        whole = words.duration(60 * value)
        return "0: for ever" if not value else f"{minutes} ({whole})" if value >= 60 else minutes
    return f"{value} {unit}" if unit else str(value)
