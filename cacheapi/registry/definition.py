"""A service as it is described: what it is called, of which type, with which settings."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from backends.base import Backend
from cacheapi.caching.service import CacheService
from cacheapi.registry import forms
from cacheapi.registry.errors import Fault, Invalid, no_field
from cacheapi.registry.names import name_fault
from cacheapi.responses.remote import REMOTE, Remote, RemoteType

LONGEST_TEXT: Final = 1000


class Source(enum.Enum):
    """Where a service is described, and changed."""

    ENVIRONMENT = "environment"
    FILE = "file"
    DATABASE = "database"


@dataclasses.dataclass(frozen=True)
class Definition:
    """A service. Equal ones are served by one object.

    :ivar config: checked, see :mod:`~cacheapi.registry.forms`; secrets in it are readable.
    :ivar number: its id; only one from the database has it.
    :ivar aliases: other ways to write its name in a URL.
    :ivar fault: why it cannot be used, though it is active; safe to show to an administrator.
    """

    name: str
    type: str
    label: str = ""
    description: str = ""
    is_active: bool = True
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    source: Source = Source.DATABASE
    number: int | None = None
    aliases: tuple[str, ...] = ()
    fault: str | None = None

    def directory(self, data_dir: Path) -> Path:
        """Return where its files are, if its backend keeps any: no client names it."""
        own = self.name if self.number is None else str(self.number)
        return data_dir / "services" / own

    def needs_backend_of(self, other: Definition) -> bool:
        """Return whether both use the same backend with the same settings and files."""
        return (self.type, self.config, self.number) == (other.type, other.config, other.number)

    def make_backend(self, data_dir: Path) -> Backend:
        """Make its backend. Opens no connection.

        :raises Invalid: there can be none with these settings.
        """
        backend = forms.kind_of(self.type)
        assert not isinstance(backend, RemoteType)
        return forms.make_backend(backend, self.config, self.directory(data_dir))

    @property
    def is_remote(self) -> bool:
        """Whether it stands in front of an HTTP API, and has no backend of its own."""
        return self.type == REMOTE.service_type

    def make_remote(self) -> Remote:
        """Make the service in front of an HTTP API. Opens no connection.

        :raises Invalid: there can be none with these settings.
        """
        config, cache = forms.make_remote(self.config)
        return Remote(self.name, self.label or self.name, self.description, cache, config)

    def make_service(self, backend: Backend) -> CacheService:
        """Make the service over its backend."""
        return CacheService(
            self.name,
            backend,
            default_ttl=forms.default_ttl(self.config),
            values=forms.values(backend, self.config),
            label=self.label,
            description=self.description,
        )


FIELDS: Final = ("name", "label", "description", "type", "is_active", "config")
_KINDS: Final[Mapping[str, tuple[type[object], str]]] = {
    "name": (str, "a text"),
    "label": (str, "a text"),
    "description": (str, "a text"),
    "type": (str, "a text"),
    "is_active": (bool, "true or false"),
    "config": (dict, "an object"),
}


def define(
    fields: Mapping[str, Any],
    source: Source,
    kept: Mapping[str, Any] | None = None,
    number: int | None = None,
) -> Definition:
    """Make a definition of what somebody wrote.

    :param kept: the config whose secrets a mask stands for.
    :raises Invalid: names every field that is wrong.
    """
    faults = list(_shape_faults(fields))
    if faults:
        raise Invalid(_in_order(faults, fields))
    fault = name_fault(fields["name"])
    if fault is not None:
        faults.append(Fault(fault, "name"))
    config: Mapping[str, Any] = {}
    try:
        kind = forms.kind_of(fields["type"])
        config = forms.check(kind, fields.get("config", {}), kept or {})
    except Invalid as error:
        faults.extend(error.faults)
    if faults:
        raise Invalid(_in_order(faults, fields))
    return Definition(
        name=fields["name"],
        type=fields["type"],
        label=fields.get("label", ""),
        description=fields.get("description", ""),
        is_active=fields.get("is_active", True),
        config=config,
        source=source,
        number=number,
    )


def _in_order(faults: list[Fault], fields: Mapping[str, Any]) -> list[Fault]:
    """Return faults in the order in which the fields were written; behind them what is missing."""
    order = {name: index for index, name in enumerate(dict.fromkeys([*fields, *FIELDS]))}

    def place(fault: Fault) -> int:
        field = fault.field or ""
        # A client may have made up a name with a point in it.
        return order[field if field in order else field.partition(".")[0]]

    return sorted(faults, key=place)


def _shape_faults(fields: Mapping[str, Any]) -> list[Fault]:
    faults = [no_field(name, FIELDS) for name in fields if name not in FIELDS]
    for name, (kind, words) in _KINDS.items():
        value = fields.get(name)
        if name not in fields:
            if name in ("name", "type"):
                faults.append(Fault("It must be given.", name))
        elif type(value) is not kind:
            faults.append(Fault(f"It must be {words}.", name))
        elif isinstance(value, str) and (len(value) > LONGEST_TEXT or not value.isprintable()):
            faults.append(Fault(f"It must be at most {LONGEST_TEXT} printable characters.", name))
    return faults
