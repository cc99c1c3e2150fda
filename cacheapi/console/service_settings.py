"""The settings of a service that is there, as they are read."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from cacheapi.amounts import counted
from cacheapi.console import words
from cacheapi.console.service_form import USUAL, types
from cacheapi.registry import administration, forms
from cacheapi.registry.definition import Definition, Source
from cacheapi.settings import DEFAULT_TTL

# A server with a port of its own, or a Unix socket.
_WHOLE_ADDRESS: Final = re.compile(r"(?:\[[^\]]*\]|[^:\[\]/]+):[0-9].*|/.*")


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting as it is read.

    :ivar is_usual: whether it tells where values are kept, how many and how long.
    :ivar variable: what sets it, of a service that the environment sets up; else empty.
    """

    label: str
    text: str
    is_usual: bool
    variable: str = ""


def settings_of(definition: Definition) -> list[Setting]:
    """Return the settings of a service that is there, in the order of its form.

    Without those of its address that another one overrides.
    """
    config = administration.shown(definition)["config"]
    unused = _overridden(config)
    schema = types().get(definition.type, {}).get("config_schema", [])
    variables: Mapping[str, str] = {}
    if definition.source is Source.ENVIRONMENT:
        called = forms.called(forms.kind_of(definition.type))
        variables = {field: variable for variable, field in called.items()}
    return [
        Setting(
            field["label"].removesuffix(f" ({field['unit']})"),
            _text(field["name"], config[field["name"]], field["unit"]),
            is_usual=field["name"] in USUAL,
            variable=variables.get(field["name"], ""),
        )
        for field in schema
        if field["name"] in config and field["name"] not in unused
    ]


def _overridden(config: Mapping[str, Any]) -> frozenset[str]:
    """Return which fields of the address stand for nothing, as the others are."""
    if config.get("url"):
        return frozenset({"host", "port"})
    servers = str(config.get("host") or "").split(",")
    have_ports = all(_WHOLE_ADDRESS.fullmatch(server.strip()) for server in servers)
    return frozenset({"port"}) if have_ports else frozenset()


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
