"""Views: translate HTTP to a call of the cache service and back, nothing more.

Here is what they share: the registry of services, who calls, and what that caller may do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from flask import current_app, g, request

from cacheapi.caching.service import CacheService
from cacheapi.observing.facts import facts
from cacheapi.observing.watching import watched
from cacheapi.registry import contents
from cacheapi.registry.live import Registry
from cacheapi.registry.rights import FLUSH, Caller
from cacheapi.web.errors import (
    SERVICE_OFF,
    ApiError,
    no_keys,
    not_read_yet,
    unknown_service,
)
from cacheapi.web.http import refuse_conditions
from cacheapi.web.lean import this_request
from cacheapi.web.operations import Asked

EXTENSION = "cacheapi"
# What another machine has made is known here by then.
SOON = "1"


def registry() -> Registry:
    """Return the application's services and API keys."""
    found: Registry = current_app.extensions[EXTENSION]
    return found


def caller() -> Caller:
    """Return who sent the request."""
    found: Caller = g.caller
    return found


def find_service(name: str) -> CacheService:
    """Return a service.

    :raises ApiError: 404; there is none of this name, or it is not active. 500; its settings
        cannot be used, or the database could not be read yet.
    """
    snapshot = registry().snapshot
    service = snapshot.find(name)
    if service is not None:
        # Of what goes wrong from here on, see errors.answer_here.
        g.told = service.backend.told
        around = facts().around
        return service if around is None else watched(service, around)
    definition = snapshot.definitions.get(name)
    if name in snapshot.remotes:
        raise no_keys(name)
    if definition is None and not snapshot.is_complete:
        raise not_read_yet()
    if definition is None:
        unknown = unknown_service(name)
        if registry().is_shared:
            unknown.headers["Retry-After"] = SOON
        raise unknown
    if not definition.is_active:
        raise ApiError(404, f"Service '{name}' is not active.", context=SERVICE_OFF)
    raise ApiError(500, f"Service '{name}' has settings that cannot be used.")


def verb() -> str:
    """Return the verb that a request needs the right for."""
    method = this_request().method
    return "GET" if method == "HEAD" else method


def permit(what: str, service: str, keys: Iterable[str]) -> None:
    """Refuse a verb on keys, if the caller lacks it for one of them.

    :raises ApiError: 403; names the first.
    """
    who = caller()
    for key in keys:
        if not who.may(what, service, key):
            raise ApiError(
                403, f"This API key may not {what} the key '{key}' of service '{service}'."
            )


def permit_operations(service: str, asked: Iterable[Asked]) -> None:
    """Refuse operations, if the caller lacks a right that one of them needs.

    :raises ApiError: 403; names the first.
    """
    for each in asked:
        for needed in each.verbs:
            permit(needed, service, [each.operation.key])


def permit_all(what: str, service: str, prefix: str = "") -> None:
    """Refuse a verb on all keys with a prefix, if the caller lacks it for any.

    :raises ApiError: 403.
    """
    if caller().may_all(what, service, prefix):
        return
    if what == FLUSH:
        raise ApiError(403, f"This API key may not flush service '{service}'.")
    does = "delete" if what == "DELETE" else "list"
    raise ApiError(
        403,
        f"This API key may not {does} all keys of service '{service}'"
        + (f" that start with '{prefix}'." if prefix else "; give a prefix that it may."),
    )


def flush(service: str) -> None:
    """Delete every key of a service, if the caller may, and note in the audit log who did.

    :raises ApiError: 403; or as :func:`find_service`.
    """
    permit_all(FLUSH, service)
    contents.flush(find_service(service), _author(service))


def purge(service: str, tags: Sequence[str]) -> None:
    """Delete every entry that has one of some tags, and note in the audit log who did.

    Which keys that are nobody knows: it takes the right to delete all of them, or to flush.

    :raises ApiError: 403; or as :func:`find_service`.
    """
    if not caller().may_all("DELETE", service) and not caller().may_all(FLUSH, service):
        raise ApiError(
            403,
            f"This API key may not delete by tag in service '{service}': it takes DELETE on all "
            "keys, or FLUSH.",
        )
    contents.purge(find_service(service), tags, _author(service))


def delete_prefix(service: str, prefix: str, done: Callable[[int], None]) -> None:
    """Delete every key with a prefix, if the caller may, and note in the audit log who did.

    :param done: is told after each step how many it has deleted.
    :raises ApiError: 403; or as :func:`find_service`.
    :raises BackendError: what was deleted until then is gone.
    """
    permit_all("DELETE", service, prefix)
    contents.delete_prefix(find_service(service), prefix, done, _author(service))


def _author(service: str) -> contents.Author:
    number = registry().snapshot.definitions[service].number
    here = registry()
    return contents.Author(here.data_dir, caller(), service, number, here.names_keys)


def permit_some(service: str, *verbs: str) -> None:
    """Refuse a service that is none of the caller's, before anything is said of it.

    :param verbs: refuse also who may use none of these on any of its keys, before a body is
        read or a list is built.
    :raises ApiError: 403.
    """
    if not caller().may_use(service):
        raise ApiError(403, f"This API key may not use service '{service}'.")
    if verbs and not caller().may_some(verbs, service):
        raise ApiError(403, f"This API key may not {verbs[0]} any key of service '{service}'.")


def administer() -> None:
    """Refuse who is no administrator; show others what was changed anywhere until now.

    :raises ApiError: 403.
    """
    permit_administrator()
    if request.method not in ("GET", "HEAD"):
        refuse_conditions(request)
    # What one worker has just made, the next request must find in another.
    registry().refresh()


def permit_administrator() -> None:
    """Refuse who is no administrator.

    :raises ApiError: 403.
    """
    if not caller().administrator:
        raise ApiError(403, "This is for API keys of administrators.")
