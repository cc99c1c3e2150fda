"""Conditional requests: ``If-Match`` and ``If-None-Match`` (RFC 9110, section 13)."""

from __future__ import annotations

import dataclasses

from werkzeug.datastructures import ETags


class PreconditionFailed(Exception):
    """The stored value is not the one that the request depends on."""


class NotModified(PreconditionFailed):
    """The client has the stored value, as ``If-None-Match`` says; for a read that is a 304.

    :param etag: the value's tag.
    """

    def __init__(self, etag: str) -> None:
        super().__init__()
        self.etag = etag


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
            raise PreconditionFailed
        if (
            self.if_none_match is not None
            and etag is not None
            and self.if_none_match.contains_weak(etag)
        ):
            raise NotModified(etag)
