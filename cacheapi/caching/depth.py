"""How deep a JSON text is nested, which is known before it is parsed."""

from __future__ import annotations

from typing import Final

from cacheapi.caching.codec import InvalidJson

MAX_DEPTH: Final = 512

# What a bracket does to the depth.
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(set(range(256)) - {*_STEPS, ord('"')})
# A text that is no deeper is known to be shallow without a look at each bracket.
_SHALLOW: Final = 8


def check_depth(text: bytes, levels: int = 0) -> None:
    """Refuse what a parser of limited depth, ours or the reader's, would choke on.

    A text that is no JSON may be refused for its depth, or not; its parser stops where it is none.

    :param levels: so deep within its document the text stands.
    :raises InvalidJson: it is nested deeper than :data:`MAX_DEPTH`.
    """
    if levels + text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    # Steps of some milliseconds a megabyte, none of which holds up other threads for long.
    left = brackets = _brackets(text)
    for _ in range(_SHALLOW):
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    depth = levels
    for bracket in brackets if left else b"":
        depth += _STEPS[bracket]
        if depth > MAX_DEPTH:
            raise InvalidJson(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _brackets(text: bytes) -> bytes:
    """Return the brackets of a JSON text that are in no string."""
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    kept = text.translate(None, _NO_BRACKETS)
    # Strings that have none. Two quotes less are as many strings that begin or end.
    kept = kept.replace(b'""', b"")
    return b"".join(kept.split(b'"')[::2]) if b'"' in kept else kept
