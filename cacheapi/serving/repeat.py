"""A read that comes again on a connection: known by its bytes, without parsing them.

What one client asks on a connection is nearly always alike but for the target, and to parse
all its header fields each time costs as much as the answer. So a connection remembers the
bytes behind the target of the last read that httptools has parsed and the lane has taken,
and what they said. Bytes that are ``GET``, a target of plain characters, and those very
bytes again, are that request with another target: between two requests llhttp is always in
the same state, a plain character leaves it within the target, and the space that ends the
target leads to one state whatever the target was. A test holds both against httptools.

Nothing is decided here. What is not known by its bytes is parsed; what is known is asked of
the lane as if it had been parsed, and who shows the API key may do is looked up anew.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from cacheapi.serving import hits
from cacheapi.serving.head import MAX_TARGET
from cacheapi.serving.hits import Reader
from cacheapi.serving.lane import Asker
from cacheapi.serving.recognition import PLAIN, TARGET, Fields

# A connection that waits should not hold much.
MAX_TAIL: Final = 4096

GET: Final = b"GET "
_READ = re.compile(GET + TARGET.pattern)
_HIT = re.compile(GET + hits.TARGET.pattern)
_VERSION: Final = b" HTTP/1.1\r\n"
_END: Final = b"\r\n\r\n"


class Repeat(NamedTuple):
    """A read but for its target.

    :ivar tail: the bytes behind the target.
    :ivar headers: the header fields that are in them.
    :ivar asker: what they say to the lane, or to hits.
    """

    tail: bytes
    headers: Fields
    asker: Asker | Reader

    def find(self, data: bytes, start: int) -> re.Match[bytes] | None:
        """Return where the target is, if the read comes again at ``start``."""
        pattern = _READ if isinstance(self.asker, Asker) else _HIT
        match = pattern.match(data, start)
        if match is None:
            return None
        end = match.end()
        if not data.startswith(self.tail, end) or end - start - len(GET) > MAX_TARGET:
            return None
        query = match[3]
        return match if query is None or not query.translate(None, PLAIN) else None


def remember(data: bytes, target: bytes, headers: Fields, asker: Asker | Reader) -> Repeat | None:
    """Return what is to be known again of a read, if it is that simple.

    :param data: the bytes of it; that it is all of one request, and nothing else, httptools
        has found.
    """
    start = GET + target
    tail = data[len(start) :]
    if (
        not data.startswith(start)
        or len(tail) > MAX_TAIL
        or not tail.startswith(_VERSION)
        or tail.find(_END) != len(tail) - 4
    ):
        return None
    return Repeat(tail, headers, asker)
