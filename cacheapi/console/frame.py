"""What every page has around it: the layout, the error page, the files of script and style."""

from __future__ import annotations

import functools
import hashlib
import itertools
import unicodedata
from collections.abc import Mapping
from importlib.resources import as_file, files
from typing import Any, Final

from flask import Blueprint, Response, g, render_template, request, send_from_directory, url_for
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as AnyResponse

from cacheapi.console import words
from cacheapi.registry.listing import Wanted
from cacheapi.web.errors import ApiError, answer_here

FOLDER: Final = "assets"
AN_HOUR: Final = 3600


def register(blueprint: Blueprint) -> None:
    """Add the files, the error pages, and what templates use."""
    blueprint.add_url_rule("/assets/<version>/<name>", "asset", asset)
    # Else an unknown path would be the API's to refuse.
    blueprint.add_url_rule("/<path:rest>", "nowhere", nowhere)
    blueprint.register_error_handler(Exception, failed)
    blueprint.record(lambda state: state.app.jinja_env.filters.update(FILTERS))
    blueprint.app_context_processor(
        lambda: {"asset": asset_url, "signed_in": g.get("caller"), "now_at": request.endpoint}
    )


def page(template: str, status: int = 200, **values: Any) -> Response:
    """Make the response of a template."""
    return Response(render_template(f"console/{template}.html", **values), status)


def page_wanted(limit: int) -> Wanted:
    """Return which page of a list is asked for, and what is searched.

    :param limit: how much fits on a page.
    """
    cursor, search = request.args.get("cursor"), request.args.get("search", "")
    return Wanted(limit, cursor or None, search.strip())


def asset(version: str, name: str) -> Response:
    """Give a file; its address has the version, so a browser may keep it."""
    if version != _version():
        raise NotFound
    with as_file(files(__package__) / FOLDER) as directory:
        return send_from_directory(directory, name, max_age=AN_HOUR)


def asset_url(name: str) -> str:
    """Return the address of a file."""
    return url_for("console.asset", version=_version(), name=name)


@functools.cache
def _version() -> str:
    digest = hashlib.sha256()
    for file in sorted((files(__package__) / FOLDER).iterdir(), key=lambda file: file.name):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def nowhere(rest: str) -> AnyResponse:
    """Say that there is no such page."""
    raise ApiError(404, f"There is no page '{rest}' in the console.")


def failed(error: Exception) -> AnyResponse:
    """Show an error as a page, in the words of the API."""
    if isinstance(error, HTTPException) and error.response is not None:
        return error.response  # type: ignore[return-value]
    told = answer_here(error)
    made = page("error", told.status, error=told)
    made.headers.update(
        {name: text for name, text in told.headers.items() if name in ("Allow", "Retry-After")}
    )
    return made


def faults_of(error: Exception) -> dict[str, str]:
    """Return what is wrong with a form, by the fields of the API; the rest under ``""``."""
    told = answer_here(error)
    details = told.context.get("errors") if isinstance(told.context, Mapping) else None
    if not details:
        return {"": told.message}
    faults: dict[str, str] = {}
    for detail in details:
        name = detail["field"] or ""
        faults[name] = (
            f"{faults[name]} {detail['message']}" if name in faults else detail["message"]
        )
    return faults


def code(text: str) -> Markup:
    """Return a text with what stands between backticks as code."""
    parts = text.split("`")
    marked = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    plain = [escape(part) for part in parts[::2]]
    return Markup("").join(
        part for pair in itertools.zip_longest(plain, marked, fillvalue=Markup("")) for part in pair
    )


def visible(text: str) -> str:
    """Return a text with each character that cannot be seen as a sign that can."""
    return "".join(_sign(character) for character in text)


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\u27e8U+{code:04X}\u27e9" if unicodedata.category(character) in _UNSEEN else character


_UNSEEN: Final = {"Cc", "Cf", "Zl", "Zp", "Co", "Cn"}
FILTERS: Final = {
    "visible": visible,
    "code": code,
    "size": words.size,
    "count": words.count,
    "duration": words.duration,
    "moment": words.moment,
    "percent": words.percent,
    "rate": words.rate,
    "hit_ratio": words.hit_ratio,
    "within": words.within,
}
