"""An answer of the application, whole, goes to its connection in one piece.

As uvicorn sends it, which looks for what ends a line in each name and value, and writes the head
and the body apart, as two messages: a tenth of what an answer costs that has a few fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Fields = Sequence[tuple[bytes, bytes]]

_BODILESS: Final = frozenset({204, 304})
_LENGTH: Final = b"content-length"


def give(
    cycle: RequestResponseCycle,
    status: int,
    fields: Fields,
    content: bytes,
) -> bool:
    """Send an answer, and have its connection go on; return whether it was sent.

    It is not where that is not as simple: the client does not take what was sent before, or is
    gone; the answer ends its connection by a field, says no length or another one, or has what
    would be another line of its head.

    :param fields: names in lower case, and values.
    """
    is_head = cycle.scope["method"] == "HEAD"
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_started:
        return False
    lines = [b"%b: %b\r\n" % field for field in cycle.default_headers]
    length = None
    for name, value in fields:
        if name == _LENGTH:
            length = value
        elif name == b"connection" or name == b"transfer-encoding":
            return False
        lines.append(b"%b: %b\r\n" % (name, value))
    if length is None:
        if status not in _BODILESS or content:
            return False
    elif not is_head and length != b"%d" % len(content):
        return False
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    body = b"" if is_head else content
    cycle.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], head, body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
