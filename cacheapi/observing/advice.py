"""What an operator might change, in plain words: each advice from one stated rule.

``docs/backends.md``, "Statistics", has the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from backends.statistics import Figures, ServerStatistics, Signs
from cacheapi.amounts import counted

# The part of what there is that is much: of memory, connections, the largest value.
MUCH: Final = 0.8
HEALTHY_HIT_RATIO: Final = 0.8
# Fewer reads, and fewer entries, mean nothing yet.
FEWEST_READS: Final = 1000
FEWEST_ENTRIES: Final = 100
# The part of the entries that may live for ever.
MANY_WITHOUT_TTL: Final = 0.5


class Advice(NamedTuple):
    """What to look into.

    :ivar rule: the name of the rule that found it, one of :data:`RULES`.
    :ivar message: what is so, and what may help.
    """

    rule: str
    message: str


def advise(total: Figures, servers: Sequence[ServerStatistics]) -> list[Advice]:
    """Return what the rules find: of a service's sum, and of each of its servers."""
    found = [Advice(rule, message) for rule, find in OF_THE_SUM.items() for message in find(total)]
    for server in servers:
        if server.figures is None:
            continue
        place = f"{server.server}: " if len(servers) > 1 else ""
        found += [
            Advice(rule, f"{place}{message}")
            for rule, find in OF_A_SERVER.items()
            for message in find(server.figures, server.signs)
        ]
    return found + [Advice("twice", message) for message in _twice(servers)]


def _twice(servers: Sequence[ServerStatistics]) -> Iterator[str]:
    named: dict[tuple[int, int], list[str]] = {}
    for server in servers:
        if server.signs.process is not None:
            named.setdefault(server.signs.process, []).append(server.server)
    for places in named.values():
        if len(places) > 1:
            yield (
                f"{' and '.join(places)} have the same process id and start: they look like one "
                "server under several names. Then its figures are counted twice, and its keys are "
                "moved where one name is taken out: list it once."
            )


def _hit_ratio(total: Figures) -> Iterator[str]:
    ratio = total.hit_ratio
    reads = (total.get_hits or 0) + (total.get_misses or 0)
    if ratio is not None and reads >= FEWEST_READS and ratio < HEALTHY_HIT_RATIO:
        yield (
            f"Of {reads} reads, whoever made them, {ratio:.0%} were hits; a healthy cache has "
            f"{HEALTHY_HIT_RATIO:.0%}. Are values stored before they are read, do they live long "
            "enough, do writer and reader name the key alike?"
        )


def _evictions(total: Figures) -> Iterator[str]:
    if total.evictions:
        yield (
            f"{counted(total.evictions, 'entry was', 'entries were')} evicted to make room since "
            "the start. Give the cache more memory, or the values shorter lifetimes."
        )


def _memory(figures: Figures, _signs: Signs) -> Iterator[str]:
    if _is_much(figures.bytes, figures.limit_bytes):
        yield (
            f"{_part(figures.bytes, figures.limit_bytes)} of the memory is taken. At the limit "
            "entries are evicted or writes refused: raise it (memcached's -m, Redis's maxmemory, "
            "the file's CACHE_FILE_MAX_MB), or give the values shorter lifetimes."
        )


def _connections(figures: Figures, _signs: Signs) -> Iterator[str]:
    if _is_much(figures.curr_connections, figures.max_connections):
        yield (
            f"{figures.curr_connections} of {figures.max_connections} connections are taken. At "
            "the limit clients are refused: raise it (memcached's -c, Redis's maxclients), or run "
            "fewer workers."
        )


def _slabs(_figures: Figures, signs: Signs) -> Iterator[str]:
    if signs.starved_slabs:
        numbers = ", ".join(map(str, signs.starved_slabs))
        yield (
            f"Full slab classes evict while others have memory to spare: {numbers}. Restart with "
            "another growth factor (-f 1.1: smaller chunks, more classes), so that the memory is "
            "divided anew."
        )


def _value_size(_figures: Figures, signs: Signs) -> Iterator[str]:
    if _is_much(signs.largest_value, signs.max_value):
        yield (
            f"The largest values have about {signs.largest_value} bytes, of {signs.max_value} that "
            "one may have. Larger ones are refused: raise the limit (memcached's -I, "
            "the file's CACHE_FILE_MAX_MB), or divide the values."
        )


def _no_ttl(figures: Figures, signs: Signs) -> Iterator[str]:
    items, forever = figures.curr_items or 0, signs.keys_without_ttl or 0
    if items >= FEWEST_ENTRIES and forever > items * MANY_WITHOUT_TTL:
        yield (
            f"{forever} of {items} entries never expire. They stay until they are deleted or "
            "evicted; store with a ttl, and see that the default is not 0."
        )


def _no_cas(_figures: Figures, signs: Signs) -> Iterator[str]:
    if signs.cas is False:
        yield (
            "It runs without CAS (memcached's -C): If-Match, pull and clear are refused, and what "
            "anybody stores within the second of a flush is lost. Start it without -C."
        )


OF_THE_SUM: Final[dict[str, Callable[[Figures], Iterator[str]]]] = {
    "hit-ratio": _hit_ratio,
    "evictions": _evictions,
}
OF_A_SERVER: Final[dict[str, Callable[[Figures, Signs], Iterator[str]]]] = {
    "memory": _memory,
    "connections": _connections,
    "slabs": _slabs,
    "value-size": _value_size,
    "no-ttl": _no_ttl,
    "no-cas": _no_cas,
}
RULES: Final = (*OF_THE_SUM, *OF_A_SERVER, "twice")


def _is_much(taken: int | None, limit: int | None) -> bool:
    return bool(taken and limit and taken > limit * MUCH)


def _part(taken: int | None, limit: int | None) -> str:
    return f"{(taken or 0) / (limit or 1):.0%}"
