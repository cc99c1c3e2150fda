"""Keys by pages, from SCAN, which gives neither pages of a size nor a place to go on from.

SCAN promises that a key that is there all the time is found, whatever is written meanwhile.
A page takes as many steps of it as it needs. What the last step found too much goes into
the cursor, and is the beginning of the next page; so nothing is asked for twice, and a key
is listed once unless the server makes its table smaller in between.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from backends.cursors import cursor_text, place_of
from backends.errors import InvalidCursor
from backends.redis.routes import Shard

# A step that finds little looks at this many keys. A page ends after so many steps, full or
# not, or empty: of a large database with few keys of this prefix, no request waits for the end.
# So many keys are looked through in some 20 ms; the documentation says the number.
STEP: Final = 1000
STEPS: Final = 20
# Cursors travel in URLs. Only very long keys make one longer; then the page is longer.
LONGEST_CURSOR: Final = 6000

_GLOB: Final = re.compile(rb"([*?\[\]\\])")
# Past all slots: only what is left over is still to be listed.
_END: Final = 2**14
_HEAD: Final = struct.Struct("!HIQ")
_SIZE: Final = struct.Struct("!I")


class Position(NamedTuple):
    """Where a listing goes on.

    :ivar slot: the first slot of the shard.
    :ivar identity: of its server: a position is another server's no more.
    :ivar cursor: of the next SCAN.
    :ivar left: found already, not yet listed.
    """

    slot: int
    identity: int
    cursor: int
    left: tuple[bytes, ...]

    def text(self, prefix: bytes) -> str:
        """Return the cursor that a client gets of a list of what begins with ``prefix``."""
        sized = b"".join(_SIZE.pack(len(key)) + key for key in self.left)
        head = _HEAD.pack(self.slot, self.identity, self.cursor)
        return cursor_text(head + sized, prefix)


def parse(text: str, prefix: bytes) -> Position:
    """Return the position that a cursor of a list of what begins with ``prefix`` stands for.

    :raises InvalidCursor: it is none of ours.
    """
    raw = place_of(text, prefix)
    try:
        slot, identity, cursor = _HEAD.unpack_from(raw)
        left, at = [], _HEAD.size
        while at < len(raw):
            (size,) = _SIZE.unpack_from(raw, at)
            at += _SIZE.size + size
            if at > len(raw):
                raise ValueError
            left.append(raw[at - size : at])
    except (ValueError, struct.error) as error:
        raise InvalidCursor from error
    return Position(slot, identity, cursor, tuple(left))


def _identity(shard: Shard) -> int:
    return zlib.crc32(str(shard.address).encode())


def pattern(prefix: bytes) -> bytes:
    """Return the glob pattern of all keys that begin with ``prefix``."""
    return _GLOB.sub(rb"\\\1", prefix) + b"*"


def step(shard: Shard, prefix: bytes, cursor: int, count: int) -> tuple[int, list[bytes]]:
    """Do one SCAN of about ``count`` keys; return the cursor of the next, 0 at the end, and keys.

    :raises Exception: as :meth:`~backends.redis.routes.Shard.ask`.
    """
    reply = shard.ask("SCAN", cursor, "MATCH", pattern(prefix), "COUNT", count)
    return int(reply[0]), reply[1]


def keys_of(shard: Shard, prefix: bytes) -> Iterator[list[bytes]]:
    """Yield all keys of a shard that begin with ``prefix``, of whatever type, step by step.

    :raises Exception: as :meth:`~backends.redis.routes.Shard.ask`.
    """
    cursor, keys = step(shard, prefix, 0, STEP)
    yield keys
    while cursor != 0:
        cursor, keys = step(shard, prefix, cursor, STEP)
        yield keys


def page(
    shards: Sequence[Shard], prefix: bytes, limit: int, cursor: str | None
) -> tuple[list[bytes], str | None]:
    """Return up to ``limit`` keys of whatever type under ``prefix``, and the next cursor.

    :raises InvalidCursor: the cursor is none of ours.
    :raises Exception: as :meth:`~backends.redis.routes.Shard.ask`.
    """
    found: dict[bytes, None] = {}
    index = at = 0
    if cursor is not None:
        position = parse(cursor, prefix)
        found = dict.fromkeys(key for key in position.left if key.startswith(prefix))
        index, at = _resume(shards, position)
    small = True
    for _ in range(STEPS):
        if index == len(shards) or len(found) >= limit:
            break
        room = limit - len(found)
        after, keys = step(shards[index], prefix, at, room if small else STEP)
        if not small and len(keys) > room:
            # The same step again, shorter: what is left over should be a few keys.
            small = True
            continue
        found.update(dict.fromkeys(keys))
        small = bool(keys)
        at = after
        index += at == 0
    listed = list(found)
    done = index == len(shards)
    if done and len(listed) <= limit:
        return listed, None
    following = Position(
        _END if done else shards[index].slot,
        0 if done else _identity(shards[index]),
        at,
        tuple(listed[limit:]),
    )
    if len(following.text(prefix)) > LONGEST_CURSOR:
        return listed, None if done else following._replace(left=()).text(prefix)
    return listed[:limit], following.text(prefix)


def _resume(shards: Sequence[Shard], position: Position) -> tuple[int, int]:
    """Return the index of the shard to go on with, and the cursor of its SCAN."""
    if position.slot == _END:
        return len(shards), 0
    index = max((i for i, shard in enumerate(shards) if shard.slot <= position.slot), default=0)
    # Another server has the slot now: its keys have an order of their own.
    same = bool(shards) and _identity(shards[index]) == position.identity
    return index, position.cursor if same else 0
