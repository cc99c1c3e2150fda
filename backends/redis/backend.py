"""The Redis backend, for Valkey too: one server, Sentinel's master, or a cluster.

Every operation is one command or one script, atomic on the server. The token of a
conditional write is the value itself: the write is done if the value is still the same.
What would mean something else if it were done twice is never sent twice.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, cast

from backends.base import MISSING, VALUE, Backend, Described, Found, Item, Missing
from backends.capabilities import Capability, Limits, Traits
from backends.endpoints import Endpoint
from backends.errors import BackendError, BehindProxy, DriverMissing, Failed, InvalidOption
from backends.operations import (
    Add,
    Delete,
    GetAndDelete,
    Increment,
    Operation,
    Replace,
    Touch,
)
from backends.probe import Probe
from backends.redis.limits import LONGEST, milliseconds, refuse_too_large
from backends.redis.options import OPTIONS, Address, Url, target
from backends.redis.probe import RedisProbe
from backends.statistics import ServerStatistics

# How long what was learned of a proxy counts.
LEARNED_SECONDS: Final = 5.0
# What PTTL says besides milliseconds.
_NO_SUCH_KEY: Final = -2
_NO_LIFETIME: Final = -1
# What TYPE says of what is no other program's; it may have ended meanwhile, or not be told.
_STRINGS: Final = frozenset({"string", "none", None})
# What a read gives that has not failed.
_READ: Final = frozenset({bytes, type(None)})


class RedisBackend(Backend):
    """A cache on Redis 6.2 or later, or on Valkey.

    :param hosts: the server, or start nodes of a cluster; one without a port uses ``port``.
    :param url: wins over the parameters that it names too.
    :param sentinels: ask them for the master ``sentinel_master``, instead of ``hosts``.
    :param timeout_ms: bound on connecting and on each reply, in milliseconds.
    :param allow_flushdb: with an empty prefix, let :meth:`flush` empty the whole database.
    """

    driver = "redis"
    label = "Redis"
    service_name = "redis"
    service_type = "cache_redis"
    options = OPTIONS
    traits = Traits(
        title="Redis",
        description="A cache on Redis or Valkey: one server, Sentinel's master, or a cluster.",
        needs="a Redis server 6.2 or later or a Valkey server, `cacheapi[redis]`",
        shared_by="all machines",
        eviction="as the server's `maxmemory-policy` says; by default writes are refused",
        persistence="as the server's `save` and `appendonly` say",
        replication="the server's own, asynchronous",
        data_types="JSON values, as strings",
        max_value="512 MB",
    )
    capabilities = frozenset(Capability)
    lost_behind_proxy = frozenset({Capability.STATS, Capability.LIST_KEYS, Capability.FLUSH_PREFIX})
    limits = Limits(max_key_bytes=LONGEST)
    sets_many_at_once = True
    performs_at_once = True
    stats_sections = (
        *("server", "clients", "memory", "persistence", "stats", "replication", "cpu"),
        *("commandstats", "errorstats", "cluster", "keyspace"),
    )

    def __init__(
        self,
        *,
        hosts: tuple[Address, ...],
        port: int = 6379,
        username: str | None = None,
        password: str | None = None,
        database: int = 0,
        prefix: str = "",
        url: Url | None = None,
        tls: bool = False,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
        tls_verify: bool = True,
        sentinels: tuple[Address, ...] | None = None,
        sentinel_port: int = 26379,
        sentinel_master: str = "mymaster",
        sentinel_username: str | None = None,
        sentinel_password: str | None = None,
        sentinel_tls: bool | None = None,
        cluster: bool = False,
        timeout_ms: int = 500,
        allow_flushdb: bool = False,
    ) -> None:
        super().__init__(prefix=prefix)
        try:
            from backends.redis.client import Client
            from backends.redis.comparing import Compared
        except ImportError as error:
            raise DriverMissing(
                "CACHE_DRIVER=redis needs redis-py: pip install 'cacheapi[redis]'"
            ) from error
        made = target(
            hosts=hosts,
            port=port,
            url=url,
            username=username,
            password=password,
            database=database,
            tls=tls,
            tls_ca=tls_ca,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_verify=tls_verify,
            sentinels=sentinels,
            sentinel_port=sentinel_port,
            sentinel_master=sentinel_master,
            sentinel_username=sentinel_username,
            sentinel_password=sentinel_password,
            sentinel_tls=sentinel_tls,
            cluster=cluster,
            timeout_ms=timeout_ms,
        )
        if allow_flushdb and prefix:
            raise InvalidOption("REDIS_ALLOW_FLUSHDB needs an empty REDIS_PREFIX.")
        self._allow_flushdb = allow_flushdb
        self._places = made.places
        self._learn_at = 0.0
        self._client = Client(made)
        self._compared = Compared(self._client)

    # Reading

    def get(self, key: str) -> bytes | Missing:
        (value,) = self._client.get_each([self._stored(key)])
        if isinstance(value, BackendError):
            raise value
        return MISSING if value is None else value

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = self.get_each(keys)
        if {bytes}.issuperset(map(type, found.values())):
            return cast("dict[str, bytes]", found)
        raise next(value for value in found.values() if isinstance(value, BackendError))

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> dict[str, bytes | BackendError]:
        names = list(dict.fromkeys(keys))
        values = self._client.get_each([self._stored(key) for key in names], most)
        if not _READ.issuperset(map(type, values)):
            for value in values:
                if isinstance(value, Failed) and not value.apart:
                    raise value
        return {key: value for key, value in zip(names, values, strict=True) if value is not None}

    def get_with_token(self, key: str) -> Found | Missing:
        value = self.get(key)
        return MISSING if value is MISSING else Found(value, value)

    def remaining_ttl(self, key: str) -> float | Missing | None:
        return self.remaining_ttl_many([key]).get(key, MISSING)

    def remaining_ttl_many(self, keys: Iterable[str]) -> dict[str, float | None]:
        names = list(dict.fromkeys(keys))
        lefts = self._client.remaining_ms([self._stored(key) for key in names])
        return {
            key: None if left == _NO_LIFETIME else left / 1000
            for key, left in zip(names, lefts, strict=True)
            if left != _NO_SUCH_KEY
        }

    def describe_many(self, keys: Iterable[str]) -> dict[str, Described]:
        """Return what ``PTTL``, ``STRLEN`` and ``TYPE`` say, all in one go.

        The size is that of a string; what else there may be has none.
        """
        names = list(dict.fromkeys(keys))
        found = self._client.describe([self._stored(key) for key in names])
        return {
            key: Described(
                None if left == _NO_LIFETIME else left / 1000,
                size if kind in _STRINGS else None,
                VALUE if kind in _STRINGS else kind or VALUE,
            )
            for key, (left, size, kind) in zip(names, found, strict=True)
            if left != _NO_SUCH_KEY
        }

    # Writing

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        (outcome,) = self.set_many([Item(key, value, ttl)])
        if outcome is not True:
            raise outcome

    def set_many(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        if max([len(item.value) for item in items], default=0) > LONGEST:
            return self.perform(items)
        # Mostly all have the same.
        lifetimes = {ttl: milliseconds(ttl) for ttl in {item.ttl for item in items}}
        replies = self._client.store_many(self.prefix, items, lifetimes)
        return [reply if isinstance(reply, BackendError) else True for reply in replies]

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        return bool(self._do(Add(key, value, ttl)))

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        return bool(self._do(Replace(key, value, ttl)))

    def delete(self, key: str) -> bool:
        return bool(self._do(Delete(key)))

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        return self.perform([Delete(key) for key in keys])

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        if ttl is not None and ttl <= 0:
            return self.compare_and_delete(key, token)
        refuse_too_large(value)
        return self._compared.set(self._stored(key), token, value, milliseconds(ttl))

    def compare_and_delete(self, key: str, token: Any) -> bool:
        return self._compared.delete(self._stored(key), token)

    def get_and_delete(self, key: str) -> bytes | Missing:
        value: bytes | Missing = self._do(GetAndDelete(key))
        return value

    def touch(self, key: str, ttl: float | None) -> bool:
        return bool(self._do(Touch(key, ttl)))

    def increment(self, key: str, delta: int) -> int | Missing:
        number: int | Missing = self._do(Increment(key, delta))
        return number

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        return self._client.perform(self.prefix, operations)

    def _do(self, operation: Operation) -> Any:
        """Do one operation; return its outcome."""
        (outcome,) = self.perform([operation])
        if isinstance(outcome, BackendError):
            raise outcome
        return outcome

    # All keys

    def list_keys(
        self, prefix: str, limit: int, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """Return a page of keys; it may be shorter than ``limit`` and not the last.

        A key that somebody stored under the prefix and that is no UTF-8 is left out: no
        request could name it.
        """
        with self._noting_a_proxy():
            found, following = self._client.list_keys(self._stored(prefix), limit, cursor)
        own = len(self.prefix.encode())
        return [text for key in found if (text := _text(key[own:]))], following

    def flush(self) -> None:
        """Delete every key with this object's prefix, of whatever type, some at a time.

        A key that is stored meanwhile may stay.
        """
        with self._noting_a_proxy():
            if self._allow_flushdb and not self.prefix:
                self._client.flush_database()
            else:
                self._client.delete_all(self._stored(""))

    def stats(self, section: str | None = None) -> list[ServerStatistics]:
        with self._noting_a_proxy():
            return self._client.statistics(section)

    def sections(self) -> tuple[str, ...]:
        """Return those of the server's own list; Redis, Valkey and their modules have others."""
        with self._noting_a_proxy():
            return self._client.sections(self.stats_sections)

    def learn_capabilities(self) -> None:
        # Anybody who may use the service may ask what it can do.
        if time.monotonic() >= self._learn_at:
            self._learn_at = time.monotonic() + LEARNED_SECONDS
            with contextlib.suppress(BehindProxy):
                self.stats()

    def endpoints(self) -> list[Endpoint]:
        return self._client.endpoints(self._stored)

    def places(self) -> frozenset[str]:
        return self._places

    def probe(self, key: str) -> Probe:
        return RedisProbe(self, key)

    def look(self) -> None:
        """See that every server answers and is what the settings say."""
        self._client.look()
        # So each process knows soon after its start, when readiness looks.
        self.learn_capabilities()

    def ping(self, key: str) -> None:
        """Have the server of a key answer."""
        self._client.ping(self._stored(key))

    def peek(self, key: str, ttl: float) -> bytes | Missing:
        """Return a number that a probe stored; unlike a read, Redis counts no hit and no miss.

        Not atomic: nobody else uses the key.

        :param ttl: the lifetime that it is given anew.
        """
        stored = self._stored(key)
        if not self._client.run("PEXPIRE", stored, math.ceil(ttl * 1000)):
            return MISSING
        return b"%d" % self._client.run("INCRBY", stored, 0)

    def close(self) -> None:
        self._client.close()

    @contextlib.contextmanager
    def _noting_a_proxy(self) -> Iterator[None]:
        try:
            yield
        except BehindProxy as error:
            raise self._found_behind(error) from error.__cause__
        self._found_open()


def _text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return ""
