"""What libmc stores of Python's own values: texts, fractions and None in ``marshal``'s form.

``marshal`` itself is not asked: it may crash on bytes of somebody's choice. Of its types
(CPython, ``Python/marshal.c``) three are read here, and no object is made of any other.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from cacheapi.formats.limits import Unreadable, text_of
from cacheapi.formats.php import finite

_NONE: Final = b"N"
_FRACTION: Final = b"g"
# A text: its length in four bytes, low first, and its UTF-8.
_TEXT: Final = b"u"


def read_marshal(stored: bytes) -> Any:
    """Return a text, a fraction or ``None``.

    :raises Unreadable: it is something else.
    """
    kind, rest = stored[:1], stored[1:]
    if stored == _NONE:
        return None
    if kind == _FRACTION and len(rest) == 8:
        return finite(struct.unpack("<d", rest)[0])
    if kind == _TEXT and int.from_bytes(rest[:4], "little") == len(rest) - 4:
        return text_of(rest[4:])
    raise Unreadable("no plain value of marshal's")
