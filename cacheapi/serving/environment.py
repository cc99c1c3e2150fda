"""What a WSGI application is told of a request (PEP 3333): how ASGI's words are called there."""

from __future__ import annotations

import functools
import sys
from typing import Any, Final
from urllib.parse import unquote_to_bytes

# Of header fields; a client says what they are.
MOST_NAMES: Final = 256
_BARE: Final = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE"})


def environ_of(scope: dict[str, Any], base: str) -> dict[str, Any]:
    """Return a request's environment (PEP 3333), without its body.

    :param base: what the connection has taken off the target.
    """
    raw_path: bytes = scope["raw_path"]
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    host, port = scope.get("server") or ("localhost", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": base,
        # The bytes that were sent, one a character.
        "PATH_INFO": path.decode("latin-1"),
        "RAW_URI": raw_path.decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    client = scope.get("client")
    if client is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    for field, value in scope["headers"]:
        name, text = _variable(field), value.decode("latin-1")
        environ[name] = f"{environ[name]},{text}" if name in environ else text
    return environ


@functools.lru_cache(MOST_NAMES)
def _variable(field: bytes) -> str:
    """Return what a header field, in lower case, is called in an environment."""
    name = field.decode("latin-1").upper().replace("-", "_")
    return name if name in _BARE else f"HTTP_{name}"


@functools.lru_cache(MOST_NAMES)
def lowered(name: str) -> bytes:
    """Return what a header field of an answer is called in ASGI."""
    return name.lower().encode("latin-1")
