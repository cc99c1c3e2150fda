"""API keys over the API: made, listed, changed, revoked."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from cacheapi.moments import moment_or_none
from cacheapi.registry import audit, records
from cacheapi.registry.changes import change
from cacheapi.registry.database import tables
from cacheapi.registry.database.errors import DatabaseFailed
from cacheapi.registry.database.store import Change, Row
from cacheapi.registry.errors import NotFound, RegistryUnavailable
from cacheapi.registry.live import Registry
from cacheapi.registry.rights import EVERY_SERVICE, VERBS, Caller, Rate, Rule, digest_of
from cacheapi.slips import did_you_mean

# Enough to tell keys apart, and little of the 43 characters that are random.
SHOWN: Final = 9
# The columns of a field of another name.
_FIELDS: Final = {"rate_requests": "rate_limit", "rate_seconds": "rate_limit"}


class NewKey(NamedTuple):
    """A key that was made.

    :ivar text: the key, which is not kept.
    :ivar warnings: what may not be meant.
    """

    number: int
    name: str
    text: str
    warnings: list[str]


class ApiKey(NamedTuple):
    """An API key as it is kept; times are Unix times.

    :ivar prefix: its first characters.
    :ivar warnings: what may not be meant.
    """

    number: int
    name: str
    prefix: str
    administrator: bool
    rules: tuple[Rule, ...]
    created: int
    expires: int | None
    rate_limit: Rate | None
    last_used: int | None
    warnings: list[str]


def create(registry: Registry, caller: Caller, items: Sequence[Mapping[str, Any]]) -> list[NewKey]:
    """Make API keys, all or none.

    :param items: checked fields: ``name``, and those of ``administrator``, ``rules``,
        ``expires`` and ``rate_limit`` that are not the default.
    :raises RegistryUnavailable: the database cannot be reached.
    """
    made = []
    with change(registry) as transaction:
        for item in items:
            text = f"ca_{secrets.token_urlsafe(32)}"
            row = {
                "name": item["name"],
                "digest": digest_of(text).hex(),
                "prefix": text[:SHOWN],
                "administrator": item.get("administrator", False),
                "rules": _rules_text(registry, item.get("rules", ())),
                "created": int(time.time()),
                "expires": item.get("expires"),
                **records.rate_row(item.get("rate_limit")),
            }
            number = transaction.add(tables.api_keys, row)
            warnings = _warnings(registry, item.get("rules", ()))
            made.append(NewKey(number, item["name"], text, warnings))
    for new in made:
        audit.note(registry.data_dir, caller, "created", "API key", new.number, new.name)
    return made


def find(registry: Registry, number: int) -> ApiKey:
    """Return the API key of an id.

    :raises NotFound: there is none.
    :raises RegistryUnavailable: the database cannot be reached.
    """
    try:
        row = registry.store.find(tables.api_keys, number)
    except DatabaseFailed as error:
        raise RegistryUnavailable from error
    if row is None:
        raise _not_found(number)
    return api_key_of(registry, row)


def update(registry: Registry, caller: Caller, number: int, fields: Mapping[str, Any]) -> ApiKey:
    """Change the checked fields given of an API key.

    :raises NotFound: there is no such key.
    :raises RegistryUnavailable: the database cannot be reached.
    """
    with change(registry) as transaction:
        old = _stored(transaction, number)
        row = dict(fields)
        if "rules" in row:
            row["rules"] = _rules_text(registry, row["rules"])
        if "rate_limit" in row:
            row |= records.rate_row(row.pop("rate_limit"))
        if row:
            transaction.put(tables.api_keys, number, row)
    names = dict.fromkeys(_FIELDS.get(name, name) for name in row if row[name] != old[name])
    name = fields.get("name", old["name"])
    if names:
        audit.note(registry.data_dir, caller, "changed", "API key", number, name, ", ".join(names))
    return find(registry, number)


def revoke(registry: Registry, caller: Caller, number: int) -> None:
    """Delete an API key: within a second it is worth nothing anywhere.

    :raises NotFound: there is no such key.
    :raises RegistryUnavailable: the database cannot be reached.
    """
    with change(registry) as transaction:
        name = _stored(transaction, number)["name"]
        transaction.remove(tables.api_keys, number)
    audit.note(registry.data_dir, caller, "revoked", "API key", number, name)


def api_key_of(registry: Registry, row: Row) -> ApiKey:
    """Return the API key of a row."""
    caller = records.caller_of(row, registry.snapshot.aliases)
    return ApiKey(
        number=row["id"],
        name=row["name"],
        prefix=row["prefix"],
        administrator=row["administrator"],
        rules=caller.rules,
        created=row["created"],
        expires=row["expires"],
        rate_limit=caller.rate,
        last_used=row["last_used"],
        warnings=_warnings(registry, caller.rules),
    )


def shown(key: ApiKey) -> dict[str, Any]:
    """Return an API key as the API has it.

    As a schema would, which takes ten times as long, and a fifteenth of a second to import.
    """
    rate = key.rate_limit
    return {
        "id": key.number,
        "name": key.name,
        "prefix": key.prefix,
        "administrator": key.administrator,
        "rules": [
            {
                "service": rule.service,
                "verbs": [verb for verb in VERBS if verb in rule.verbs],
                "keys": f"{rule.prefix}*",
            }
            for rule in key.rules
        ],
        "created": moment_or_none(key.created),
        "expires": moment_or_none(key.expires),
        "rate_limit": None
        if rate is None
        else {"requests": rate.requests, "seconds": rate.seconds},
        "last_used": moment_or_none(key.last_used),
        "warnings": key.warnings,
    }


def _warnings(registry: Registry, rules: Iterable[Rule]) -> list[str]:
    """Return a line about each service of some rules that does not exist, or not yet."""
    snapshot = registry.snapshot
    known = sorted({EVERY_SERVICE, *snapshot.aliases, *snapshot.definitions})
    return [
        f"Service '{name}' does not exist yet: its rule waits for it." + did_you_mean(name, known)
        for name in dict.fromkeys(rule.service for rule in rules)
        if name not in known
    ]


def _rules_text(registry: Registry, rules: Iterable[Rule]) -> str:
    return records.rules_text(records.named(rules, registry.snapshot.aliases))


def _stored(transaction: Change, number: int) -> Row:
    row = transaction.find(tables.api_keys, number)
    if row is None:
        raise _not_found(number)
    return row


def _not_found(number: int) -> NotFound:
    return NotFound(f"API key {number} does not exist.")
