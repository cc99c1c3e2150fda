"""Services: cards with their state, the form of one, the trial, and the end of one."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from cacheapi.console import frame, remotes, service_form, service_sent, states
from cacheapi.console.service_form import Form
from cacheapi.console.service_settings import settings_of
from cacheapi.registry import administration, listing, trial
from cacheapi.registry.definition import Definition, Source
from cacheapi.registry.environment import SYSTEM_CACHE
from cacheapi.registry.errors import Invalid
from cacheapi.registry.forms import PREFIX
from cacheapi.web.blueprints import caller, registry
from cacheapi.web.errors import ApiError

# Each asks for its state every ten seconds.
CARDS: Final = 24


def register(blueprint: Blueprint) -> None:
    """Add the views."""
    blueprint.add_url_rule("/", "index", index)
    blueprint.add_url_rule("", "bare", bare)
    blueprint.add_url_rule("/new-service", "new_service", new_service)
    blueprint.add_url_rule("/new-service", "make_service", make_service, methods=["POST"])
    blueprint.add_url_rule("/service/<name>/state", "state", state)
    blueprint.add_url_rule("/service/<name>/edit", "edit_service", edit_service)
    blueprint.add_url_rule("/service/<name>/edit", "change_service", change, methods=["POST"])
    blueprint.add_url_rule("/service/<name>/switch", "switch", switch, methods=["POST"])
    blueprint.add_url_rule("/service/<name>/delete", "delete_service", delete, methods=["POST"])


def bare() -> Response:
    """Lead on who left out the slash."""
    return redirect(url_for("console.index"))


def index() -> Response:
    """Show the services, the system cache first, the others by name: a page of them."""
    wanted = frame.page_wanted(CARDS)
    page = listing.services(registry(), wanted)
    system = registry().snapshot.definitions[SYSTEM_CACHE]
    others = [definition for definition in page.items if definition is not system]
    is_shown = system in page.items if wanted.search else wanted.cursor is None
    cards = states.cards([system, *others] if is_shown else others)
    return frame.page("services", cards=cards, page=page)


def state(name: str) -> Response:
    """Show the state of one, which may take as long as its backend takes not to answer."""
    definition = administration.find(registry(), name)
    remote = registry().snapshot.remotes.get(definition.name)
    if remote is not None:
        return frame.page("state", definition=definition, **remotes.state(remote))
    service = registry().find(name)
    if service is None:
        return frame.page("state", definition=definition, state=None)
    found, reads = states.read(service), states.reads_of(service)
    return frame.page("state", definition=definition, state=found, reads=reads)


def new_service() -> Response:
    """Ask for the type of a new service; then show its form."""
    wanted = request.args.get("type")
    if wanted is None:
        return frame.page("service_types", types=service_form.types().values())
    described = _type(wanted)
    return _form(_made(described, {}, {}, is_new=True), None)


def make_service() -> Response:
    """Try or save a new service."""
    described = _type(request.args.get("type", ""))
    typed = service_sent.read(described, request.form)
    fields = service_sent.meant(described, typed)
    try:
        if request.form.get("action") == "test":
            # Of a service that is there already, a mask would stand for its secrets.
            unnamed = {name: value for name, value in fields.items() if name != "name"}
            return _tried(described, typed, unnamed, None)
        if not fields["config"].get(PREFIX):
            # The form has no other way to leave it to the service.
            fields["config"].pop(PREFIX, None)
        (made,) = administration.create(registry(), caller(), [fields])
    except Invalid as error:
        faults = service_sent.spoken(described, typed, frame.faults_of(error))
        return _form(_made(described, typed, faults, is_new=True), None, 400)
    works = _tell_saved(made, f" and answers at {request.root_path}/api/v2/{made.name}")
    # Of one that is down, the next step is to mend it.
    new = "yes" if works else None
    return redirect(url_for("console.service", name=made.name, new=new), 303)


def edit_service(name: str) -> Response:
    """Show the form of a service."""
    definition = administration.find(registry(), name)
    if definition.source is not Source.DATABASE:
        return frame.page("read_only", definition=definition, settings=settings_of(definition))
    described = _type(definition.type)
    form = _made(described, administration.shown(definition), {})
    return _form(form, definition)


def change(name: str) -> Response:
    """Try or save a change of a service."""
    definition = administration.find(registry(), name)
    described = _type(definition.type)
    typed = service_sent.read(described, request.form)
    fields = service_sent.meant(described, typed)
    try:
        if request.form.get("action") == "test":
            return _tried(described, typed, {**fields, "name": definition.name}, definition)
        changed = administration.update(registry(), caller(), name, fields, replace=True)
    except Invalid as error:
        faults = service_sent.spoken(described, typed, frame.faults_of(error))
        return _form(_made(described, typed, faults), definition, 400)
    _tell_saved(changed, "")
    return redirect(url_for("console.service", name=changed.name), 303)


def switch(name: str) -> Response:
    """Switch a service on or off."""
    on = request.form.get("to") == "on"
    changed = administration.update(registry(), caller(), name, {"is_active": on}, replace=False)
    flash(f"The service {changed.name} is {'on' if on else 'off: it answers 404'}.")
    return redirect(url_for("console.service", name=changed.name), 303)


def delete(name: str) -> Response:
    """Delete a service whose name was typed."""
    definition = administration.find(registry(), name)
    if request.form.get("confirm", "").strip() != definition.name:
        return _form_to_edit(definition, {"confirm": f"Type {definition.name} to delete it."})
    administration.delete(registry(), caller(), name)
    flash(f"The service {definition.name} is deleted.")
    return redirect(url_for("console.index"), 303)


def _tell_saved(definition: Definition, where: str) -> bool:
    """Say that a service is saved, and what a trial of it has found.

    :param where: what is said of one that works.
    :return: whether it works.
    """
    saved = f"The service {definition.name} is saved"
    if not definition.is_active:
        flash(f"{saved}. It is off: it answers 404.")
        return False
    outcome = trial.run(registry(), definition, saved=True, patience=states.PATIENCE_SECONDS)
    if outcome.success:
        flash(f"{saved}{where}.")
        return True
    failed = outcome.steps[-1]
    told = f"{saved}, but does not work: '{failed.name}' failed. {failed.message}"
    flash(f"{told} {outcome.cause or ''}".rstrip(), "warning")
    return False


def _form_to_edit(definition: Definition, faults: dict[str, str]) -> Response:
    described = _type(definition.type)
    form = _made(described, administration.shown(definition), {})
    return _form(form, definition, 400, confirm_fault=faults["confirm"])


def _tried(
    described: dict[str, Any],
    typed: dict[str, Any],
    tried: dict[str, Any],
    definition: Definition | None,
) -> Response:
    """Try what a form says, and show it again with the outcome.

    :raises Invalid: something is wrong with a field.
    """
    draft = administration.draft(registry(), tried)
    outcome = trial.run(registry(), draft, saved=False)
    made = _made(described, typed, {}, is_new=definition is None)
    return _form(made, definition, outcome=outcome)


def _made(
    described: dict[str, Any],
    shown: dict[str, Any],
    faults: dict[str, str],
    *,
    is_new: bool = False,
) -> Form:
    caches = registry().snapshot.services
    return service_form.make(described, shown, faults, caches, is_new=is_new)


def _form(form: Form, definition: Definition | None, status: int = 200, **more: Any) -> Response:
    return frame.page("service_form", status, form=form, definition=definition, **more)


def _type(name: str) -> dict[str, Any]:
    found = service_form.types().get(name)
    if found is None:
        raise ApiError(404, f"There is no type of service '{name}'.")
    return found
