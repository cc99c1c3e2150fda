"""The answer to a client, of what is stored.

RFC 9110, sections 13 (conditions), 14 (ranges) and 9.3.2 (HEAD); RFC 9111, section 4.3.2.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from cacheapi.responses.forwarding import CONDITIONS, end_to_end
from cacheapi.responses.messages import Fields, Part, Request, Response, Stored, first, without
from cacheapi.responses.ranges import Span, asked, has, spans
from cacheapi.responses.validators import is_not_modified, range_applies

# RFC 9110, section 15.4.5: a 304 says nothing of a body that it has not.
_OF_THE_BODY: Final = frozenset(
    {"content-encoding", "content-language", "content-range", "content-type"}
)
# A cache behind this one must not keep one client's 416 for all.
_LIFETIMES: Final = frozenset(
    {"cache-control", "cdn-cache-control", "etag", "expires", "last-modified"}
)
_BODILESS: Final = frozenset({204, 304})


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A response as it goes to the client.

    :ivar status: its status.
    :ivar fields: its fields, with ``Age``, ``Content-Length`` and ``Cache-Status``.
    :ivar body: what its body is made of, in order: bytes as they are, and spans of the stored
        body's bytes. Empty where it has none: ``HEAD``, 204, 304, 416.
    """

    status: int
    fields: Fields
    body: tuple[bytes | Span, ...] = ()


def serve(request: Request, stored: Stored, age: float, cache_status: str) -> Reply:
    """Return the answer to a request of a stored response that it may get.

    :param age: its age in seconds, now.
    :param cache_status: the member to add to ``Cache-Status``.
    """
    added = (("age", str(int(age))), ("cache-status", cache_status))
    if stored.status in (200, 206):
        names = {name for name, _ in request.fields}
        # A condition goes before a range (RFC 9110, section 13.2.2).
        if not names.isdisjoint(CONDITIONS) and is_not_modified(request.fields, stored):
            return Reply(304, (*without(stored.fields, _OF_THE_BODY), *added))
        if request.method == "GET" and ("range" in names or stored.part is not None):
            reply = _part(request.fields, stored, added)
            if reply is not None:
                return reply
    if stored.status in _BODILESS:
        return Reply(stored.status, (*stored.fields, *added))
    length = ("content-length", str(stored.length))
    body: tuple[bytes | Span, ...] = ()
    if request.method != "HEAD" and stored.length:
        body = ((0, stored.length),)
    return Reply(stored.status, (*stored.fields, length, *added), body)


def pass_on(response: Response, cache_status: str) -> Reply:
    """Return a response that comes from the origin as the client gets it.

    Its ``Content-Length`` stays, its body is the engine's to send.
    """
    fields = (*end_to_end(response.fields), ("cache-status", cache_status))
    return Reply(response.status, fields)


def _part(fields: Fields, stored: Stored, added: Fields) -> Reply | None:
    """Return a 206 or 416, ``None`` where the request gets the whole."""
    text = asked(fields)
    part = stored.part or Part(0, stored.length - 1, stored.length)
    wanted = spans(text, part.complete) if text and range_applies(fields, stored) else None
    if stored.part is not None and not has(stored, fields):
        # It is the origin's own answer to this request, whatever it made of the range.
        length = ("content-length", str(stored.length))
        return Reply(206, (*stored.fields, length, *added), ((0, stored.length),))
    if wanted is None:
        return None
    complete, offset = part.complete, part.first
    kept = without(stored.fields, ("content-range",))
    if not wanted:
        label = ("content-range", f"bytes */{complete}")
        fields = without(kept, _OF_THE_BODY | _LIFETIMES)
        no_store = ("cache-control", "no-store")
        return Reply(416, (*fields, no_store, label, ("content-length", "0"), *added))
    if len(wanted) == 1:
        start, stop = wanted[0]
        label = ("content-range", f"bytes {start}-{stop - 1}/{complete}")
        length = ("content-length", str(stop - start))
        return Reply(206, (*kept, label, length, *added), ((start - offset, stop - offset),))
    return _parts(kept, wanted, complete, offset, added)


def _parts(kept: Fields, wanted: list[Span], complete: int, offset: int, added: Fields) -> Reply:
    """Return a 206 with several ranges (RFC 9110, sections 14.6 and 15.3.7.2)."""
    content_type = first(kept, "content-type")
    # Who writes the body knows not what fields and ranges will stand beside it.
    seed = repr((kept, wanted)).encode()
    boundary = hashlib.blake2b(seed, digest_size=16).hexdigest()
    body: list[bytes | Span] = []
    length = 0
    for start, stop in wanted:
        head = f"\r\n--{boundary}\r\n" if body else f"--{boundary}\r\n"
        if content_type is not None:
            head += f"content-type: {content_type}\r\n"
        head += f"content-range: bytes {start}-{stop - 1}/{complete}\r\n\r\n"
        body += [head.encode("latin-1"), (start - offset, stop - offset)]
        length += len(head) + stop - start
    tail = f"\r\n--{boundary}--\r\n".encode()
    fields = (
        *without(kept, ("content-type",)),
        ("content-type", f"multipart/byteranges; boundary={boundary}"),
        ("content-length", str(length + len(tail))),
        *added,
    )
    return Reply(206, fields, (*body, tail))
