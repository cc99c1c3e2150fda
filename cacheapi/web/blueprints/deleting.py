"""What a DELETE of a service deletes: keys, all with a prefix, all that has a tag, or all.

Whoever means less than all may not lose all: what is misspelt, or was to come and did not, is
refused, and never taken for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from flask import Response

from backends.errors import Failed, Unsupported
from cacheapi.caching.codec import encode
from cacheapi.caching.service import CacheService
from cacheapi.observing.facts import facts
from cacheapi.registry.contents import left
from cacheapi.web.auth import PARAMETER
from cacheapi.web.batch import check_keys, outcomes_text
from cacheapi.web.blueprints import delete_prefix, flush, permit, purge, verb
from cacheapi.web.errors import ApiError, answer_to, note
from cacheapi.web.http import json_response, max_batch
from cacheapi.web.lean import this_request
from cacheapi.web.query import TAG, Query


def delete_keys(
    service: str, cache: CacheService, keys: list[str] | None, query: Query
) -> Response:
    """Delete what is asked for, if the caller may.

    :param keys: those that are named; ``None``: none are.
    :raises ApiError: 400; it is not clear what is meant. 403.
    """
    tags = query.tags()
    if tags is not None:
        if keys is not None or "prefix" in query:
            raise ApiError(400, "Delete keys, a prefix or what has a tag: not several at once.")
        _refuse_announced_body()
        _refuse_parameters(query.names() - {PARAMETER, TAG})
        purge(service, tags)
        return json_response('{"success":true}')
    if "prefix" in query:
        return _delete_prefix(service, keys, query)
    if keys is None:
        _refuse_announced_body()
        # A misspelt "keys" would flush all too.
        _refuse_parameters(query.names() - {PARAMETER})
        flush(service)
        return json_response('{"success":true}')
    check_keys(cache, keys, max_batch())
    permit(verb(), service, keys)
    facts().batch = len(keys)
    return json_response(outcomes_text(keys, cache.delete_many(keys)))


def _delete_prefix(service: str, keys: list[str] | None, query: Query) -> Response:
    """Delete every key with a prefix, if the caller may delete each that there could be.

    :raises ApiError: 400; keys are named too, the prefix is empty, or the backend cannot list.
        403. What was deleted until a failure is in its context.
    """
    prefix = query.text("prefix") or ""
    _refuse_parameters(query.names() - {PARAMETER, "prefix", "keys", "key"})
    if keys is not None:
        raise ApiError(400, "Give keys to delete, or the prefix of keys, and not both.")
    if not prefix:
        raise ApiError(
            400,
            "The prefix is empty: that would be every key. A DELETE with no parameter at all "
            "flushes the service.",
        )
    _refuse_announced_body()
    deleted = 0

    def count(more: int) -> None:
        nonlocal deleted
        deleted += more

    try:
        delete_prefix(service, prefix, count)
    except Unsupported as error:
        raise ApiError(
            400,
            f"{error} Delete by name (?keys=first,second) "
            "or by tag (?tag=first), which finds what was stored with tags.",
        ) from error
    except Failed as error:
        made = answer_to(error)
        made.message = f"{made.message} {left(deleted)}"
        made.context = {"deleted": deleted}
        note(error)
        raise made from error
    return json_response(encode({"success": True, "deleted": deleted}))


def _refuse_announced_body() -> None:
    """Refuse a flush that was to bring a body: what was lost of it may have been a list.

    A length of 0 announces that there is none; many clients send it with each DELETE.

    :raises ApiError: 400.
    """
    if "Transfer-Encoding" in this_request().headers:
        raise ApiError(
            400,
            "The body that was announced is empty. A DELETE without a body flushes the service; "
            'with {"resource": ["key", …]} it deletes those keys.',
        )


def _refuse_parameters(names: Iterable[str]) -> None:
    """Refuse parameters of a flush, which takes none.

    :raises ApiError: 400.
    """
    for name in names:
        raise ApiError(
            400,
            f"There is no parameter {name!r}. keys=a,b or key=a deletes those keys, prefix=a all "
            "that start so, tag=a what has that tag; a DELETE with no parameter at all flushes the "
            "service.",
        )
