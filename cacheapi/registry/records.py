"""Services and API keys as rows of the database, there and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cacheapi.registry import forms
from cacheapi.registry.definition import Definition, Source
from cacheapi.registry.errors import Invalid
from cacheapi.registry.rights import Caller, Rate, Rule
from cacheapi.registry.vault import Sealed, Vault


def service_row(definition: Definition, vault: Vault) -> dict[str, Any]:
    """Return the row of a service, its secrets encrypted.

    :raises Sealed: there is no key to encrypt with.
    """
    secret = forms.secret_fields(forms.kind_of(definition.type))
    config = definition.config
    return {
        "name": definition.name,
        "label": definition.label,
        "description": definition.description,
        "type": definition.type,
        "is_active": definition.is_active,
        "config": json.dumps({name: config[name] for name in config if name not in secret}),
        "secrets": vault.seal({name: config[name] for name in config if name in secret}),
    }


def service_of(row: Mapping[str, Any], vault: Vault) -> Definition:
    """Return the service of a row; one that cannot be used says why in its ``fault``."""
    config = json.loads(row["config"])
    fault = None
    try:
        config |= vault.unseal(row["secrets"])
        kind = forms.kind_of(row["type"])
        # An option may have got other limits since the row was written.
        config = forms.check(kind, config, {})
    except (Sealed, Invalid) as error:
        fault = str(error)
    return Definition(
        name=row["name"],
        type=row["type"],
        label=row["label"],
        description=row["description"],
        is_active=row["is_active"],
        config=config,
        source=Source.DATABASE,
        number=row["id"],
        fault=fault,
    )


def rules_text(rules: tuple[Rule, ...]) -> str:
    """Return rules as the database keeps them."""
    return json.dumps(
        [
            {"service": rule.service, "verbs": sorted(rule.verbs), "prefix": rule.prefix}
            for rule in rules
        ]
    )


def service_text(name: str) -> str:
    """Return what stands in the text of rules if one of them is about a service."""
    return f'"service": {json.dumps(name)}'


def rate_row(rate: Rate | None) -> dict[str, int | None]:
    """Return a rate as the columns of a row."""
    if rate is None:
        return {"rate_requests": None, "rate_seconds": None}
    return {"rate_requests": rate.requests, "rate_seconds": rate.seconds}


def rate_of(row: Mapping[str, Any]) -> Rate | None:
    """Return the rate in a row."""
    if row["rate_requests"] is None:
        return None
    return Rate(row["rate_requests"], row["rate_seconds"])


def named(rules: Iterable[Rule], aliases: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return rules that call each service by its one name.

    :param aliases: names, by other ways to write them.
    """
    return tuple(
        dataclasses.replace(rule, service=aliases.get(rule.service, rule.service)) for rule in rules
    )


def rules_of(row: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules in the row of an API key, as they were written."""
    return tuple(
        Rule(rule["service"], frozenset(rule["verbs"]), rule["prefix"])
        for rule in json.loads(row["rules"])
    )


def caller_of(row: Mapping[str, Any], aliases: Mapping[str, str]) -> Caller:
    """Return who shows the API key of a row.

    :param aliases: as :func:`named` takes them.
    """
    return Caller(
        digest=bytes.fromhex(row["digest"]),
        name=row["name"],
        number=row["id"],
        administrator=row["administrator"],
        rules=named(rules_of(row), aliases),
        expires=row["expires"],
        rate=rate_of(row),
    )
