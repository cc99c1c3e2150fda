"""Changing services over the API: what is asked is checked as a whole, then done as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from backends.base import Backend
from cacheapi.registry import audit, forms, records
from cacheapi.registry.changes import change
from cacheapi.registry.database import tables
from cacheapi.registry.database.store import Change
from cacheapi.registry.definition import FIELDS, Definition, Source, define
from cacheapi.registry.errors import Fault, Invalid, NotFound, ReadOnly
from cacheapi.registry.live import Registry
from cacheapi.registry.rights import Caller, Rule
from cacheapi.registry.vault import Sealed
from cacheapi.responses.remote import RemoteType

# Digits of an id.
LONGEST_ID: Final = 18
_PLAIN = ("name", "label", "description", "type", "is_active")


def find(registry: Registry, reference: str) -> Definition:
    """Return the service of a name or an id.

    :raises NotFound: there is none.
    """
    snapshot = registry.snapshot
    name = snapshot.name_of(reference)
    if reference.isascii() and reference.isdigit() and len(reference) <= LONGEST_ID:
        name = snapshot.numbers.get(int(reference), reference)
    if name in snapshot.definitions:
        return snapshot.definitions[name]
    raise NotFound(f"Service '{reference}' does not exist.")


def create(
    registry: Registry, caller: Caller, items: Sequence[Mapping[str, Any]]
) -> list[Definition]:
    """Create services, all or none.

    :raises Invalid: names every item and field that is wrong.
    :raises RegistryUnavailable: the database cannot be reached.
    """
    with change(registry) as transaction:
        taken = _taken(registry, transaction, [item.get("name") for item in items])
        faults: list[Fault] = []
        made = []
        for index, item in enumerate(items):
            try:
                definition = define(_with_prefix(item, {}), Source.DATABASE)
                _check_name(registry, definition.name, taken)
                _try(registry.data_dir, definition)
            except Invalid as error:
                faults.extend(fault._replace(item=index) for fault in error.faults)
            else:
                taken.add(definition.name)
                made.append(definition)
        if faults:
            raise Invalid(faults)
        rows = [_row(registry, definition) for definition in made]
        numbers = [transaction.add(tables.services, row) for row in rows]
    done = [
        dataclasses.replace(definition, number=number)
        for definition, number in zip(made, numbers, strict=True)
    ]
    for definition in done:
        number, name = definition.number, definition.name
        audit.note(registry.data_dir, caller, "created", "service", number, name)
    return done


def update(
    registry: Registry,
    caller: Caller,
    reference: str,
    fields: Mapping[str, Any],
    *,
    replace: bool,
) -> Definition:
    """Change a service: the fields given, and of its config the members given.

    :param replace: instead, what is not given gets its default.
    :raises Invalid: names every field that is wrong.
    :raises NotFound: there is no such service.
    :raises ReadOnly: it is from another source.
    :raises RegistryUnavailable: the database cannot be reached.
    """
    number = _number(registry, reference, "changed")
    with change(registry) as transaction:
        old = _stored(registry, transaction, number, reference)
        if fields.get("type", old.type) != old.type:
            raise Invalid([Fault("It cannot be changed; make another service.", "type")])
        own = {"name": old.name, "type": old.type}
        keeps_config = not replace and "config" not in fields
        if not replace:
            own = {name: getattr(old, name) for name in _PLAIN}
        if not keeps_config:
            fields = _with_prefix({**own, **fields}, {forms.PREFIX: old.config.get(forms.PREFIX)})
        if not replace and isinstance(fields.get("config"), dict):
            fields = {**fields, "config": {**old.config, **fields["config"]}}
        new = define({**own, **fields}, Source.DATABASE, old.config, number)
        if new.name != old.name:
            _check_name(registry, new.name, _taken(registry, transaction, [new.name]))
        if keeps_config:
            # It may have secrets that cannot be read now: they stay.
            row = {name: getattr(new, name) for name in _PLAIN}
        else:
            _try(registry.data_dir, new)
            row = _row(registry, new)
        transaction.put(tables.services, number, row)
        if new.name != old.name:
            _rename(transaction, old.name, new.name)
    detail = _changes(old, old.config if keeps_config else new.config, new)
    # Secrets that could not be read until now are no change to be named, and yet one.
    if detail or old.fault is not None:
        audit.note(registry.data_dir, caller, "changed", "service", number, new.name, detail)
    return find(registry, str(number))


def _changes(old: Definition, config: Mapping[str, Any], new: Definition) -> str:
    """Return which fields of a service changed, in words; a value may be a secret.

    :param config: what it has now.
    """
    names = [name for name in _PLAIN if getattr(old, name) != getattr(new, name)]
    options = old.config.keys() | config.keys()
    names += sorted(name for name in options if old.config.get(name) != config.get(name))
    if names == ["is_active"]:
        return "switched on" if new.is_active else "switched off"
    return ", ".join(names)


def delete(registry: Registry, caller: Caller, reference: str) -> Definition:
    """Delete a service. What API keys might do with it, they may with no other of its name.

    :raises NotFound: there is no such service.
    :raises ReadOnly: it is from another source.
    :raises RegistryUnavailable: the database cannot be reached.
    """
    number = _number(registry, reference, "deleted")
    with change(registry) as transaction:
        old = _stored(registry, transaction, number, reference)
        transaction.remove(tables.services, number)
        _close(transaction, old.name)
    audit.note(registry.data_dir, caller, "deleted", "service", number, old.name)
    return old


def draft(registry: Registry, fields: Mapping[str, Any]) -> Definition:
    """Return the service that unsaved fields describe; a mask stands for what is saved.

    :param fields: of these, ``name`` may be missing, or that of a service to take the
        secrets of.
    :raises Invalid: names every field that is wrong.
    """
    saved = registry.snapshot.definitions.get(str(fields.get("name")))
    # Of the environment there are masks only.
    is_kept = saved is not None and saved.source is not Source.ENVIRONMENT
    kept = saved.config if saved and is_kept and saved.type == fields.get("type") else {}
    named = {"name": "draft", **fields}
    return define(named, Source.DATABASE, kept)


def shown(definition: Definition, kinds: Mapping[str, forms.Kind] | None = None) -> dict[str, Any]:
    """Return a service as an administrator may see it: without its secrets.

    :param kinds: those of the type at least, if they were asked for already.
    """
    described = {name: getattr(definition, name) for name in FIELDS if name != "config"}
    kinds = forms.kinds_of([definition.type]) if kinds is None else kinds
    backend = kinds.get(definition.type)
    return {
        "id": definition.number,
        **described,
        "aliases": list(definition.aliases),
        "config": {} if backend is None else forms.shown(backend, definition.config),
        "source": definition.source.value,
        "fault": definition.fault,
    }


def told(registry: Registry, *definitions: Definition) -> list[dict[str, Any]]:
    """Return services as :func:`shown` does, each with what there is to warn of."""
    overlaps = registry.snapshot.overlaps
    kinds = forms.kinds_of(definition.type for definition in definitions)
    return [{**shown(each, kinds), "warnings": overlaps.of(each.name)} for each in definitions]


def _with_prefix(fields: Mapping[str, Any], kept: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a service with the prefix that it gets where it says none.

    :param kept: the config of a service that is there; what it has, ``None`` too, stays.
    """
    config = fields.get("config", {})
    if not isinstance(config, dict) or config.get(forms.PREFIX) is not None:
        return fields
    if forms.PREFIX in kept and forms.PREFIX not in config:
        prefix = kept[forms.PREFIX]
    else:
        prefix = forms.own_prefix(fields.get("type"), fields.get("name"))
    return fields if prefix is None else {**fields, "config": {**config, forms.PREFIX: prefix}}


def _number(registry: Registry, reference: str, verb: str) -> int:
    definition = find(registry, reference)
    if definition.number is None:
        places = {
            Source.ENVIRONMENT: "in the environment",
            Source.FILE: "in the file CACHEAPI_SERVICES_FILE",
        }
        place = places[definition.source]
        raise ReadOnly(
            f"Service '{definition.name}' is set up {place} and can only be {verb} there."
        )
    return definition.number


def _close(transaction: Change, name: str) -> None:
    """Let the rules about a service that goes grant nothing.

    They stay, as one that says so: without it a later rule, for every service, would decide of
    the next one of the name.
    """
    for number, rules in _rules_about(transaction, name):
        first = next(index for index, rule in enumerate(rules) if rule.service == name)
        others = [rule for rule in rules if rule.service != name]
        others.insert(first, Rule(name, frozenset()))
        transaction.put(tables.api_keys, number, {"rules": records.rules_text(tuple(others))})


def _rename(transaction: Change, old: str, new: str) -> None:
    """Let the rules about a service follow its name, in the place of any about the new one."""
    for number, rules in _rules_about(transaction, old):
        named = [rule for rule in rules if rule.service != new]
        text = records.rules_text(records.named(named, {old: new}))
        transaction.put(tables.api_keys, number, {"rules": text})


def _rules_about(transaction: Change, name: str) -> list[tuple[int, tuple[Rule, ...]]]:
    """Return the ids and rules of the API keys that have rules about a service."""
    rows = transaction.keys_with(records.service_text(name))
    found = [(row["id"], records.rules_of(row)) for row in rows]
    return [
        (number, rules) for number, rules in found if any(rule.service == name for rule in rules)
    ]


def _stored(registry: Registry, transaction: Change, number: int, reference: str) -> Definition:
    row = transaction.find(tables.services, number)
    if row is None:
        raise NotFound(f"Service '{reference}' does not exist.")
    return records.service_of(row, registry.vault)


def _taken(registry: Registry, transaction: Change, names: Iterable[Any]) -> set[str]:
    """Return which names are those of services, and of sources where none can be added.

    :param names: that are wanted; what is none is none of theirs.
    """
    wanted = [name for name in names if isinstance(name, str)]
    elsewhere = {
        name
        for name, definition in registry.snapshot.definitions.items()
        if definition.source is not Source.DATABASE
    }
    elsewhere |= registry.snapshot.aliases.keys()
    return elsewhere | transaction.services_among(wanted)


def _check_name(registry: Registry, name: str, taken: set[str]) -> None:
    if name in taken:
        other = registry.snapshot.aliases.get(name)
        more = f": it is another name of {other!r}" if other else ""
        raise Invalid([Fault(f"There is a service {name!r} already{more}.", "name")])


def _try(data_dir: Path, definition: Definition) -> Backend | None:
    """Make the backend once, for what only it can say of its settings together.

    :return: ``None`` for a service that has none of its own.
    """
    kind = forms.kind_of(definition.type)
    if isinstance(kind, RemoteType):
        definition.make_remote()
        return None
    return forms.make_backend(kind, definition.config, data_dir)


def _row(registry: Registry, definition: Definition) -> dict[str, Any]:
    try:
        return records.service_row(definition, registry.vault)
    except Sealed as error:
        raise Invalid([Fault(f"It cannot be stored: {error}", "config")]) from error
