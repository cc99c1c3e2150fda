"""A request that comes again on a connection: known by its bytes, without parsing them.

What one client asks on a connection is nearly always alike but for the target and the body, and
to parse all its header fields each time costs as much as the answer. So a connection remembers
the bytes behind the target of the last request that httptools has parsed and the lane has taken,
and what they said. Bytes that are its method, a target of plain characters, and those very
bytes again, are that request with another target: between two requests llhttp is always in
the same state, a plain character leaves it within the target, and the space that ends the
target leads to one state whatever the target was. The same holds for the digits of
``Content-Length``: they say how many bytes of a body follow, and all of them have to be there. A
test holds all of it against httptools.

Nothing is decided here. What is not known by its bytes is parsed; what is known is asked of
the lane as if it had been parsed, and who shows the API key may do is looked up anew.
"""

from __future__ import annotations

import functools
import re
from typing import Final, NamedTuple

from cacheapi.serving.acts import WITH_BODY, WITHOUT_BODY
from cacheapi.serving.head import MAX_TARGET
from cacheapi.serving.lane import Asker
from cacheapi.serving.readers import Reader
from cacheapi.serving.recognition import PLAIN, TARGET, Fields

# A connection that waits should not hold much.
MAX_TAIL: Final = 4096

_METHODS: Final = WITH_BODY | WITHOUT_BODY
_GET: Final = b"GET "
_VERSION: Final = b" HTTP/1.1\r\n"
_END: Final = b"\r\n\r\n"
# Six digits are more than a body of the lane has.
_LENGTH: Final = re.compile(rb"[1-9][0-9]{0,5}")
_LENGTH_FIELD: Final = re.compile(rb"\r\ncontent-length: ?([1-9][0-9]{0,5})\r\n", re.IGNORECASE)

# The target, the body, and where the request ends.
Again = tuple[re.Match[bytes], bytes, int]


class Repeat(NamedTuple):
    """A request but for its target and its body.

    :ivar tail: the bytes behind the target; of a request with a body, up to its length.
    :ivar rest: of a request with a body, those behind the length.
    :ivar base: the path that the service is mounted under, which stands before the target.
    :ivar line: what its method and a target are like.
    :ivar headers: the header fields that are in them.
    :ivar asker: what they say to the lane, or to hits.
    :ivar usual: the length that it had, and the bytes behind that.
    :ivar length: that length.
    """

    method: bytes
    tail: bytes
    rest: bytes
    headers: Fields
    asker: Asker | Reader
    base: bytes
    line: re.Pattern[bytes]
    usual: bytes = b""
    length: int = 0

    def size(self, target: bytes) -> int:
        """Return how many bytes it has with a target, where it has no body."""
        return len(self.method) + 1 + len(self.base) + len(target) + len(self.tail)

    def target_of(self, found: re.Match[bytes]) -> bytes:
        """Return the target that was found, below the path that the service is mounted under."""
        return found[0][len(self.method) + 1 + len(self.base) :]

    def find_target(self, data: bytes, start: int) -> bytes | None:
        """Return the target of a read that hits took, if it comes again at ``start``.

        It has no body. What the target is, is asked then: it is what stands before the space.
        """
        begin = start + len(_GET)
        end = data.find(b" ", begin, begin + MAX_TARGET + 1)
        if end < 0 or not data.startswith(_GET, start) or not data.startswith(self.tail, end):
            return None
        if self.base:
            if not data.startswith(self.base + b"/", begin):
                return None
            begin += len(self.base)
        return data[begin:end]

    def find(self, data: bytes, start: int) -> Again | None:
        """Return what the request is about and where it ends, if it comes again at ``start``."""
        match = self.line.match(data, start)
        if match is None:
            return None
        end = match.end()
        if not data.startswith(self.tail, end) or end - start > len(self.method) + 1 + MAX_TARGET:
            return None
        query = match[3]
        if query is not None and query.translate(None, PLAIN):
            return None
        end += len(self.tail)
        if not self.rest:
            return match, b"", end
        if data.startswith(self.usual, end):
            # Bodies of one client are often as long.
            begin = end + len(self.usual)
            end = begin + self.length
        else:
            length = _LENGTH.match(data, end)
            if length is None or not data.startswith(self.rest, length.end()):
                return None
            begin = length.end() + len(self.rest)
            end = begin + int(length[0])
        return (match, data[begin:end], end) if end <= len(data) else None


@functools.lru_cache
def _line(method: bytes, base: bytes) -> re.Pattern[bytes]:
    return re.compile(method + b" " + re.escape(base) + TARGET.pattern)


def remember(
    method: bytes,
    data: bytes,
    target: bytes,
    headers: Fields,
    asker: Asker | Reader,
    base: bytes = b"",
) -> Repeat | None:
    """Return what is to be known again of a request, if it is that simple.

    :param data: the bytes of it; that it is all of one request, and nothing else, httptools
        has found.
    :param target: below the path that the service is mounted under.
    :param base: that path. A request without it is parsed each time: which of those are below
        it shows the whole target.
    """
    start = b"%b %b%b" % (method, base, target)
    tail = data[len(start) :]
    head = tail.find(_END) + len(_END)
    if not data.startswith(start) or not tail.startswith(_VERSION) or head > MAX_TAIL:
        return None
    if method not in _METHODS:
        return None
    line = _line(method, base)
    if head == len(tail):
        return Repeat(method, tail, b"", headers, asker, base, line)
    length = _LENGTH_FIELD.search(tail, 0, head)
    if length is None or head + int(length[1]) != len(tail):
        return None
    before, behind = tail[: length.start(1)], tail[length.end(1) : head]
    usual = length[1] + behind
    return Repeat(method, before, behind, headers, asker, base, line, usual, int(length[1]))
