"""What the suite tries out, and how."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, Final, TypeVar

import pytest

from backends.base import Backend, Found, Item
from backends.capabilities import Capability
from backends.errors import Unsupported
from backends.statistics import Figures

T = TypeVar("T")

THREADS: Final = 8
ROUNDS: Final = 10
LONGEST_KEY: Final = 1_000_000
DAYS: Final = 24 * 60 * 60.0

VALUES: Final = {
    "empty": b"",
    "zero byte": b"\0",
    "line ends": b"a\r\nb\r\nEND\r\n",
    "UTF-8": '{"ключ":"値 👩\u200d🚀"}'.encode(),
    "100 kB of all bytes": bytes(range(256)) * 400,
}
# All of them different keys, however alike they look to a file system, SQL or a URL.
KEYS: Final = (
    *("a", "A", "aa", "a/", "a/b", "a//b", "a%2Fb", "/a", "/", "//", ".", "..", "../a", "a/../b"),
    *("\u00e4", "a\u0308", "\u00c4", "\u212b", "\u00c5", "A\u030a", "\ufb01", "fi", "FI"),
    *("ss", "SS", "\u00df", "\u1e9e", "i", "I", "\u0130", "\u0131", "\u03c3", "\u03c2"),
    *("ключ", "キー", "👩\u200d🚀", "👩🚀", "👩", "\U0010ffff", "\ufeffa", "a\u200b", "a\u00a0"),
    *("%", "_", "*", "?", "a*", "[a]", "{a}", "a,b", "a;b", "a'b", 'a"b', "a\\b", "a:b", "--"),
    *("0", "00", "-1", "1e3", "null", "true", "\u0660", "\u2167"),
)
UNUSUAL_KEYS: Final = ("a b", " ", "a ", " a", "a\tb", "a\n", "a\r\nb", "\0", "a\0b", "\x7f")
NO_INTEGERS: Final = (
    b"",
    b"text",
    b"1.5",
    b"1e3",
    b"0x10",
    b'"7"',
    b"\xff",
    b"true",
    b"7 dwarfs",
    b"+5",
)

CALLS: Final[dict[Capability, tuple[Callable[[Backend], object], ...]]] = {
    Capability.LIST_KEYS: (lambda backend: backend.list_keys("", 10, None),),
    Capability.INCREMENT: (lambda backend: backend.increment("key", 1),),
    Capability.REMAINING_TTL: (
        lambda backend: backend.remaining_ttl("key"),
        lambda backend: backend.remaining_ttl_many(["key"]),
    ),
    Capability.TOUCH: (lambda backend: backend.touch("key", None),),
    Capability.GET_AND_DELETE: (lambda backend: backend.get_and_delete("key"),),
    Capability.STATS: (lambda backend: backend.stats(),),
    Capability.ANALYZE: (lambda backend: backend.analyze(10),),
    Capability.COMPARE_AND_SET: (
        lambda backend: backend.get_with_token("key"),
        lambda backend: backend.compare_and_set("key", b"", None, None),
        lambda backend: backend.compare_and_delete("key", None),
    ),
}

Test = Callable[[Any, Backend], None]


def needs(capability: Capability) -> Callable[[Test], Test]:
    """Run a test where the flag is on; where it is off, expect its calls to be refused."""

    def decorate(test: Test) -> Test:
        @wraps(test)
        def either_side(self: Any, backend: Backend) -> None:
            if capability in backend.capabilities:
                test(self, backend)
                return
            for call in CALLS[capability]:
                with pytest.raises(Unsupported) as refusal:
                    call(backend)
                assert refusal.value.capability is capability

        return either_side

    return decorate


def at_once(work: Callable[[], T]) -> list[T]:
    """Return what ``work`` returns in each of several threads that start together."""
    barrier = threading.Barrier(THREADS)

    def run() -> T:
        barrier.wait(10)
        return work()

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(THREADS)]]


def with_prefix(backend: Backend, prefix: str) -> Backend:
    """Return a neighbour: the same store under another prefix."""
    neighbour = copy.copy(backend)
    neighbour.prefix = prefix
    return neighbour


def all_keys(backend: Backend, prefix: str, limit: int) -> list[str]:
    """Return the keys of all pages, sorted; a page has ``limit`` at most."""
    keys, cursor = backend.list_keys(prefix, limit, None)
    while cursor is not None:
        page, cursor = backend.list_keys(prefix, limit, cursor)
        assert len(page) <= limit
        keys += page
    return sorted(keys)


def token_of(backend: Backend, key: str) -> Any:
    """Return the token of a key that is there."""
    found = backend.get_with_token(key)
    assert isinstance(found, Found)
    return found.token


def reads_of(backend: Backend) -> tuple[int, int] | None:
    """Return how many reads of all servers found something, and how many did not.

    :return: ``None``: the servers do not say.
    """
    hits = misses = 0
    for found in backend.stats():
        figures = found.figures or Figures()
        if figures.get_hits is None or figures.get_misses is None:
            return None
        hits += figures.get_hits
        misses += figures.get_misses
    return hits, misses


def write_all(backend: Backend, ttl: float | None) -> list[str]:
    """Store ``value`` for ``ttl`` in every way there is; return the keys."""
    for key in ("set", "replaced", "touched", "compared"):
        backend.set(key, b"value", 60)
    backend.set("set", b"value", ttl)
    assert backend.add("added", b"value", ttl) is True
    assert backend.replace("replaced", b"value", ttl) is True
    assert backend.set_many([Item("many", b"value", ttl)]) == [True]
    keys = ["set", "added", "replaced", "many"]
    if Capability.TOUCH in backend.capabilities:
        assert backend.touch("touched", ttl) is True
        keys.append("touched")
    if Capability.COMPARE_AND_SET in backend.capabilities:
        token = token_of(backend, "compared")
        assert backend.compare_and_set("compared", b"value", token, ttl) is True
        keys.append("compared")
    return keys
