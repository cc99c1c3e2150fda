"""Entries summed up by the prefixes of their keys, in bounded memory, whatever the keys are.

A key ``user:42:name`` belongs to the prefix ``user:42:``. Where there are too many prefixes the
smallest become a part of what they begin with, ``user:``, and that at last of the empty one. So
each entry counts once, in the longest prefix that is told, and what is large is told by itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from backends.portions import Measured

# Prefixes that are kept; those that are told are fewer.
MOST_PREFIXES: Final = 1000
LONGEST_PREFIX: Final = 200
LARGEST: Final = 20
# With more prefixes than these, those below the share are told as a part of a shorter one.
FEW: Final = 20
LEAST_SHARE: Final = 0.01
# And so are those below this share of a prefix that all of them begin with, as ids of users are.
LEAST_OF_PARENT: Final = 0.1
# Of those that are left the smallest are, until so few are told.
MOST_TOLD: Final = 30

DEPTH: Final = 2
DEEPEST: Final = 8
SEPARATOR: Final = ":"
LONGEST_SEPARATOR: Final = 8

# Of lifetimes left: the most seconds of each class but the last.
LIFETIMES: Final = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
FOREVER: Final = "forever"
LONGER: Final = "longer"
CLASSES: Final = (*LIFETIMES, LONGER, FOREVER)


class Group:
    """What the entries of a prefix are together.

    :ivar lifetimes: how many have what left, by :data:`CLASSES`.
    """

    __slots__ = ("bytes", "keys", "lifetimes")

    def __init__(self) -> None:
        self.keys = 0
        self.bytes = 0
        self.lifetimes = dict.fromkeys(CLASSES, 0)

    def add(self, size: int, ttl: float | None) -> None:
        """Count an entry."""
        self.keys += 1
        self.bytes += size
        self.lifetimes[class_of(ttl)] += 1

    def join(self, other: Group) -> None:
        """Count all that another has."""
        self.keys += other.keys
        self.bytes += other.bytes
        for name, number in other.lifetimes.items():
            self.lifetimes[name] += number


class Prefixes:
    """A summary of entries.

    :param depth: how many parts of a key a prefix has at most.
    :param separator: what parts end with.
    :ivar total: of all entries.
    """

    def __init__(
        self, depth: int = DEPTH, separator: str = SEPARATOR, most: int = MOST_PREFIXES
    ) -> None:
        self.total = Group()
        self._depth, self._separator, self._most = depth, separator, most
        self._groups: dict[str, Group] = {}
        self._largest: list[tuple[int, str, float | None]] = []

    def add(self, entries: Iterable[Measured]) -> None:
        """Count entries."""
        for key, size, ttl in entries:
            self.total.add(size, ttl)
            prefix = self._prefix(key)
            group = self._groups.get(prefix)
            if group is None:
                group = self._groups[prefix] = Group()
            group.add(size, ttl)
            # None and a number cannot be compared, where size and key are the same.
            item = size, key, -1.0 if ttl is None else ttl
            if len(self._largest) < LARGEST:
                heapq.heappush(self._largest, item)
            elif item > self._largest[0]:
                heapq.heapreplace(self._largest, item)
        while len(self._groups) > self._most:
            # Half of them, so that it is done seldom; what is large is never among them.
            small = sorted(filter(None, self._groups), key=lambda each: self._groups[each].bytes)
            _fold(self._groups, small[: (len(small) + 1) // 2], self._separator)

    def largest(self) -> list[Measured]:
        """Return the largest entries, the largest first."""
        return [
            Measured(key, size, None if ttl == -1.0 else ttl)
            for size, key, ttl in sorted(self._largest, key=lambda each: (-each[0], each[1]))
        ]

    def told(self) -> list[tuple[str, Group]]:
        """Return the prefixes that are worth a line, the largest first."""
        groups: dict[str, Group] = {}
        for prefix, group in self._groups.items():
            groups.setdefault(prefix, Group()).join(group)
        if len(groups) > FEW:
            for parts in range(self._depth, 0, -1):
                self._fold_level(groups, parts)
            while len(groups) > MOST_TOLD:
                least = min(filter(None, groups), key=lambda each: self._share(groups[each]))
                _fold(groups, [least], self._separator)
        return sorted(groups.items(), key=lambda each: (-each[1].bytes, each[0]))

    def _prefix(self, key: str) -> str:
        parts = key.split(self._separator, self._depth)[:-1]
        prefix = "".join(f"{part}{self._separator}" for part in parts)
        while len(prefix) > LONGEST_PREFIX:
            prefix = parent(prefix, self._separator)
        return prefix

    def _fold_level(self, groups: dict[str, Group], parts: int) -> None:
        """Fold what is small of the prefixes of so many parts."""
        families: dict[str, list[str]] = {}
        for each in groups:
            if each.count(self._separator) == parts:
                families.setdefault(parent(each, self._separator), []).append(each)
        for above, below in families.items():
            whole, share = self.total, LEAST_SHARE
            if above and len(below) > FEW // 2:
                whole, share = Group(), LEAST_OF_PARENT
                for each in (above, *below):
                    whole.join(groups.get(each, Group()))
            small = [
                each
                for each in below
                if _is_small(groups[each], self.total, LEAST_SHARE)
                or _is_small(groups[each], whole, share)
            ]
            _fold(groups, small, self._separator)

    def _share(self, group: Group) -> float:
        """Return the larger of its shares, of the entries and of their bytes."""
        return max(group.keys / self.total.keys, group.bytes / (self.total.bytes or 1))


def _is_small(group: Group, whole: Group, share: float) -> bool:
    return group.keys < max(2, share * whole.keys) and group.bytes < share * whole.bytes


def class_of(ttl: float | None) -> str:
    """Return which of :data:`CLASSES` a lifetime is in."""
    if ttl is None:
        return FOREVER
    return next((name for name, most in LIFETIMES.items() if ttl <= most), LONGER)


def parent(prefix: str, separator: str) -> str:
    """Return the prefix that is one part shorter."""
    head, found, _ = prefix[: -len(separator)].rpartition(separator)
    return head + found


def _fold(groups: dict[str, Group], prefixes: Iterable[str], separator: str) -> None:
    """Make groups a part of those of the shorter prefixes."""
    for prefix in list(prefixes):
        group = groups.pop(prefix)
        groups.setdefault(parent(prefix, separator), Group()).join(group)
