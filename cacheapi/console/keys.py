"""API keys: a list, a form with a builder of rules, the key shown once, the end of one."""

from __future__ import annotations

import time
from typing import Any, Final

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from cacheapi.console import first_steps, frame, key_form
from cacheapi.console.key_form import Form, Rule
from cacheapi.registry import key_administration, listing
from cacheapi.registry.rights import VERBS
from cacheapi.web.blueprints import caller, registry
from cacheapi.web.schemas.api_key import KeyChangeSchema, KeyFieldsSchema

# Of more services, who makes a rule types the name of one.
CHOICES: Final = 200


def register(blueprint: Blueprint) -> None:
    """Add the views."""
    blueprint.add_url_rule("/keys", "keys", keys)
    blueprint.add_url_rule("/new-key", "new_key", new_key)
    blueprint.add_url_rule("/new-key", "make_key", make_key, methods=["POST"])
    blueprint.add_url_rule("/key/<int:number>", "api_key", api_key)
    blueprint.add_url_rule("/key/<int:number>", "change_key", change, methods=["POST"])
    blueprint.add_url_rule("/key/<int:number>/revoke", "revoke", revoke, methods=["POST"])


def keys() -> Response:
    """List the API keys: a page of them."""
    snapshot = registry().snapshot
    return frame.page(
        "keys",
        page=listing.api_keys(registry(), frame.page_wanted(listing.USUAL)),
        fixed=len(snapshot.callers.fixed),
        now=time.time(),
        verbs=VERBS,
    )


def new_key() -> Response:
    """Show the form of a new key, for an application of a service if one is named."""
    service = registry().snapshot.name_of(request.args.get("service", ""))
    if service not in registry().snapshot.definitions:
        return _form(Form())
    return _form(Form(name=service, rules=[Rule(service, first_steps.USING)]))


def make_key() -> Response:
    """Make a key, and show it this once: no other page could."""
    form = key_form.read(request.form)
    if key_form.rearrange(form, request.form.get("action", "")):
        return _form(form)
    fields = key_form.check(form, KeyFieldsSchema())
    if fields is None:
        return _form(form, status=400)
    (made,) = key_administration.create(registry(), caller(), [fields])
    rules = first_steps.ALL if fields.get("administrator") else fields.get("rules", ())
    named = {rule.service for rule in rules} & set(registry().snapshot.names)
    return frame.page(
        "new_key",
        made=made,
        lines=first_steps.lines(registry().snapshot, rules),
        service=min(named) if len(named) == 1 else None,
    )


def api_key(number: int) -> Response:
    """Show a key and its form."""
    key = key_administration.find(registry(), number)
    return _form(key_form.of(key), key=key)


def change(number: int) -> Response:
    """Change a key."""
    key = key_administration.find(registry(), number)
    form = key_form.read(request.form)
    if key_form.rearrange(form, request.form.get("action", "")):
        return _form(form, key=key)
    fields = key_form.check(form, KeyChangeSchema())
    if fields is None:
        return _form(form, status=400, key=key)
    changed = key_administration.update(registry(), caller(), number, fields)
    flash(f"The API key {changed.name} is saved.")
    return redirect(url_for("console.keys"), 303)


def revoke(number: int) -> Response:
    """Revoke a key."""
    key = key_administration.find(registry(), number)
    key_administration.revoke(registry(), caller(), number)
    flash(f"The API key {key.name} is revoked.")
    return redirect(url_for("console.keys"), 303)


def _form(form: Form, *, status: int = 200, **more: Any) -> Response:
    names = registry().snapshot.names
    services = names if len(names) <= CHOICES else None
    return frame.page(
        "key_form",
        status,
        form=form,
        services=services,
        verbs=VERBS,
        now=time.time(),
        **{"key": None, **more},
    )
