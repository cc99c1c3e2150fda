"""What an operator decides and the standards leave open."""

from __future__ import annotations

import msgspec


class Policy(msgspec.Struct, frozen=True, gc=False):
    """What holds where the origin states nothing; what it states goes first.

    :ivar ttl: seconds of freshness for a response that states none and that has a status
        which may be kept by a heuristic; 0 for the heuristic of RFC 9111 alone.
    :ivar stale_while_revalidate: seconds in which a response that was fresh is served while it
        is fetched anew (RFC 5861, section 3).
    :ivar stale_if_error: seconds in which a response that was fresh is served instead of an
        error (RFC 5861, section 4).
    :ivar cookies: names of cookies that are nobody's own: a response that sets no others is
        stored with its ``Set-Cookie``. One that sets any other is not.
    """

    ttl: float = 0.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    cookies: frozenset[str] = frozenset()


DEFAULT = Policy()
