"""The door of services in front of an HTTP API: who comes in, what is asked, what goes out.

Rights and limits are those of any service: the path is the key, and a method is the verb that
it is sent as. Nothing here needs an event loop, or Flask's request, so that both ways of
serving go through the same door.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, unquote

from backends.base import Backend
from cacheapi.caching.codec import error_text
from cacheapi.caching.tags import InvalidTags, tags_in
from cacheapi.registry.contents import Author, tags_in_words
from cacheapi.registry.live import Registry
from cacheapi.registry.rights import FLUSH, VERBS, Caller, digest_of
from cacheapi.responses.addresses import BadAddress
from cacheapi.responses.answers import Outgoing
from cacheapi.responses.asking import Incoming, NoAnswer
from cacheapi.responses.connection import Inform
from cacheapi.responses.engine import Engine
from cacheapi.responses.engines import MOUNT
from cacheapi.responses.messages import Fields, first, without
from cacheapi.responses.remote import Remote
from cacheapi.slips import did_you_mean
from cacheapi.web import auth, rates
from cacheapi.web.errors import CACHE_CONTROL, ApiError, no_keys
from cacheapi.web.query import TAG, is_true

# The name of an application's Door in its "extensions".
DOOR: Final = "cacheapi.web.remotes"

PURGE: Final = "purge"
SOFT: Final = "soft"
# A client that may not change the URL says it so: "true" or "soft".
PURGE_HEADER: Final = "x-purge"
# A client that takes the service for a cache says so with "cache": nothing of it is passed on.
KIND_HEADER: Final = "x-service-kind"
_PREFIX: Final = MOUNT.encode()
# Methods that only read, beside GET: the right to GET is enough for them.
_READING: Final = frozenset({"HEAD", "OPTIONS"})


@dataclasses.dataclass(frozen=True)
class Sought:
    """A request for a service in front of an API.

    :ivar path: below the service's, as it came; empty, or with a slash first.
    :ivar fields: lower-case names.
    """

    remote: Remote
    method: str
    path: bytes
    query: bytes
    fields: Fields

    @property
    def key(self) -> str:
        """What the rules take for the key: the path that the origin will see, decoded once.

        :raises ApiError: 400; the path leads out, or is none.
        """
        base = self.remote.config.base
        try:
            target = base.target(self.path, b"")
        except BadAddress as error:
            raise ApiError(400, str(error)) from error
        return unquote(target[len(base.path) :]).removeprefix("/")


@dataclasses.dataclass(frozen=True)
class Purge:
    """What is to be forgotten: a URL, what carries some tags, or all.

    :ivar query: of the URL; ``None`` for what is not one URL.
    """

    soft: bool
    query: bytes | None = None
    tags: tuple[str, ...] = ()


class Door:
    """What both ways of serving ask; for all threads.

    :ivar watch: follows changes of services and API keys, in this process.
    :ivar mount: the path that all services are below, as clients have it.
    :param base: the path that the application is mounted under.
    """

    def __init__(self, registry: Registry, base: str = "") -> None:
        self.mount = f"{base}{MOUNT}"
        self._registry = registry
        self.watch: Callable[[], None] = registry.watch

    def seek(
        self, method: str, raw_path: bytes, query: bytes, fields: Callable[[], Fields]
    ) -> Sought | None:
        """Return what a request asks, ``None`` where it is for no service of this kind.

        :param raw_path: the whole path, percent-encoded as it came.
        """
        if not raw_path.startswith(_PREFIX):
            return None
        name, slash, rest = raw_path[len(_PREFIX) :].partition(b"/")
        remote = self.remote(name)
        if remote is None:
            return None
        return Sought(remote, method, slash + rest, query, fields())

    @property
    def moment(self) -> object:
        """Return what is another one after each change of services and API keys."""
        return self._registry.snapshot

    def remote(self, name: bytes) -> Remote | None:
        """Return the service of this kind that has a name, as it stands in a path."""
        remotes = self._registry.snapshot.remotes
        return remotes.get(name.decode("latin-1")) if remotes else None

    def find_backend(self, name: str) -> Backend | None:
        """Return the backend of a service, if it can be used."""
        service = self._registry.find(name)
        return None if service is None else service.backend

    def who(self, sought: Sought) -> Caller:
        """Return who sends a request.

        :raises ApiError: 401, or 500 where it cannot be known yet.
        """
        return auth.caller_of(_shown(sought), self._registry.snapshot)

    def count(self, caller: Caller) -> rates.Standing | None:
        """Count a request of a caller who has a limit; blocks as the system cache does."""
        if caller.rate is None:
            return None
        return rates.count_as(caller.digest.hex()[:32], caller.rate, self._registry.counts)

    def plan(self, sought: Sought, caller: Caller) -> Purge | None:
        """Return what a caller may do with a request: a purge, or (``None``) to pass it on.

        :raises ApiError: 400 for a malformed one, or one that is meant for a cache, 403 for what
            the caller may not.
        """
        name = sought.remote.name
        if _is_for_cache(sought):
            raise no_keys(name)
        purge = _purge_of(sought)
        if purge is None:
            verb = "GET" if sought.method in _READING else sought.method
            # A method that is none of ours may write.
            verb = verb if verb in VERBS and verb != FLUSH else "POST"
            if not caller.may(verb, name, sought.key):
                raise ApiError(
                    403, f"This API key may not {verb} the path '{sought.key}' of service '{name}'."
                )
            return None
        may = (
            caller.may_all(FLUSH, name)
            if purge.query is None
            else caller.may(FLUSH, name, sought.key)
        )
        if not may:
            raise ApiError(403, f"This API key may not purge that of service '{name}': no FLUSH.")
        return purge

    def incoming(self, sought: Sought, body: bytes, inform: Inform | None) -> Incoming:
        """Return a request as the engine takes it, without the API key."""
        fields = without(sought.fields, (PURGE_HEADER,))
        token = auth.bearer_token(first(fields, "authorization") or "")
        if token and digest_of(token) in self._registry.snapshot.callers:
            fields = without(fields, ("authorization",))
        return Incoming(sought.method, sought.path, sought.query, fields, body, inform)

    async def purge(self, engine: Engine, sought: Sought, purge: Purge, caller: Caller) -> Outgoing:
        """Do a purge, and note in the audit log who did.

        :raises NoAnswer: the cache cannot be used.
        """
        name = sought.remote.name
        definition = self._registry.snapshot.definitions.get(name)
        number = None if definition is None else definition.number
        names = self._registry.names_keys
        author = Author(self._registry.data_dir, caller, name, number, names)
        if purge.query is not None:
            await engine.purge(sought.path, purge.query, soft=purge.soft)
            what = f"1 URL{author.named([sought.path.decode('latin-1')])}"
        elif purge.tags:
            await engine.purge_tags(purge.tags, soft=purge.soft)
            what = tags_in_words(purge.tags) + author.named(purge.tags)
        else:
            await engine.purge_all(soft=purge.soft)
            what = tags_in_words(())
        if purge.soft:
            what = f"{what}, to stale"
        # Not here: everybody would wait for the disk.
        await asyncio.get_running_loop().run_in_executor(None, author.purged, what)
        return _json(200, '{"success":true}', "purge")


def refused(error: ApiError | NoAnswer) -> Outgoing:
    """Return the answer about an error, in the one shape."""
    if isinstance(error, NoAnswer):
        extra = {} if error.cache_status is None else {"cache-status": error.cache_status}
        if error.status in (500, 502, 503, 504) and error.cache_status != "only-if-cached":
            extra["retry-after"] = "1"
        return _json(error.status, error_text(error.status, str(error)), "error", extra)
    text = error_text(error.status, error.message, error.context)
    extra = {name.lower(): value for name, value in error.headers.items()}
    return _json(error.status, text, "error", extra)


def _json(status: int, text: str, result: str, extra: dict[str, str] | None = None) -> Outgoing:
    body = text.encode()
    fields = (
        ("content-type", "application/json"),
        ("cache-control", CACHE_CONTROL),
        ("content-length", str(len(body))),
        *(extra or {}).items(),
    )
    return Outgoing(status, fields, body, result)


def _shown(sought: Sought) -> str:
    """Return the API key that a request shows; the header wins, then the parameter."""
    return (
        first(sought.fields, auth.HEADER.lower())
        or dict(_parameters(sought.query)).get(auth.PARAMETER)
        or auth.bearer_token(first(sought.fields, "authorization") or "")
    )


def _parameters(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def _is_for_cache(sought: Sought) -> bool:
    """Return whether a request is meant for a cache, and does what only a cache does."""
    if first(sought.fields, KIND_HEADER) != "cache":
        return False
    # All of a service, and what has a tag, goes from either kind.
    purges = sought.method == "DELETE" and not sought.path
    return not purges or any(name != TAG for name, _ in _parameters(sought.query))


def _purge_of(sought: Sought) -> Purge | None:
    """Return the purge that a request asks for, if it is one.

    :raises ApiError: 400; it is for all of a service, but has a parameter that says otherwise; or
        it seems to be meant as a purge, and is none.
    """
    if sought.method != "DELETE":
        return None
    given = _parameters(sought.query)
    named = dict(given)
    header = (first(sought.fields, PURGE_HEADER) or "false").lower()
    soft = is_true(SOFT, named.get(SOFT, "false")) or header == SOFT
    if sought.path:
        for name in named.keys() - {PURGE}:
            if meant := did_you_mean(name, (PURGE,)):
                # Overlooked, it would be a deletion by the API.
                raise ApiError(400, f"There is no parameter '{name}' here.{meant}")
        wanted = is_true(PURGE, named.get(PURGE, "false"))
        if not (header == SOFT or is_true(PURGE_HEADER, header) or wanted):
            return None
        own = (f"{PURGE}=".encode(), f"{SOFT}=".encode())
        kept = [part for part in sought.query.split(b"&") if not part.startswith(own)]
        return Purge(soft, b"&".join(kept))
    unknown = named.keys() - {TAG, SOFT, PURGE, auth.PARAMETER}
    if unknown or first(sought.fields, "content-length") not in (None, "0"):
        # A slip must not empty all of it.
        raise ApiError(
            400,
            f"DELETE of a service takes '{TAG}' and '{SOFT}' alone, and no body; of a path add "
            f"'{PURGE}=true'.",
        )
    try:
        tags = tags_in(value for name, value in given if name == TAG) if TAG in named else ()
    except InvalidTags as error:
        raise ApiError(400, str(error)) from error
    return Purge(soft, None, tags)
