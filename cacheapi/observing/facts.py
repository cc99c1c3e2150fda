"""What is found out about a request while it is served, for its line in the log and the metrics.

It travels in the WSGI environment, so that who serves can fill it, who answers can add to
it, and neither knows who reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from flask import Request, has_request_context, request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_FACTS: Final = "cacheapi.observing.facts"
# When the request was there, by time.monotonic(); a server may say it.
STARTED: Final = "cacheapi.started"


class Facts:
    """What is known of a request.

    :ivar service: the name of a service that there is; else empty.
    :ivar route: the path, with names instead of what stands in it.
    :ivar key: of a request for one key.
    :ivar hits: keys that were read and there.
    :ivar batch: how many keys a request for several is about.
    :ivar error: the class of the cache server's failure.
    :ivar parts: where the time went, as members of ``Server-Timing``; empty: in calls of a cache.
    :ivar around: what is done around each call of a cache, if anybody wants to know of it; see
        :mod:`~cacheapi.observing.watching`.
    """

    __slots__ = ("around", "batch", "error", "hits", "key", "misses", "parts", "route", "service")

    def __init__(self) -> None:
        self.service = ""
        self.route = ""
        self.key: str | None = None
        self.hits = 0
        self.misses = 0
        self.batch: int | None = None
        self.error: str | None = None
        self.parts = ""
        self.around: Callable[[str, Any], AbstractContextManager[None]] | None = None

    def read(self, hits: int, asked: int) -> None:
        """Note how many of the keys that were read are there."""
        self.hits += hits
        self.misses += asked - hits


def attach(environ: WSGIEnvironment) -> Facts:
    """Give a request something to note facts in."""
    facts = environ[_FACTS] = Facts()
    return facts


def facts() -> Facts:
    """Return the facts of the request that is being served; of none, ones that nobody reads."""
    # Of Flask's ``request`` each question costs a search.
    return facts_of(request._get_current_object()) if has_request_context() else Facts()  # type: ignore[attr-defined]  # noqa: SLF001 (documented)


def facts_of(this: Request) -> Facts:
    """Return the facts of a request."""
    found: Facts | None = this.environ.get(_FACTS)
    return Facts() if found is None else found
