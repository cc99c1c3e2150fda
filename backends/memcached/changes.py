"""Changes on memcached: what each is answered with.

What is sent and answered is said in memcached's protocol.txt: one line of reply for each change.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from backends.base import MISSING


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """What a change is answered with.

    :ivar says: what lines mean.
    :ivar repeatable: to send it twice means the same as to send it once.
    :ivar stores: behind its line comes a value.
    :ivar counts: a number is an answer, and so is a refusal to count.
    :ivar encoded: it is about a key that is sent encoded.
    """

    says: Mapping[bytes, Any]
    repeatable: bool = False
    stores: bool = False
    counts: bool = False
    encoded: bool = False


SET: Final = Kind({b"STORED": True}, repeatable=True, stores=True)
ADD: Final = Kind({b"STORED": True, b"NOT_STORED": False}, stores=True)
REPLACE: Final = Kind({b"STORED": True, b"NOT_STORED": False}, repeatable=True, stores=True)
DELETE: Final = Kind({b"DELETED": True, b"NOT_FOUND": False})
TOUCH: Final = Kind({b"TOUCHED": True, b"NOT_FOUND": False}, repeatable=True)
COUNT: Final = Kind({b"NOT_FOUND": MISSING}, counts=True)
# The same with an encoded key.
_ENCODED: Final[Mapping[Kind, Kind]] = {
    SET: Kind({b"HD": True}, repeatable=True, encoded=True),
    ADD: Kind({b"HD": True, b"NS": False}, encoded=True),
    REPLACE: Kind({b"HD": True, b"NS": False}, repeatable=True, encoded=True),
    DELETE: Kind({b"HD": True, b"NF": False}, encoded=True),
    TOUCH: Kind({b"HD": True, b"EN": False}, repeatable=True, encoded=True),
}

# A key, the command as it is sent, and its kind.
Change = tuple[bytes, bytes, Kind]
KIND_OF: Final[Callable[[Change], Kind]] = operator.itemgetter(2)


def changed(key: bytes, command: bytes, kind: Kind, is_odd: bool) -> Change:
    """Return a change of a key, by a command that :mod:`backends.memcached.commands` made of it.

    :param is_odd: whether its key is sent encoded.
    """
    return key, command, _ENCODED[kind] if is_odd else kind
