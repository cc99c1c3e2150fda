"""What a service holds: look up a key, change it, delete it; browse keys."""

from __future__ import annotations

import time
from typing import Any, Final

from flask import Blueprint, current_app, flash, redirect, request, url_for
from werkzeug.datastructures import ETags
from werkzeug.wrappers import Response

from backends.base import MISSING, Missing
from backends.capabilities import Capability
from backends.errors import BackendError
from cacheapi.caching.codec import InvalidJson, Text, Value, encode
from cacheapi.caching.conditions import Condition, PreconditionFailed
from cacheapi.caching.documents import parse_document
from cacheapi.caching.pairs import KeyExists
from cacheapi.caching.service import CacheService
from cacheapi.caching.ttl import OVER, InvalidTtl, as_ttl, is_over, typed_ttl
from cacheapi.console import (
    charts,
    first_steps,
    frame,
    remotes,
    states,
    values,
)
from cacheapi.console.service_settings import settings_of
from cacheapi.observing import samples
from cacheapi.observing.samples import Sampler
from cacheapi.registry import administration
from cacheapi.registry.definition import Definition
from cacheapi.registry.rights import Rule
from cacheapi.web.blueprints import find_service, permit, registry
from cacheapi.web.errors import ApiError, absent

PAGE: Final = 50
KEEP: Final = "keep"
# A person has sent no condition: the page has.
MEANWHILE: Final = (
    "Somebody else has stored another value under this key meanwhile, or deleted it; nothing was "
    "changed. What is stored now is shown here."
)
# What a form may get wrong, told beside it.
_FAULTS: Final = (InvalidJson, InvalidTtl, KeyExists, PreconditionFailed, BackendError, ApiError)


def register(blueprint: Blueprint) -> None:
    """Add the views."""
    blueprint.add_url_rule("/service/<name>", "service", service)
    blueprint.add_url_rule("/service/<name>/key", "save", save, methods=["POST"])
    blueprint.add_url_rule("/service/<name>/delete-key", "delete_key", delete, methods=["POST"])


def service(name: str) -> Response:
    """Show a service, and of what it holds a key or a page of keys, if asked for."""
    definition = administration.find(registry(), name)
    remote = registry().snapshot.remotes.get(name)
    if remote is not None:
        return remotes.page(definition, remote)
    if registry().find(name) is None:
        return page_of(definition)
    cache = find_service(name)
    key = request.args.get("key", "")
    more: dict[str, Any] = {}
    asked = key or "prefix" in request.args
    try:
        if key:
            more = _looked_up(cache, key)
        elif asked or Capability.LIST_KEYS in cache.backend.capabilities:
            more = listed(cache, request.args.get("prefix", ""), request.args.get("cursor"))
    except BackendError as error:
        told = frame.faults_of(error)[""]
        if not asked:
            return page_of(definition, list_fault=told)
        return page_of(definition, 400, key=key, look_fault=told)
    return page_of(definition, key=key, **more)


def save(name: str) -> Response:
    """Store what the form of a key says, if the key is still as the form showed it."""
    definition, cache, key = _asked(name)
    sent = request.form
    etag = sent.get("etag", "")
    try:
        text = _text(sent.get("as", "json"), sent.get("value", ""))
        keeps = sent.get("lifetime") == KEEP
        ttl = _left_as_ttl(cache, key) if keeps else _ttl(sent)
        if etag:
            _change(cache, key, text, ttl, etag, keeps=keeps)
        elif text is not None:
            cache.add(key, text, ttl)
    except _FAULTS as error:
        faults = frame.faults_of(error)
        field = {InvalidJson: "value", InvalidTtl: "ttl"}.get(type(error), "")
        told = faults.get("", "") or next(iter(faults.values()))
        if isinstance(error, PreconditionFailed):
            told = MEANWHILE
        if field == "value":
            told = told.replace("The body", "The value")
            told += " To store it as it is typed, choose Text."
        more = {"key": key, "faults": {field: told}}
        return page_of(definition, 400, **_looked_up(cache, key, sent), **more)
    flash("The key is stored.")
    return _back(name, key)


def delete(name: str) -> Response:
    """Delete a key."""
    _, cache, key = _asked(name)
    permit("DELETE", name, [key])
    if not cache.delete(key):
        raise absent(key)
    flash("The key is deleted.")
    return _back(name, key)


def _asked(name: str) -> tuple[Definition, CacheService, str]:
    definition = administration.find(registry(), name)
    cache = find_service(name)
    key = request.args.get("key", "")
    permit(request.method, name, [key])
    cache.check_key(key)
    return definition, cache, key


def _back(name: str, key: str) -> Response:
    return redirect(url_for("console.service", name=name, key=key), 303)


def page_of(definition: Definition, status: int = 200, **more: Any) -> Response:
    """Return the page of a service, with what it holds, if that was asked for."""
    cache = registry().find(definition.name)
    can = {flag.name for flag in cache.backend.capabilities} if cache is not None else set()
    card = states.card(definition)
    shown = {"key": "", "faults": {}, "tags_asked": request.args.get("tag", "")}
    shown |= {**_last_hour(definition.name), **more}
    rules = [Rule(definition.name, frozenset(first_steps.USING))]
    return frame.page(
        "service",
        status,
        card=card,
        definition=definition,
        cache=cache,
        can=can,
        reads=None if cache is None else states.reads_of(cache),
        flush_refusal=None if cache is None else cache.backend.flush_refusal(),
        warnings=registry().snapshot.overlaps.of(definition.name),
        stored_for=sorted(
            name
            for name, remote in registry().snapshot.remotes.items()
            if remote.cache == definition.name
        ),
        settings=[one for one in settings_of(definition) if one.is_usual and one.text],
        lines=first_steps.lines(registry().snapshot, rules),
        **shown,
    )


def _last_hour(name: str) -> dict[str, Any]:
    sampler: Sampler = current_app.extensions[samples.EXTENSION]
    now = time.time()
    found = sampler.history(name)
    return {
        "charts": charts.charts(found, now),
        "rows": charts.table(found, now),
        "taken": len(found),
        "sample_seconds": sampler.seconds,
    }


def _looked_up(cache: CacheService, key: str, sent: Any = None) -> dict[str, Any]:
    """Return what a page shows of a key.

    :param sent: the form that was sent, to be shown again.
    """
    cache.check_key(key)
    cache = cache.uncounted()
    looked_at = cache.look_at(key)
    found: dict[str, Any] = {"looked_up": True, "value": None, "sent": sent}
    if looked_at is MISSING:
        return found
    value, stored_as, tags = looked_at
    left = _left(cache, key)
    shown = values.show(value)
    # A text area would make other line ends of these.
    as_text = shown.kind == "text" and "\r" not in shown.text and "\0" not in shown.text
    return {
        **found,
        "value": shown,
        "etag": value.etag,
        "stored_as": stored_as,
        "tags": tags,
        "flags": value.flags,
        "left": left,
        "knows_left": left is not MISSING,
        "as_text": as_text,
        "edited": shown.text if as_text else value.json,
    }


def listed(cache: CacheService, prefix: str, cursor: str | None) -> dict[str, Any]:
    """Return what a page shows of some keys."""
    cache = cache.uncounted()
    keys, following = cache.list_keys(prefix, PAGE, cursor)
    found = cache.describe_many(keys)
    # What has ended since it was listed is there no more.
    there = [(key, found[key]) for key in keys if key in found]
    return {"listed": there, "following": following, "prefix": prefix, "cursor": cursor}


def _left(cache: CacheService, key: str) -> float | Missing | None:
    """Return the seconds that a key has left, if the backend can tell."""
    if Capability.REMAINING_TTL not in cache.backend.capabilities:
        return MISSING
    return cache.remaining_ttl(key)


def _text(kind: str, sent: str) -> str | None:
    """Return the JSON text of what was typed; ``None``: only the lifetime is to change.

    :raises InvalidJson: it is none.
    """
    if kind == "same":
        return None
    if kind == "text":
        return encode(sent.replace("\r\n", "\n"))
    parse_document(sent.encode())
    return Text(sent.strip())


def _ttl(sent: Any) -> int | None:
    """Return the lifetime that was chosen.

    :raises InvalidTtl: what was typed is none, or over already.
    """
    chosen = sent.get("lifetime", "default")
    if chosen == "default":
        return None
    if chosen == "forever":
        return 0
    typed, now = sent.get("ttl", "").strip(), time.time()
    ttl = typed_ttl(typed, now)
    if is_over(ttl, now):
        raise InvalidTtl(f"{typed} is over already, so nothing was stored: {OVER}.")
    return ttl


def _left_as_ttl(cache: CacheService, key: str) -> int | None:
    left = _left(cache, key)
    return None if left is MISSING else as_ttl(left, time.time())


def _change(
    cache: CacheService, key: str, text: str | None, ttl: int | None, etag: str, *, keeps: bool
) -> None:
    """Store a value; or only its lifetime, where the value is the one that was shown.

    :param keeps: the lifetime is what it was.
    :raises PreconditionFailed: somebody else stored meanwhile.
    """
    condition = None
    if Capability.COMPARE_AND_SET in cache.backend.capabilities:
        condition = Condition(if_match=ETags([etag]))
    if text is not None and Value(text).etag != etag:
        looked_at = cache.look_at(key)
        tags = () if looked_at is MISSING else looked_at[2]
        done = cache.replace(key, text, ttl, condition, tags)
    elif keeps:
        done = True
    else:
        done = cache.touch(key, ttl, condition)
    if not done:
        raise absent(key)
