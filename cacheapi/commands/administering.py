"""Services and API keys for commands: at this machine, or of a service elsewhere.

Both have the same methods, which give what the system API answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from cacheapi.commands.here import defined, operator, registry
from cacheapi.commands.session import elsewhere
from cacheapi.registry.errors import Fault, Invalid

if TYPE_CHECKING:
    from cacheapi.commands.elsewhere import Elsewhere
    from cacheapi.registry.live import Registry

Fields = Mapping[str, Any]
# Of a page of a list.
MOST: Final = 1000


class Administration(Protocol):
    """What administrators do; each failure is one that commands end with."""

    def types(self) -> list[dict[str, Any]]:
        """Return the types of services, with the schemas of their ``config``."""

    def services(self) -> list[dict[str, Any]]:
        """Return all services."""

    def service(self, reference: str) -> dict[str, Any]:
        """Return the service of a name or an id."""

    def create(self, fields: Fields) -> dict[str, Any]:
        """Make a service; return its ``id``, ``name`` and ``warnings``."""

    def change(self, reference: str, fields: Fields) -> dict[str, Any]:
        """Change what is given of a service; return it."""

    def delete(self, reference: str) -> None:
        """Delete a service."""

    def try_service(self, reference: str, config: Fields | None = None) -> dict[str, Any]:
        """Try a service, with some of its ``config`` changed; return the steps."""

    def try_draft(self, fields: Fields) -> dict[str, Any]:
        """Try a service that is not saved."""

    def api_keys(self) -> list[dict[str, Any]]:
        """Return the API keys, without the keys."""

    def create_key(self, fields: Fields) -> dict[str, Any]:
        """Make an API key; return its ``id``, ``name`` and, this once, ``api_key``.

        :raises Invalid: a field is none that a key can have.
        """

    def revoke_key(self, number: int) -> None:
        """Revoke an API key."""


@contextmanager
def administration(*, makes: bool = False) -> Iterator[Administration]:
    """Give who administrates, here or elsewhere.

    :param makes: as :func:`~cacheapi.commands.here.registry` takes it.
    """
    place = elsewhere()
    if place is not None:
        with closing(place):
            yield _There(place)
        return
    with registry(makes=makes) as opened:
        yield _Here(opened)


class _Here:
    """By the registry of this machine."""

    def __init__(self, opened: Registry) -> None:
        from cacheapi.registry import administration

        self._registry = opened
        self._administration = administration

    def types(self) -> list[dict[str, Any]]:
        from cacheapi.registry.service_types import service_types

        return service_types()

    def services(self) -> list[dict[str, Any]]:
        # By name, as the API has them.
        snapshot = self._registry.snapshot
        definitions = [snapshot.definitions[name] for name in snapshot.names]
        return self._administration.told(self._registry, *definitions)

    def service(self, reference: str) -> dict[str, Any]:
        return self._told(reference)

    def create(self, fields: Fields) -> dict[str, Any]:
        (made,) = self._administration.create(self._registry, operator(), [fields])
        return self._told(made.name, "id", "name", "warnings")

    def change(self, reference: str, fields: Fields) -> dict[str, Any]:
        defined(self._registry, reference)
        changed = self._administration.update(
            self._registry, operator(), reference, fields, replace=False
        )
        return self._told(changed.name)

    def delete(self, reference: str) -> None:
        defined(self._registry, reference)
        self._administration.delete(self._registry, operator(), reference)

    def try_service(self, reference: str, config: Fields | None = None) -> dict[str, Any]:
        from cacheapi.registry import trial

        definition = defined(self._registry, reference)
        if config is None:
            return dataclasses.asdict(trial.run(self._registry, definition, saved=True))
        merged = {**self._administration.shown(definition)["config"], **config}
        return self.try_draft({"name": definition.name, "type": definition.type, "config": merged})

    def try_draft(self, fields: Fields) -> dict[str, Any]:
        from cacheapi.registry import trial

        draft = self._administration.draft(self._registry, fields)
        return dataclasses.asdict(trial.run(self._registry, draft, saved=False))

    def api_keys(self) -> list[dict[str, Any]]:
        from cacheapi.registry import key_administration, listing

        return [key_administration.shown(key) for key in listing.every_api_key(self._registry)]

    def create_key(self, fields: Fields) -> dict[str, Any]:
        from marshmallow import ValidationError

        from cacheapi.registry import key_administration
        from cacheapi.web.schemas.api_key import KeyFieldsSchema, NewKeySchema
        from cacheapi.web.schemas.cache import validation_details

        try:
            checked = KeyFieldsSchema().load(fields)
        except ValidationError as error:
            first = validation_details(error.messages)[0]
            raise Invalid([Fault(first["message"], first["field"])]) from error
        (made,) = key_administration.create(self._registry, operator(), [checked])
        shown: dict[str, Any] = NewKeySchema().dump(made)
        return shown

    def revoke_key(self, number: int) -> None:
        from cacheapi.registry import key_administration

        key_administration.revoke(self._registry, operator(), number)

    def _told(self, name: str, *wanted: str) -> dict[str, Any]:
        (told,) = self._administration.told(self._registry, defined(self._registry, name))
        return {field: told[field] for field in wanted} if wanted else told


class _There:
    """By the system API of a service elsewhere."""

    def __init__(self, place: Elsewhere) -> None:
        from cacheapi.commands import system_shapes

        self._place = place
        self._call = place.json
        self._shapes = system_shapes

    def types(self) -> list[dict[str, Any]]:
        told = self._call("GET", "/system/service_type", self._shapes.Types)
        found: list[dict[str, Any]] = told["resource"]
        return found

    def services(self) -> list[dict[str, Any]]:
        return self._list("/system/service", self._shapes.Services)

    def service(self, reference: str) -> dict[str, Any]:
        return self._call("GET", _path(reference), self._shapes.Service)

    def create(self, fields: Fields) -> dict[str, Any]:
        return self._made("/system/service", self._shapes.MadeServices, fields)

    def change(self, reference: str, fields: Fields) -> dict[str, Any]:
        return self._call("PATCH", _path(reference), self._shapes.Service, fields)

    def delete(self, reference: str) -> None:
        self._call("DELETE", _path(reference), self._shapes.Done)

    def try_service(self, reference: str, config: Fields | None = None) -> dict[str, Any]:
        document = None if config is None else {"config": config}
        return self._call("POST", f"{_path(reference)}/test", self._shapes.Trial, document)

    def try_draft(self, fields: Fields) -> dict[str, Any]:
        return self._call("POST", "/system/service/test", self._shapes.Trial, fields)

    def api_keys(self) -> list[dict[str, Any]]:
        return self._list("/system/api_key", self._shapes.ApiKeys)

    def create_key(self, fields: Fields) -> dict[str, Any]:
        return self._made("/system/api_key", self._shapes.MadeApiKeys, fields)

    def revoke_key(self, number: int) -> None:
        self._call("DELETE", f"/system/api_key/{number}", self._shapes.Done)

    def _made(self, path: str, shape: Any, fields: Fields) -> dict[str, Any]:
        from cacheapi.commands.refusals import Refused

        try:
            made: dict[str, Any] = self._call("POST", path, shape, fields)["resource"][0]
        except Refused as error:
            raise error.plain from error
        return made

    def _list(self, path: str, shape: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor, following = None, f"{path}?limit={MOST}"
        while True:
            page = self._call("GET", following, shape)
            found += page["resource"]
            before, cursor = cursor, page.get("meta", {}).get("next")
            if cursor is None:
                return found
            if cursor == before:
                # It would have no end.
                raise self._place.strange
            following = f"{path}?limit={MOST}&cursor={quote(cursor, safe='')}"


def _path(reference: str) -> str:
    return f"/system/service/{quote(reference, safe='')}"
