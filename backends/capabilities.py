"""What a backend can and cannot do.

Yes/no is a :class:`Capability`, a number stands in :class:`Limits`, and what only words
can say in :class:`Traits`.
"""

from __future__ import annotations

import dataclasses
import enum
import re


class Capability(enum.Enum):
    """An optional ability; the value completes the sentence "this backend cannot …"."""

    # Can it say which keys it holds?
    LIST_KEYS = "list its keys"
    # Can it count on a stored number in one atomic step?
    INCREMENT = "count on a stored number"
    # Can it store or delete only if the value is still the one that was read?
    COMPARE_AND_SET = "make a write depend on the stored value"
    # Can it change a lifetime and leave the value?
    TOUCH = "change the lifetime of a stored value"
    # Can it say how long a value has left?
    REMAINING_TTL = "say how long a value will live"
    # Can it read and delete in one step, so that only one reader gets the value?
    GET_AND_DELETE = "read and delete in one step"
    # Can it delete every key of one service and leave the neighbours' keys?
    FLUSH_PREFIX = "flush one service's keys alone"
    # Do values outlive a restart of the cache?
    PERSISTENT = "keep values over a restart"
    # Can it say how it is used: hits, misses, evictions, memory?
    STATS = "tell statistics"
    # Can it tell which keys, of what size and lifetime, fill it?
    ANALYZE = "say what fills it"


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of a backend. ``None`` is: no limit of its own, or one only the server knows.

    :ivar max_key_bytes: longest key in UTF-8 bytes, the service's prefix included.
    :ivar max_value_bytes: longest value in bytes.
    :ivar forbidden_in_key: what a key may not contain, as a pattern over its text.
    :ivar forbidden_name: how an error calls what ``forbidden_in_key`` finds.
    :ivar min_count: lowest number that counting can reach; counting down stops there.
    :ivar max_count: highest number that counting can reach.
    :ivar max_increment: largest step up or down in one call.
    """

    max_key_bytes: int | None = None
    max_value_bytes: int | None = None
    forbidden_in_key: re.Pattern[str] | None = None
    forbidden_name: str = ""
    min_count: int = -(2**63)
    max_count: int = 2**63 - 1
    max_increment: int = 2**63 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Traits:
    """What people choose a backend by, in a few words of Markdown each. Empty is: not said.

    :ivar title: its name as a heading; empty: its ``driver``.
    :ivar description: one sentence.
    :ivar needs: what has to be there before it works.
    :ivar shared_by: who sees the same values.
    :ivar eviction: what goes first when it is full.
    :ivar persistence: what becomes of the values when it restarts.
    :ivar replication: who has copies of them.
    :ivar data_types: what it stores.
    :ivar max_value: the largest value, where ``limits.max_value_bytes`` cannot say it for
        the whole class, since a setting or the server decides.
    """

    title: str = ""
    description: str = ""
    needs: str = ""
    shared_by: str = ""
    eviction: str = ""
    persistence: str = ""
    replication: str = ""
    data_types: str = ""
    max_value: str = ""
