"""``cacheapi api-key``: API keys, made and revoked at the machine itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from cacheapi.caching.ttl import seconds_of
from cacheapi.commands import completing
from cacheapi.commands.administering import administration
from cacheapi.commands.options import as_json
from cacheapi.commands.output import emit, emit_text, note, printable, table
from cacheapi.moments import moment_text
from cacheapi.registry.errors import Fault, Invalid
from cacheapi.registry.rights import VERBS
from cacheapi.slips import did_you_mean

# A thousand years: what is longer has no date.
MOST_SECONDS: Final = 1000 * 365 * 86400
EVERY_KEY: Final = "*"
# What of a key is given with which option.
_GIVEN: Final = {"name": "NAME", "expires": "--expires", "rate_limit": "--rate", "rules": "--rule"}


class _Number(click.IntRange):
    """The number of an API key; who has given a name is told where the numbers are."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return a valid number."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(
                f"{printable(str(value))!r} is no ID; 'cacheapi api-key list' has them.", param, ctx
            )


@click.group("api-key", cls=completing.Group)
def api_key() -> None:
    r"""Make, list and revoke API keys.

    They are kept in the database, and in force within a second wherever it is used. The
    keys of CACHEAPI_API_KEY are not among them. Each change is a line of the log, on stderr.

    \b
    Examples:
      cacheapi api-key create "web shop" --rule "sessions:GET,POST,PUT,DELETE:shop:*"
      cacheapi api-key list
      cacheapi api-key revoke 3
    """


@api_key.command()
@click.argument("name")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="SERVICE:VERBS[:KEYS]",
    help="What it may do, such as 'sessions:GET,POST:user:*', or '*:GET' for reading everywhere. "
    "Verbs are GET, POST, PUT, PATCH, DELETE, FLUSH. The first rule that fits decides.",
)
@click.option("--administrator", is_flag=True, help="It may do everything.")
@click.option(
    "--expires", metavar="TIME", help="When it ends: 2030-01-31T12:00:00Z, or 30d from now."
)
@click.option("--rate", metavar="N/SECONDS", help="At most N requests in a window, as 1000/60.")
@as_json
def create(
    name: str,
    rules: tuple[str, ...],
    administrator: bool,
    expires: str | None,
    rate: str | None,
    as_json: bool,
) -> None:
    r"""Make an API key, and print it: this once, only its digest is kept.

    NAME says whose it is, or what for.

    \b
    Examples:
      cacheapi api-key create reader --rule "*:GET"
      cacheapi api-key create "web shop" --rule "sessions:GET,POST,PUT:shop:*" --rate 1000/60
      KEY=$(cacheapi api-key create deploy --administrator --expires 2030-01-31T12:00:00Z)
    """
    if not rules and not administrator:
        raise click.UsageError("The key could do nothing: give --rule or --administrator.")
    given: dict[str, Any] = {
        "name": name,
        "administrator": administrator,
        "rules": [_rule(text) for text in rules],
    }
    if expires is not None:
        given["expires"] = _moment(expires)
    if rate is not None:
        given["rate_limit"] = _rate(rate)
    with administration(makes=True) as place:
        try:
            made = place.create_key(given)
        except Invalid as error:
            raise click.UsageError(_told(error.faults[0], rules)) from error
    # A service of before tells none.
    for warning in made.get("warnings", ()):
        note(warning)
    if as_json:
        emit(made)
        return
    emit_text(made["api_key"])
    note(f"This is API key {made['id']}; it is not shown again.")


def _told(fault: Fault, rules: Sequence[str]) -> str:
    """Return what is wrong, in the words of the options."""
    field, _, rest = (fault.field or "").partition(".")
    if field not in _GIVEN:
        return f"{fault.field}: {fault.message}" if fault.field else fault.message
    which = f"{rest}: " if rest else ""
    number = rest.partition(".")[0]
    if field == "rules" and number.isdigit():
        which = f"{printable(rules[int(number)])!r}: "
    # What the API has for none.
    said = fault.message.replace("null for a key", "leave it out for a key")
    return f"{_GIVEN[field]}: {which}{said}"


def _moment(text: str) -> str:
    """Return a time as the API takes it; ``30d`` is so long from now."""
    seconds = seconds_of(text)
    if seconds is None:
        return text
    return moment_text(time.time() + min(seconds, MOST_SECONDS))


def _rule(text: str) -> dict[str, Any]:
    service, colon, rest = text.partition(":")
    verbs, _, keys = rest.partition(":")
    if not colon:
        raise click.UsageError(f"--rule: {text!r} is no SERVICE:VERBS or SERVICE:VERBS:KEYS.")
    listed = [verb.strip().upper() for verb in verbs.split(",") if verb.strip()]
    for verb in listed:
        if verb not in VERBS:
            raise click.UsageError(
                f"--rule: {printable(verb)!r} is no verb; verbs are {', '.join(VERBS)}."
                + did_you_mean(verb, VERBS)
            )
    return {"service": service, "verbs": listed, **({"keys": keys} if keys else {})}


def _rate(text: str) -> dict[str, int]:
    requests, _, seconds = text.partition("/")
    try:
        return {"requests": int(requests), "seconds": int(seconds)}
    except ValueError as error:
        raise click.UsageError(f"--rate: {text!r} is no N/SECONDS, such as 1000/60.") from error


@api_key.command("list")
@as_json
def list_(as_json: bool) -> None:
    r"""List the API keys, without the keys.

    LAST USED may be a minute old: that is how often the service writes it down.

    \b
    Examples:
      cacheapi api-key list
      cacheapi api-key list --json | jq '.resource[] | select(.administrator)'
    """
    with administration() as place:
        found = place.api_keys()
    if as_json:
        emit({"resource": found})
        return
    table(
        ("ID", "NAME", "KEY", "MAY", "EXPIRES", "RATE", "LAST USED"),
        [
            (
                each["id"],
                each["name"],
                f"{each['prefix']}…",
                _rights(each),
                _shown_end(each["expires"]),
                _shown_rate(each["rate_limit"]),
                each["last_used"] or "never",
            )
            for each in found
        ],
    )


def _rights(key: Mapping[str, Any]) -> str:
    if key["administrator"]:
        return "everything"
    return "; ".join(map(_written, key["rules"]))


def _written(rule: Mapping[str, Any]) -> str:
    """Return a rule as --rule takes it."""
    keys = "" if rule["keys"] == EVERY_KEY else f":{rule['keys']}"
    return f"{rule['service']}:{','.join(rule['verbs'])}{keys}"


def _shown_end(expires: str | None) -> str:
    if expires is None:
        return "never"
    # In UTC and written out they follow each other as their texts do; who else answers here may
    # tell something that is no time.
    is_over = expires <= moment_text(time.time())
    return f"expired {expires}" if is_over else expires


def _shown_rate(rate: Mapping[str, int] | None) -> str | None:
    return None if rate is None else f"{rate['requests']}/{rate['seconds']} s"


@api_key.command()
@click.argument("number", type=_Number(min=1), metavar="ID")
@as_json
def revoke(number: int, as_json: bool) -> None:
    r"""Revoke an API key: within a second it is worth nothing anywhere.

    ID is its number in 'cacheapi api-key list'. The exit code is 1 where there is no such key.

    \b
    Examples:
      cacheapi api-key revoke 3
    """
    with administration() as place:
        place.revoke_key(number)
    if as_json:
        emit({"success": True})
