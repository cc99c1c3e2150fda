"""What a client asks: as it came, and as the rules take it, without what the origin may not see."""

from __future__ import annotations

import dataclasses
from typing import Final

from cacheapi.responses.addresses import BadAddress, kept_query
from cacheapi.responses.config import Config
from cacheapi.responses.connection import Inform
from cacheapi.responses.messages import Fields, Request
from cacheapi.responses.screening import screened

# The parameter by which a client may show its API key; never the origin's.
KEY_PARAMETER: Final = "api_key"
# TRACE would show a client the secret fields that are sent (RFC 9110, section 9.3.8).
_NEVER: Final = frozenset({"CONNECT", "TRACE"})


class NoAnswer(Exception):
    """There is no answer but an error of the service's own; ``str()`` says why.

    :ivar status: its status.
    :ivar cache_status: what ``Cache-Status`` says; ``None`` where the cache was not asked.
    """

    def __init__(self, status: int, message: str, cache_status: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.cache_status = cache_status


@dataclasses.dataclass(frozen=True)
class Incoming:
    """A request of a client.

    :ivar path: below the service's, percent-encoded as it came; empty, or with a slash first.
    :ivar query: as it came, without its ``?``.
    :ivar fields: lower-case names, in the order received.
    :ivar body: all of it.
    :ivar inform: gets the origin's interim answers, if the client can.
    """

    method: str
    path: bytes
    query: bytes = b""
    fields: Fields = ()
    body: bytes = b""
    inform: Inform | None = None


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request on its way.

    :ivar request: as the rules see it.
    :ivar target: the path and query at the origin.
    :ivar body: its body.
    :ivar inform: gets interim answers.
    """

    request: Request
    target: str
    body: bytes = b""
    inform: Inform | None = None


def asked_of(config: Config, incoming: Incoming) -> Asked:
    """Return a request as the rules take it, without what the origin may not see.

    :raises NoAnswer: 400 or 405; it goes no further.
    """
    method = incoming.method
    allowed = config.methods
    if method in _NEVER or (
        allowed and method not in allowed and not (method == "HEAD" and "GET" in allowed)
    ):
        passed_on = sorted({*allowed} | ({"HEAD"} if "GET" in allowed else set()))
        takes = f" It passes on {', '.join(passed_on)}." if passed_on else ""
        raise NoAnswer(405, f"This service does not pass on the method {method}.{takes}")
    url, target = target_of(config, incoming.path, incoming.query)
    fields = screened(incoming.fields, cookies=config.cookies, authorization=config.authorization)
    return Asked(Request(method, url, fields), target, incoming.body, incoming.inform)


def target_of(config: Config, path: bytes, query: bytes) -> tuple[str, str]:
    """Return the URL that a path and query of a service mean, and the path and query of it.

    :param path: below the service's, as it came; empty, or with a slash first.
    :raises NoAnswer: 400; they mean none.
    """
    query = kept_query(
        query, without=(KEY_PARAMETER, *config.ignore_params), is_sorted=config.sort_query
    )
    try:
        target = config.base.target(path, query)
    except BadAddress as error:
        raise NoAnswer(400, str(error)) from error
    return config.base.root + target, target
