"""What the Redis backend asks for, over its route: commands, scripts, listing, flushing.

Replies come back checked, failures as the errors of :mod:`backends.errors`. This is the one
module of redis-py's rooms that the backend itself imports, when it is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from typing import Final

import redis

from backends.base import Item, not_tried
from backends.endpoints import Endpoint
from backends.errors import BackendError, NotNow, Unavailable
from backends.redis.cluster import ClusterRoute
from backends.redis.endpoints import endpoints
from backends.redis.errors import Broken, failure
from backends.redis.listing import keys_of, page
from backends.redis.options import Target
from backends.redis.routes import Route, SentinelRoute, Shard, SingleRoute
from backends.redis.statistics import read
from backends.redis.wire import Command, Reply, pack, pack_stores
from backends.statistics import ServerStatistics

# Bounds the memory that the replies of one batch take, here and on the server.
COMMANDS_AT_ONCE: Final = 500
KEYS_AT_ONCE: Final = 1000
# How often all masters are emptied while slots move from one to another.
PASSES: Final = 10
# In between, for the nodes to tell each other.
PAUSE_SECONDS: Final = 0.3

Argument = bytes | str | int


class Script:
    """A Lua script of ``backends/redis/scripts``, which Redis runs as one atomic step."""

    def __init__(self, name: str) -> None:
        self.text = (Path(__file__).with_name("scripts") / f"{name}.lua").read_text()
        # The name under which Redis keeps a script; no secret depends on it.
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


COMPARE_AND_SET: Final = Script("compare_and_set")
COMPARE_AND_DELETE: Final = Script("compare_and_delete")
TOUCH: Final = Script("touch")
INCREMENT: Final = Script("increment")


class Client:
    """Commands to one Redis. It serves all threads, and each process after a fork."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._place = target.place
        self._database = target.database
        self._route: Route
        if target.cluster:
            self._route = ClusterRoute(target)
        elif target.sentinels:
            self._route = SentinelRoute(target)
        else:
            self._route = SingleRoute(target)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys in order, ``None`` for one that is absent or no string."""
        if self._route.across_keys:
            starts = range(0, len(keys), KEYS_AT_ONCE)
            commands = [
                (keys[start], pack("MGET", *keys[start : start + KEYS_AT_ONCE])) for start in starts
            ]
        else:
            commands = [(key, pack("MGET", key)) for key in keys]
        values: list[bytes | None] = []
        for reply in self._run_many(commands, repeatable=True, reading=True):
            part = _checked(reply)
            values += part if isinstance(part, list) else []
        if len(values) != len(keys):
            raise Unavailable(f"{self._place} answered something else than it was asked.")
        return values

    def exists(self, key: bytes) -> bool:
        """Return whether a key is there, whatever its type."""
        (reply,) = self._run_many([(key, pack("EXISTS", key))], repeatable=True, reading=True)
        return bool(_checked(reply))

    def remaining_ms(self, keys: Sequence[bytes]) -> list[int]:
        """Return what ``PTTL`` says of each key."""
        commands = [(key, pack("PTTL", key)) for key in keys]
        return [
            int(_checked(reply))
            for reply in self._run_many(commands, repeatable=True, reading=True)
        ]

    def run(self, name: str, key: bytes, *arguments: Argument, repeatable: bool = False) -> Reply:
        """Run a command that changes a key.

        :param repeatable: to run it twice means the same as to run it once.
        """
        command = (key, pack(name, key, *arguments))
        (reply,) = self._run_many([command], repeatable=repeatable, reading=False)
        return _checked(reply)

    def store_many(
        self, prefix: str, items: Sequence[Item], lifetimes: Mapping[float | None, int | None]
    ) -> list[Reply | BackendError]:
        """Store in order; return a reply or an error for each.

        The arguments are those of :func:`~backends.redis.wire.pack_stores`.
        """
        commands = pack_stores(prefix, items, lifetimes)
        return self._run_many(commands, repeatable=True, reading=False)

    def delete_many(self, keys: Iterable[bytes], *, repeatable: bool) -> list[Reply | BackendError]:
        """Delete in order; return for each how many there were, or an error."""
        commands = [(key, pack("UNLINK", key)) for key in keys]
        return self._run_many(commands, repeatable=repeatable, reading=False)

    def _run_many(
        self, commands: Sequence[Command], *, repeatable: bool, reading: bool
    ) -> list[Reply | BackendError]:
        replies: list[Reply | BackendError] = []
        for start in range(0, len(commands), COMMANDS_AT_ONCE):
            part = commands[start : start + COMMANDS_AT_ONCE]
            some = self._route.run(part, repeatable=repeatable)
            replies += [
                failure(reply, self._place, reading=reading)
                if isinstance(reply, Exception)
                else reply
                for reply in some
            ]
            if Broken in map(type, some):
                # Each further part could take the whole time limit.
                replies += [not_tried() for _ in commands[start + COMMANDS_AT_ONCE :]]
                break
        return replies

    def run_script(
        self, script: Script, key: bytes, *arguments: Argument, repeatable: bool = False
    ) -> Reply:
        """Run a script on a key; the server has it from the first time on."""
        rest = (1, key, *arguments)
        command = (key, pack("EVALSHA", script.digest, *rest))
        (reply,) = self._route.run([command], repeatable=repeatable)
        if isinstance(reply, redis.exceptions.NoScriptError):
            command = (key, pack("EVAL", script.text, *rest))
            (reply,) = self._route.run([command], repeatable=repeatable)
        if isinstance(reply, Exception):
            raise failure(reply, self._place, reading=False)
        return reply

    def list_keys(
        self, prefix: bytes, limit: int, cursor: str | None
    ) -> tuple[list[bytes], str | None]:
        """Return a page of keys; see :mod:`backends.redis.listing`."""
        with self._failures(reading=True):
            return page(self._route.shards(), prefix, limit, cursor)

    def delete_all(self, prefix: bytes) -> None:
        """Delete every key that begins with ``prefix``, some at a time, wherever it moves."""

        def empty(shard: Shard) -> bool:
            found = False
            for keys in keys_of(shard, prefix):
                found = found or bool(keys)
                for outcome in self.delete_many(keys, repeatable=True):
                    _checked(outcome)
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
            for _ in range(PASSES):
                found = [empty(shard) for shard in self._route.shards()]
                if self._route.is_settled(in_halves=not any(found)):
                    return
                time.sleep(PAUSE_SECONDS)
        raise NotNow(f"{self._place} keeps moving its keys; some of them may be left.")

    def statistics(self, section: str | None) -> list[ServerStatistics]:
        """Return what each master says of itself."""
        return read(self._route, self._place, self._database, section)

    def endpoints(self, stored: Callable[[str], bytes]) -> list[Endpoint]:
        """Return where the servers are; see :mod:`backends.redis.endpoints`."""
        return endpoints(self._target, self._route, stored)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._route.close()

    @contextmanager
    def _failures(self, *, reading: bool = False) -> Iterator[None]:
        """Turn what :meth:`Shard.ask` raises into our errors."""
        try:
            yield
        except (Broken, redis.RedisError) as error:
            self._route.learn()
            raise failure(error, self._place, reading=reading) from error


def _checked(reply: Reply | BackendError) -> Reply:
    if isinstance(reply, BackendError):
        raise reply
    return reply
