"""``cacheapi tail`` and ``audit``: what is asked now, what took longest, who changed what."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

import click

from cacheapi.amounts import counted
from cacheapi.commands import system_shapes as shapes
from cacheapi.commands.administering import administration
from cacheapi.commands.elsewhere import Elsewhere
from cacheapi.commands.here import served_dir, shares_database
from cacheapi.commands.options import as_json
from cacheapi.commands.output import NOTHING, emit, emit_text, is_narrow, note, printable, table
from cacheapi.commands.session import elsewhere
from cacheapi.moments import moment_text, time_ms_text, time_text
from cacheapi.observing.tail.files import FOLDER, TailFiles, fails, shown
from cacheapi.observing.tail.slowest import MOST_SLOW, slowest
from cacheapi.registry import audit as audit_log

# From one look to the next.
EVERY_SECONDS: Final = 0.5
# What is listed of the audit log at most, which the API has as well.
MOST_ACTS: Final = 1000

Row = dict[str, Any]
# Requests since the last look, and how many were left out.
Look = Callable[[], tuple[list[Row], int]]


@click.command()
@click.option("--service", "-s", metavar="NAME", help="Only requests for this service.")
@click.option("--errors", is_flag=True, help="Only what failed; a miss is no failure.")
@click.option(
    "--min-ms", type=click.FloatRange(min=0), metavar="MS", help="Only what took so long."
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@click.option(
    "--slowest",
    "is_slowest",
    is_flag=True,
    help="Instead, list the slowest of the last hour, and end.",
)
@as_json
def tail(
    service: str | None,
    errors: bool,
    min_ms: float | None,
    count: int | None,
    is_slowest: bool,
    as_json: bool,
) -> None:
    r"""Show requests as they are answered; Ctrl-C ends it.

    Time in UTC, verb, status, milliseconds, who answered (the fast lane or Flask), service and
    path. A key is told where CACHEAPI_LOG_KEYS lets the log have it: as the start of its SHA-256
    (hash), or as it is (plain). Of each worker at most 200 successes and 200 failures a second
    are shown, chosen by chance; a line such as "… and 4321 requests more." on stderr counts the
    others. With --json each line is a JSON object.

    \b
    Examples:
      cacheapi tail
      cacheapi tail --service cache --errors
      cacheapi tail --slowest --count 10
      cacheapi --url https://cache.example --key @admin.key tail --json | jq .ms
    """
    if service is not None:
        with administration() as administrator:
            # Known by one name, whatever it is called.
            service = administrator.service(service)["name"]

    def wanted(row: Row) -> bool:
        return (
            (service is None or row["service"] == service)
            and (not errors or fails(row["status"], row["service"]))
            and (min_ms is None or row["ms"] >= min_ms)
        )

    if is_slowest:
        found = [row for row in _slowest() if wanted(row)][:count]
        if as_json:
            emit({"resource": found})
        else:
            headings = ("TIME", "VERB", "STATUS", "MS", "BY", "SERVICE", "PATH", "KEY")
            table(headings, [_cells(row) for row in found])
            if not found:
                note("Nothing of that took 5 ms or more within the last hour.")
        return
    # How it is ended is no fault.
    with contextlib.suppress(KeyboardInterrupt), _opened() as place:
        left = count
        for row in _followed(_look_here() if place is None else _look_there(place)):
            if not wanted(row):
                continue
            if as_json:
                emit(row)
            else:
                emit_text(_line(row))
            left = None if left is None else left - 1
            if left == 0:
                return


@contextlib.contextmanager
def _opened() -> Iterator[Elsewhere | None]:
    """Give the service that ``--url`` names, if any."""
    place = elsewhere()
    with contextlib.nullcontext() if place is None else contextlib.closing(place):
        yield place


def _followed(look: Look) -> Iterator[Row]:
    """Yield requests, for ever."""
    look()
    note("Watching; Ctrl-C ends it.")
    while True:
        time.sleep(EVERY_SECONDS)
        rows, left_out = look()
        yield from rows
        if left_out:
            note(f"… and {counted(left_out, 'request')} more.")


def _look_here() -> Look:
    files = TailFiles(served_dir() / FOLDER)
    places: list[str] = []

    def look() -> tuple[list[Row], int]:
        files.watch()
        part = files.read(places[-1] if places else None)
        places[:] = [part.place]
        return [shown(each) for each in part.requests], sum(each.more for each in part.requests)

    return look


def _look_there(place: Elsewhere) -> Look:
    cursors: list[str] = []

    def look() -> tuple[list[Row], int]:
        query = f"?{urlencode({'cursor': cursors[-1]})}" if cursors else ""
        answer = place.json("GET", f"/system/tail{query}", shapes.Look)
        cursors[:] = [answer["meta"]["next"]]
        return answer["resource"], answer["meta"]["left_out"]

    return look


def _slowest() -> list[Row]:
    with _opened() as place:
        if place is not None:
            path = f"/system/slowest?limit={MOST_SLOW}"
            found: list[Row] = place.json("GET", path, shapes.Requests)["resource"]
            return found
    return [shown(each) for each in slowest(served_dir() / FOLDER, MOST_SLOW)]


@click.command()
@click.argument("search", default="")
@click.option(
    "--limit",
    type=click.IntRange(1, MOST_ACTS),
    default=50,
    show_default=True,
    metavar="N",
    help="At most so many.",
)
@as_json
def audit(search: str, limit: int, as_json: bool) -> None:
    r"""Show who changed which service or API key, or flushed one; the newest first.

    Those of one machine: of several that share a database each keeps its own, and which it is
    that answers is told on stderr. With SEARCH only what has it in one of its texts.

    \b
    Examples:
      cacheapi audit
      cacheapi audit sessions --limit 10
      cacheapi audit --json | jq '.resource[] | select(.action == "flushed")'
    """
    with _opened() as place:
        if place is None:
            page = audit_log.acts(served_dir(), limit, None, search)
            found = [audit_log.shown(act) for act in page.acts]
            meta = {
                "next": page.following,
                "machine": audit_log.machine(),
                "whole": not shares_database(),
            }
        else:
            query = urlencode({"limit": limit, "search": search})
            answer = place.json("GET", f"/system/audit?{query}", shapes.Acts)
            found, meta = answer["resource"], answer["meta"]
    if as_json:
        emit({"resource": found, "meta": meta})
        return
    if not meta.get("whole", True):
        machine = meta.get("machine", "one machine")
        note(f"Of {machine} alone: machines that share the database keep a log each.")
    table(
        ("TIME", "WHO", "DID", "WHAT", "NAME", "DETAIL"),
        [
            (
                moment_text(act["time"]),
                f"{act['who']} ({act['caller']})",
                act["action"],
                act["kind"] if act["id"] is None else f"{act['kind']} {act['id']}",
                act["name"],
                # A service of before tells none.
                act.get("detail", ""),
            )
            for act in found
        ],
    )


def _cells(row: Row) -> tuple[object, ...]:
    return (
        time_ms_text(row["time"]),
        row["method"],
        row["status"],
        f"{row['ms']:.3f}",
        row["lane"],
        row["service"],
        row["route"],
        row["key"],
    )


def _line(row: Row) -> str:
    moment, method, status, ms, lane, service, route, key = _cells(row)
    if is_narrow():
        # What is the same in each line has no room: where paths begin, the thousandths.
        below = str(route or NOTHING).removeprefix("/api/v2")
        moment = time_text(row["time"])
        words = f"{moment} {method or NOTHING:<6} {status} {float(row['ms']):>7.1f} ms "
        return printable(words + f"{service or NOTHING} {below}")
    words = f"{moment} {method or NOTHING:<6} {status} {ms:>9} ms {lane or NOTHING:<5} "
    words += f"{service or NOTHING} {route or NOTHING}"
    return printable(words if key is None else f"{words} {key}")
