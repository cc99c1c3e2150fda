"""Whether the service that runs with the API key of these settings has their cache, too.

In another shell it may have been started with other ones, and commands then work beside it.
"""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any, Final

from cacheapi.commands.addresses import API
from cacheapi.commands.diagnosis.findings import Finding, Level
from cacheapi.registry.environment import KEYS, SYSTEM_CACHE, key_file, load_keys
from cacheapi.settings import Settings
from cacheapi.web.mounting import base_path

# All that may take; what answers later is not waited for.
SECONDS: Final = 1.0
_MOST_BYTES: Final = 1024 * 1024
# Where to ask one that listens everywhere.
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound)


def look(settings: Settings, kind: str) -> list[Finding]:
    """Return what is wrong with the service at ``HOST`` and ``PORT``; nothing if none answers.

    :param kind: the type of the system cache that the settings describe.
    """
    if not settings[KEYS] and not key_file(settings).exists():
        return []
    host = (settings["CACHEAPI_HOST"] or settings["HOST"]).strip("[]")
    port = settings["CACHEAPI_PORT"] or settings["PORT"]
    path = f"{base_path(settings)}{API}/system/service/{SYSTEM_CACHE}"
    key = load_keys(settings)[0]
    found: list[str] = []

    def ask() -> None:
        told = _kind(_HERE.get(host, host), port, path, key)
        if told is not None:
            found.append(told)

    # A limit of the socket is one of each read.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS)
    if not found or found[0] == kind:
        return []
    message = (
        f"It runs with another cache than these settings say: its system cache is {found[0]}, "
        f"theirs is {kind}."
    )
    action = (
        "Put what it was started with into .env, so that the service and the commands read the "
        "same, or unset here what it does not have, and restart it where that is right."
    )
    return [Finding(Level.WARNING, f"service at {host}:{port}", message, action)]


def _kind(host: str, port: int, path: str, key: str) -> str | None:
    """Return the type of the system cache of a service; ``None``: nothing says it."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        # What is no cacheapi gets no key.
        if not _is_refused(_answer(connection, path)):
            return None
        told = _answer(connection, path, **{"X-DreamFactory-API-Key": key})
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    finally:
        connection.close()
    kind = told.get("type") if isinstance(told, dict) else None
    return kind if isinstance(kind, str) else None


def _answer(connection: http.client.HTTPConnection, path: str, **headers: str) -> Any:
    connection.request("GET", path, headers=headers)
    return json.loads(connection.getresponse().read(_MOST_BYTES))


def _is_refused(answer: Any) -> bool:
    """Return whether this is how cacheapi answers who shows no key."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return isinstance(error, dict) and error.get("code") == 401
