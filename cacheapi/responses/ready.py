"""An answer of what is stored, written out but for its age and the freshness that it has left."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from cacheapi.responses.answers import Outgoing
from cacheapi.responses.cache_status import hit_status
from cacheapi.responses.freshness import current_age
from cacheapi.responses.messages import Fields, Stored, first

# A browser may not take an answer for more than it says it is.
NOSNIFF: Final = ("x-content-type-options", "nosniff")
# Of an answer, beside the text of its fields.
OWN_BYTES: Final = 1024
NO_BODY: Final = frozenset({204, 304})
_STATUSES: Final = frozenset(HTTPStatus)
_LINE: Final = "{}: {}\r\n"


class Ready(msgspec.Struct):
    """An answer but for its age and the freshness left.

    :ivar before: its field lines before those two.
    :ivar after: its field lines behind them.
    :ivar is_dated: whether it has a ``Date`` of its own.
    """

    stored: Stored
    status: int
    before: str
    after: str
    body: bytes | None
    is_dated: bool
    # The head that was written last, behind which first lines, and between which times it holds.
    _line: str = ""
    _head: bytes = b""
    _since: float = 0.0
    _until: float = 0.0

    @property
    def size(self) -> int:
        """How many bytes it takes beside what is stored, about."""
        # As text, and as the head that was sent.
        return OWN_BYTES + 2 * (len(self.before) + len(self.after))

    def fields(self, now: float) -> str | None:
        """Return its field lines at a time; ``None`` if it is fresh no more."""
        age, left = self._times(now)
        return None if left <= 0 else self._fields(age, left)

    def head(self, line: str, now: float) -> bytes | None:
        """Return its whole head at a time; ``None`` if it is fresh no more.

        Both numbers have whole seconds, so it is written once for each.

        :param line: what comes first: the status line, and fields of all answers.
        """
        if line is self._line and self._since <= now < self._until:
            return self._head
        age, left = self._times(now)
        if left <= 0:
            return None
        self._line = line
        self._head = f"{line}{self._fields(age, left)}\r\n".encode("latin-1")
        self._since, self._until = now, now + min(1 - age % 1, left % 1)
        return self._head

    def _times(self, now: float) -> tuple[float, float]:
        """Return its age and the freshness that it has left, in seconds."""
        age = current_age(self.stored, now)
        return age, self.stored.lifetime - age

    def _fields(self, age: float, left: float) -> str:
        return f"{self.before}age: {int(age)}\r\ncache-status: {hit_status(left)}\r\n{self.after}"


def written(stored: Stored, out: Outgoing, *, hides_id: bool) -> Ready | None:
    """Write out an answer; ``None`` if only the application can."""
    fields = finished(out, hides_id=hides_id)
    names = [name for name, _ in fields]
    at = names.index("age")
    if names[at + 1] != "cache-status" or out.status not in _STATUSES:
        return None
    lines = [_LINE.format(name, value) for name, value in fields]
    has_body = out.status not in NO_BODY
    return Ready(
        stored,
        out.status,
        "".join(lines[:at]),
        "".join(lines[at + 2 :]),
        out.body if has_body else None,
        "date" in names,
    )


def finished(out: Outgoing, *, hides_id: bool) -> Fields:
    """Return the fields of an answer as all clients get them.

    :param hides_id: whether it gets an id of our own in place of the origin's.
    """
    dropped = {"content-length"} if out.status in NO_BODY else set()
    if hides_id:
        dropped.add("x-request-id")
    fields = out.fields
    if dropped:
        fields = tuple(field for field in fields if field[0] not in dropped)
    return fields if first(fields, NOSNIFF[0]) is not None else (*fields, NOSNIFF)
