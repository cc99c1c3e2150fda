"""Under a path: behind ``location /c/`` of a proxy all that is here is below ``/c``.

A proxy may leave that path in the request or take it away: both are answered alike, and what is
asked of the service itself, as a probe does, needs no path. Addresses that answers have in them
begin with it, by ``SCRIPT_NAME`` of WSGI (PEP 3333).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheapi.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def base_path(settings: Settings) -> str:
    """Return the path that the service is mounted under, such as ``/c``; empty for none."""
    found: str = settings["CACHEAPI_BASE_PATH"] or settings["SCRIPT_NAME"] or ""
    return found


def below(target: bytes, base: bytes) -> bytes:
    """Return a request's target without the path that the service is mounted under."""
    rest = target[len(base) :]
    if not base or not target.startswith(base) or rest[:1] not in (b"", b"/", b"?"):
        return target
    return rest if rest.startswith(b"/") else b"/" + rest


class Mounted:
    """WSGI middleware: the application sees paths below the one that it is mounted under.

    :param base: that path.
    """

    def __init__(self, app: WSGIApplication, base: str) -> None:
        self._app = app
        self._base = base

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        base = self._base.encode()
        # Who serves may have done it: ours, or gunicorn by its own SCRIPT_NAME.
        for name in ("PATH_INFO", "RAW_URI", "REQUEST_URI"):
            if name in environ and (
                name != "PATH_INFO" or environ.get("SCRIPT_NAME") != self._base
            ):
                environ[name] = below(environ[name].encode("latin-1"), base).decode("latin-1")
        environ["SCRIPT_NAME"] = self._base
        return self._app(environ, start_response)
