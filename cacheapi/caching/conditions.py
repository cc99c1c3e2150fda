"""Conditional requests: ``If-Match`` and ``If-None-Match`` (RFC 9110, section 13)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from werkzeug.datastructures import ETags

STALE: Final = (
    "What is stored now is not what If-Match or If-None-Match of the request asks for; nothing was "
    "changed."
)
_CHANGED: Final = (
    "The tag was changed on its way, as a proxy that compresses does: such a tag, weak or with an "
    "ending, matches no write (RFC 9110, section 13.1.1). Send the ETag as this service gave it, "
    "or let the proxy leave its answers as they are."
)
# An entity-tag, between commas and white space; an element may be empty (RFC 9110, 5.6.1, 8.8.3).
_TAG = re.compile(r'[ \t]*(?:(W/)?"([\x21\x23-\x7e\x80-\U0010ffff]*)")?[ \t]*(?:,|\Z)')
# What servers that compress make of a tag: Apache, Jetty, Netty and others.
_ENDING = re.compile(r"(?:--?|;)(?:gzip|br|deflate|df|zstd|compress)\Z")


class InvalidCondition(ValueError):
    """A condition that says nothing; it may not count as none."""


class PreconditionFailed(Exception):
    """The stored value is not the one that the request depends on."""

    def __init__(self, reason: str = STALE) -> None:
        super().__init__(reason)


class NotModified(PreconditionFailed):
    """The client has the stored value, as ``If-None-Match`` says; for a read that is a 304.

    :param etag: the value's tag.
    """

    def __init__(self, etag: str) -> None:
        super().__init__()
        self.etag = etag


def parse_tags(name: str, text: str) -> ETags:
    """Parse the value of ``If-Match`` or ``If-None-Match``: ``*``, or one tag or more.

    :param name: of the field, for the error.
    :raises InvalidCondition: it is malformed, or has no tag.
    """
    # The program, which knows no conditions, starts without it.
    from werkzeug.datastructures import ETags

    if text.strip(" \t") == "*":
        return ETags(star_tag=True)
    strong: list[str] = []
    weak: list[str] = []
    end = 0
    while end < len(text):
        match = _TAG.match(text, end)
        if match is None or match.end() == end:
            break
        if match[2] is not None:
            (weak if match[1] else strong).append(match[2])
        end = match.end()
    if end < len(text) or not (strong or weak):
        raise InvalidCondition(
            f'{name} must be * or one tag or more, each in double quotes: {name}: "…".'
        )
    return ETags(strong, weak)


def _without_ending(tags: Iterable[str]) -> set[str]:
    return {_ENDING.sub("", tag) for tag in tags}


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """What a request demands of the stored value.

    :ivar if_match: tags of which the value must have one; ``None`` for no demand.
    :ivar if_none_match: tags of which the value may have none; ``None`` for no demand.
    """

    if_match: ETags | None = None
    if_none_match: ETags | None = None

    @property
    def creates_only(self) -> bool:
        """Whether the demand is just that the key be absent."""
        return (
            self.if_match is None
            and self.if_none_match is not None
            and bool(self.if_none_match.star_tag)
        )

    def check(self, etag: str | None) -> None:
        """Check the tag of what is stored; ``None`` where nothing is.

        :raises NotModified: ``If-None-Match`` names what is stored.
        :raises PreconditionFailed: ``If-Match`` does not.
        """
        if self.if_match is not None and not (etag is not None and self.if_match.contains(etag)):
            sent = _without_ending(self.if_match.as_set(include_weak=True))
            raise PreconditionFailed(_CHANGED if etag in sent else STALE)
        if self.if_none_match is not None and etag is not None:
            tags = self.if_none_match
            # For a cache's question a tag that was changed is good enough: it compares weakly.
            if tags.star_tag or etag in _without_ending(tags.as_set(include_weak=True)):
                raise NotModified(etag)
