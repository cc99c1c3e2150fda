"""Where to listen."""

from __future__ import annotations

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
