"""Deleting much at once: selected keys, all with a prefix, all with a tag, all of a service.

Each is confirmed by typing what it is about.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from backends.capabilities import Capability
from backends.errors import BackendError, Failed
from cacheapi.caching.codec import InvalidJson
from cacheapi.caching.documents import parse_document
from cacheapi.caching.service import CacheService
from cacheapi.caching.tags import InvalidTags, purged_text, tags_in
from cacheapi.console import frame, words
from cacheapi.console.entries import PAGE, listed, page_of
from cacheapi.registry import administration, contents
from cacheapi.registry.definition import Definition
from cacheapi.web import blueprints
from cacheapi.web.blueprints import find_service, permit, registry
from cacheapi.web.errors import ApiError


def register(blueprint: Blueprint) -> None:
    """Add the views."""
    for view in (delete_selected, delete_prefix, delete_tagged, flush):
        path = f"/service/<name>/{view.__name__.replace('_', '-')}"
        blueprint.add_url_rule(path, view.__name__, view, methods=["POST"])


def delete_selected(name: str) -> Response:
    """Delete the keys that were selected on a page of them, and whose number was typed."""
    definition = administration.find(registry(), name)
    cache = find_service(definition.name)
    keys = _selected()
    permit("DELETE", definition.name, keys)
    prefix, cursor = request.args.get("prefix", ""), request.args.get("cursor")
    fault = "Select keys first: check the boxes beside them."
    if keys:
        fault = f"Type {len(keys)}: {words.selected(len(keys))}."
    try:
        if keys and request.form.get("confirm", "").strip() == str(len(keys)):
            outcomes = cache.delete_many(keys)
            failed = [one for one in outcomes if isinstance(one, BackendError)]
            if not failed:
                flash(f"{words.keys(outcomes.count(True))} deleted.")
                back = url_for("console.service", name=name, prefix=prefix, _anchor="keys-title")
                return redirect(back, 303)
            fault = _stopped(failed[0], outcomes.count(True))
    except BackendError as error:
        fault = frame.faults_of(error)[""]
    return _listed_again(definition, cache, prefix, cursor, select_fault=fault, selected=keys)


def _stopped(error: BackendError, deleted: int) -> str:
    """Return what is told of a deletion that has stopped: why, where, and what is to be done."""
    fault = frame.faults_of(error)[""]
    return f"{fault} {contents.left(deleted)}" if isinstance(error, Failed) else fault


def _selected() -> list[str]:
    """Return the keys whose boxes were checked; each is sent as JSON, which no form changes.

    :raises ApiError: 400; they are none that a page has shown.
    """
    try:
        found = [parse_document(text.encode()) for text in request.form.getlist("selected")]
    except InvalidJson as error:
        raise ApiError(400, "A selected key is not as the page has it.") from error
    keys = [key for key in found if isinstance(key, str)]
    if len(keys) != len(found) or len(keys) > PAGE:
        raise ApiError(400, f"Select keys of one page, at most {PAGE}.")
    return keys


def delete_prefix(name: str) -> Response:
    """Delete every key that starts with a prefix which was typed."""
    definition = administration.find(registry(), name)
    prefix = request.args.get("prefix", "")
    if not prefix:
        raise ApiError(400, "The prefix is empty: to delete every key, flush the service.")
    counts: list[int] = []
    fault = f"Type {frame.visible(prefix)} to delete every key that starts so."
    if request.form.get("confirm", "") in (prefix, frame.visible(prefix)):
        try:
            blueprints.delete_prefix(definition.name, prefix, counts.append)
        except BackendError as error:
            fault = _stopped(error, sum(counts))
        else:
            flash(
                f"{words.keys(sum(counts))} deleted: all that started with {frame.visible(prefix)}"
            )
            return redirect(url_for("console.service", name=name, prefix=prefix), 303)
    return _listed_again(definition, find_service(name), prefix, None, prefix_fault=fault)


def _listed_again(
    definition: Definition, cache: CacheService, prefix: str, cursor: str | None, **faults: Any
) -> Response:
    """Return the page of keys once more, with what is wrong."""
    try:
        more = listed(cache, prefix, cursor)
    except BackendError as error:
        # What was deleted until then is told also where the keys cannot be listed now.
        told = [faults[name] for name in faults if name.endswith("_fault")]
        why = frame.faults_of(error)[""]
        told += [why] * (not any(why in text for text in told))
        return page_of(definition, 400, look_fault=" ".join(told))
    return page_of(definition, 400, **faults, **more)


def delete_tagged(name: str) -> Response:
    """Delete every entry that has one of the tags that were typed, twice."""
    definition = administration.find(registry(), name)
    typed = request.form.get("tags", "")
    try:
        tags = tags_in([typed])
        again = {part.strip() for part in request.form.get("confirm", "").split(",")}
        if again - {""} == set(tags):
            blueprints.purge(definition.name, tags)
            flash(purged_text(tags))
            return redirect(url_for("console.service", name=name), 303)
        has = "it" if len(tags) == 1 else "one of them"
        fault = f"Type {', '.join(tags)} to delete every entry that has {has}."
    except InvalidTags as error:
        fault = str(error)
    except BackendError as error:
        fault = frame.faults_of(error)[""]
    return shown_again(definition, tags_asked=typed, tag_fault=fault)


def shown_again(definition: Definition, status: int = 400, **told: Any) -> Response:
    """Return the page of a service once more, as it was opened, with what is told in it."""
    cache = registry().find(definition.name)
    more: dict[str, Any] = {}
    try:
        if cache is not None and Capability.LIST_KEYS in cache.backend.capabilities:
            more = listed(cache, "", None)
    except BackendError as error:
        more = {"list_fault": frame.faults_of(error)[""]}
    return page_of(definition, status, **more, **told)


def flush(name: str) -> Response:
    """Delete all keys of a service whose name was typed."""
    definition = administration.find(registry(), name)
    if request.form.get("confirm", "").strip() != name:
        return shown_again(definition, flush_fault=f"Type {name} to delete all that it holds.")
    try:
        blueprints.flush(name)
    except BackendError as error:
        return shown_again(definition, flush_fault=frame.faults_of(error)[""])
    flash(f"The service {name} is flushed: none of its keys is a hit any more.")
    return redirect(url_for("console.service", name=name, flushed="yes"), 303)
