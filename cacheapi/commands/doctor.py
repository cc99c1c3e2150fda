"""``cacheapi doctor``: what is wrong, and what to do, in order of weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import click
from rich.text import Text

from cacheapi.commands.diagnosis import machine
from cacheapi.commands.diagnosis.examination import Examination
from cacheapi.commands.diagnosis.findings import Level
from cacheapi.commands.diagnosis.services import ServerReport, ServiceReport
from cacheapi.commands.options import as_json, only_here
from cacheapi.commands.output import emit, quiet, stdout, table
from cacheapi.commands.stats import memory
from cacheapi.registry.trial import Step

_STYLES: Final = {Level.FAILURE: "bold red", Level.WARNING: "yellow", Level.ADVICE: "cyan"}


@click.command()
@click.option("--all", "show_all", is_flag=True, help="Show all that was looked at.")
@as_json
def doctor(show_all: bool, as_json: bool) -> int:
    r"""Look at everything, and say what is wrong and what to do.

    Settings and where each comes from; the data directory and the database; for each service
    and each of its servers: name, connection, TLS, login, version, a real set, get and delete,
    the time of 100 round trips, memory, evictions, hit ratio and clock. Secrets are masked.
    It takes some seconds at most, also where servers hang. Shown are the settings that differ
    from their defaults, how each service does, and what to do; --all shows all that was seen.

    The exit code is 0 where nothing needs to be done (advice may be given), 1 for warnings,
    3 for failures.

    \b
    Examples:
      cacheapi doctor
      cacheapi doctor --json | jq .findings
    """
    only_here()
    examination = Examination()
    with quiet():
        examination.run()
    if as_json:
        emit(examination.shown())
    else:
        _print(examination, show_all=show_all)
    return examination.code


def _print(examination: Examination, *, show_all: bool) -> None:
    settings = [
        (each.name, each.value, each.source)
        for each in map(machine.shown, examination.settings)
        if show_all or each.source != "default"
    ]
    _heading("Settings" if show_all else "Settings that differ from their defaults", first=True)
    if settings:
        table(("NAME", "VALUE", "FROM"), settings)
    else:
        click.echo("None.")
    if show_all:
        _print_seen(examination)
    elif examination.services:
        _heading("Services")
        table(
            ("NAME", "TYPE", ""),
            [
                (
                    " = ".join(each.names),
                    each.type,
                    ", ".join(filter(None, ("well" if each.success else "FAILED", each.about))),
                )
                for each in examination.services
            ],
        )
    _heading("What to do")
    if not examination.findings:
        click.echo("Nothing: all is well.")
    for finding in examination.findings:
        line = Text(f"{finding.level.name:<8}", style=_STYLES[finding.level])
        stdout().print(line, Text(f"{finding.where}: {finding.message}"), soft_wrap=True)
        if finding.action:
            stdout().print(Text(f"         -> {finding.action}"), soft_wrap=True)


def _print_seen(examination: Examination) -> None:
    """Print the machine, and each server of each service."""
    if examination.directory is not None:
        _heading("Data directory and database")
        table(
            ("", ""),
            [*_facts(examination.directory), *_facts(examination.database or {})],
            headed=False,
        )
    for report in examination.services:
        _print_service(report)


def _facts(found: dict[str, Any]) -> Iterable[tuple[str, object]]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield name, " ".join(f"{key} {each}" for key, each in value.items())
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        elif name.endswith("_bytes"):
            yield name.removesuffix("_bytes"), f"{value // 2**20} MiB"
        else:
            yield name, value


_HEADINGS: Final = (
    *("SERVER", "VERSION", "STEPS", "p50 ms", "p99 ms"),
    *("ITEMS", "MEMORY", "EVICTED", "HITS", "CLOCK"),
)


def _print_service(report: ServiceReport) -> None:
    about = f": {report.about}" if report.about else ""
    _heading(f"Service {' = '.join(report.names)} ({report.type}){about}")
    table(
        _HEADINGS,
        [_row(server) for server in report.servers]
        or [("-", None, _steps(report.steps), *[None] * 7)],
    )


def _row(server: ServerReport) -> tuple[object, ...]:
    stats = server.stats or {}
    latency = server.latency_ms
    return (
        server.server,
        server.version,
        _steps(server.steps),
        latency and latency.p50,
        latency and latency.p99,
        stats.get("curr_items"),
        memory(stats.get("bytes"), stats.get("limit_bytes")),
        stats.get("evictions"),
        None if stats.get("hit_ratio") is None else f"{stats['hit_ratio']:.1%}",
        None if server.clock_offset is None else f"{server.clock_offset:+.1f} s",
    )


def _steps(steps: Iterable[Step]) -> Text:
    shown = Text()
    for step in steps:
        if shown:
            shown.append(", ")
        shown.append(
            *((step.name, "green") if step.success else (f"{step.name} FAILED", "bold red"))
        )
    return shown


def _heading(words: str, *, first: bool = False) -> None:
    stdout().print(Text(words if first else f"\n{words}", style="bold"))
