"""The head of a request: what it may be, and why one goes no further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# A key of 1 KiB, each byte percent-encoded, fits.
MAX_TARGET: Final = 8190
MAX_FIELD: Final = 8190
MAX_FIELDS: Final = 64
# Colon, space and line end.
FIELD_FRAME: Final = 4
MAX_HEAD: Final = 64 * 1024

VERSIONS: Final = frozenset({"1.0", "1.1"})


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def too_large() -> Refused:
    """Return the refusal of a head that is too large."""
    return Refused(431, f"The request's head is longer than {MAX_HEAD} bytes.")


def check_fields(headers: Sequence[tuple[bytes, bytes]], version: str) -> bool:
    """Refuse what others may read otherwise; return whether to answer 100 first."""
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (not hosts and version == "1.1"):
        raise Refused(400, "A request of HTTP/1.1 has the field Host once.")
    expect = False
    for name, value in headers:
        if name == b"transfer-encoding":
            if version == "1.0":
                raise Refused(400, "HTTP/1.0 has no Transfer-Encoding.")
            if value.lower() != b"chunked":
                raise Refused(501, "Of transfer encodings only chunked is known here.")
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise Refused(417, "Of expectations only 100-continue is known here.")
            expect = version == "1.1"
    return expect
