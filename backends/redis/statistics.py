"""What Redis says of itself: ``INFO`` of each master, and how many keys its database has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis

from backends.errors import Failed
from backends.parallel import at_once
from backends.redis.errors import Broken, failure
from backends.redis.proxies import refuse_what_is_unknown
from backends.redis.routes import Route, Shard
from backends.redis.wire import pack
from backends.statistics import Figures, ServerStatistics, Signs, number_or_text

_FIGURES: Final = {
    "get_hits": "keyspace_hits",
    "get_misses": "keyspace_misses",
    "evictions": "evicted_keys",
    "bytes": "used_memory",
    "limit_bytes": "maxmemory",
    "bytes_read": "total_net_input_bytes",
    "bytes_written": "total_net_output_bytes",
    "curr_connections": "connected_clients",
    "max_connections": "maxclients",
    "uptime": "uptime_in_seconds",
}

# More than any server has.
MOST_SECTIONS: Final = 100
MOST_WORDS: Final = 5

Raw = dict[str, Any]


def read(route: Route, place: str, database: int, section: str | None) -> list[ServerStatistics]:
    """Ask all masters at once.

    :param place: the servers, as a message names them.
    :param database: the one whose keys are counted.
    """
    try:
        shards = route.shards()
    except (Broken, redis.RedisError) as error:
        route.learn()
        return [_unreached(place, error, place)]
    found = at_once(lambda shard: _read_one(shard, database, section), shards)
    if any(each.figures is None for each in found):
        # Another may be the master by now.
        route.learn()
    return found


def _read_one(shard: Shard, database: int, section: str | None) -> ServerStatistics:
    server = "Unix socket" if shard.address is None else str(shard.address)
    commands = [pack("INFO"), pack("DBSIZE"), *([pack("INFO", section)] if section else [])]
    replies = shard.server.exchange(commands)
    refuse_what_is_unknown(shard.server, "Redis", commands[0], replies)
    for reply in replies:
        if isinstance(reply, Exception):
            place = "Redis at its Unix socket" if shard.address is None else f"Redis at {server}"
            return _unreached(server, reply, place)
    general, size, *rest = replies
    figures, signs = _figures(_parse(general), size, database)
    return ServerStatistics(server, figures, _parse([*rest, general][0]), signs=signs)


def sections(shard: Shard, known: Sequence[str]) -> tuple[str, ...]:
    """Return the sections of ``INFO`` that a server has, by the names that it takes for them.

    It heads a section with a text; its name may be that with or without what parts the words.

    :param known: names that need not be tried.
    :raises Broken: as :meth:`Shard.ask`.
    """
    text = shard.ask("INFO", "everything").decode(errors="replace")
    found = []
    for line in text.splitlines():
        if not line.startswith("# "):
            continue
        words = line[2:].lower().split()[:MOST_WORDS]
        names = list(dict.fromkeys(("_".join(words), "".join(words))))
        if len(names) > 1:
            names = [name for name in names if name in known or shard.ask("INFO", name)]
        found += names[:1]
    return tuple(dict.fromkeys([*known, *found[:MOST_SECTIONS]]))


def _unreached(server: str, error: Exception, place: str) -> ServerStatistics:
    made = failure(error, place, reading=True)
    cause = made.cause if isinstance(made, Failed) else ""
    return ServerStatistics(server, None, {}, str(made), cause=cause)


def _figures(info: Raw, size: int, database: int) -> tuple[Figures, Signs]:
    numbers = {ours: _number(info.get(name)) for ours, name in _FIGURES.items()}
    # Redis's word for no limit.
    numbers["limit_bytes"] = numbers["limit_bytes"] or None
    keys = info.get(f"db{database}", {})
    without_ttl = keys["keys"] - keys["expires"] if "expires" in keys else 0
    return Figures(curr_items=size, **numbers), Signs(keys_without_ttl=without_ttl)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _parse(text: bytes) -> Raw:
    """Parse a reply to ``INFO``: ``name:value`` lines; a value may be ``name=value,…`` itself."""
    pairs = (
        line.split(":", 1)
        for line in text.decode(errors="replace").splitlines()
        if ":" in line and not line.startswith("#")
    )
    return {name: _value(value) for name, value in pairs}


def _value(text: str) -> Any:
    if "=" in text:
        parts: Sequence[list[str]] = [part.split("=", 1) for part in text.split(",")]
        if all(len(part) == 2 for part in parts):
            return {name: _value(value) for name, value in parts}
    return number_or_text(text)
