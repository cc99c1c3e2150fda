"""A ``Transfer-Encoding`` that no recipient knows, and a service that is told to ignore it.

Such an answer is refused: who cannot undo a coding must not pass the bytes on as if there were
none (RFC 9112, section 7). Yet some servers write there what they mean by ``Content-Encoding``
or by nothing, ``binary`` or ``utf-8``, and send the bytes as they are. Without the field the
body ends by ``Content-Length`` or with the connection (RFC 9112, section 6.3).
"""

from __future__ import annotations

import re
from typing import Final

# What these names say was done to the bytes is true.
_KNOWN: Final = frozenset(
    {b"br", b"chunked", b"compress", b"deflate", b"gzip", b"x-compress", b"x-gzip", b"zstd"}
)
_END: Final = re.compile(rb"\r?\n\r?\n")
_LINE: Final = re.compile(
    rb"(?im)^transfer-encoding:[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*\r?\n(?![ \t])"
)
_ANY: Final = re.compile(rb"(?im)^transfer-encoding[ \t]*:")


class Heads:
    """Takes what comes of one answer, and gives it on without such a field.

    :param most: bytes that a head may have; what is longer is given on as it came.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = b""
        self._is_over = False

    def take(self, data: bytes) -> bytes:
        """Return what may be read now: nothing while a head is not whole.

        :param data: what came; empty where the connection has ended.
        """
        if self._is_over:
            return data
        self._held += data
        passed = b""
        while data and not self._is_over:
            end = _END.search(self._held)
            if end is None:
                if len(self._held) <= self._most:
                    return passed
                break
            head, self._held = self._held[: end.end()], self._held[end.end() :]
            # After an interim answer there is another head.
            self._is_over = not re.match(rb"HTTP/[0-9.]+ 1", head)
            passed += without_unknown(head)
        self._is_over = True
        return passed + self._held


def without_unknown(head: bytes) -> bytes:
    """Return a head without its ``Transfer-Encoding``, if that is one unknown name alone."""
    found = _LINE.search(head)
    if found is None or found[1].lower() in _KNOWN or len(_ANY.findall(head)) != 1:
        return head
    return head[: found.start()] + head[found.end() :]
