"""``/api/v2/docs``: the API page, with nothing loaded from elsewhere.

Swagger UI comes from the package ``flask-swagger-ui``. The page and its files are open,
as a page that asks for a key must be, and hold nothing of the service; the description
that it shows, ``openapi.json``, wants a key as everything else.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Final

from flask import (
    Blueprint,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from werkzeug.exceptions import NotFound

from cacheapi.web.auth import caller_of, shown_key, without_key
from cacheapi.web.blueprints import registry
from cacheapi.web.errors import ApiError

blueprint = Blueprint("pages", __name__, url_prefix="/api/v2/docs", template_folder="../templates")

# Those of the frame are the console's too.
OWN: Final = frozenset({"api.js", "api-access.js", "api.css", "frame.css", "icon.svg"})
FOLDER: Final = "page"
SWAGGER_UI: Final = frozenset({"swagger-ui.css", "swagger-ui-bundle.js"})
# Swagger UI styles its elements in place.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@blueprint.get("/", strict_slashes=False)
@without_key
def api_page() -> Response:
    """Show the API page; it asks for a key unless its address has one, ``?api_key=…``."""
    response = Response(render_template("api.html", console=_console()), mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@without_key
def root() -> Response:
    """Lead a browser at the bare address to the console, or the API page; tell others of both.

    :raises ApiError: a program asks. 404; nothing is at this path. 401; without a key, as anywhere.
    """
    console = _console()
    wanted = request.accept_mimetypes
    if wanted["text/html"] > wanted["application/json"]:
        return redirect(console or url_for("pages.api_page"))  # type: ignore[return-value]
    api = f"{request.script_root}/api/v2"
    also = f", its console at {console.rstrip('/')}" if console else ""
    told = f"This is cacheapi: a cache is at {api}/{{service}}, its API page at {api}/docs{also}."
    try:
        caller_of(shown_key(request), registry().snapshot)
    except ApiError as error:
        raise ApiError(error.status, f"{error.message} {told}", headers=error.headers) from error
    raise ApiError(404, told)


@blueprint.app_context_processor
def _asset_of_ours() -> dict[str, Callable[[str], str]]:
    return {"page_asset": asset_url}


def asset_url(name: str) -> str:
    """Return the address of one of our own files; another text has another, whoever keeps it."""
    return url_for("pages.asset", name=name, v=_version(name))


@functools.cache
def _version(name: str) -> str:
    data = files("cacheapi.web").joinpath(FOLDER, name).read_bytes()
    return hashlib.sha256(data).hexdigest()[:12]


def _console() -> str | None:
    """Return the address of the console, if there is one."""
    return url_for("console.index") if "console.index" in current_app.view_functions else None


@blueprint.get("/assets/<name>")
@without_key
def asset(name: str) -> Response:
    """Give one of the page's files."""
    package = {"cacheapi.web": OWN, "flask_swagger_ui": SWAGGER_UI}
    for module, names in package.items():
        if name in names:
            folder = FOLDER if module == "cacheapi.web" else "dist"
            with as_file(files(module) / folder) as directory:
                return send_from_directory(directory, name, max_age=3600)
    raise NotFound
