"""The form of a service: its fields come from the type's ``config_schema``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cacheapi.registry import forms
from cacheapi.registry.definition import FIELDS, LONGEST_TEXT
from cacheapi.registry.names import PATTERN
from cacheapi.registry.service_types import service_types
from cacheapi.registry.spans import allowed, is_span
from cacheapi.registry.vault import MASK
from cacheapi.responses.remote import REMOTE

CONFIG: Final = "config."
# What most people set; of a type with many fields the others are folded away.
USUAL: Final = frozenset(
    {"host", "port", "url", "path", "database", "username", "password", "prefix", "size"}
    | {"max_mb", "default_ttl"}
)
FEW: Final = 6
# What a form says of the prefix of a service that is to be made, in place of the first.
MAY_BE_EMPTY: Final = " It may be empty."
LEFT_EMPTY: Final = (
    "Left empty, it is the service's name with `:` behind it. To have none at all, which another "
    "program's keys may need, save the service and empty the field with Edit."
)
FURTHER: Final = "More settings"
# Of a type with groups of its own, the first is seen at once and the others are folded away.
GROUPS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    REMOTE.service_type: {
        "": ("base_url", "cache", "cache_ttl", "secret_headers"),
        "What is stored, and how long it serves": (
            *("cache_enabled", "stale_while_revalidate", "stale_if_error", "max_body_kb"),
            *("shared_cookies", "local_ms", "when_cache_down"),
        ),
        "What tells answers of a URL apart": (
            *("key_headers", "ignore_params", "sort_query", "cookies"),
        ),
        "What reaches the API": (
            *("headers", "forward_authorization", "methods", "connect_timeout_ms"),
            *("read_timeout_ms", "when_coding_unknown"),
        ),
    }
}


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a form.

    :ivar kind: ``text``, ``number``, ``secret``, ``check`` or ``choice``.
    :ivar pattern: what the text must match; empty: anything.
    :ivar choices: what there is to choose from.
    :ivar placeholder: what it is where it is left empty.
    :ivar ending: of the placeholder, behind the name that is typed meanwhile.
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
    choices: tuple[str, ...] = ()
    placeholder: str = ""
    ending: str = ""


@dataclasses.dataclass(frozen=True)
class Group:
    """Fields that are folded away."""

    title: str
    fields: list[Field]

    @property
    def is_open(self) -> bool:
        """Whether it has something that must be seen."""
        return any(field.fault for field in self.fields)


@dataclasses.dataclass(frozen=True)
class Form:
    """A form as it is shown.

    :ivar own: the fields that every service has.
    :ivar usual: those of its type.
    :ivar groups: those of its type that few people set.
    :ivar faults: what is wrong with no field, or with one that is not there.
    """

    type: dict[str, Any]
    own: list[Field]
    usual: list[Field]
    groups: list[Group]
    faults: list[str]
    is_active: bool


def types() -> dict[str, dict[str, Any]]:
    """Return the types of service by name, as the API describes them."""
    return {described["name"]: described for described in service_types()}


def make(
    service_type: dict[str, Any],
    shown: Mapping[str, Any],
    faults: Mapping[str, str],
    caches: Iterable[str] = (),
    *,
    is_new: bool = False,
) -> Form:
    """Make the form of a type.

    :param shown: the fields as they were sent, or as the API gives them; what is missing gets its
        default.
    :param faults: what is wrong, by field; see :func:`~cacheapi.console.frame.faults_of`.
    :param caches: the services that may store for another.
    :param is_new: there is no such service yet.
    """
    config = shown.get("config", {})
    fields = [
        _config_field(described, config, faults) for described in service_type["config_schema"]
    ]
    options = forms.options(forms.kind_of(service_type["name"]))
    if is_new and forms.PREFIX in options:
        empty = f"{shown.get('name') or 'its name'}{forms.ENDING}"
        hint = f"{options[forms.PREFIX].help.replace(MAY_BE_EMPTY, '')} {LEFT_EMPTY}"
        fields = [
            dataclasses.replace(field, placeholder=empty, ending=forms.ENDING, hint=hint)
            if field.name == f"{CONFIG}{forms.PREFIX}"
            else field
            for field in fields
        ]
    choices = {name: option.kind.words for name, option in options.items()}
    if service_type["name"] in GROUPS:
        choices["cache"] = tuple(sorted(caches))
    fields = [_choice(field, choices.get(field.name.removeprefix(CONFIG), ())) for field in fields]
    if service_type["name"] in GROUPS:
        by_name = {field.name.removeprefix(CONFIG): field for field in fields}
        usual, *grouped = (
            Group(title, [by_name[name] for name in names])
            for title, names in GROUPS[service_type["name"]].items()
        )
        return _form(service_type, shown, faults, fields, usual.fields, grouped)
    few = len(fields) <= FEW
    usual_fields = [
        field
        for field in fields
        if few or field.required or field.name.removeprefix(CONFIG) in USUAL
    ]
    further = [field for field in fields if field not in usual_fields]
    groups = [Group(FURTHER, further)] if further else []
    return _form(service_type, shown, faults, fields, usual_fields, groups)


def _choice(field: Field, choices: tuple[str, ...]) -> Field:
    """Return a field as one to choose from, where there is a choice."""
    if not choices:
        return field
    # What was stored stays until somebody chooses another.
    kept = () if field.value in choices else (str(field.value),)
    return dataclasses.replace(field, kind="choice", choices=(*choices, *kept))


def _form(
    service_type: dict[str, Any],
    shown: Mapping[str, Any],
    faults: Mapping[str, str],
    fields: list[Field],
    usual: list[Field],
    groups: list[Group],
) -> Form:
    own = _own_fields(shown, faults)
    placed = {field.name for field in (*own, *fields)}
    return Form(
        type=service_type,
        own=own,
        usual=usual,
        groups=groups,
        faults=[
            f"{name}: {fault}" if name else fault
            for name, fault in faults.items()
            if name not in placed
        ],
        is_active=shown.get("is_active", True),
    )


def _own_fields(shown: Mapping[str, Any], faults: Mapping[str, str]) -> list[Field]:
    assert {"name", "label", "description"} < set(FIELDS)
    return [
        Field(
            "label",
            "Label",
            shown.get("label", ""),
            hint="People read this in the console. Where there is none, they read the name.",
            fault=faults.get("label", ""),
            longest=LONGEST_TEXT,
        ),
        Field(
            "name",
            "Name",
            shown.get("name", ""),
            hint="Programs call it so: it stands in the URL, `/api/v2/{name}`. It takes lower-case "
            "letters, digits, `-` and `_`.",
            required=True,
            fault=faults.get("name", ""),
            pattern=PATTERN,
            longest=64,
        ),
        Field(
            "description",
            "Description",
            shown.get("description", ""),
            hint="Say what it is for, and whom to ask when it is down.",
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
    hint = described["description"].replace("**", "")
    if described["secret"]:
        kind = "secret"
        # What was typed is not sent back; what is stored never was.
        value = MASK if value == MASK else ""
    elif described["type"] == "integer" and described["allowed"]:
        told = allowed(described)
        hint = f"{hint} {told[0].upper()}{told[1:]}."
        if is_span(described):
            kind = "text"
    return Field(
        name,
        described["label"],
        "" if value is None else value,
        kind=kind,
        hint=hint,
        required=described["required"],
        fault=faults.get(name, ""),
    )
