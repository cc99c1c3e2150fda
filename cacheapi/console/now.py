"""What happens now, what took longest, and who changed what: for who wants to look on."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from flask import Blueprint, request
from markupsafe import Markup
from werkzeug.wrappers import Response

from cacheapi.console import frame
from cacheapi.observing.tail.slowest import slowest
from cacheapi.registry import audit
from cacheapi.web.blueprints import registry
from cacheapi.web.blueprints.looking import current_tail, unwatched
from cacheapi.web.errors import ApiError

# What a page shows, and of how many it chooses.
SHOWN: Final = 50
MOST: Final = 2000
SLOW: Final = 20
ACTS: Final = 100
# How often the requests are asked for.
EVERY_MS: Final = 2000


def register(blueprint: Blueprint) -> None:
    """Add the views."""
    blueprint.add_url_rule("/now", "now", now)
    blueprint.add_url_rule("/now/requests", "requests", requests)
    blueprint.add_url_rule("/audit", "audit", acts)
    blueprint.record(
        lambda state: state.app.jinja_env.filters.update(
            clock=_clock, to_the_second=_second, at_slashes=_at_slashes
        )
    )


def now() -> Response:
    """Show what is asked now, and what took longest within the last hour."""
    found = slowest(current_tail().files.directory, SLOW)
    services = sorted(registry().snapshot.definitions)
    latest = _latest()
    is_known = latest["wanted_service"] in ("", *services)
    return frame.page(
        "now",
        200 if is_known else 404,
        slow=found,
        services=services,
        is_known=is_known,
        every_ms=EVERY_MS,
        **latest,
    )


def requests() -> Response:
    """Show the latest requests alone, for who asks again and again."""
    return frame.page("requests", **_latest())


def acts() -> Response:
    """Show who changed what on this machine: a page of it."""
    cursor, search = request.args.get("cursor"), request.args.get("search", "").strip()
    try:
        found = audit.acts(registry().data_dir, ACTS, cursor or None, search)
    except audit.BadPlace as error:
        raise ApiError(400, "There is no such page of the audit log.") from error
    shared = registry().is_shared
    return frame.page("audit", found=found, machine=audit.machine(), is_shared=shared)


def _latest() -> dict[str, Any]:
    """Return the latest requests that are wanted, and how many beside them there were."""
    service = registry().snapshot.name_of(request.args.get("service", ""))
    errors = request.args.get("errors") == "yes"
    files = current_tail().files
    fault = None
    try:
        files.watch()
    except OSError as error:
        # What there is, such as the slowest, is shown all the same.
        fault = unwatched(error)
    all_of_them = files.latest(MOST)
    wanted = [
        seen
        for seen in all_of_them
        if (not service or seen.service == service) and (not errors or seen.fails)
    ]
    return {
        "latest": wanted[:SHOWN],
        "watch_fault": fault,
        "keys_are": current_tail().keys,
        "left_out": sum(seen.more for seen in all_of_them),
        "wanted_service": service,
        "wanted_errors": errors,
    }


def _at_slashes(path: str) -> Markup:
    """Return a path that may go on in the next line behind a slash."""
    return Markup("/<wbr>").join(path.split("/"))


def _clock(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%H:%M:%S.%f")[:-3]


def _second(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
