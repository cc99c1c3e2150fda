"""What is asked of whole Redis servers: listing, flushing, looking, statistics.

Each concerns every master, be it one or those of a cluster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis

from backends.endpoints import Endpoint
from backends.errors import BehindProxy, Failed, NotNow
from backends.parallel import at_once
from backends.portions import Portion
from backends.redis.analyzing import portions
from backends.redis.client import Client, checked
from backends.redis.endpoints import endpoints
from backends.redis.errors import Broken, failure, not_told_of_cluster
from backends.redis.listing import keys_of, page
from backends.redis.options import Target
from backends.redis.routes import Shard
from backends.redis.statistics import read, sections
from backends.statistics import ServerStatistics

# How often all masters are emptied while slots move from one to another.
PASSES: Final = 10
# In between, for the nodes to tell each other.
PAUSE_SECONDS: Final = 0.3


class Servers:
    """The servers of one Redis.

    :param client: which sends them what is about keys.
    """

    def __init__(self, target: Target, client: Client) -> None:
        self._target = target
        self._place = target.place
        self._database = target.database
        self._client = client
        self._route = client.route

    def list_keys(
        self, prefix: bytes, limit: int, cursor: str | None
    ) -> tuple[list[bytes], str | None]:
        """Return a page of keys; see :mod:`backends.redis.listing`."""
        with self._failures(reading=True):
            if cursor is None:
                self._refuse_a_part()
            return page(self._route.shards(), prefix, limit, cursor)

    def analyze(self, prefix: bytes, most: int) -> Iterator[Portion]:
        """Yield what stands under a prefix; see :mod:`backends.redis.analyzing`."""
        return portions(self, self._client, prefix, most)

    def shards(self) -> list[Shard]:
        """Return the masters.

        :raises BackendError: nobody could tell which they are, or this is a node of a cluster.
        """
        with self._failures(reading=True):
            self._refuse_a_part()
            return self._route.shards()

    def ask(self, shard: Shard, *arguments: bytes | str | int) -> Any:
        """Ask one master; return its reply.

        :raises BackendError: it refuses, or does not answer.
        """
        with self._failures(reading=True):
            return shard.ask(*arguments)

    def delete_all(self, prefix: bytes) -> None:
        """Delete every key that begins with ``prefix``, some at a time, wherever it moves."""

        def empty(shard: Shard) -> bool:
            found = False
            for keys in keys_of(shard, prefix):
                found = found or bool(keys)
                for outcome in self._client.delete_many(keys, repeatable=True):
                    checked(outcome)
            return found

        self._empty_all(empty)

    def flush_database(self) -> None:
        """Delete every key of the database, whoever's it is."""

        def empty(shard: Shard) -> bool:
            found = self._target.cluster and bool(shard.ask("DBSIZE"))
            shard.ask("FLUSHDB", "ASYNC")
            return found

        self._empty_all(empty)

    def _empty_all(self, empty: Callable[[Shard], bool]) -> None:
        """Empty all masters, until nothing can have gone from one to another meanwhile.

        :param empty: empties one; returns whether there was something.
        """
        with self._failures():
            self._refuse_a_part()
            for _ in range(PASSES):
                found = [empty(shard) for shard in self._route.shards()]
                if self._route.is_settled(in_halves=not any(found)):
                    return
                time.sleep(PAUSE_SECONDS)
        raise NotNow(f"{self._place} keeps moving its keys; some of them may be left.")

    def look(self) -> None:
        """See that every server answers, and is what the settings say; nothing is counted.

        :raises BackendError: of one that does not; of a cluster it names the node.
        """
        with self._failures(reading=True):
            self._refuse_a_part()
            shards = self._route.shards()
        found = at_once(_ping, shards)
        for number, (shard, error) in enumerate(zip(shards, found, strict=True), 1):
            if error is None:
                continue
            made = failure(error, self._place, reading=True, cluster=self._target.cluster)
            if len(shards) > 1 and isinstance(made, Failed):
                made.cause = (
                    f"Of the {len(shards)} masters of the cluster, number {number} (from slot "
                    f"{shard.slot} on) does not answer; the keys of the others are served."
                )
            raise made from error

    def _refuse_a_part(self) -> None:
        """Raise, where the server is a node of a cluster and the service does not know it."""
        if self._target.cluster:
            return
        (shard,) = self._route.shards()
        try:
            said = shard.ask("INFO", "cluster")
        except redis.ResponseError:
            # Without that right, who asks for a key is told by what the server answers.
            return
        except BehindProxy:
            # What is behind it is its own.
            return
        if isinstance(said, bytes) and b"cluster_enabled:1" in said:
            raise not_told_of_cluster(self._place)

    def statistics(self, section: str | None) -> list[ServerStatistics]:
        """Return what each master says of itself."""
        return read(self._route, self._place, self._database, section)

    def sections(self, known: Sequence[str]) -> tuple[str, ...]:
        """Return the sections of statistics that the first master has.

        :param known: those that need no question.
        """
        with self._failures(reading=True):
            return sections(self._route.shards()[0], known)

    def endpoints(self, stored: Callable[[str], bytes]) -> list[Endpoint]:
        """Return where the servers are; see :mod:`backends.redis.endpoints`."""
        return endpoints(self._target, self._route, stored)

    @contextmanager
    def _failures(self, *, reading: bool = False) -> Iterator[None]:
        """Turn what :meth:`Shard.ask` raises into our errors."""
        try:
            yield
        except (Broken, redis.RedisError) as error:
            self._route.learn()
            raise failure(
                error, self._place, reading=reading, cluster=self._target.cluster
            ) from error


def _ping(shard: Shard) -> Exception | None:
    try:
        shard.ask("PING")
    except redis.exceptions.NoPermissionError:
        # It answers.
        return None
    except (Broken, redis.RedisError) as error:
        return error
    return None
