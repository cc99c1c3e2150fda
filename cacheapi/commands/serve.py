"""``cacheapi serve``: gunicorn, configured as for ``gunicorn wsgi:app`` in a checkout."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import sys
from typing import Final

import click

from cacheapi.settings import load

CONFIGURATION: Final = "cacheapi.serving.gunicorn_conf"
APPLICATION: Final = "cacheapi:create_app()"


@click.command(context_settings={"ignore_unknown_options": False})
@click.option("--dry-run", is_flag=True, help="Check the settings and show the command; no start.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: show it as JSON.")
@click.argument("options", nargs=-1, metavar="[-- GUNICORN_OPTION…]")
def serve(dry_run: bool, as_json: bool, options: tuple[str, ...]) -> None:
    r"""Serve the API over HTTP.

    gunicorn takes the place of this process, with workers as WEB_CONCURRENCY says, on HOST
    and PORT. What follows "--" are options of gunicorn's own, which go before the settings.

    \b
    Examples:
      cacheapi serve
      PORT=9000 WEB_CONCURRENCY=2 cacheapi serve
      cacheapi serve -- --certfile cert.pem --keyfile key.pem
      cacheapi serve -- --bind unix:/run/cacheapi.sock --access-logfile -
    """
    command = [sys.executable, "-m", "gunicorn", "-c", _configuration(), *options, APPLICATION]
    if as_json and not dry_run:
        raise click.UsageError("--json goes with --dry-run.")
    if dry_run:
        load()
        click.echo(json.dumps({"command": command}) if as_json else shlex.join(command))
        return
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 (this very interpreter)


def _configuration() -> str:
    """Return the path of gunicorn's configuration.

    By its path, and not as a module: gunicorn would not read a module again on HUP.
    """
    found = importlib.util.find_spec(CONFIGURATION)
    assert found is not None
    assert found.origin is not None
    return found.origin
