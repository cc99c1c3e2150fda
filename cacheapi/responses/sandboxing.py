"""Which answers of an origin a browser may run something of, and what it is told then.

A page of the origin stands under the address of the console: a script in it would have the
console's session. What a browser shows as text and no more is left as the origin sent it.
"""

from __future__ import annotations

import re
from typing import Final

from cacheapi.responses.messages import Fields, every

# Beside what the origin says: of two policies a browser keeps both (CSP Level 3, section 8.1).
SANDBOX: Final = ("content-security-policy", "sandbox")

# No comma: of several types in one line a browser takes the last (MIME Sniffing, section 5.1).
_INERT: Final = re.compile(
    r"(?i)(?:text/plain|application/(?:[a-z0-9.-]+\+)?json)[ \t]*(?:;[^,]*)?"
)


def is_inert(fields: Fields) -> bool:
    """Whether no browser makes a page of an answer, or runs a script in it.

    Plain text and JSON are; an answer without a type is what a browser takes it for.
    """
    types = every(fields, "content-type")
    return len(types) == 1 and _INERT.fullmatch(types[0]) is not None
