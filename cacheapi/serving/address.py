"""Where to listen."""

from __future__ import annotations

import errno
import socket

from cacheapi.settings import Settings, SettingsError


def bind_of(settings: Settings) -> str:
    """Return the address to listen on, as gunicorn takes it.

    :raises SettingsError: it cannot be resolved; gunicorn would say so with a traceback.
    """
    variable = "CACHEAPI_HOST" if settings["CACHEAPI_HOST"] else "HOST"
    host = settings[variable].strip("[]")
    port = settings["CACHEAPI_PORT"] or settings["PORT"]
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no host name"
        raise SettingsError(
            f"{variable}: {host!r} is no address to listen on: {reason}."
        ) from error
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refused_address(host: str, port: int, error: OSError) -> str:
    """Return why nothing can listen there, and what to do; whatever named the address."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is taken by another program: end that, or take another port: "
            f"PORT={port + 1} make run, or PORT={port + 1} cacheapi serve."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"This machine has no address {host}: HOST (or CACHEAPI_HOST) is the address to listen "
            "on, 127.0.0.1 for this machine alone, 0.0.0.0 for all that it has."
        )
    if error.errno == errno.EACCES:
        return (
            f"Port {port} of {host} may not be used by who starts this: take one above 1023, such "
            "as PORT=8000."
        )
    return f"Nothing can listen on port {port} of {host}: {error.strerror or error}."
