"""The Redis backend, for Valkey too: one server, Sentinel's master, or a cluster.

What is done with keys stands in :mod:`backends.redis.keys`; here are the settings, and what
concerns whole servers.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from backends import late
from backends.capabilities import Capability, Limits, Traits
from backends.endpoints import Endpoint
from backends.errors import BehindProxy, DriverMissing, InvalidOption
from backends.portions import Portion
from backends.probe import Probe
from backends.redis.keys import KeyCommands
from backends.redis.limits import LONGEST
from backends.redis.options import OPTIONS, SERVICE_TYPE, Address, Target, Url, target
from backends.redis.probe import RedisProbe
from backends.statistics import ServerStatistics

if TYPE_CHECKING:
    from backends.redis.client import Client
    from backends.redis.comparing import Compared
    from backends.redis.servers import Servers

# How long what was learned of a proxy counts.
LEARNED_SECONDS: Final = 5.0


class RedisBackend(KeyCommands):
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
    service_type = SERVICE_TYPE
    options = OPTIONS
    traits = Traits(
        title="Redis",
        description="A cache on Redis or Valkey: one server, Sentinel's master, or a cluster.",
        needs="a Redis server 6.2 or later or a Valkey server, the package `redis[hiredis]`",
        shared_by="all machines",
        eviction="as the server's `maxmemory-policy` says; by default writes are refused",
        persistence="as the server's `save` and `appendonly` say",
        replication="the server's own, asynchronous",
        data_types="JSON values, as strings",
        max_value="512 MB",
    )
    capabilities = frozenset(Capability)
    lost_behind_proxy = frozenset(
        {Capability.STATS, Capability.LIST_KEYS, Capability.FLUSH_PREFIX, Capability.ANALYZE}
    )
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
        _find_driver()
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
        self._client = late.made(lambda: _client(made))
        self._servers = late.made(lambda: _servers(made, self._client))
        self._compared = late.made(lambda: _compared(self._client))

    # All keys

    def list_keys(
        self, prefix: str, limit: int, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """Return a page of keys; it may be shorter than ``limit`` and not the last.

        A key that somebody stored under the prefix and that is no UTF-8 is left out: no
        request could name it.
        """
        with self._noting_a_proxy():
            found, following = self._servers.list_keys(self._stored(prefix), limit, cursor)
        own = len(self.prefix.encode())
        return [text for key in found if (text := _text(key[own:]))], following

    def analyze(self, most: int) -> Iterator[Portion]:
        """Look through the keys by SCAN; the size is what ``MEMORY USAGE`` says."""
        with self._noting_a_proxy():
            yield from self._servers.analyze(self._stored(""), most)

    def flush(self) -> None:
        """Delete every key with this object's prefix, of whatever type, some at a time.

        A key that is stored meanwhile may stay.
        """
        with self._noting_a_proxy():
            if self._allow_flushdb and not self.prefix:
                self._servers.flush_database()
            else:
                self._servers.delete_all(self._stored(""))

    def stats(self, section: str | None = None) -> list[ServerStatistics]:
        with self._noting_a_proxy():
            return self._servers.statistics(section)

    def sections(self) -> tuple[str, ...]:
        """Return those of the server's own list; Redis, Valkey and their modules have others."""
        with self._noting_a_proxy():
            return self._servers.sections(self.stats_sections)

    def learn_capabilities(self) -> None:
        # Anybody who may use the service may ask what it can do.
        if time.monotonic() >= self._learn_at:
            self._learn_at = time.monotonic() + LEARNED_SECONDS
            with contextlib.suppress(BehindProxy):
                self.stats()

    def endpoints(self) -> list[Endpoint]:
        return self._servers.endpoints(self._stored)

    def places(self) -> frozenset[str]:
        return self._places

    def probe(self, key: str) -> Probe:
        return RedisProbe(self, key)

    def look(self) -> None:
        """See that every server answers and is what the settings say."""
        self._servers.look()
        # So each process knows soon after its start, when readiness looks.
        self.learn_capabilities()

    def close(self) -> None:
        self._client.close()

    @contextlib.contextmanager
    def _noting_a_proxy(self) -> Iterator[None]:
        try:
            yield
        except BehindProxy as error:
            raise self._found_behind(error) from error.__cause__
        self._found_open()


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise DriverMissing("Redis needs redis-py: pip install 'redis[hiredis]'") from error


def _find_driver() -> None:
    """See that redis-py is there: what uses it is imported, or found at least.

    :raises DriverMissing: it is not.
    """
    with _importing():
        if not late.is_on():
            import_module("backends.redis.servers")
        elif not (find_spec("redis") and find_spec("hiredis")):
            raise ImportError


@contextlib.contextmanager
def _uncounted() -> Iterator[None]:
    """Let a redis-py that is imported late find no OpenTelemetry.

    It would import that, for a third of the time that it takes itself, to count for who asks it to.
    """
    name = "opentelemetry"
    if name in sys.modules or "redis" in sys.modules:
        yield
        return
    # So an import of it fails, as where it is not installed.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def _client(made: Target) -> Client:
    with _importing(), _uncounted():
        from backends.redis.client import Client
    return Client(made)


def _servers(made: Target, client: Client) -> Servers:
    with _importing():
        from backends.redis.servers import Servers
    return Servers(made, client)


def _compared(client: Client) -> Compared:
    with _importing():
        from backends.redis.comparing import Compared
    return Compared(client)


def _text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return ""
