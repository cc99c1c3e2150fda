"""``cacheapi explain``: what is stored of a URL of a service in front of an API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cacheapi.commands import completing
from cacheapi.commands.failures import Exit, Failure
from cacheapi.commands.here import defined, registry
from cacheapi.commands.options import as_json
from cacheapi.commands.output import emit, emit_text, printable, table
from cacheapi.commands.service_words import switched_off
from cacheapi.responses.asking import NoAnswer
from cacheapi.responses.engines import MOUNT
from cacheapi.responses.explaining import NotAsked, fields_of, url_of
from cacheapi.responses.explaining import explain as explanation
from cacheapi.responses.store import Store

if TYPE_CHECKING:
    from cacheapi.registry.live import Registry


@click.command()
@click.argument("service", shell_complete=completing.services)
@click.argument("url")
@click.option("-H", "--header", "headers", multiple=True, help="A field of the request: 'Name: v'.")
@as_json
def explain(service: str, url: str, headers: tuple[str, ...], as_json: bool) -> int:
    r"""Say what is stored of a URL, and what a GET of it would get.

    URL is the path below the service's, with its query; or all of it, as the API or a client has
    it. The exit code is 1 where nothing that is stored answers it.

    \b
    Examples:
      cacheapi explain shop /items/1
      cacheapi explain shop '/items?page=2' -H 'Accept-Language: de' --json
    """
    with registry() as opened:
        remote = opened.snapshot.remotes.get(service)
        if remote is None:
            raise _not_explained(opened, service)
        cache = opened.find(remote.cache)
        if cache is None:
            raise Failure(f"The service '{remote.cache}' that stores cannot be used.")
        try:
            fields = fields_of(headers)
            path, query = url_of(remote.config, f"{MOUNT}{service}", url)
            store = Store(service, cache.backend, remote.config.counts)
            found = explanation(remote.config, store, path, query, fields, time.time())
        except (NotAsked, NoAnswer) as error:
            raise Failure(str(error), Exit.USAGE) from error
    if as_json:
        emit(found)
    else:
        _show(found)
    return Exit.DONE if found["decision"] == "hit" else Exit.NO


def _not_explained(opened: Registry, name: str) -> Failure:
    """Return what ends a command about a service in front of an API that can not be asked."""
    definition = defined(opened, name)
    if not definition.is_remote:
        others = sorted(opened.snapshot.remotes)
        known = f"those that do: {', '.join(others)}" if others else "none here does"
        return Failure(f"Service '{name}' stands in front of no HTTP API; {known}.", Exit.USAGE)
    if definition.fault is not None:
        return Failure(f"Service '{name}' cannot be used: {definition.fault}")
    return switched_off(name)


def _show(found: dict[str, Any]) -> None:
    emit_text(f"{printable(found['url'])}: {found['decision']} ({found['why']})")
    emit_text(printable(found["told"]))
    if found["alone"]:
        emit_text(
            "Its last answer was not one to store (no lifetime, no-store, private …: its "
            f"Cache-Status says which). For {found['alone']} s more each request asks the API by "
            "itself; those that come at the same time share one answer otherwise."
        )
    if not found["variants"]:
        emit_text("Nothing is stored of it.")
        return
    table(
        ("STATUS", "AGE", "TTL", "STALE", "RULE", "VARY", "TAGS", "BYTES"),
        [
            (
                one["status"],
                one["age"],
                one["ttl"],
                _stale(one),
                one["rule"],
                ", ".join(f"{name}={value}" for name, value in one["vary"].items()),
                ", ".join(one["tags"]),
                one["bytes"] if one["is_whole"] else f"{one['bytes']} (gone)",
            )
            for one in found["variants"]
        ],
    )


def _stale(variant: dict[str, Any]) -> str:
    """Return for how long a variant may be served stale, and when."""
    windows = (
        ("stale_while_revalidate", "while fetched"),
        ("stale_if_error", "on errors"),
    )
    return ", ".join(f"{variant[name]} {when}" for name, when in windows if variant[name])
