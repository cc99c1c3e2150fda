"""The form of a service: its fields come from the type's ``config_schema``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from cacheapi.registry.definition import FIELDS, LONGEST_TEXT
from cacheapi.registry.names import PATTERN
from cacheapi.registry.service_types import service_types
from cacheapi.registry.vault import MASK

CONFIG: Final = "config."
# What most people set; of a type with many fields the others are folded away.
USUAL: Final = frozenset(
    {"host", "port", "url", "path", "database", "username", "password", "prefix", "size"}
    | {"max_mb", "default_ttl"}
)
FEW: Final = 6


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a form.

    :ivar kind: ``text``, ``number``, ``secret``, ``check`` or ``long``.
    :ivar pattern: what the text must match; empty: anything.
    """

    name: str
    label: str
    value: Any
    kind: str = "text"
    hint: str = ""
    required: bool = False
    fault: str = ""
    pattern: str = ""
    longest: int | None = None


@dataclasses.dataclass(frozen=True)
class Form:
    """A form as it is shown.

    :ivar own: the fields that every service has.
    :ivar usual: those of its type.
    :ivar further: those of its type that few people set.
    :ivar faults: what is wrong with no field, or with one that is not there.
    """

    type: dict[str, Any]
    own: list[Field]
    usual: list[Field]
    further: list[Field]
    faults: list[str]
    is_active: bool

    @property
    def is_open(self) -> bool:
        """Whether the further fields have something that must be seen."""
        return any(field.fault for field in self.further)


def types() -> dict[str, dict[str, Any]]:
    """Return the types of service by name, as the API describes them."""
    return {described["name"]: described for described in service_types()}


def make(service_type: dict[str, Any], shown: Mapping[str, Any], faults: Mapping[str, str]) -> Form:
    """Make the form of a type.

    :param shown: the fields as :func:`read` or the API give them; what is missing gets its
        default.
    :param faults: what is wrong, by field; see :func:`~cacheapi.console.frame.faults_of`.
    """
    config = shown.get("config", {})
    fields = [
        _config_field(described, config, faults) for described in service_type["config_schema"]
    ]
    few = len(fields) <= FEW
    usual = [
        field
        for field in fields
        if few or field.required or field.name.removeprefix(CONFIG) in USUAL
    ]
    further = [field for field in fields if field not in usual]
    own = _own_fields(shown, faults)
    placed = {field.name for field in (*own, *fields)}
    return Form(
        type=service_type,
        own=own,
        usual=usual,
        further=further,
        faults=[
            f"{name}: {fault}" if name else fault
            for name, fault in faults.items()
            if name not in placed
        ],
        is_active=shown.get("is_active", True),
    )


def read(service_type: dict[str, Any], sent: MultiDict[str, str]) -> dict[str, Any]:
    """Return the fields of a form that was sent, as a body of the API has them."""
    config: dict[str, Any] = {}
    for described in service_type["config_schema"]:
        name = f"{CONFIG}{described['name']}"
        if described["type"] == "boolean":
            config[described["name"]] = name in sent
        else:
            config[described["name"]] = sent.get(name, "")
    fields = {name: sent.get(name, "") for name in ("name", "label", "description")}
    return {
        **fields,
        "type": service_type["name"],
        "is_active": "is_active" in sent,
        "config": config,
    }


def _own_fields(shown: Mapping[str, Any], faults: Mapping[str, str]) -> list[Field]:
    assert {"name", "label", "description"} < set(FIELDS)
    return [
        Field(
            "name",
            "Name",
            shown.get("name", ""),
            hint="Its name in the URL, /api/v2/{name}: lower-case letters, digits, '-' and '_'.",
            required=True,
            fault=faults.get("name", ""),
            pattern=PATTERN,
            longest=64,
        ),
        Field(
            "label",
            "Label",
            shown.get("label", ""),
            hint="What people call it.",
            fault=faults.get("label", ""),
            longest=LONGEST_TEXT,
        ),
        Field(
            "description",
            "Description",
            shown.get("description", ""),
            hint="What it is for, and who asks when it is down.",
            fault=faults.get("description", ""),
            longest=LONGEST_TEXT,
        ),
    ]


def _config_field(
    described: Mapping[str, Any], config: Mapping[str, Any], faults: Mapping[str, str]
) -> Field:
    name = f"{CONFIG}{described['name']}"
    value = config.get(described["name"], described["default"])
    kind = {"boolean": "check", "integer": "number"}.get(described["type"], "text")
    hint = described["description"].replace("`", "")
    if described["secret"]:
        kind = "secret"
        # What was typed is not sent back; what is stored never was.
        value = MASK if value == MASK else ""
    elif described["type"] == "integer" and described["allowed"]:
        hint = f"{hint} {described['allowed'][0].upper()}{described['allowed'][1:]}."
    return Field(
        name,
        described["label"],
        "" if value is None else value,
        kind=kind,
        hint=hint.replace("**", ""),
        required=described["required"],
        fault=faults.get(name, ""),
    )
