"""A cache in the memory of one process: the least recently used key goes first."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from backends.base import MISSING, Backend, Found, Missing, count_from
from backends.capabilities import Capability, Traits
from backends.options import Option, integer


class Entry(NamedTuple):
    """A value, and when it expires on the clock of :func:`time.monotonic`."""

    value: bytes
    expires: float


class LruBackend(Backend):
    """A cache of at most ``size`` keys."""

    driver = "lru"
    label = "the LRU backend"
    service_name = "lru"
    service_type = "cache_lru"
    options = (Option("LRU_SIZE", integer(1, 10**9), "10000", "Most keys.", name="size"),)
    traits = Traits(
        title="Memory of one process",
        description="A cache in the memory of one worker process.",
        shared_by="the threads of one process",
        eviction="the least recently used",
        persistence="values are gone",
    )
    capabilities = frozenset(Capability) - {
        Capability.ANALYZE,
        Capability.LIST_KEYS,
        Capability.PERSISTENT,
        Capability.STATS,
    }

    def __init__(self, *, size: int, prefix: str = "") -> None:
        super().__init__(prefix=prefix)
        self._size = size
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | Missing:
        entry = self._change(key, lambda entry: entry)
        return entry.value if entry else MISSING

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        return {key: value for key in keys if (value := self.get(key)) is not MISSING}

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        self._change(key, lambda _: Entry(value, _end(ttl)))

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        return self._change(key, lambda entry: entry or Entry(value, _end(ttl))) is None

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        return self._change(key, lambda entry: entry and Entry(value, _end(ttl))) is not None

    def delete(self, key: str) -> bool:
        return self._change(key, lambda _: None) is not None

    def flush(self) -> None:
        with self._lock:
            for stored in [key for key in self._entries if key.startswith(self._stored(""))]:
                del self._entries[stored]

    def get_with_token(self, key: str) -> Found | Missing:
        # The value is its own token: what matters is what is stored.
        value = self.get(key)
        return MISSING if value is MISSING else Found(value, value)

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        new = Entry(value, _end(ttl))
        entry = self._change(key, lambda entry: new if entry and entry.value == token else entry)
        return entry is not None and entry.value == token

    def compare_and_delete(self, key: str, token: Any) -> bool:
        return self.compare_and_set(key, b"", token, 0)

    def get_and_delete(self, key: str) -> bytes | Missing:
        entry = self._change(key, lambda _: None)
        return entry.value if entry else MISSING

    def touch(self, key: str, ttl: float | None) -> bool:
        entry = self._change(key, lambda entry: entry and Entry(entry.value, _end(ttl)))
        return entry is not None

    def remaining_ttl(self, key: str) -> float | Missing | None:
        entry = self._change(key, lambda entry: entry)
        if entry is None:
            return MISSING
        return None if entry.expires == math.inf else entry.expires - time.monotonic()

    def increment(self, key: str, delta: int) -> int | Missing:
        def count(entry: Entry) -> Entry:
            return Entry(b"%d" % count_from(entry.value, delta, self.limits), entry.expires)

        before = self._change(key, lambda entry: entry and count(entry))
        return int(count(before).value) if before else MISSING

    def _change(self, key: str, change: Callable[[Entry | None], Entry | None]) -> Entry | None:
        """Put what ``change`` makes of an entry in its place; return what was there before.

        All of it is one atomic step. ``None`` is absence, before and after.
        """
        stored = self._stored(key)
        with self._lock:
            before = self._entries.get(stored)
            if before and before.expires <= time.monotonic():
                before = None
            after = change(before)
            if after and after.expires > time.monotonic():
                self._entries[stored] = after
                self._entries.move_to_end(stored)
                if len(self._entries) > self._size:
                    self._entries.popitem(last=False)
            else:
                self._entries.pop(stored, None)
            return before


def _end(ttl: float | None) -> float:
    return math.inf if ttl is None else time.monotonic() + ttl
