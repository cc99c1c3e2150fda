"""The form of a service as it was sent: what was typed, what it means, what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import MultiDict

from cacheapi.console.service_form import CONFIG
from cacheapi.registry.forms import not_allowed
from cacheapi.registry.spans import allowed, is_span, number_of


def read(service_type: Mapping[str, Any], sent: MultiDict[str, str]) -> dict[str, Any]:
    """Return the fields of a form as they were typed, in the shape of a body of the API."""
    config: dict[str, Any] = {}
    for described in service_type["config_schema"]:
        name = f"{CONFIG}{described['name']}"
        config[described["name"]] = (
            name in sent if described["type"] == "boolean" else sent.get(name, "")
        )
    fields = {name: sent.get(name, "") for name in ("name", "label", "description")}
    return {
        **fields,
        "type": service_type["name"],
        "is_active": "is_active" in sent,
        "config": config,
    }


def meant(service_type: Mapping[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the typed fields mean to the API, which knows no units: ``2h`` is a number."""
    config = {
        described["name"]: _number(described, typed["config"][described["name"]])
        for described in service_type["config_schema"]
    }
    return {**typed, "config": config}


def spoken(
    service_type: Mapping[str, Any], typed: Mapping[str, Any], faults: Mapping[str, str]
) -> dict[str, str]:
    """Return what is wrong, by field, in the words of the form: with what was typed, and units.

    :param faults: in the words of the API.
    """
    told = dict(faults)
    for described in filter(is_span, service_type["config_schema"]):
        field = f"{CONFIG}{described['name']}"
        text = typed["config"][described["name"]]
        number = _number(described, text)
        if told.get(field) == not_allowed(repr(number), described["allowed"]):
            told[field] = not_allowed(repr(text), allowed(described))
    return told


def _number(described: Mapping[str, Any], value: Any) -> Any:
    if not is_span(described):
        return value
    try:
        return str(number_of(described, value))
    except ValueError:
        # What it must be is told as of every field.
        return value
