"""A service in front of an API: what the cache did, how the API does, and what is stored of a URL.

The facts of a URL are those of ``cacheapi explain``, and a purge goes the way of the API's.
"""

from __future__ import annotations

import time
from typing import Any, Final

from flask import Blueprint, current_app, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from backends.errors import BackendError
from cacheapi.caching.tags import InvalidTags, tags_in
from cacheapi.console import charts, first_steps, frame, states
from cacheapi.console.states import State
from cacheapi.observing import samples
from cacheapi.observing.metrics.meter import METER, Meter
from cacheapi.observing.samples import Sampler
from cacheapi.observing.traffic import Traffic, traffic
from cacheapi.observing.troubles import TROUBLES, Troubles
from cacheapi.registry import administration
from cacheapi.registry.definition import Definition
from cacheapi.registry.rights import Rule
from cacheapi.responses.asking import NoAnswer
from cacheapi.responses.engines import MOUNT
from cacheapi.responses.explaining import NotAsked, explain, fields_of, url_of
from cacheapi.responses.remote import Remote
from cacheapi.responses.store import Store
from cacheapi.responses.telling import RULES
from cacheapi.web.blueprints import caller, registry
from cacheapi.web.errors import ApiError
from cacheapi.web.remote_answers import REMOTE_ANSWERS, RemoteAnswers
from cacheapi.web.remotes import Purge

# What the cache did, in the order of how cheap it is.
RESULTS: Final = {
    "hit": "from the cache, fresh",
    "stale": "from the cache, stale as was allowed",
    "collapsed": "another client's request brought it",
    "validated": "the API said that what is stored still holds",
    "miss": "fetched from the API",
    "bypass": "the cache was off or down: the API was asked",
    "pass": "passed on: a write, or of no use to the cache",
    "error": "an error of the service's own",
}
ERRORS: Final = {
    "timeout": "no answer in time",
    "failed": "no whole answer",
    "status": "an answer of 5xx",
}

STILL: Final = "What is stored is served as long as it may be."


def register(blueprint: Blueprint) -> None:
    """Add the views."""
    blueprint.add_url_rule("/service/<name>/purge", "purge", purge, methods=["POST"])


def state(remote: Remote) -> dict[str, Any]:
    """Return what a card shows: whether the API and what stores are up, and what was answered."""
    # It brings an event loop, which takes a while to import.
    from cacheapi.registry import remote_trial

    cache = registry().find(remote.cache)
    if cache is None:
        found = State(False, f"The service {remote.cache} that stores cannot be used.")
    else:
        found = states.read(cache)
    if found.is_up:
        found = State(True)
        try:
            remote_trial.ask(remote, states.PATIENCE_SECONDS)
        except BackendError as error:
            found = State(False, f"{error} {STILL}")
    return {"state": found, "traffic": _traffic(remote.name)}


def page(definition: Definition, remote: Remote) -> Response:
    """Show such a service, and what is stored of a URL, if one is asked for."""
    url, headers = request.args.get("url", ""), request.args.get("headers", "")
    if not url:
        return _page(definition, remote)
    try:
        found = _explained(remote, url, headers)
    except (NotAsked, NoAnswer, BackendError) as error:
        return _page(definition, remote, 400, url=url, headers=headers, look_fault=str(error))
    return _page(definition, remote, url=url, headers=headers, found=found)


def purge(name: str) -> Response:
    """Make gone, or stale: a URL, what carries some tags, or all, if the name was typed."""
    definition = administration.find(registry(), name)
    remote = registry().snapshot.remotes.get(definition.name)
    if remote is None:
        raise ApiError(404, f"Service '{name}' stands in front of no API that is on.")
    sent = request.form
    scope, is_soft = sent.get("scope", ""), sent.get("how") == "soft"
    url = sent.get("url", "")
    what, back = f"All of {definition.name}", url_for("console.service", name=definition.name)
    path, wanted = b"", Purge(is_soft)
    try:
        if scope == "url":
            path, query = url_of(remote.config, f"{MOUNT}{definition.name}", url)
            wanted, what = Purge(is_soft, query), "The URL"
            back = url_for("console.service", name=definition.name, url=url, _anchor="look-title")
        elif scope == "tag":
            tags = tags_in([sent.get("tags", "")])
            wanted, what = Purge(is_soft, None, tags), f"What carries {', '.join(tags)}"
        elif sent.get("confirm", "").strip() != definition.name:
            raise NotAsked(f"Type {definition.name} to purge all that is stored.")
        answers: RemoteAnswers = current_app.extensions[REMOTE_ANSWERS]
        answers.purge(remote, path, wanted, caller())
    except (NotAsked, NoAnswer, InvalidTags) as error:
        fault = {"url": "look_fault", "tag": "tag_fault"}.get(scope, "all_fault")
        more = {"url": url, "tags": sent.get("tags", ""), fault: str(error)}
        return _page(definition, remote, 400, **more)
    flash(f"{what} is {'stale' if is_soft else 'gone'} now.")
    return redirect(back, 303)


def _explained(remote: Remote, url: str, headers: str) -> dict[str, Any]:
    fields = fields_of(line for line in headers.splitlines() if line.strip())
    path, query = url_of(remote.config, f"{MOUNT}{remote.name}", url)
    cache = registry().find(remote.cache)
    if cache is None:
        raise NotAsked(f"The service {remote.cache} that stores cannot be used.")
    store = Store(remote.name, cache.backend, remote.config.counts)
    return explain(remote.config, store, path, query, fields, time.time())


def _traffic(name: str) -> Traffic | None:
    """Return what a service did; ``None``: nothing is counted."""
    meter: Meter | None = current_app.extensions[METER]
    return None if meter is None else traffic(meter).get(name, Traffic({}, (), {}, {}))


def _page(definition: Definition, remote: Remote, status: int = 200, **more: Any) -> Response:
    sampler: Sampler = current_app.extensions[samples.EXTENSION]
    troubles: Troubles = current_app.extensions[TROUBLES]
    history, now = sampler.history(definition.name), time.time()
    done = _traffic(definition.name)
    counts = {} if done is None else {name: done.results.get(name, 0) for name in RESULTS}
    total = sum(counts.values())
    return frame.page(
        "remote",
        status,
        card=states.card(definition),
        definition=definition,
        remote=remote,
        traffic=done,
        results=[
            (name, RESULTS[name], count, count / total) for name, count in counts.items() if count
        ],
        troubles=troubles.latest(definition.name),
        charts=charts.charts(history, now),
        rows=charts.table(history, now),
        taken=len(history),
        sample_seconds=sampler.seconds,
        can={"STATS"},
        lines=first_steps.lines(registry().snapshot, [Rule(remote.name, frozenset({"GET"}))]),
        words={"rules": RULES, "errors": ERRORS},
        **{"url": "", "headers": "", "tags": "", **more},
    )
