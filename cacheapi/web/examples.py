"""The description of the API: each operation's own errors, and the order of parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from apispec import BasePlugin

from cacheapi.caching.codec import error_text
from cacheapi.caching.conditions import STALE
from cacheapi.observing.analysis import BUSY
from cacheapi.web.errors import FRAGMENT, NO_PATH, UNKNOWN_SERVICE, unknown_service

JSON: Final = "application/json"
# A path that is another one's, with a name in it, too.
_ALSO_TAKEN: Final = {"/api/v2/system/service/test": {"DELETE", "GET", "PATCH", "PUT"}}
_UNKNOWN: Final = unknown_service("sessions")
_WITH_BODY: Final = frozenset({"post", "put", "patch"})

# Of every operation that has the status.
_EVERYWHERE: Final[Mapping[int, str]] = {
    401: "The API key is not valid.",
    412: STALE,
    413: "The body is larger than 8 MiB (CACHEAPI_MAX_BODY_MB).",
    415: "The body must be JSON in UTF-8: Content-Type: application/json.",
    429: "This API key may make 1000 requests in 60 s.",
    503: BUSY,
}


def message(status: int, method: str, path: str) -> str | None:
    """Return what an operation says with a status.

    :param method: in lower case, as ``path`` with its parameters in braces.
    :returns: ``None``: it has no such answer.
    """
    if status in _EVERYWHERE:
        return _EVERYWHERE[status]
    of_a_key = path.endswith("/{key}")
    if status == 400 and method in _WITH_BODY:
        return "The body is not valid JSON: Expecting a name in double quotes at line 1, column 2."
    if status == 400:
        return FRAGMENT
    if status == 403:
        return _forbidden(method, path)
    if status == 404:
        return _absent(path, of_a_key and method != "post")
    if "{service}" in path:
        return "Connection refused: memcached cannot be reached."
    return "The database of services and API keys cannot be read yet."


def _forbidden(method: str, path: str) -> str | None:
    if path.endswith("/{key}"):
        verb = method.upper()
        return f"This API key may not {verb} the key 'user:123:name' of service 'cache'."
    if "{service}" in path:
        return "This API key may not use service 'cache'."
    return "This is for API keys of administrators." if "/system/" in path else None


def _absent(path: str, needs_key: bool) -> str:
    if needs_key:
        return "Key 'user:123:name' does not exist."
    if "{service}" in path:
        return _UNKNOWN.message
    if "{reference}" in path:
        return "Service 'sessions' does not exist."
    if "{number}" in path:
        return "API key 7 does not exist."
    # Of its address with a slip in it.
    return NO_PATH


def error(status: int, text: str) -> dict[str, Any]:
    """Return the body of an error."""
    context = UNKNOWN_SERVICE if text == _UNKNOWN.message else None
    shown: dict[str, Any] = json.loads(error_text(status, text, context))
    return shown


class OurOperations(BasePlugin):
    """What each operation gets beside what its view says."""

    def path_helper(
        self,
        path: str | None = None,
        operations: dict[Any, Any] | None = None,
        parameters: list[dict[Any, Any]] | None = None,
        **_: Any,
    ) -> None:
        """Move the parameters of a path, which are required, before those of its operations.

        Swagger UI would show them last.
        """
        assert operations is not None
        assert parameters is not None
        for operation in operations.values():
            operation["parameters"] = [*parameters, *operation.get("parameters", ())]
        parameters.clear()

    def operation_helper(
        self, path: str | None = None, operations: dict[Any, Any] | None = None, **_: Any
    ) -> None:
        """Give errors their examples, and take away those that are never answered."""
        assert path is not None
        assert operations is not None
        methods = {method.upper() for method in operations} | _ALSO_TAKEN.get(path, set())
        takes = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
        for method, operation in operations.items():
            responses = operation["responses"]
            for name in [name for name in responses if str(name) >= "400" and name != "default"]:
                text = message(int(name), method, path)
                if text is None:
                    del responses[name]
                else:
                    _show(responses[name], int(name), text)
            responses["default"] = {
                "description": "Any other error has this shape too.",
                "content": {JSON: {"schema": "Error"}},
            }
            _show(
                responses["default"], 405, f"This path does not take this method. It takes {takes}."
            )


def _show(response: dict[str, Any], status: int, text: str) -> None:
    response["content"][JSON]["example"] = error(status, text)
