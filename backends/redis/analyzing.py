"""What fills a Redis: keys from SCAN, ``MEMORY USAGE`` and ``PTTL`` of each.

SCAN goes through a server's table in the order of its hashes, so the keys that come first are
a random sample of all. Without a pattern it is known how many were looked at. Of several
masters each is looked at in proportion to its keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from backends.errors import BackendError, BehindProxy
from backends.portions import Measured, Portion, name_of
from backends.redis.limits import NO_SUCH_KEY, seconds_left
from backends.redis.routes import Shard
from backends.redis.wire import Reply

if TYPE_CHECKING:
    from backends.redis.client import Client
    from backends.redis.servers import Servers

# Of one step: a few milliseconds of the server.
STEP: Final = 500
WITHOUT_MEMORY: Final = (
    "The server does not tell this user the memory that a key takes (MEMORY USAGE), so sizes are "
    "those of values alone, and only strings have one."
)


class _Place:
    """One master, and how far it was looked through."""

    def __init__(self, shard: Shard, held: int) -> None:
        self.shard, self.held = shard, held
        self.cursor = self.seen = 0
        self.quota: float = math.inf
        self.done = self.stopped = False


def portions(servers: Servers, client: Client, prefix: bytes, most: int) -> Iterator[Portion]:
    """Yield what stands under a prefix, step by step.

    A master that fails is left out, and a note says so; all of them fail as the first does.

    :param most: about how many keys are looked at.
    :raises BackendError: nothing could be looked at.
    """
    places, errors = _places(servers)
    held = sum(place.held for place in places)
    if held > most:
        for place in places:
            place.quota = math.ceil(most * place.held / held)
    notes = [f"Not looked at: {error}" for error in errors]
    sizes = _Sizes(client)
    waiting = places
    while waiting:
        for place in waiting:
            try:
                keys = _step(servers, place)
                entries = sizes.of([key for key in keys if key.startswith(prefix)], len(prefix))
            except BehindProxy:
                raise
            except BackendError as error:
                if len(places) == 1:
                    raise
                place.stopped = True
                notes.append(f"Not looked at to the end: {error}")
                continue
            yield Portion(entries, len(keys), held, notes=tuple(notes))
        waiting = [place for place in waiting if not place.stopped]
    if sizes.without_memory:
        notes.append(WITHOUT_MEMORY)
    yield Portion([], 0, held, not errors and all(place.done for place in places), tuple(notes))


def _places(servers: Servers) -> tuple[list[_Place], list[BackendError]]:
    places: list[_Place] = []
    errors: list[BackendError] = []
    for shard in servers.shards():
        try:
            places.append(_Place(shard, servers.ask(shard, "DBSIZE")))
        except BehindProxy:
            raise
        except BackendError as error:
            errors.append(error)
    if not places:
        raise errors[0]
    return places, errors


def _step(servers: Servers, place: _Place) -> list[bytes]:
    count = int(min(STEP, max(1, place.quota - place.seen)))
    cursor, keys = servers.ask(place.shard, "SCAN", place.cursor, "COUNT", count)
    place.cursor = int(cursor)
    place.seen += len(keys)
    place.done = not place.cursor
    place.stopped = place.done or place.seen >= place.quota
    found: list[bytes] = keys
    return found


class _Sizes:
    """How large keys are, by what the server tells this user.

    :ivar without_memory: ``MEMORY USAGE`` it does not tell.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.without_memory = False

    def of(self, keys: Sequence[bytes], prefix: int) -> list[Measured]:
        """Return what is known of keys that are still there.

        :raises BackendError: the server does not answer.
        """
        if not keys:
            return []
        lefts = self._client.remaining_ms(keys)
        sizes = self._ask(keys)
        return [
            Measured(
                name_of(key, prefix),
                size if isinstance(size, int) else 0,
                seconds_left(left),
            )
            for key, left, size in zip(keys, lefts, sizes, strict=True)
            if left != NO_SUCH_KEY
        ]

    def _ask(self, keys: Sequence[bytes]) -> Sequence[Reply | BackendError]:
        if not self.without_memory:
            replies = self._client.memory(keys)
            if not any(isinstance(reply, BackendError) for reply in replies):
                return replies
            # It answered the question before: it does not know this one, or may not tell.
            self.without_memory = True
        return self._client.lengths(keys)
